"""From files, folders and rows to sides: what is read, what is refused, what raises a doubt."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from bandmark.comparison.figures import Run
from bandmark.comparison.sides import files_of, read_history, read_runs, read_side, runs_of, side
from bandmark.errors import FileError, UsageError
from bandmark.results.files import to_csv
from bandmark.results.row import Row
from fakes import make_result

STEADY = [1e-3 * (1 + 0.001 * (i % 5)) for i in range(20)]


def run_file(path: Path, *rows: Row, samples: list[dict[str, Any]] | None = None) -> Path:
    """Write a run's CSV, and its JSON if there are samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_csv(rows or [make_result(run_id=path.stem)]), encoding="utf-8")
    if samples is not None:
        path.with_suffix(".json").write_text(json.dumps({"run_id": path.stem, "samples": samples}), encoding="utf-8")
    return path


def entry(seconds: list[float], **changes: Any) -> dict[str, Any]:
    """Return the raw samples of make_result's row."""
    case = {"backend": "numpy", "kernel": "triad", "dtype": "float64", "launches_per_sample": 1}
    return {**case, "seconds_per_launch": seconds, **changes}


def test_a_row_becomes_a_figure() -> None:
    """A figure has the row's bandwidths, and the standard error that its 95 % interval stands for."""
    (run,) = runs_of([make_result()])
    (figure,) = run.figures
    assert (run.name, run.system, run.device) == ("20261123T101500Z-3f2a", "fake-1", "Fake GPU")
    assert (figure.gbs, figure.best_gbs) == (0.024, 0.0267) and figure.doubts == ()
    assert figure.error == pytest.approx(0.002 / 1.96, rel=1e-4)


def test_error_of_few_samples() -> None:
    """Below six samples, where there is no interval, the error follows from the quartiles."""
    (run,) = runs_of([make_result(ci95_rel=None, samples=4)])
    assert run.figures[0].error == pytest.approx(math.sqrt(math.pi / 8) * 0.04 / 1.349)
    (unknown,) = runs_of([make_result(ci95_rel=None, time_q1_s=None)])
    assert unknown.figures[0].error is None


@pytest.mark.parametrize("status", ["suspect", "failed_verification", "error"])
def test_rows_that_are_not_ok_are_doubted(status: str) -> None:
    """A row that is not ok raises its reason as a doubt; without a sound measurement it has no bandwidth."""
    (run,) = runs_of([make_result(status=status, reason="the clock was low")])
    (figure,) = run.figures
    assert figure.doubts == (f"{status}: the clock was low",)
    assert (figure.gbs is None) == (status != "suspect")


def test_rows_without_a_measurement_are_left_out() -> None:
    """Rows that were never to be measured are no figures."""
    (run,) = runs_of([make_result(), make_result(status="unsupported"), make_result(status="skipped")])
    assert len(run.figures) == 1


def test_raw_samples_raise_doubts(tmp_path: Path) -> None:
    """Samples in the JSON that drift make the figure doubtful although its row is ok; steady ones do not."""
    drifting = [s * (1 + 0.01 * i) for i, s in enumerate(STEADY)]
    for seconds, doubted in ((STEADY, False), (drifting, True)):
        path = run_file(tmp_path / f"{doubted}.csv", samples=[entry(seconds)])
        (run,) = read_runs(path)
        assert bool(run.figures[0].doubts) == doubted
        assert not doubted or "while sampling" in run.figures[0].doubts[0]


def test_a_doubt_is_said_once(tmp_path: Path) -> None:
    """What the row's reason already says is not added from the samples."""
    slow = [s * (1 + 0.01 * i) for i, s in enumerate(STEADY)]
    (told,) = read_runs(run_file(tmp_path / "1.csv", samples=[entry(slow)]))
    words = told.figures[0].doubts[0]
    row = make_result(status="suspect", reason=words)
    (run,) = read_runs(run_file(tmp_path / "2.csv", row, samples=[entry(slow)]))
    assert run.figures[0].doubts == (f"suspect: {words}",)


def test_samples_of_another_row_are_not_taken(tmp_path: Path) -> None:
    """Samples that fit two entries, or none, say nothing of a row."""
    drifting = [s * (1 + 0.01 * i) for i, s in enumerate(STEADY)]
    for name, samples in (("two", [entry(drifting)] * 2), ("other", [entry(drifting, variant="x")])):
        (run,) = read_runs(run_file(tmp_path / f"{name}.csv", samples=samples))
        assert run.figures[0].doubts == ()


def test_a_damaged_json_is_named(tmp_path: Path) -> None:
    """A JSON beside the CSV that can't be read is an error that names it, not a silent loss of the samples."""
    path = run_file(tmp_path / "a.csv")
    path.with_suffix(".json").write_text('{"samples": [')
    with pytest.raises(FileError, match=r"a\.json can't be read"):
        read_runs(path)


def test_a_file_of_several_runs(tmp_path: Path) -> None:
    """A merged CSV is as many runs as it has run_ids."""
    path = run_file(tmp_path / "merged.csv", make_result(run_id="b"), make_result(run_id="a"))
    assert [run.name for run in read_runs(path)] == ["a", "b"]


def test_folders(tmp_path: Path) -> None:
    """A folder's files are its runs, each once; READMEs, hidden files and subfolders are left alone."""
    run_file(tmp_path / "b.csv", samples=[])
    run_file(tmp_path / "a.csv")
    run_file(tmp_path / "deeper" / "c.csv")
    for name in ("README.md", ".d.csv", "datapackage.json"):
        (tmp_path / name).write_text("{}")
    assert [file.name for file in files_of(tmp_path)] == ["a.csv", "b.csv"]
    assert [run.name for run in read_side([tmp_path]).runs] == ["a", "b"]
    assert files_of(tmp_path / "a.csv") == [tmp_path / "a.csv"]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """A folder without a result file is an error that says what is looked for."""
    with pytest.raises(FileError, match=r"holds no result file \(\.csv"):
        read_side([tmp_path])


def test_a_run_twice_is_refused(tmp_path: Path) -> None:
    """The same run twice would look like runs that agree perfectly: it is refused, also under another name."""
    row = make_result(run_id="same")
    places = [run_file(tmp_path / name, row) for name in ("1.csv", "copy.csv")]
    with pytest.raises(UsageError, match="holds run same 2 times"):
        read_side(places)


def test_sides_of_one_tool() -> None:
    """A side without a run, or with runs of two tools, is refused."""
    with pytest.raises(UsageError, match="holds no run"):
        side([], "x")
    runs = [Run(name="1", figures=()), Run(name="2", figures=(), tool="STREAM")]
    with pytest.raises(UsageError, match="STREAM and bandmark"):
        side(runs, "x")


def test_history_is_searched_to_any_depth(tmp_path: Path) -> None:
    """--history takes runs from folders within folders, each run once; a place without any is refused."""
    run_file(tmp_path / "x" / "y" / "1.csv")
    run_file(tmp_path / "2.csv")
    found = read_history([tmp_path, tmp_path / "2.csv"])
    assert sorted(run.name for run in found) == ["1", "2"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no run of bandmark"):
        read_history([tmp_path / "empty"])
    assert read_history([]) == []
