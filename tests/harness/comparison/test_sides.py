"""From files, folders and rows to sides: what is read, what is refused, what raises a doubt."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandmark.comparison import Figure, Run, Side
from bandmark.comparison.sides import _instabilities, read_history, read_side, runs_of, side
from bandmark.errors import FileError, UsageError
from bandmark.results.files import to_csv
from bandmark.results.row import Row
from fakes import make_result
from foreign_files import STREAM

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
    assert (figure.value, figure.best) == (0.024, 0.0267) and figure.doubts == ()
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
    assert (figure.value is None) == (status != "suspect")


def test_rows_without_a_measurement_are_left_out() -> None:
    """Rows that were never to be measured are no figures."""
    (run,) = runs_of([make_result(), make_result(status="unsupported"), make_result(status="skipped")])
    assert len(run.figures) == 1


def test_raw_samples_show_what_is_unsteady(tmp_path: Path) -> None:
    """Samples in the JSON that drift widen the limit of a case whose row is ok; steady ones do not."""
    drifting = [s * (1 + 0.01 * i) for i, s in enumerate(STEADY)]
    for seconds, unsteady in ((STEADY, False), (drifting, True)):
        path = run_file(tmp_path / f"{unsteady}.csv", samples=[entry(seconds)])
        (figure,) = read_side([path]).runs[0].figures
        assert bool(figure.unsteady) == unsteady == (figure.sway > 0.1) and figure.doubts == ()
        assert not unsteady or "while sampling" in figure.unsteady[0]


def test_a_row_that_is_suspect_for_its_samples_alone(tmp_path: Path) -> None:
    """A reason that the samples explain widens the limit; any other reason leaves the row in doubt."""
    slow = [s * (1 + 0.01 * i) for i, s in enumerate(STEADY)]
    drift = _instabilities(slow)[0][0]
    for reason, doubts in ((drift, ()), (f"{drift}; others used 40 %", ("suspect: others used 40 %",))):
        row = make_result(status="suspect", reason=reason)
        (run,) = read_side([run_file(tmp_path / f"{len(reason)}.csv", row, samples=[entry(slow)])]).runs
        assert (run.figures[0].unsteady, run.figures[0].doubts) == ((drift,), doubts)
    (unread,) = runs_of([make_result(status="suspect", reason=drift)])
    assert unread.figures[0].doubts == (f"suspect: {drift}",)


def test_steady_samples() -> None:
    """Normal noise of 1 % is steady in 500 runs, and so is a single stall, which the median survives."""
    rng = np.random.default_rng(1)
    assert not any(_instabilities(list(1 + 0.01 * rng.standard_normal(20)))[0] for _ in range(500))
    assert _instabilities([*(1 + 0.01 * rng.standard_normal(19)), 3.0]) == ([], 0.0)
    assert _instabilities([1.0]) == ([], 0.0) == _instabilities([])


def test_unsteady_samples() -> None:
    """Two speeds, drift and a few far samples are each named, with a change that covers them."""
    rng = np.random.default_rng(1)
    noise = 0.01 * rng.standard_normal(20)
    far = 1 + noise
    far[[3, 9, 15]] += 2
    for seconds, text, least in (
        (1 + noise + 0.2 * (np.arange(20) % 2), "two speeds", 0.18),
        (1 + noise / 5 + np.linspace(0, 0.1, 20), "slower while sampling", 0.09),
        (far, "a few far ones", 0.1),
    ):
        warnings, sway = _instabilities(list(seconds))
        assert text in warnings[0] and least < sway < 3 * least


def test_samples_of_another_row_are_not_taken(tmp_path: Path) -> None:
    """Samples that fit two entries, or none, say nothing of a row."""
    drifting = [s * (1 + 0.01 * i) for i, s in enumerate(STEADY)]
    for name, samples in (("two", [entry(drifting)] * 2), ("other", [entry(drifting, variant="x")])):
        (run,) = read_side([run_file(tmp_path / f"{name}.csv", samples=samples)]).runs
        assert run.figures[0].unsteady == ()


def test_a_damaged_json_is_named(tmp_path: Path) -> None:
    """A JSON beside the CSV that can't be read is an error that names it, not a silent loss of the samples."""
    path = run_file(tmp_path / "a.csv")
    path.with_suffix(".json").write_text('{"samples": [')
    with pytest.raises(FileError, match=r"a\.json"):
        read_side([path])


def test_a_file_of_several_runs(tmp_path: Path) -> None:
    """A merged CSV is as many runs as it has run_ids."""
    path = run_file(tmp_path / "merged.csv", make_result(run_id="b"), make_result(run_id="a"))
    assert [run.name for run in read_side([path]).runs] == ["a", "b"]


def test_folders(tmp_path: Path) -> None:
    """A folder's files are its runs, each once; READMEs, hidden files and subfolders are left alone."""
    run_file(tmp_path / "b.csv", samples=[])
    run_file(tmp_path / "a.csv")
    run_file(tmp_path / "deeper" / "c.csv")
    for name in ("README.md", ".d.csv", "datapackage.json"):
        (tmp_path / name).write_text("{}")
    assert [run.name for run in read_side([tmp_path]).runs] == ["a", "b"]
    assert [run.name for run in read_side([tmp_path / "a.csv"]).runs] == ["a"]


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
    with pytest.raises(UsageError, match="empty holds no result files"):
        read_history([tmp_path / "empty"])
    (tmp_path / "stream.log").write_text(STREAM)
    with pytest.raises(UsageError, match="holds no run of bandmark"):
        read_history([tmp_path / "stream.log"])
    assert read_history([]) == []


def test_kinds_of_device() -> None:
    """A driver means a GPU, a peak from the firmware a real machine; otherwise the kind is not known."""
    rows = {"gpu": {"driver": "580.65"}, "cpu": {"peak_source": "firmware: 2 x 5600 (SMBIOS type 17)"}, None: {}}
    for kind, changes in rows.items():
        assert runs_of([make_result(**changes)])[0].kind == kind


def test_rows_of_an_unknown_suite() -> None:
    """Rows of a suite that this version lacks are refused with its name."""
    with pytest.raises(FileError, match="suite 'weather'"):
        runs_of([make_result(suite="weather")])


def test_name_and_key_of_a_figure() -> None:
    """A figure is called by what identifies its case; size and variant are not part of its key."""
    case = {"backend": "cupy", "kernel": "gemv", "dtype": "float16", "weight_format": "mxfp4"}
    one = Figure(case=case)
    assert one.label == "cupy gemv mxfp4 float16"
    assert [value for value in one.key if value] == ["bandwidth_gbs", "cupy", "gemv", "float16", "mxfp4"]
    assert Figure(case={**case, "n": 7, "variant": "x"}).key == one.key
    assert Figure(case={"kernel": "copy"}).label == "copy"


def test_what_a_side_consists_of() -> None:
    """A side lists the devices and systems of its runs once each, and knows whether all runs are ours."""
    runs = [
        Run(name="1", figures=(), system="a", device="GPU"),
        Run(name="2", figures=(), system="a", device="GPU"),
        Run(name="3", figures=(), tool="STREAM"),
    ]
    both = Side(label="x", runs=tuple(runs))
    assert both.devices == ("GPU",) and both.systems == ("a",)
    assert not both.is_ours and Side(label="x", runs=tuple(runs[:2])).is_ours
