"""The charts, tables and sentences of a report, without markup."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.resources import files
from statistics import median

from bandmark.backends.discovery import BACKENDS
from bandmark.decoding.predict import named_systems, predict
from bandmark.judge.bands import DGX_STATION_SHIPPING_GBS, REFERENCES, kernel_class, place
from bandmark.models.model import find_model
from bandmark.models.weights import find_format
from bandmark.reports import ReportRun
from bandmark.reports.charts import SERIES, Axis, Chart, Mark, log_axis
from bandmark.results.case import CaseId
from bandmark.results.row import Row
from bandmark.show.summary import headline, headline_rows, positive
from bandmark.suites import suite_of

NAMED = (
    *((f"{r.label}, announced" if r.key == "dgx_station" else r.label, r.published_gbs) for r in REFERENCES),
    ("DGX Station, as shipped", DGX_STATION_SHIPPING_GBS),
)
"""Name and published peak of the named systems, in GB/s."""

NO_SAMPLES = "No raw samples: there is no JSON of this run beside the CSV, or it holds none."

NO_PERCENTAGES = "No row that is ok came from memory, so there are no percentages."

READING = files("bandmark.reports").joinpath("reading.txt").read_text(encoding="utf-8").splitlines()
"""How to read a report, a paragraph each."""

_MODELS = (("llama-3.1-8b", "q4_k_m"), ("gpt-oss-20b", "mxfp4-gguf"))
"""Well-known models, one dense and one a mixture of experts, each in the format in which it is mostly run."""

_MAX_ROWS = 200
"""Rows that a chart shows; the tables show all."""

_BACKENDS = BACKENDS[:SERIES]

_GRAVITY = ("suspect", "failed_verification", "error", "skipped", "unsupported")


def figures(value: float, count: int) -> str:
    """Write a value with so many significant figures: 46.40, 1344."""
    return f"{value:#.{count}g}".removesuffix(".")


def _series(row: Row) -> int:
    return _BACKENDS.index(row.backend) if row.backend in _BACKENDS else SERIES


def _axis_limit(run: ReportRun) -> float:
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
    limit, metric = _axis_limit(run), run.metric
    lines = [(run.peak_gbs, "own", f"peak of this device: {run.peak_gbs:g} GB/s")] if run.peak_gbs else []
    lines += [(value, "named", f"{name}: {value:g} GB/s") for name, value in NAMED if run.has_peak and value <= limit]
    how = "bytes / median time" if run.has_peak else f"{'higher' if metric.higher_is_better else 'lower'} is better"
    title = f"{'Achieved bandwidth' if run.has_peak else metric.name.capitalize()} of {run.first.device}"
    marks = [_bar(run, row) for row in run.measured[:_MAX_ROWS]]
    return Chart(title, marks, Axis(0.0, limit), f"{metric.unit}, {how}", _BACKENDS, lines)


def _bar(run: ReportRun, row: Row) -> Mark:
    value, is_ok, percent = run.value(row), row.status == "ok", _percent(row)
    share = f"{percent} %{'' if row.percent_of_peak else ' of Spark'}" if percent else ""
    words = ("" if is_ok else row.status, f"{figures(value, 4)} {run.metric.unit}", share)
    return Mark(CaseId.of(row).label, " \u00b7 ".join(filter(None, words)), _series(row), (value,), is_ok, row.kernel)


def _percent(row: Row) -> str:
    """Return the percentage of the device's peak, or where that is unknown of DGX Spark's; empty for none."""
    value = row.percent_of_peak or row.percent_of_dgx_spark
    return figures(value, 3) if positive(value) else ""


def bar_notes(run: ReportRun) -> list[str]:
    """Return what the bars of a run do not show: published peaks beyond their axis, and rows."""
    limit, drawn, every = _axis_limit(run), len(run.measured), len(run.rows)
    outside = [f"{name} {value:g}" for name, value in NAMED if run.has_peak and value > limit]
    notes = [f"Beyond the end of this axis, in GB/s: {'; '.join(outside)}."] if outside else []
    if drawn < every:
        notes.append(f"{every - drawn} of {every} rows have no figure to draw.")
    if drawn > _MAX_ROWS:
        notes.append(f"The first {_MAX_ROWS} of {drawn} cases are drawn; the table has all.")
    return notes


def quoted(runs: Sequence[ReportRun]) -> list[ReportRun]:
    """Return the runs that have a bandwidth to quote, the most complete of each system and device."""
    shown = sorted((run for run in runs if run.has_peak and run.best), key=lambda run: run.completeness)
    return list({(run.first.system, run.first.device): run for run in shown}.values())


def sentences(runs: Sequence[ReportRun]) -> list[str]:
    """Return what each run found, in a sentence: its bandwidth, whether that is normal, and its place."""
    rows = [(run.first.device, headline_rows(run.rows)[0]) for run in quoted(runs)]
    return [f"{device}: {headline(row)}; {place(row.bandwidth_gbs or 0.0)}." for device, row in rows]


def ladder(runs: Sequence[ReportRun]) -> Chart | None:
    """Return the runs and the named systems on one logarithmic axis, the slowest first; None without a bandwidth."""
    rows = [(run.first, headline_rows(run.rows)[0]) for run in quoted(runs)]
    if not rows:
        return None
    marks = [(f"{first.system}: {CaseId.of(row).label}", row.bandwidth_gbs or 0.0, _series(row)) for first, row in rows]
    marks = sorted([*marks, *((name, gbs, SERIES) for name, gbs in NAMED)], key=lambda mark: mark[1])
    lines = [Mark(name, f"{figures(gbs, 4)} GB/s", series, (gbs,)) for name, gbs, series in marks]
    axis = log_axis([gbs for _, gbs, _ in marks])
    title = "Measured, between the published peaks"
    return Chart(title, lines, axis, "GB/s, logarithmic", _BACKENDS, other="published peak", dots=True)


def rate_table(runs: Sequence[ReportRun]) -> tuple[list[str], list[list[str]]]:
    """Return a header and a row per system: the expected tokens per second of the models of _MODELS.

    A run reads at the bandwidth of its best kernel that only reads, which is what a decode step does.
    """
    systems = list(named_systems().values())
    for run in quoted(runs):
        reads = [row for row in run.ranked if kernel_class(row.kernel) == "read"]
        gbs = (reads or run.ranked)[0].bandwidth_gbs or 0.0
        systems.append(
            replace(systems[0], name=run.first.system, weight_gbs=gbs, cache_gbs=gbs, bound_gbs=gbs, measured=True)
        )
    pairs = [(find_model(model), find_format(weights)) for model, weights in _MODELS]
    header = ["system", "GB/s", *(f"{model.name} {weights.name}, tokens/s" for model, weights in pairs)]
    rows = [
        [s.name, f"{s.weight_gbs:.4g}", *(f"{predict(s, *pair, context=4096).expected:.3g}" for pair in pairs)]
        for s in sorted(systems, key=lambda system: system.weight_gbs)
    ]
    return header, rows


def run_chart(runs: Sequence[ReportRun]) -> Chart:
    """Return the cases of several runs of one system, a dot for each run."""
    values: dict[tuple[str, int], list[tuple[Row, float]]] = {}
    for run in runs:
        seen: Counter[str] = Counter()  # by label and place, since sizes may differ from run to run
        for row in run.measured:
            label = CaseId.of(row).label
            values.setdefault((label, seen[label]), []).append((row, run.value(row)))
            seen[label] += 1
    whole = bar_chart(runs[0])
    marks = [
        _run_mark(label, pairs, whole.unit.partition(",")[0]) for (label, _), pairs in list(values.items())[:_MAX_ROWS]
    ]
    limit = max([whole.axis.high, *(value for mark in marks for value in mark.values)])
    return replace(whole, marks=marks, axis=Axis(0.0, limit), dots=True)


def _run_mark(label: str, pairs: Sequence[tuple[Row, float]], unit: str) -> Mark:
    row, figures_ = pairs[0][0], sorted(value for _, value in pairs)
    middle = median(figures_)
    spread = 100 * (figures_[-1] - figures_[0]) / middle
    words = f"{figures(middle, 4)} {unit} \u00b7 within {spread:.1f} %"
    return Mark(label, words, _series(row), tuple(figures_), all(r.status == "ok" for r, _ in pairs), row.kernel)


def dot_chart(run: ReportRun) -> Chart | None:
    """Return every raw sample as a speed relative to its case's median sample; None where there is none."""
    marks = [_dots(row, run.samples[place]) for place, row in enumerate(run.rows) if place in run.samples][:_MAX_ROWS]
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
    return Mark(CaseId.of(row).label, spread, _series(row), speeds, row.status == "ok", row.kernel)


