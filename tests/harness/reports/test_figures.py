"""The charts of a report: which bars, dots and lines they have, and what they say."""

from __future__ import annotations

import math

import pytest

from bandmark.reports.figures import (
    MOST_BARS,
    NAMED,
    bar_chart,
    beyond,
    dot_chart,
    gbs,
    left_out,
    peak_chart,
)
from bandmark.reports.runs import ReportRun
from fakes import make_result
from report_runs import of_every_status, rows


def test_the_named_systems_are_always_there() -> None:
    """273, 1344 and 8000 GB/s, and the Station's shipping 7100, whatever was measured."""
    assert [value for _, value in NAMED] == [273, 1344, 8000, 7100]
    for run in (ReportRun(tuple(rows())), ReportRun((make_result(status="error", bandwidth_gbs=None),))):
        chart = peak_chart(run)
        assert [(m.name, m.values[0]) for m in chart.marks][-4:] == list(NAMED)
    assert ReportRun(tuple(rows(peak_gbs=76.8))).peak_gbs == 76.8


def test_each_peak_is_a_line_or_said_to_lie_beyond() -> None:
    """No published peak is missing from the bars: it is a line, or named as outside."""
    for peak, value in ((None, 40.0), (76.8, 40.0), (1344.0, 1200.0), (None, 9000.0)):
        run = ReportRun((make_result(bandwidth_gbs=value, peak_gbs=peak),))
        said = beyond(run) + " ".join(words for _, _, words in bar_chart(run).lines)
        assert all(name in said for name, _ in NAMED)
        assert ("peak of this device" in said) == (peak is not None)


def test_bars_say_their_figure_and_doubt() -> None:
    """A bar says its bandwidth and its percentage; one that is not ok says that, too."""
    made = [make_result(bandwidth_gbs=46.4, percent_of_peak=60.4), make_result(status="suspect", bandwidth_gbs=9.0)]
    first, second = bar_chart(ReportRun(tuple(made))).marks
    assert first.figure == "46.40 GB/s \u00b7 60.4 %" and not first.doubtful
    assert second.figure == "suspect \u00b7 9.000 GB/s" and second.doubtful
    assert gbs(1344.0) == "1344 GB/s"


def test_dots_are_speeds_relative_to_the_median() -> None:
    """A sample of twice the median time is 50 % slower; every sample is there; no samples, no chart."""
    run = ReportRun((make_result(),), samples={0: (1.0, 1.0, 2.0)})
    chart = dot_chart(run)
    assert chart is not None and chart.marks[0].values == (0.0, 0.0, -50.0)
    assert chart.marks[0].figure == "3 samples, -50.0 to +0.0 %"
    assert chart.axis.low < -50 and chart.axis.high > 1 and chart.axis.stretched
    assert dot_chart(ReportRun((make_result(),))) is None


def test_what_is_not_drawn_is_said() -> None:
    """Rows without a figure are counted, and so are cases beyond the most that a chart shows."""
    assert left_out(ReportRun(tuple(rows()))) == ""
    assert left_out(ReportRun(tuple(of_every_status()))) == "4 of 6 rows have no figure to draw."
    many = ReportRun(tuple(make_result(n=n) for n in range(MOST_BARS + 5)))
    assert len(bar_chart(many).marks) == MOST_BARS
    assert f"first {MOST_BARS} of {MOST_BARS + 5}" in left_out(many)


@pytest.mark.parametrize("value", [5e-324, 1e-9, 1e308])
def test_absurd_figures_are_drawn(value: float) -> None:
    """Whatever a file holds, charts have finite numbers."""
    run = ReportRun((make_result(bandwidth_gbs=value, peak_gbs=math.inf),))
    chart = bar_chart(run)
    assert run.peak_gbs is None and "nan" not in chart.axis.x(value) and "inf" not in chart.axis.x(value)
    assert len(gbs(value)) < 20
