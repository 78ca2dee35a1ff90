"""Many runs become one table: every row once, clashes named, nothing changed on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bandmark.cli import main
from bandmark.errors import FileError
from bandmark.results.files import read_rows, to_csv
from bandmark.results.row import Row, columns
from corpus import DAMAGES, good_run, pair

IDS = ("20261121T101500Z-aaaa", "20261122T101500Z-bbbb", "20261123T101500Z-cccc")


def write(file: Path, **options: Any) -> Path:
    """Write a run of the harness."""
    text, record = good_run(kernels=("copy", "read"), **options)
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_text(text)
    file.with_suffix(".json").write_text(json.dumps(record))
    return file


def rows_of(files: list[Path]) -> list[Row]:
    """All rows of some files, in their order."""
    return [row for file in files for row in read_rows(file)]


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Three runs of three systems, in a tree."""
    return [write(tmp_path / f"in/{i}/{run}.csv", run_id=run, system=f"s-{i}", seed=i) for i, run in enumerate(IDS)]


def merge(*arguments: str | Path) -> int:
    """Run the command."""
    return main(["merge", *map(str, arguments)])


def test_runs_are_merged(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rows of all runs of a tree stand in one file, in order of run, exactly as they were."""
    assert merge(tmp_path / "in", "--output", tmp_path / "all.csv") == 0
    assert rows_of([tmp_path / "all.csv"]) == rows_of(runs)
    assert "3 runs, 12 rows in" in capsys.readouterr().err.replace("\n", " ")


def test_order_of_files_does_not_matter(runs: list[Path], tmp_path: Path) -> None:
    """Whatever the order of the arguments, the result is the same."""
    merge(*runs, "--output", tmp_path / "a.csv")
    merge(*reversed(runs), "--output", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_one_tidy_frame(runs: list[Path], tmp_path: Path) -> None:
    """Pandas reads the result without options: a row per case, a column per variable, numbers as numbers."""
    merge(tmp_path / "in", "--output", tmp_path / "all.csv")
    frame = pd.read_csv(tmp_path / "all.csv")
    assert list(frame.columns) == [c.name for c in columns()]
    assert frame["bandwidth_gbs"].dtype == "float64" and frame["n_elements"].dtype == "int64"
    assert not frame.duplicated(["run_id", "device", "backend", "kernel", "dtype", "m", "n", "variant"]).any()
    assert list(frame["run_id"].unique()) == list(IDS)


def test_duplicates_are_named(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A copy of a run, in whatever order its rows are, is left out and named."""
    copy = write(tmp_path / "again/copy.csv", run_id=IDS[0], system="s-0", seed=0)
    copy.write_text(to_csv(reversed(read_rows(copy))))
    assert merge(tmp_path / "in", copy, "--output", tmp_path / "all.csv") == 0
    assert rows_of([tmp_path / "all.csv"]) == rows_of(runs)
    said = capsys.readouterr().err.replace("\n", "")
    assert "copy.csv" in said and f"run {IDS[0]}" in said and "left out" in said


def test_many_duplicates_are_counted(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first ten duplicates are named, further ones counted."""
    for i in range(12):
        (tmp_path / f"copy-{i}.csv").write_bytes(runs[0].read_bytes())
    merge(*sorted(tmp_path.glob("copy-*.csv")), "--output", tmp_path / "all.csv")
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("left out") == 10 and "and 1 more duplicates" in said
    assert "1 run, 4 rows" in said


def test_clashes_are_refused(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same case of the same run with other figures is an error that names files, case and column."""
    other = write(tmp_path / "again/other.csv", run_id=IDS[0], system="s-0", seed=99)
    assert merge(tmp_path / "in", other, "--output", tmp_path / "all.csv") == 2
    said = capsys.readouterr().err
    assert f"{runs[0]} and {other} clash: " in said and f"of run {IDS[0]} is " in said
    assert not (tmp_path / "all.csv").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "in"], "nothing is left behind"


def test_a_missing_case_is_a_clash(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A copy of a run that lacks a row is an error that names the row."""
    part = tmp_path / "part.csv"
    part.write_text(to_csv(read_rows(runs[0])[1:]))
    assert merge(part, runs[0], "--output", tmp_path / "all.csv") == 2
    assert f"{runs[0]} has numpy copy float64 of run {IDS[0]} and {part} has not" in capsys.readouterr().err


def test_a_case_twice_in_a_file(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that holds a case twice is refused."""
    twice = tmp_path / "twice.csv"
    twice.write_text(to_csv(read_rows(runs[0]) * 2))
    assert merge(twice, "--output", tmp_path / "all.csv") == 2
    assert "twice.csv holds numpy copy float64 of run" in capsys.readouterr().err


def test_merged_files_merge_again(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A merged file is input like any other: with the runs it is made of, the result is itself."""
    merge(tmp_path / "in", "--output", tmp_path / "all.csv")
    assert merge(tmp_path / "all.csv", tmp_path / "in", "--output", tmp_path / "more.csv") == 0
    assert (tmp_path / "more.csv").read_bytes() == (tmp_path / "all.csv").read_bytes()
    assert capsys.readouterr().err.replace("\n", " ").count("left out") == 3


def test_older_layouts_get_the_newer_columns(runs: list[Path], tmp_path: Path) -> None:
    """A file without the newest columns, or with Windows line ends, gives the same rows in the common layout."""
    old = tmp_path / "old.csv"
    lines = runs[0].read_text().splitlines()
    names = lines[0].split(",")
    newer = len(names) - names.index("copies")
    assert all(row.copies == 1 for row in rows_of([runs[0]])), "the first of the columns left out is filled in all rows"
    old.write_bytes("".join(line.rsplit(",", newer)[0] + "\r\n" for line in lines).encode())
    assert merge(old, runs[1], "--output", tmp_path / "all.csv") == 0
    runs[1].write_text(runs[1].read_text().replace("\n", "\r\n"), newline="")
    assert (
        merge(runs[1], "--output", tmp_path / "mixed.csv") == 0 and b"\r" not in (tmp_path / "mixed.csv").read_bytes()
    )
    head, *others = runs[2].read_bytes().splitlines(keepends=True)
    runs[2].write_bytes(head + b"".join(others).replace(b"\n", b"\r\n"))
    assert merge(runs[2], "--output", tmp_path / "mixed.csv", "--force") == 0
    assert b"\r" not in (tmp_path / "mixed.csv").read_bytes()
    made = rows_of([tmp_path / "all.csv"])
    assert made == rows_of([old, runs[1]]) and made[0].copies is None


def test_output(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An existing file is replaced only with --force, which loses none of its rows; - is stdout."""
    out = tmp_path / "in/all.csv"
    assert merge(tmp_path / "in", "--output", out) == 0
    assert merge(tmp_path / "in", "--output", out) == 2
    assert "--force" in capsys.readouterr().err
    whole = out.read_text()
    assert merge(tmp_path / "in", "--output", out, "--force") == 0
    assert out.read_text() == whole and capsys.readouterr().err.replace("\n", " ").count("left out") == 3
    assert merge(out, "--output", out, "--force") == 0 and out.read_text() == whole
    assert [p.name for p in out.parent.iterdir() if not p.is_dir()] == ["all.csv"]
    out.rename(tmp_path / "all.csv")
    assert merge(tmp_path / "in", "--output", "-") == 0
    assert capsys.readouterr().out == (tmp_path / "all.csv").read_text()
    assert merge(tmp_path / "in", "--output", tmp_path / "no/where.csv") == 2
    assert "can't write" in capsys.readouterr().err


UNREADABLE = [
    d for d in DAMAGES if d.name in ("empty file", "UTF-16", "truncated in a line", "a newer schema", "N/A for unknown")
]


@pytest.mark.parametrize("damage", UNREADABLE, ids=lambda damage: damage.name)
def test_damaged_files_are_named(damage: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that can't be read is named, and nothing is written."""
    damage.harm(pair(good_run())).write(tmp_path)
    assert merge(tmp_path, "--output", tmp_path / "all.csv") == 2
    assert "run.csv" in capsys.readouterr().err
    assert not (tmp_path / "all.csv").exists()
    with pytest.raises(FileError):
        read_rows(tmp_path / "run.csv")


@pytest.mark.parametrize("start", "=+-@")
def test_formulas_are_refused(start: str, runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cell that a spreadsheet would run is named, in files of one run and of several; what looks like one stays."""
    rows = read_rows(runs[0])
    output = tmp_path / "all.csv"
    for others in ([], read_rows(runs[1])):
        bad = [replace(rows[0], reason=f"{start}cmd|' /C calc'!A0"), *rows[1:], *others]
        (tmp_path / "bad.csv").write_text(to_csv(bad))
        assert merge(tmp_path / "bad.csv", "--output", output) == 2
        said = capsys.readouterr().err.replace("\n", " ")
        assert "bad.csv: reason of numpy copy" in said and "takes for a formula" in said and not output.exists()
    (tmp_path / "bad.csv").write_text(to_csv([replace(rows[0], reason=f'a,{start}b "{start}c"'), *rows[1:]]))
    assert merge(tmp_path / "bad.csv", "--output", output) == 0


def test_an_output_is_a_csv(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The record of a run is not replaced by a table, nor is a folder or a pipe."""
    record = runs[0].with_suffix(".json")
    before = record.read_bytes()
    assert merge(runs[0], "--output", record, "--force") == 2 and record.read_bytes() == before
    assert "must end in .csv" in capsys.readouterr().err
    (tmp_path / "folder.csv").mkdir()
    assert merge(runs[0], "--output", tmp_path / "folder.csv", "--force") == 2
    assert "no regular file" in capsys.readouterr().err