def flagged(run: ReportRun) -> list[tuple[str, str, list[str]]]:
    """Return status, reason and cases of the rows that are not ok, equal reasons once, those with figures first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in run.rows:
        if row.status != "ok":
            groups.setdefault((row.status, row.reason or "no reason is given"), []).append(CaseId.of(row).label)
    order = {status: i for i, status in enumerate(_GRAVITY)}
    return sorted(((*key, cases) for key, cases in groups.items()), key=lambda flag: order.get(flag[0], len(order)))


def percent_table(run: ReportRun) -> tuple[str, list[str], list[list[str]]]:
    """Return what the percentages are of, a header and a row per kernel and dtype: backends are the columns.

    Of several sizes or variants the highest counts. Rows that are not ok are left out.
    """
    counted = [row for row in run.measured if row.status == "ok" and _percent(row)]
    best = {(row.kernel, row.number_format): dict.fromkeys((row.backend for row in counted), "-") for row in counted}
    for row in sorted(counted, key=run.value):
        best[row.kernel, row.number_format][row.backend] = _percent(row)
    spark = f"DGX Spark's {NAMED[0][1]:g} GB/s, because the device's own peak is unknown"
    of = f"the device's peak, {run.peak_gbs:g} GB/s" if run.peak_gbs else spark
    header = ["kernel", "dtype", *dict.fromkeys(row.backend for row in counted)]
    return of, header, [[*line, *percents.values()] for line, percents in best.items()]


def overview(runs: Sequence[ReportRun]) -> tuple[Sequence[str], list[list[str]]]:
    """Return a header and a row per run and suite: its best figure, and of what it is."""
    return ("run", "best", "of peak", "by", "device", "rows"), [_overview_row(run) for run in runs]


def _overview_row(run: ReportRun) -> list[str]:
    figure = share = case = "-"
    for row in headline_rows(run.rows)[:1]:
        figure, case = f"{figures(run.value(row), 4)} {run.metric.unit}", CaseId.of(row).label
        share = share if row.percent_of_peak is None else f"{row.percent_of_peak:.0f} %"
    return [
        f"{run.first.system} {run.first.run_id}, {suite_of(run.first).name}",
        figure,
        share,
        case,
        run.first.device,
        _counts(run),
    ]


def facts(run: ReportRun) -> list[tuple[str, str]]:
    """Return the head of a run: what was measured, when, on what, with which versions, against which peak."""
    first, machine = run.first, run.block("machine")
    system = [str(machine[name]) for name in ("system", "kernel", "architecture") if machine.get(name)]
    python = [f"Python {machine['python_version']}"] if machine.get("python_version") else []
    libraries = distinct(run.rows, "backend", "backend_version")
    pairs = [
        ("device", first.device),
        ("system", first.system),
        ("date", date(run)),
        ("run", first.run_id + ("" if run.record.get("complete", True) else ", cut short")),
        ("versions", ", ".join([f"bandmark {first.bandmark_version}", *libraries, *python])),
        ("driver", ", ".join(distinct(run.rows, "driver"))),
        ("threads", ", ".join(distinct(run.rows, "threads"))),
        ("processor", str(machine.get("cpu_model_name") or "")),
        ("operating system", " ".join(system)),
        ("peak", _peak(run) if run.has_peak else ""),
        ("rows", _counts(run)),
    ]
    return [(name, value) for name, value in pairs if value]


def distinct(rows: Iterable[Row], *names: str) -> list[str]:
    """Return the different values of some columns, each with a value in the last of them."""
    return sorted({" ".join(str(row.get(name)) for name in names) for row in rows if row.get(names[-1])})


def date(run: ReportRun) -> str:
    """Return when a run began, as its name tells; empty for other names."""
    match = re.match(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)", run.first.run_id)
    return "{}-{}-{} {}:{} UTC".format(*match.groups()) if match else ""


def _peak(run: ReportRun) -> str:
    if run.peak_gbs is None:
        return "unknown; bandmark run --peak GBS sets it"
    return f"{run.peak_gbs:g} GB/s, {run.first.peak_source or 'of unknown source'}"


def _counts(run: ReportRun) -> str:
    statuses = [row.status for row in run.rows]
    return ", ".join(f"{statuses.count(name)} {name}" for name in dict.fromkeys(statuses))
