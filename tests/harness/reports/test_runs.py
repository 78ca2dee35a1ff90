"""The runs of a report are those of the files, each once, with the samples that are theirs for sure."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bandmark.errors import FileError, UsageError
from bandmark.reports import FORMS, ReportRun, form_and_file, read_report, render, split_run
from bandmark.results.files import to_csv
from bandmark.suites import registered
from fakes import make_result
from report_runs import TIMES, Latency, entry, rows, save


def test_a_run_has_its_samples(tmp_path: Path) -> None:
    """Each row gets the samples of its case from the JSON beside the CSV."""
    (run,), copies = read_report([save(tmp_path / "a.csv", rows(), notes=["a note"])])
    assert run.samples == dict.fromkeys(range(6), TIMES)
    assert run.record["notes"] == ["a note"] and copies == []


def test_a_csv_alone_is_a_run(tmp_path: Path) -> None:
    """Without its JSON, with another run's, or with one that has no samples, a run has none."""
    (alone,), _ = read_report([save(tmp_path / "a.csv", rows(), with_json=False)])
    (other,), _ = read_report([save(tmp_path / "b.csv", rows(), run_id="20260101T000000Z-0000")])
    (bare,), _ = read_report([save(tmp_path / "c.csv", rows(), samples=None)])
    assert alone.record == other.record == {} and bare.record
    assert not alone.samples and not other.samples and not bare.samples


def test_a_copy_counts_once_and_the_one_with_samples(tmp_path: Path) -> None:
    """Of two copies of a run, the one that has its JSON is reported, whatever their order; the other is named."""
    files = [save(tmp_path / "a.csv", rows(), with_json=False), save(tmp_path / "b.csv", rows())]
    found, copies = read_report(files)
    assert len(found) == 1 and found[0].samples
    assert len(copies) == 1 and "a.csv holds run" in copies[0]


def test_runs_and_devices_are_apart(tmp_path: Path) -> None:
    """A file of several runs and devices gives a run each, in order."""
    made = [*rows(run_id="b"), *rows(run_id="a"), *rows(run_id="a", device="Another")]
    found, _ = read_report([save(tmp_path / "a.csv", made)])
    assert [(run.first.run_id, run.first.device) for run in found] == [
        ("a", "Another"),
        ("a", "Fake GPU"),
        ("b", "Fake GPU"),
    ]


def test_no_row_is_no_report(tmp_path: Path) -> None:
    """Files of runs that were killed before they measured anything are refused in words."""
    (tmp_path / "a.csv").write_text(to_csv([]))
    with pytest.raises(UsageError, match="no row"):
        read_report([tmp_path / "a.csv"])


def test_a_damaged_json_is_refused(tmp_path: Path) -> None:
    """A JSON that can't be read is a violation, not a run without samples."""
    file = save(tmp_path / "a.csv", rows())
    for text in ("{", "[1]", "[" * 100_000, '{"run_id": NaN}'):
        file.with_suffix(".json").write_text(text)
        with pytest.raises(FileError, match=r"a\.json"):
            read_report([file])


@pytest.mark.parametrize("bad", [0, -1.0, math.inf, math.nan, True, "1e-3", None, [1]])
def test_a_sample_is_a_time(bad: object) -> None:
    """What is no time in seconds is refused."""
    row = make_result()
    with pytest.raises(FileError, match="no entry of samples"):
        split_run(Path("a.json"), [row], {"samples": [entry(row, [1e-3, bad])]})


@pytest.mark.parametrize("bad", [1, None, [], {}, {"seconds_per_launch": 3}])
def test_an_entry_holds_samples(bad: object) -> None:
    """An entry without a list of samples is refused."""
    with pytest.raises(FileError, match="no entry of samples"):
        split_run(Path("a.json"), [make_result()], {"samples": [bad]})


def test_samples_that_may_be_anothers_are_left_out() -> None:
    """Two entries that fit a row give it none; m, n and the weight format tell them apart where they are known."""
    row = make_result(m=2, n=3)
    others = [{**entry(row, [1.0]), "m": 2, "n": 3}, {**entry(row, [2.0]), "m": 4, "n": 3}]
    for entries, samples in (([entry(row), entry(row)], {}), (others, {0: (1.0,)})):
        (run,) = split_run(Path("a.json"), [row], {"samples": entries})
        assert run.samples == samples


def test_what_can_not_be_drawn_is_left_out() -> None:
    """Rows without a finite, positive figure, or that failed, have no bar; the best is ok and from memory."""
    bad = [make_result(bandwidth_gbs=value) for value in (None, 0.0, -1.0, math.inf, math.nan)]
    wrong = make_result(bandwidth_gbs=5.0, status="error")
    cached = make_result(bandwidth_gbs=7.0, regime="cache")
    run = ReportRun((*bad, wrong, cached, make_result(bandwidth_gbs=6.0)))
    assert [row.bandwidth_gbs for row in run.measured] == [7.0, 6.0]
    assert [row.bandwidth_gbs for row in run.ranked] == [6.0]
    assert ReportRun(tuple(bad)).ranked == []


def test_suites_are_apart(tmp_path: Path) -> None:
    """The rows of each suite are a run of their own, with their own samples."""
    with registered(Latency()):
        latencies = [
            make_result(suite="access-time", kernel="chase", regime=None, backend=b) for b in ("numpy", "torch")
        ]
        found, _ = read_report([save(tmp_path / "a.csv", [*rows(), *latencies])])
        assert [{row.kernel for row in run.rows} for run in found] == [{"copy", "read"}, {"chase"}]
        assert [len(run.samples) for run in found] == [6, 2]


@pytest.mark.parametrize("form", FORMS)
def test_the_form_follows_from_the_file(form: str) -> None:
    """The ending says the form, a form alone names a file here, and a dash is stdout."""
    assert form_and_file(None, f"a.{form}") == (form, Path(f"a.{form}"))
    assert form_and_file(form, None) == (form, Path(f"report.{form}")) and form_and_file(form, "-") == (form, None)
    with pytest.raises(UsageError, match="must end in"):
        form_and_file(form, "a.csv")


@pytest.mark.parametrize(("form", "begin"), [("html", b"<!DOCTYPE"), ("md", b"# "), ("svg", b"<svg")])
def test_each_form_is_written(form: str, begin: bytes) -> None:
    """The bytes are of the form."""
    assert render([ReportRun(tuple(rows()))], form).startswith(begin)
