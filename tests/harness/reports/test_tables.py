"""What a report says in words and tables: the head of a run, its percentages, what is flagged, and all runs at once."""

from __future__ import annotations

from bandmark.reports.runs import ReportRun
from bandmark.reports.tables import WORDS, facts, flagged, overview, percent_table
from fakes import make_result
from report_runs import of_every_status, rows


def test_percentages_are_of_the_peak_or_of_the_named_systems() -> None:
    """With a peak one figure a cell; without, one for each named system, and the text says which."""
    of, header, cells = percent_table(ReportRun(tuple(rows(peak_gbs=30.0, percent_of_peak=66.7))))
    assert of == "the device's peak, 30 GB/s" and cells[0] == ["copy", "float64", "66.7", "66.7", "66.7"]
    assert header == ["kernel", "dtype", "numpy", "torch", "cupy"]
    of, _, cells = percent_table(ReportRun(tuple(rows())))
    assert cells[1] == ["read", "float64", *["8.8 / 1.8 / 0.30"] * 3]
    assert all(figure in of for figure in ("273", "1344", "8000", "7100"))


def test_only_ok_rows_have_percentages_and_the_highest_counts() -> None:
    """Of two variants the faster is shown; a faster one that is suspect is not."""
    made = [
        make_result(variant=v, bandwidth_gbs=g, percent_of_dgx_spark=g, status=s)
        for v, g, s in (("a", 5.0, "ok"), ("b", 6.0, "ok"), ("c", 7.0, "suspect"))
    ]
    _, _, cells = percent_table(ReportRun(tuple(made)))
    assert cells == [["triad", "float64", "6.0 / - / -"]]


def test_packed_weights_are_a_line_of_their_own() -> None:
    """The format of the weights stands where others have their dtype, so that it is not taken for float32."""
    made = [
        make_result(kernel="gemv", dtype="float32", weight_format=f, percent_of_dgx_spark=9.0) for f in (None, "nvfp4")
    ]
    _, _, cells = percent_table(ReportRun(tuple(made)))
    assert [line[:2] for line in cells] == [["gemv", "float32"], ["gemv", "nvfp4"]]


def test_every_status_but_ok_is_flagged() -> None:
    """Five of the six statuses, those first that have a figure or should have one."""
    assert [flag.status for flag in flagged(ReportRun(tuple(of_every_status())))] == [
        "suspect",
        "failed_verification",
        "error",
        "skipped",
        "unsupported",
    ]


def test_what_is_flagged_alike_is_said_once() -> None:
    """Rows of one status and reason are one flag, with the cases in their order."""
    made = [make_result(kernel=k, status="skipped", reason=r) for k, r in (("copy", "a"), ("read", "b"), ("dot", "a"))]
    assert [(flag.reason, flag.cases) for flag in flagged(ReportRun(tuple(made)))] == [
        ("a", ("copy numpy f64", "dot numpy f64")),
        ("b", ("read numpy f64",)),
    ]
    assert flagged(ReportRun((make_result(status="error"),)))[0].reason == "no reason is given"


def test_the_overview_has_each_runs_best_figure() -> None:
    """A row per run, with its highest figure that is ok, the peak's share where it is known, and what all rows are."""
    fast = rows(peak_gbs=30.0, percent_of_peak=66.7)
    header, lines = overview([ReportRun(tuple(fast)), ReportRun((make_result(status="error", bandwidth_gbs=None),))])
    assert all(len(line) == len(header) for line in lines) and max(WORDS) < len(header)
    assert lines[0][1:4] == ["24.00", "67 %", "copy cupy f64"] and lines[0][-1] == "6 ok"
    assert lines[1][1:4] == ["-", "-", "-"] and lines[1][-1] == "1 error"


def test_the_head_says_what_is_known_and_nothing_else() -> None:
    """Device, date, versions, threads, peak and source; what is unknown has no line, save the peak, which says so."""
    run = ReportRun(tuple(rows(peak_gbs=76.8, peak_source="set by hand", threads=2)))
    head = dict(facts(run))
    assert head["device"] == "Fake GPU" and head["threads"] == "2" and head["date"] == "2026-11-23 10:15 UTC"
    assert head["versions"] == "bandmark 0.1.0, cupy 2.4.6, numpy 2.4.6, torch 2.4.6"
    assert head["peak"] == "76.8 GB/s, set by hand" and head["rows"] == "6 ok"
    assert "driver" not in head and "processor" not in head
    bare = dict(facts(ReportRun((make_result(run_id="strange"),), {"machine": 3, "complete": False})))
    assert bare["peak"].startswith("unknown") and "date" not in bare and bare["run"] == "strange, cut short"
