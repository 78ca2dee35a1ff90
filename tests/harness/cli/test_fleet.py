"""bandmark fleet: what it prints, writes and exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bandmark.cli.app import main
from bandmark.judge.expectations import read_expectations
from fleets import folder_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of twelve ranks, one of them slow."""
    return folder_of(tmp_path / "a b", 12, slow=1)


def test_text_names_who_is_slow(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first line is the answer, the last the nodes to leave out; the exit code is 1."""
    assert main(["fleet", str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "findings: 12 devices, 3 outliers, 0 of two speeds, 0 missing" and lines[-1] == "exclude: node0"


def test_other_forms(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The list to exclude stands alone, lines are JSON, and the page is written beside them."""
    page = tmp_path / "page.html"
    assert main(["fleet", str(folder), "--format", "exclude", "--html", str(page)]) == 1
    assert capsys.readouterr().out == "node0\n" and "node0" in page.read_text()
    assert main(["fleet", str(folder), "--format", "jsonl"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["exclude"] == ["node0"] and {line["section"] for line in lines} >= {"outliers", "distribution"}


def test_missing_ranks_and_nodes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rank without files is missing, and a node of the list."""
    for file in folder.glob("rank00005-*"):
        file.unlink()
    (tmp_path / "nodes").write_text("node1\nnode99\n")
    assert main(["fleet", str(folder), "--nodes", str(tmp_path / "nodes")]) == 1
    out = capsys.readouterr().out
    assert "rank 5" in out and "node99" in out and "1 missing" not in out


def test_limits_are_written_and_decide(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Limits of a healthy fleet are written; a fleet too small for a spread is judged by them."""
    expect = tmp_path / "expect.toml"
    assert main(["fleet", str(folder_of(tmp_path / "healthy", 6)), "--write-expect", str(expect)]) == 0
    assert len(read_expectations(expect)[0].limits) == 3
    small = folder_of(tmp_path / "small", 2, slow=1)
    assert main(["fleet", str(small)]) == 3
    assert main(["fleet", str(small), "--expect", str(expect)]) == 1
    assert "expected by the file" in capsys.readouterr().out


def test_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No folder, an empty one, and too few devices for limits are bad usage, each with what to do."""
    assert main(["fleet", str(tmp_path / "none")]) == 2
    assert main(["fleet", str(tmp_path)]) == 2
    small = folder_of(tmp_path / "small", 2)
    assert main(["fleet", str(small), "--write-expect", str(tmp_path / "x")]) == 2
    assert main(["fleet", str(small), "--expect", str(tmp_path / "none.toml")]) == 2
    assert "bandmark run --rank-file DIR" in capsys.readouterr().err
