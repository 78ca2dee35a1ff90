"""The charts, tables and sentences of a report: bars, dots, lines, percentages, flagged rows, and the head of a run."""

from __future__ import annotations

import math

import pytest

from bandmark.reports import ReportRun, replicates
from bandmark.reports.charts import SERIES
from bandmark.reports.contents import (
    _MAX_ROWS,
    NAMED,
    bar_chart,
    bar_notes,
    dot_chart,
    facts,
    figures,
    flagged,
    ladder,
    overview,
    percent_table,
    quoted,
    rate_table,
    run_chart,
    sentences,
)
from bandmark.suites import registered
from fakes import make_result
from report_runs import Latency, of_every_status, rows


def test_the_named_systems_are_always_there() -> None:
    """273, 1344 and 8000 GB/s, and the Station's shipping 7100, whatever was measured."""
    assert [value for _, value in NAMED] == [273, 1344, 8000, 7100]
    chart = ladder([ReportRun(tuple(rows(system="box")))])
    assert chart is not None and chart.axis.scale == "log"
    assert {(m.name, m.values[0]) for m in chart.marks[1:]} == set(NAMED) and chart.marks[0].name.startswith("box: ")
    assert [mark.values for mark in chart.marks] == sorted(mark.values for mark in chart.marks)
    assert ladder([ReportRun((make_result(status="error", bandwidth_gbs=None),))]) is None
    assert ReportRun(tuple(rows(peak_gbs=76.8))).peak_gbs == 76.8


def test_the_opening_sentence() -> None:
    """Device, the best read, percent of the peak, verdict, and the place; a system has one sentence."""
    known = {"peak_gbs": 30.0, "percent_of_peak": 66.7, "verdict": "normal for DDR (61-86 %)"}
    newest = rows(**known, run_id="20261124T101500Z-3f2a")
    (sentence,) = sentences([ReportRun(tuple(newest)), ReportRun(tuple(rows()))])
    assert sentence == (
        "Fake GPU: read 24.00 GB/s (cupy f64), 67 % of the peak of 30 GB/s: normal for DDR, where 18.3-25.8 GB/s is "
        "normal; below the DGX Spark (273 GB/s): 8.8 % of its published peak."
    )


def test_tokens_per_second_stand_beside_the_named_systems() -> None:
    """Each system has a row, the slowest first, with the rates of two models in columns that say what they are."""
    header, lines = rate_table([ReportRun(tuple(rows(system="box")))])
    assert header[:2] == ["system", "GB/s"] and all(name.endswith(", tokens/s") for name in header[2:])
    assert [line[0] for line in lines][:2] == ["box", "DGX Spark"] and len(lines) == 5
    for column in range(1, len(header)):
        values = [float(line[column]) for line in lines]
        assert values == sorted(values) and values[0] > 0


def test_the_most_complete_run_stands_for_a_system() -> None:
    """A newer run of one kernel does not take the place of one with more kernels that answer."""
    whole = ReportRun((make_result(kernel="read"), make_result(kernel="copy")))
    part = ReportRun((make_result(kernel="gemv", run_id="20271124T101500Z-3f2a"),))
    assert quoted([part, whole]) == quoted([whole, part]) == [whole]
    assert len(replicates([whole, part])) == 2, "other cases are no replicates"
    assert quoted([ReportRun((make_result(status="suspect"),))]) == []


def test_replicates_are_one_system_with_their_spread() -> None:
    """Runs of a system stand together, the newest first; a case has a dot for each run, and their spread in words."""
    runs = [
        ReportRun((make_result(run_id=f"2026112{day}T101500Z-3f2a", bandwidth_gbs=gbs, system=system),))
        for day, gbs, system in ((1, 9.0, "a"), (2, 10.0, "b"), (3, 10.0, "a"), (4, 11.0, "a"))
    ]
    first, second = replicates(runs)
    assert [run.first.run_id[:8] for run in first] == ["20261124", "20261123", "20261121"] and second == [runs[1]]
    (mark,) = run_chart(first).marks
    assert mark.values == (9.0, 10.0, 11.0) and mark.figure == "10.00 GB/s \u00b7 within 20.0 %"


