"""What is said of a run in words and tables? What the forms of a report have in common, without markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bandmark.judge.references import REFERENCES
from bandmark.reports.figures import figures
from bandmark.reports.runs import ReportRun, case_name, positive
from bandmark.results.row import Row


@dataclass(frozen=True, slots=True)
class Flag:
    """What speaks against some rows."""

    status: str
    reason: str
    cases: tuple[str, ...]
    """In words; at least one."""


def flagged(run: ReportRun) -> list[Flag]:
    """Return what speaks against the rows that are not ok, the same once; first what was measured and is in doubt."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in sorted((r for r in run.rows if r.status != "ok"), key=_gravity):
        found.setdefault((row.status, row.reason or "no reason is given"), []).append(case_name(row))
    return [Flag(status, reason, tuple(cases)) for (status, reason), cases in found.items()]


def _gravity(row: Row) -> int:
    order: list[str] = ["suspect", "failed_verification", "error", "skipped", "unsupported"]
    return order.index(row.status) if row.status in order else len(order)


def percent_table(run: ReportRun) -> tuple[str, list[str], list[list[str]]]:
    """Return what the percentages are of, a header and a row per kernel and dtype: backends are the columns.

    Of several sizes or variants the highest counts. Rows that are not ok have no part in it.
    """
    counted = [row for row in run.measured if row.status == "ok" and positive(row.percent_of_dgx_spark)]
    backends = list(dict.fromkeys(row.backend for row in counted))
    lines = list(dict.fromkeys((row.kernel, row.number_format) for row in counted))
    best: dict[tuple[str, str, str], Row] = {}
    for row in sorted(counted, key=lambda row: row.bandwidth_gbs or 0.0):
        best[row.kernel, row.number_format, row.backend] = row
    of = f"the device's peak, {run.peak_gbs:g} GB/s" if run.peak_gbs else _OF_NAMED
    rows = [[*line, *(_percents(best.get((*line, name)), run.peak_gbs) for name in backends)] for line in lines]
    return of, ["kernel", "dtype", *backends], rows


NO_PERCENTAGES = "No row that is ok came from memory, so there are no percentages."

_OF_NAMED = (
    "DGX Spark's 273 / RTX PRO 5000's 1344 / DGX Station's announced 8000 GB/s (it ships with 7100), "
    "because the device's own peak is unknown"
)


def _percents(row: Row | None, peak_gbs: float | None) -> str:
    if row is None:
        return "-"
    values = [row.percent_of_peak] if peak_gbs else [getattr(row, reference.column) for reference in REFERENCES]
    return " / ".join("-" if value is None else figures(value, 3 if peak_gbs else 2) for value in values)


OVERVIEW = ("run", "best GB/s", "of peak", "by", "device", "rows")
WORDS = (0, 3, 4, 5)
"""The columns of the overview that hold words."""


def overview(runs: Sequence[ReportRun]) -> tuple[Sequence[str], list[list[str]]]:
    """Return a header and a row per run: its best figure, and of what it is."""
    return OVERVIEW, [
        [
            f"{run.first.system} {run.first.run_id}",
            figures(run.best.bandwidth_gbs or 0.0, 4) if run.best else "-",
            f"{run.best.percent_of_peak:.0f} %" if run.best and run.best.percent_of_peak is not None else "-",
            case_name(run.best) if run.best else "-",
            run.first.device,
            _counts(run),
        ]
        for run in runs
    ]


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
        ("operating system", f"{machine.get('system')} {system}, {machine.get('architecture')}" if system else ""),
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
