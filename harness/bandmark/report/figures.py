"""Which charts and figures does a run give? Everything that the forms of a report have in common, without markup."""

from __future__ import annotations

from statistics import median

from bandmark.record import Result
from bandmark.references import DGX_STATION_SHIPPING_GBS, REFERENCES
from bandmark.report.charts import Chart, Mark
from bandmark.report.runs import ReportRun, axis_limit, case_name, positive
from bandmark.report.style import kind

MOST_BARS = 200
"""Rows that a chart shows; the tables show all."""

NAMED = (
    *((f"{r.label}, announced" if r.key == "dgx_station" else r.label, r.published_gbs) for r in REFERENCES),
    ("DGX Station, as shipped", DGX_STATION_SHIPPING_GBS),
)
"""Name and published peak of the named systems, in GB/s."""


def gbs(value: float) -> str:
    """Write a bandwidth with four figures: 46.40 GB/s, 1344 GB/s."""
    return f"{_figures(value, 4)} GB/s"


def _figures(value: float, count: int) -> str:
    return f"{value:#.{count}g}".removesuffix(".")


def share(row: Result) -> str:
    """Return the percentage that a bar is labelled with: of the peak, or where that is unknown of DGX Spark's."""
    if positive(row.percent_of_peak):
        return f"{_figures(row.percent_of_peak, 3)} %"
    if positive(row.percent_of_dgx_spark):
        return f"{_figures(row.percent_of_dgx_spark, 3)} % of Spark"
    return ""


def bar_chart(run: ReportRun, ident: str) -> Chart:
    """Return the bars of a run's cases, on an axis that ends at a published peak."""
    marks = [_bar(row) for row in run.measured[:MOST_BARS]]
    limit = axis_limit(run)
    lines = [(run.peak_gbs, "own", f"peak of this device: {run.peak_gbs:g} GB/s")] if run.peak_gbs else []
    lines += [(value, "named", f"{name}: {value:g} GB/s") for name, value in NAMED if value <= limit]
    return Chart(
        ident,
        f"Achieved bandwidth of {run.first.device}",
        f"{len(marks)} bars from 0 to {gbs(limit)}; the table has the same figures.",
        marks,
        limit,
        "GB/s, bytes / median time",
        lines=lines,
    )


def _bar(row: Result) -> Mark:
    value = row.bandwidth_gbs or 0.0
    doubtful = row.status != "ok"
    said = " \u00b7 ".join(part for part in (row.status if doubtful else "", gbs(value), share(row)) if part)
    return Mark(case_name(row), said, kind(row.backend), (value,), doubtful)


def beyond(run: ReportRun) -> str:
    """Return what is said of the published peaks that lie outside the axis of the bars; empty if none does."""
    limit = axis_limit(run)
    outside = [f"{name} {value:g}" for name, value in NAMED if value > limit]
    return f"Beyond the end of this axis: {', '.join(outside)} GB/s." if outside else ""


def peak_chart(run: ReportRun, ident: str) -> Chart:
    """Return the run's best figure beside the published peaks, all on one axis from zero."""
    marks = []
    if run.best and run.best.bandwidth_gbs:
        value = run.best.bandwidth_gbs
        marks.append(Mark(f"best: {case_name(run.best)}", gbs(value), kind(run.best.backend), (value,)))
    if run.peak_gbs:
        marks.append(Mark("peak of this device", f"{run.peak_gbs:g} GB/s", "other", (run.peak_gbs,)))
    marks += [Mark(name, f"{value:g} GB/s", "other", (value,)) for name, value in NAMED]
    high = max(mark.values[0] for mark in marks)
    desc = "; ".join(f"{mark.name} {mark.figure}" for mark in marks)
    return Chart(ident, "The best figure beside the published peaks", desc, marks, high, "GB/s", other="published peak")


def dot_chart(run: ReportRun, ident: str) -> Chart | None:
    """Return every raw sample as a speed relative to its case's median sample; None where there is none."""
    marks = []
    for place, row in enumerate(run.rows):
        if times := run.samples.get(place):
            middle = median(times)
            speeds = tuple(middle / time * 100 for time in times)
            spread = f"{len(times)} samples, {min(speeds):.4g} to {max(speeds):.4g} %"
            marks.append(Mark(case_name(row), spread, kind(row.backend), speeds, row.status != "ok"))
    if not marks:
        return None
    marks = marks[:MOST_BARS]
    values = [value for mark in marks for value in mark.values]
    low, high = min([99.0, *values]) - 0.2, max([101.0, *values]) + 0.2
    return Chart(
        ident,
        "Every raw sample",
        f"Speed of {len(values)} samples of {len(marks)} cases, from {low:.4g} to {high:.4g} % of the case's median.",
        marks,
        high,
        "speed of a sample, % of the case's median sample",
        low,
        [(100.0, "named", "median sample")],
    )


def left_out(run: ReportRun) -> str:
    """Return what the charts of a run do not show; empty if they show every row."""
    said = []
    if without := len(run.rows) - len(run.measured):
        said.append(f"{without} of {len(run.rows)} rows have no figure to draw.")
    if len(run.measured) > MOST_BARS:
        said.append(f"The first {MOST_BARS} of {len(run.measured)} cases are drawn; the table has all.")
    return " ".join(said)


