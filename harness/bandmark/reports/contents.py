"""The charts, tables and sentences of a report, without markup."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from statistics import median

from bandmark.backends.select import BACKENDS
from bandmark.judge.bands import DGX_STATION_SHIPPING_GBS, REFERENCES
from bandmark.reports.charts import Axis, Chart, Mark
from bandmark.reports.runs import ReportRun, case_name, positive
from bandmark.reports.style import SERIES
from bandmark.results.row import Row

MAX_ROWS = 200
"""Rows that a chart shows; the tables show all."""

NAMED = (
    *((f"{r.label}, announced" if r.key == "dgx_station" else r.label, r.published_gbs) for r in REFERENCES),
    ("DGX Station, as shipped", DGX_STATION_SHIPPING_GBS),
)
"""Name and published peak of the named systems, in GB/s."""

_BACKENDS = BACKENDS[:SERIES]


def figures(value: float, count: int) -> str:
    """Write a value with so many significant figures: 46.40, 1344."""
    return f"{value:#.{count}g}".removesuffix(".")


def _series(row: Row) -> int:
    return _BACKENDS.index(row.backend) if row.backend in _BACKENDS else SERIES


def _share(row: Row) -> str:
    """Return the percentage of a bar: of the peak, or where that is unknown of DGX Spark's."""
    if positive(row.percent_of_peak):
        return f"{figures(row.percent_of_peak, 3)} %"
    if positive(row.percent_of_dgx_spark):
        return f"{figures(row.percent_of_dgx_spark, 3)} % of Spark"
    return ""


def axis_limit(run: ReportRun) -> float:
    """Return where the axis of a run's bars ends.

    At the device's peak, or where that is unknown at the lowest published peak of the named systems that holds all
    bars: on an axis that reaches 8000 the bars of a laptop could not be told apart.
    """
    longest = max((run.value(row) for row in run.measured), default=0.0)
    if run.peak_gbs:
        return max(run.peak_gbs, longest)
    peaks = [r.published_gbs for r in REFERENCES if run.has_peak and r.published_gbs >= longest]
    return min(peaks, default=longest)


def bar_chart(run: ReportRun) -> Chart:
    """Return the bars of a run's cases, on an axis that ends at a published peak."""
    limit, metric = axis_limit(run), run.metric
    lines = [(run.peak_gbs, "own", f"peak of this device: {run.peak_gbs:g} GB/s")] if run.peak_gbs else []
    lines += [(value, "named", f"{name}: {value:g} GB/s") for name, value in NAMED if run.has_peak and value <= limit]
    how = "bytes / median time" if run.has_peak else f"{'higher' if metric.higher_is_better else 'lower'} is better"
    title = f"{'Achieved bandwidth' if run.has_peak else metric.name.capitalize()} of {run.first.device}"
    marks = [_bar(run, row) for row in run.measured[:MAX_ROWS]]
    return Chart(title, marks, Axis(0.0, limit), f"{metric.unit}, {how}", _BACKENDS, lines)


def _bar(run: ReportRun, row: Row) -> Mark:
    value = run.value(row)
    doubtful = row.status != "ok"
    words = (row.status if doubtful else "", f"{figures(value, 4)} {run.metric.unit}", _share(row))
    figure = " \u00b7 ".join(part for part in words if part)
    return Mark(case_name(row), figure, _series(row), (value,), doubtful, row.kernel)


def axis_note(run: ReportRun) -> str:
    """Return the published peaks that lie beyond the axis of the bars, in a sentence; empty if none does."""
    limit = axis_limit(run)
    outside = [f"{name} {value:g}" for name, value in NAMED if run.has_peak and value > limit]
    return f"Beyond the end of this axis, in GB/s: {'; '.join(outside)}." if outside else ""


def omissions(run: ReportRun) -> str:
    """Return what the charts of a run do not show; empty if they show every row."""
    notes = []
    if without := len(run.rows) - len(run.measured):
        notes.append(f"{without} of {len(run.rows)} rows have no figure to draw.")
    if len(run.measured) > MAX_ROWS:
        notes.append(f"The first {MAX_ROWS} of {len(run.measured)} cases are drawn; the table has all.")
    return " ".join(notes)


def peak_chart(run: ReportRun) -> Chart:
    """Return the best bandwidth of a run beside the published peaks, all on one axis from zero."""
    best = [
        Mark(f"best: {case_name(row)}", f"{figures(run.value(row), 4)} GB/s", _series(row), (run.value(row),))
        for row in run.ranked[:1]
    ]
    own = [("peak of this device", run.peak_gbs)] if run.peak_gbs else []
    peaks = [Mark(name, f"{value:g} GB/s", SERIES, (value,)) for name, value in (*own, *NAMED)]
    marks = [*best, *peaks]
    axis = Axis(0.0, max(mark.values[0] for mark in marks))
    return Chart("The best figure beside the published peaks", marks, axis, "GB/s", _BACKENDS, other="published peak")


SPREAD = (
    "Each dot is one timed sample; every sample is shown. A dot to the left is a slow one. The height of a dot has no "
    "meaning. The axis is stretched around the median, so that small and large spread can both be seen."
)
"""The caption of the dots."""