def test_each_peak_is_a_line_or_said_to_lie_axis_note() -> None:
    """No published peak is missing from the bars: it is a line, or named as outside."""
    for peak, value in ((None, 40.0), (76.8, 40.0), (1344.0, 1200.0), (None, 9000.0)):
        run = ReportRun((make_result(bandwidth_gbs=value, peak_gbs=peak),))
        words = " ".join(bar_notes(run)) + " ".join(line for _, _, line in bar_chart(run).lines)
        assert all(name in words for name, _ in NAMED)
        assert ("peak of this device" in words) == (peak is not None)


def test_bars_say_their_figure_and_doubt() -> None:
    """A bar says its bandwidth and its percentage; one that is not ok says that, too."""
    made = [make_result(bandwidth_gbs=46.4, percent_of_peak=60.4), make_result(status="suspect", bandwidth_gbs=9.0)]
    first, second = bar_chart(ReportRun(tuple(made))).marks
    assert first.figure == "46.40 GB/s \u00b7 60.4 %" and first.is_ok
    assert second.figure == "suspect \u00b7 9.000 GB/s" and not second.is_ok
    assert (figures(46.4, 4), figures(1344.0, 4)) == ("46.40", "1344")


def test_dots_are_speeds_relative_to_the_median() -> None:
    """A sample of twice the median time is 50 % slower; every sample is there; no samples, no chart."""
    run = ReportRun((make_result(),), samples={0: (1.0, 1.0, 2.0)})
    chart = dot_chart(run)
    assert chart is not None and chart.marks[0].values == (0.0, 0.0, -50.0)
    assert chart.marks[0].figure == "3 samples, -50.0 to +0.0 %"
    assert chart.axis.low < -50 and chart.axis.high > 1 and chart.axis.scale == "stretched"
    assert dot_chart(ReportRun((make_result(),))) is None


def test_what_is_not_drawn_is_said() -> None:
    """Rows without a figure are counted, and so are cases beyond the most that a chart shows."""
    assert bar_notes(ReportRun(tuple(rows())))[1:] == []
    assert bar_notes(ReportRun(tuple(of_every_status())))[1:] == ["4 of 6 rows have no figure to draw."]
    many = ReportRun(tuple(make_result(n=n) for n in range(_MAX_ROWS + 5)))
    assert len(bar_chart(many).marks) == _MAX_ROWS
    assert f"first {_MAX_ROWS} of {_MAX_ROWS + 5}" in bar_notes(many)[-1]


@pytest.mark.parametrize("value", [5e-324, 1e-9, 1e308])
def test_absurd_figures_are_drawn(value: float) -> None:
    """Whatever a file holds, charts have finite numbers."""
    run = ReportRun((make_result(bandwidth_gbs=value, peak_gbs=math.inf),))
    chart = bar_chart(run)
    assert run.peak_gbs is None and "nan" not in chart.axis.x(value) and "inf" not in chart.axis.x(value)
    assert len(figures(value, 4)) < 15


@pytest.mark.parametrize(
    ("gbs", "peak", "limit"),
    [(40, None, 273), (300, None, 1344), (2000, None, 8000), (9000, None, 9000), (40, 76.8, 76.8), (80, 76.8, 80)],
)
def test_the_axis_ends_at_a_peak(gbs: float, peak: float | None, limit: float) -> None:
    """At the device's own, else at the lowest named one that holds all bars; never before the longest bar."""
    assert bar_chart(ReportRun((make_result(bandwidth_gbs=float(gbs), peak_gbs=peak),))).axis.high == limit


def test_percentages_are_of_the_peak_or_of_dgx_spark() -> None:
    """With a peak they are of it, without of DGX Spark's, and the text says which."""
    of, header, cells = percent_table(ReportRun(tuple(rows(peak_gbs=30.0, percent_of_peak=66.7))))
    assert of == "the device's peak, 30 GB/s" and cells[0] == ["copy", "float64", "66.7", "66.7", "66.7"]
    assert header == ["kernel", "dtype", "numpy", "torch", "cupy"]
    of, _, cells = percent_table(ReportRun(tuple(rows())))
    assert cells[1] == ["read", "float64", "8.80", "8.80", "8.80"]
    assert of == "DGX Spark's 273 GB/s, because the device's own peak is unknown"


