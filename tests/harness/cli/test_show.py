"""bandmark show: the tables of stored runs, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bandmark.cli.app import main
from bandmark.results.files import RunFiles, to_csv
from bandmark.results.row import columns
from fakes import make_result


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Two runs, of two rows and of one that failed."""
    RunFiles(tmp_path / "a.csv").save([make_result(kernel="triad"), make_result(kernel="copy")], {})
    wrong = make_result(
        run_id="20270101T000000Z-0000",
        status="failed_verification",
        reason="the output is wrong",
        verified=False,
        max_error=float("inf"),
        bandwidth_gbs=None,
    )
    RunFiles(tmp_path / "b.csv").save([wrong], {})
    return [str(tmp_path / "b.csv"), str(tmp_path / "a.csv")]


def test_a_table_per_run(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Runs in the order of their names, each with its heading, rows in the order of the kernel table."""
    assert main(["show", *files]) == 0
    out = capsys.readouterr().out
    first, second = out.index("run 20261123T101500Z-3f2a"), out.index("run 20270101T000000Z-0000")
    assert first < out.index("\ncopy ") < out.index("\ntriad ") < second
    assert "failed_verification: the output is wrong" in out[second:]


def test_a_folder_stands_for_its_runs(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`show DIR` shows what `show DIR/*.csv` does; a folder without results is an error."""
    assert main(["show", *files]) == 0
    printed = capsys.readouterr().out
    assert main(["show", str(Path(files[0]).parent)]) == 0
    assert capsys.readouterr().out == printed


def test_json(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every row with every column, as strict JSON: an error without bound is null, its status tells."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert main(["show", "--json", *files]) == 0
    rows = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert [row["kernel"] for row in rows] == ["copy", "triad", "triad"]
    assert all(list(row) == [c.name for c in columns()] for row in rows)
    assert (rows[2]["status"], rows[2]["max_error"], rows[2]["bandwidth_gbs"]) == ("failed_verification", None, None)


def test_a_file_without_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file with a header alone shows nothing and is no error."""
    (tmp_path / "a.csv").write_text(to_csv([]))
    assert main(["show", str(tmp_path / "a.csv")]) == 0
    assert capsys.readouterr().err == ""