def dot_chart(run: ReportRun) -> Chart | None:
    """Return every raw sample as a speed relative to its case's median sample; None where there is none."""
    marks = [_dots(row, run.samples[place]) for place, row in enumerate(run.rows) if run.samples.get(place)][:MAX_ROWS]
    if not marks:
        return None
    values = [value for mark in marks for value in mark.values]
    axis = Axis(1.1 * min([-1.0, *values]), 1.1 * max([1.0, *values]), "stretched")
    unit, lines = "speed of a sample against its case's median sample", [(0.0, "named", "median sample")]
    return Chart("Every raw sample", marks, axis, unit, _BACKENDS, lines, dots=True)


def _dots(row: Row, times: Sequence[float]) -> Mark:
    middle = median(times)
    speeds = tuple((middle / time - 1) * 100 for time in times)
    spread = f"{len(times)} samples, {min(speeds) + 0.0:+.1f} to {max(speeds) + 0.0:+.1f} %"
    return Mark(case_name(row), spread, _series(row), speeds, row.status != "ok", row.kernel)


_GRAVITY = ("suspect", "failed_verification", "error", "skipped", "unsupported")


def flagged(run: ReportRun) -> list[tuple[str, str, list[str]]]:
    """Return status, reason and cases of the rows that are not ok, equal reasons once, those with figures first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in run.rows:
        if row.status != "ok":
            groups.setdefault((row.status, row.reason or "no reason is given"), []).append(case_name(row))
    order = {status: i for i, status in enumerate(_GRAVITY)}
    return sorted(((*key, cases) for key, cases in groups.items()), key=lambda flag: order.get(flag[0], len(order)))


NO_PERCENTAGES = "No row that is ok came from memory, so there are no percentages."

_OF_NAMED = (
    "DGX Spark's 273 / RTX PRO 5000's 1344 / DGX Station's announced 8000 GB/s (it ships with 7100), "
    "because the device's own peak is unknown"
)


def percent_table(run: ReportRun) -> tuple[str, list[str], list[list[str]]]:
    """Return what the percentages are of, a header and a row per kernel and dtype: backends are the columns.

    Of several sizes or variants the highest counts. Rows that are not ok are left out.
    """
    counted = [row for row in run.measured if row.status == "ok" and positive(row.percent_of_dgx_spark)]
    backends = list(dict.fromkeys(row.backend for row in counted))
    best: dict[tuple[str, str], dict[str, Row]] = {(row.kernel, row.number_format): {} for row in counted}
    for row in sorted(counted, key=run.value):
        best[row.kernel, row.number_format][row.backend] = row
    of = f"the device's peak, {run.peak_gbs:g} GB/s" if run.peak_gbs else _OF_NAMED
    rows = [[*line, *(_percents(by.get(name), run.peak_gbs) for name in backends)] for line, by in best.items()]
    return of, ["kernel", "dtype", *backends], rows


def _percents(row: Row | None, peak_gbs: float | None) -> str:
    if row is None:
        return "-"
    values = [row.percent_of_peak] if peak_gbs else [row.get(reference.column) for reference in REFERENCES]
    return " / ".join("-" if value is None else figures(value, 3 if peak_gbs else 2) for value in values)


WORDS = (0, 1, 3, 4, 5)
"""The columns of the overview that hold words."""


def overview(runs: Sequence[ReportRun]) -> tuple[Sequence[str], list[list[str]]]:
    """Return a header and a row per run: its best figure, and of what it is."""
    return ("run", "best", "of peak", "by", "device", "rows"), [_overview_row(run) for run in runs]


def _overview_row(run: ReportRun) -> list[str]:
    name, device, counts = f"{run.first.system} {run.first.run_id}", run.first.device, _counts(run)
    for row in run.ranked[:1]:
        share = "-" if row.percent_of_peak is None else f"{row.percent_of_peak:.0f} %"
        return [name, f"{figures(run.value(row), 4)} {run.metric.unit}", share, case_name(row), device, counts]
    return [name, "-", "-", "-", device, counts]


def facts(run: ReportRun) -> list[tuple[str, str]]:
    """Return the head of a run: what was measured, when, on what, with which versions, against which peak."""
    first, machine = run.first, run.block("machine")
    python, cpu, system = (machine.get(name) for name in ("python_version", "cpu_model_name", "kernel"))
    versions = [f"bandmark {first.bandmark_version}", *_distinct(run, "backend", "backend_version")]
    peak = f"{run.peak_gbs:g} GB/s, {first.peak_source or 'of unknown source'}" if run.peak_gbs else ""
    pairs = [
        ("device", first.device),
        ("system", first.system),
        ("date", _date(run)),
        ("run", first.run_id + ("" if run.record.get("complete", True) else ", cut short")),
        ("versions", ", ".join([*versions, *([f"Python {python}"] if python else [])])),
        ("driver", ", ".join(_distinct(run, "driver"))),
        ("threads", ", ".join(_distinct(run, "threads"))),
        ("processor", str(cpu) if cpu and cpu != first.device else ""),
        ("operating system", f"{machine.get('system')} {system}, {machine.get('architecture')}" if system else ""),
        ("peak", peak or ("unknown; bandmark run --peak GBS sets it" if run.has_peak else "")),
        ("rows", _counts(run)),
    ]
    return [(name, value) for name, value in pairs if value]


def _distinct(run: ReportRun, *names: str) -> list[str]:
    """Return the different values of some columns, each with a value in the last of them."""
    rows = [row for row in run.rows if row.get(names[-1])]
    return sorted({" ".join(str(row.get(name)) for name in names) for row in rows})


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


READING = files("bandmark.reports").joinpath("reading.txt").read_text(encoding="utf-8").splitlines()
"""How to read a report, a paragraph each."""
