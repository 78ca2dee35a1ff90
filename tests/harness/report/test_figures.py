"""What a report says of a run: its head, its charts and its percentages."""

from __future__ import annotations

import math

import pytest

from bandmark.report.figures import (
    MOST_BARS,
    NAMED,
    bar_chart,
    beyond,
    dot_chart,
    facts,
    flagged,
    gbs,
    left_out,
    peak_chart,
    percent_table,
)
from bandmark.report.runs import ReportRun
from fakes import make_result
from report_runs import of_every_status, rows


def test_the_named_systems_are_always_there() -> None:
    """273, 1344 and 8000 GB/s, and the Station's shipping 7100, whatever was measured."""
    assert [value for _, value in NAMED] == [273, 1344, 8000, 7100]
    for run in (ReportRun(tuple(rows())), ReportRun((make_result(status="error", bandwidth_gbs=None),))):
        chart = peak_chart(run, "p")
        assert [(m.name, m.values[0]) for m in chart.marks][-4:] == list(NAMED)
    assert ReportRun(tuple(rows(peak_gbs=76.8))).peak_gbs == 76.8


def test_each_peak_is_a_line_or_said_to_lie_beyond() -> None:
    """No published peak is missing from the bars: it is a line, or named as outside."""
    for peak, value in ((None, 40.0), (76.8, 40.0), (1344.0, 1200.0), (None, 9000.0)):
        run = ReportRun((make_result(bandwidth_gbs=value, peak_gbs=peak),))
        said = beyond(run) + " ".join(words for _, _, words in bar_chart(run, "b").lines)
        assert all(name in said for name, _ in NAMED)
        assert ("peak of this device" in said) == (peak is not None)


def test_bars_say_their_figure_and_doubt() -> None:
    """A bar says its bandwidth and its percentage; one that is not ok says that, too."""
    made = [make_result(bandwidth_gbs=46.4, percent_of_peak=60.4), make_result(status="suspect", bandwidth_gbs=9.0)]
    first, second = bar_chart(ReportRun(tuple(made)), "b").marks
    assert first.figure == "46.40 GB/s \u00b7 60.4 %" and not first.doubtful
    assert second.figure == "suspect \u00b7 9.000 GB/s" and second.doubtful
    assert gbs(1344.0) == "1344 GB/s"


def test_dots_are_speeds_relative_to_the_median() -> None:
    """A sample of twice the median time is at 50 %; every sample is there; no samples, no chart."""
    run = ReportRun((make_result(),), samples={0: (1.0, 1.0, 2.0)})
    chart = dot_chart(run, "d")
    assert chart is not None and chart.marks[0].values == (100.0, 100.0, 50.0)
    assert chart.low < 50 and chart.high > 100
    assert dot_chart(ReportRun((make_result(),)), "d") is None


def test_what_is_not_drawn_is_said() -> None:
    """Rows without a figure are counted, and so are cases beyond the most that a chart shows."""
    assert left_out(ReportRun(tuple(rows()))) == ""
    assert left_out(ReportRun(tuple(of_every_status()))) == "4 of 6 rows have no figure to draw."
    many = ReportRun(tuple(make_result(n=n) for n in range(MOST_BARS + 5)))
    assert len(bar_chart(many, "b").marks) == MOST_BARS
    assert f"first {MOST_BARS} of {MOST_BARS + 5}" in left_out(many)


def test_percentages_are_of_the_peak_or_of_the_named_systems() -> None:
    """With a peak one figure a cell; without, one for each named system, and the text says which."""
    of, header, cells = percent_table(ReportRun(tuple(rows(peak_gbs=30.0, percent_of_peak=66.7))))
    assert of == "the device's peak, 30 GB/s" and cells[0] == ["copy", "66.7", "66.7", "66.7"]
    assert header == ["kernel", "numpy float64", "torch float64", "cupy float64"]
    of, _, cells = percent_table(ReportRun(tuple(rows())))
    assert cells[1] == ["read", *["8.80 / 1.80 / 0.300"] * 3]
    assert all(figure in of for figure in ("273", "1344", "8000", "7100"))


def test_only_ok_rows_have_percentages_and_the_highest_counts() -> None:
    """Of two variants the faster is shown; a faster one that is suspect is not."""
    made = [
        make_result(variant=v, bandwidth_gbs=g, percent_of_dgx_spark=g, status=s)
        for v, g, s in (("a", 5.0, "ok"), ("b", 6.0, "ok"), ("c", 7.0, "suspect"))
    ]
    _, _, cells = percent_table(ReportRun(tuple(made)))
    assert cells == [["triad", "6.00 / - / -"]]


def test_every_status_but_ok_is_flagged() -> None:
    """Five of the six statuses."""
    assert [row.status for row in flagged(ReportRun(tuple(of_every_status())))] == [
        "suspect",
        "failed_verification",
        "unsupported",
        "skipped",
        "error",
    ]


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


@pytest.mark.parametrize("value", [5e-324, 1e-9, 1e308])
def test_absurd_figures_are_drawn(value: float) -> None:
    """Whatever a file holds, charts have finite numbers."""
    run = ReportRun((make_result(bandwidth_gbs=value, peak_gbs=math.inf),))
    chart = bar_chart(run, "b")
    assert run.peak_gbs is None and "nan" not in chart.x(value) and "inf" not in chart.x(value)
    assert len(gbs(value)) < 20