def flagged(run: ReportRun) -> list[Result]:
    """Return the rows that are not ok."""
    return [row for row in run.rows if row.status != "ok"]


def percent_table(run: ReportRun) -> tuple[str, list[str], list[list[str]]]:
    """Return what the percentages are of, a header and a row per kernel: backends and dtypes are the columns.

    Of several sizes or variants the highest counts. Rows that are not ok have no part in it.
    """
    counted = [row for row in run.measured if row.status == "ok" and positive(row.percent_of_dgx_spark)]
    ways = list(dict.fromkeys((row.backend, row.number_format) for row in counted))
    kernels = dict.fromkeys(row.kernel for row in counted)
    best: dict[tuple[str, str, str], Result] = {}
    for row in sorted(counted, key=lambda row: row.bandwidth_gbs or 0.0):
        best[row.kernel, row.backend, row.number_format] = row
    of = f"the device's peak, {run.peak_gbs:g} GB/s" if run.peak_gbs else _OF_NAMED
    header = ["kernel", *(f"{backend} {form}" for backend, form in ways)]
    rows = [[kernel, *(_percents(best.get((kernel, *way)), run.peak_gbs) for way in ways)] for kernel in kernels]
    return of, header, rows


_OF_NAMED = (
    "DGX Spark's 273 / RTX PRO 5000's 1344 / DGX Station's announced 8000 GB/s (it ships with 7100), "
    "because the device's own peak is unknown"
)


def _percents(row: Result | None, peak_gbs: float | None) -> str:
    if row is None:
        return "-"
    values = [row.percent_of_peak] if peak_gbs else [getattr(row, reference.column) for reference in REFERENCES]
    return " / ".join("-" if value is None else _figures(value, 3) for value in values)


def facts(run: ReportRun) -> list[tuple[str, str]]:
    """Return the head of a run: what was measured, when, on what, with which versions, against which peak."""
    first, machine = run.first, run.block("machine")
    versions = sorted({f"{r.backend} {r.backend_version}" for r in run.rows if r.backend_version})
    python = machine.get("python_version")
    drivers = sorted({r.driver for r in run.rows if r.driver})
    threads = sorted({r.threads for r in run.rows if r.threads})
    peak = f"{run.peak_gbs:g} GB/s, {first.peak_source or 'of unknown source'}" if run.peak_gbs else ""
    cpu, system = machine.get("cpu_model_name"), machine.get("kernel")
    said = [
        ("device", first.device),
        ("system", first.system),
        ("date", _date(run)),
        ("run", first.run_id + ("" if run.record.get("complete", True) else ", cut short")),
        (
            "versions",
            ", ".join([f"bandmark {first.bandmark_version}", *versions, *([f"Python {python}"] if python else [])]),
        ),
        ("driver", ", ".join(drivers)),
        ("threads", ", ".join(map(str, threads))),
        ("processor", str(cpu) if cpu and cpu != first.device else ""),
        ("kernel", f"{machine.get('system')} {system}, {machine.get('architecture')}" if system else ""),
        ("peak", peak or "unknown; bandmark run --peak GBS sets it"),
        ("rows", _counts(run)),
    ]
    return [(name, value) for name, value in said if value]


def _date(run: ReportRun) -> str:
    """Return when the run began: its record tells, else the name of the run does."""
    started = run.record.get("started_utc") or run.first.run_id
    digits = "".join(c for c in str(started) if c.isdigit())[:14]
    if len(digits) < 12:
        return ""
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]} {digits[8:10]}:{digits[10:12]} UTC"


def _counts(run: ReportRun) -> str:
    statuses = [row.status for row in run.rows]
    return ", ".join(f"{statuses.count(name)} {name}" for name in dict.fromkeys(statuses))


READING = (
    "GB is 10^9 bytes. Bandwidth is the bytes that a kernel must read and write, each element once, over the median "
    "time of a launch; best is the same with the shortest time, which is what STREAM prints.",
    "The kernels are STREAM-style, a variant of STREAM; the figures are not STREAM results.",
    "Percentages are given for verified rows whose data came from memory (dram) alone. Expect 75 to 95 % of a "
    "published peak, less from kernels that read and write than from pure reads.",
    "read is the ceiling of what a language model's decode step can use; gemv is what such a step does.",
    "The named systems are DGX Spark (273 GB/s), RTX PRO 5000 (1344 GB/s) and DGX Station (8000 GB/s announced, 7100 "
    "GB/s in its shipping datasheet; percentages divide by 8000).",
    "A row that is not ok is never a result to quote: suspect keeps its figure and says why it may be wrong, "
    "failed_verification computed something wrong, unsupported and skipped were not measured, error has failed.",
    "In the charts, colours stand for backends, and so do patterns (numpy plain, torch hatched, cupy dotted) and "
    "shapes (numpy discs, torch rings, cupy squares). A dashed outline is a row that is not ok.",
)
"""How to read a report, a paragraph each."""