def test_only_ok_rows_have_percentages_and_the_highest_counts() -> None:
    """Of two variants the faster is shown; a faster one that is suspect is not."""
    made = [
        make_result(variant=v, bandwidth_gbs=g, percent_of_dgx_spark=g, status=s)
        for v, g, s in (("a", 5.0, "ok"), ("b", 6.0, "ok"), ("c", 7.0, "suspect"))
    ]
    _, _, cells = percent_table(ReportRun(tuple(made)))
    assert cells == [["triad", "float64", "6.00"]]


def test_packed_weights_are_a_line_of_their_own() -> None:
    """The format of the weights stands where others have their dtype, so that it is not taken for float32."""
    made = [
        make_result(kernel="gemv", dtype="float32", weight_format=f, percent_of_dgx_spark=9.0) for f in (None, "nvfp4")
    ]
    _, _, cells = percent_table(ReportRun(tuple(made)))
    assert [line[:2] for line in cells] == [["gemv", "float32"], ["gemv", "nvfp4"]]


def test_every_status_but_ok_is_flagged() -> None:
    """Five of the six statuses, those first that have a figure or should have one."""
    assert [status for status, _, _ in flagged(ReportRun(tuple(of_every_status())))] == [
        "suspect",
        "failed_verification",
        "error",
        "skipped",
        "unsupported",
    ]


def test_equal_reasons_are_given_once() -> None:
    """Rows of one status and reason are one flag, with the cases in their order."""
    made = [make_result(kernel=k, status="skipped", reason=r) for k, r in (("copy", "a"), ("read", "b"), ("dot", "a"))]
    assert [(reason, cases) for _, reason, cases in flagged(ReportRun(tuple(made)))] == [
        ("a", ["numpy copy float64", "numpy dot float64"]),
        ("b", ["numpy read float64"]),
    ]
    assert flagged(ReportRun((make_result(status="error"),)))[0][1] == "no reason is given"


def test_the_overview_has_each_runs_best_figure() -> None:
    """A row per run, with the figure that answers for it, the peak's share where it is known, and what all rows are."""
    fast = rows(peak_gbs=30.0, percent_of_peak=66.7)
    header, lines = overview([ReportRun(tuple(fast)), ReportRun((make_result(status="error", bandwidth_gbs=None),))])
    assert all(len(line) == len(header) for line in lines)
    assert lines[0][1:4] == ["24.00 GB/s", "67 %", "cupy read float64"] and lines[0][-1] == "6 ok"
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


def test_a_metric_without_peaks() -> None:
    """Times are drawn in their unit without published peaks, and the shortest is the best."""
    chase = {"suite": "access-time", "kernel": "chase", "regime": None}
    with registered(Latency()):
        run = ReportRun((make_result(**chase, time_median_s=3.0), make_result(**chase, time_median_s=2.0, variant="b")))
        chart = bar_chart(run)
        assert [mark.values for mark in chart.marks] == [(3.0,), (2.0,)] and chart.marks[0].figure == "3.000 s"
        assert not chart.lines and chart.unit == "s, lower is better" and chart.axis.high == 3.0
        assert bar_notes(run) == [] and "peak" not in dict(facts(run))
        assert overview([run])[1][0][1] == "2.000 s"


def test_backends_have_series_by_their_position() -> None:
    """Each backend has a colour of its own, the same in all charts, and stands in the names; others share one."""
    made = [make_result(backend=name) for name in ("numpy", "numba", "torch", "cupy", 'x" onload="')]
    chart = bar_chart(ReportRun(tuple(made)))
    assert [mark.series for mark in chart.marks] == [0, 1, 2, 3, SERIES]
    assert all(row.backend in mark.name for row, mark in zip(made, chart.marks, strict=True))
    assert chart.legend() == [(0, "numpy"), (1, "numba"), (2, "torch"), (3, "cupy"), (SERIES, "other")]
