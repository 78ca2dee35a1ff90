"""Which charts does a run give? What the forms of a report have in common, without markup."""

from __future__ import annotations

from statistics import median

from bandmark.judge.references import DGX_STATION_SHIPPING_GBS, REFERENCES
from bandmark.reports.charts import Axis, Chart, Mark
from bandmark.reports.runs import ReportRun, axis_limit, case_name, positive
from bandmark.reports.style import kind
from bandmark.results.row import Row

MOST_BARS = 200
"""Rows that a chart shows; the tables show all."""

NAMED = (
    *((f"{r.label}, announced" if r.key == "dgx_station" else r.label, r.published_gbs) for r in REFERENCES),
    ("DGX Station, as shipped", DGX_STATION_SHIPPING_GBS),
)
"""Name and published peak of the named systems, in GB/s."""


def gbs(value: float) -> str:
    """Write a bandwidth with four figures: 46.40 GB/s, 1344 GB/s."""
    return f"{figures(value, 4)} GB/s"


def figures(value: float, count: int) -> str:
    """Write a value with so many significant figures."""
    return f"{value:#.{count}g}".removesuffix(".")


def share(row: Row) -> str:
    """Return the percentage that a bar is labelled with: of the peak, or where that is unknown of DGX Spark's."""
    if positive(row.percent_of_peak):
        return f"{figures(row.percent_of_peak, 3)} %"
    if positive(row.percent_of_dgx_spark):
        return f"{figures(row.percent_of_dgx_spark, 3)} % of Spark"
    return ""


def bar_chart(run: ReportRun) -> Chart:
    """Return the bars of a run's cases, on an axis that ends at a published peak."""
    limit = axis_limit(run)
    lines = [(run.peak_gbs, "own", f"peak of this device: {run.peak_gbs:g} GB/s")] if run.peak_gbs else []
    lines += [(value, "named", f"{name}: {value:g} GB/s") for name, value in NAMED if value <= limit]
    return Chart(
        f"Achieved bandwidth of {run.first.device}",
        [_bar(row) for row in run.measured[:MOST_BARS]],
        Axis(0.0, limit),
        "GB/s, bytes / median time",
        lines,
    )


def _bar(row: Row) -> Mark:
    value = row.bandwidth_gbs or 0.0
    doubtful = row.status != "ok"
    said = " \u00b7 ".join(part for part in (row.status if doubtful else "", gbs(value), share(row)) if part)
    return Mark(case_name(row), said, kind(row.backend), (value,), doubtful, row.kernel)


def beyond(run: ReportRun) -> str:
    """Return what is said of the published peaks that lie outside the axis of the bars; empty if none does."""
    limit = axis_limit(run)
    outside = [f"{name} {value:g}" for name, value in NAMED if value > limit]
    return f"Beyond the end of this axis, in GB/s: {'; '.join(outside)}." if outside else ""


def peak_chart(run: ReportRun) -> Chart:
    """Return the run's best figure beside the published peaks, all on one axis from zero."""
    marks = []
    if run.best and run.best.bandwidth_gbs:
        value = run.best.bandwidth_gbs
        marks.append(Mark(f"best: {case_name(run.best)}", gbs(value), kind(run.best.backend), (value,)))
    if run.peak_gbs:
        marks.append(Mark("peak of this device", f"{run.peak_gbs:g} GB/s", "other", (run.peak_gbs,)))
    marks += [Mark(name, f"{value:g} GB/s", "other", (value,)) for name, value in NAMED]
    high = max(mark.values[0] for mark in marks)
    return Chart("The best figure beside the published peaks", marks, Axis(0.0, high), "GB/s", other="published peak")


SPREAD = (
    "Each dot is one timed sample; every sample is shown. A dot to the left is a slow one. The height of a dot has no "
    "meaning. The axis is stretched around the median, so that small and large spread can both be seen."
)
"""What is said of the dots."""


def dot_chart(run: ReportRun) -> Chart | None:
    """Return every raw sample as a speed relative to its case's median sample; None where there is none."""
    marks = []
    for place, row in enumerate(run.rows):
        if times := run.samples.get(place):
            middle = median(times)
            speeds = tuple((middle / time - 1) * 100 for time in times)
            spread = f"{len(times)} samples, {min(speeds) + 0.0:+.1f} to {max(speeds) + 0.0:+.1f} %"
            marks.append(Mark(case_name(row), spread, kind(row.backend), speeds, row.status != "ok", row.kernel))
    if not marks:
        return None
    marks = marks[:MOST_BARS]
    values = [value for mark in marks for value in mark.values]
    return Chart(
        "Every raw sample",
        marks,
        Axis(1.1 * min([-1.0, *values]), 1.1 * max([1.0, *values]), stretched=True),
        "speed of a sample against its case's median sample",
        [(0.0, "named", "median sample")],
        dots=True,
    )


def left_out(run: ReportRun) -> str:
    """Return what the charts of a run do not show; empty if they show every row."""
    said = []
    if without := len(run.rows) - len(run.measured):
        said.append(f"{without} of {len(run.rows)} rows have no figure to draw.")
    if len(run.measured) > MOST_BARS:
        said.append(f"The first {MOST_BARS} of {len(run.measured)} cases are drawn; the table has all.")
    return " ".join(said)
