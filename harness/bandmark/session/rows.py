"""How do the samples of a case become a row?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bandmark import __version__
from bandmark.device.peaks import Peak
from bandmark.device.telemetry import Telemetry
from bandmark.judge import warnings as judge
from bandmark.judge.bands import kernel_class, verdict
from bandmark.judge.references import REFERENCES
from bandmark.measure.sampling import Samples
from bandmark.measure.stats import Summary, summarize
from bandmark.results.row import MEASURED, SCHEMA, Row
from bandmark.suites.plan import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What all rows of a run have in common."""

    run_id: str
    system: str
    peak: Peak
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened to one case."""

    samples: Samples | None = None
    max_error: float | None = None
    """Error in units of the tolerance; None if the case was not verified."""
    variant: str | None = None
    copies: int | None = None
    telemetry: Telemetry = field(default_factory=Telemetry)
    others_share: float | None = None
    started_utc: str | None = None
    error: str | None = None
    """Why there are no samples, if something went wrong."""
    skipped: str | None = None
    """Why the case was left out, if it was."""
    note: str | None = None
    """What the row must say although the figure is sound: a halved size, rotated buffers."""


def assemble(case: Case, outcome: Outcome, context: Context) -> Row:
    """Return the row of a case."""
    row = _identity(case, outcome, context)
    if case.skip_reason is not None:
        return replace(row, status=case.skip_status, reason=case.skip_reason)
    if outcome.skipped is not None:
        return replace(row, status="skipped", reason=outcome.skipped)
    if outcome.samples is None:
        row = replace(row, status="error", reason=outcome.error or "no samples were taken")
        if outcome.max_error is None:
            return row
        return replace(row, verified=False, max_error=outcome.max_error, status="failed_verification")
    summary = summarize(outcome.samples.seconds)
    row = replace(row, **_times(summary, outcome.samples))
    if outcome.max_error is not None and not outcome.max_error <= 1:
        reason = f"the output is wrong by {outcome.max_error:.3g} times the tolerance"
        return replace(row, verified=False, max_error=outcome.max_error, status="failed_verification", reason=reason)
    return _judged(row, case, summary, outcome, context)


def _identity(case: Case, outcome: Outcome, context: Context) -> Row:
    """Return what is known before anything is measured."""
    kernel, shape, dtype, backend = case.kernel, case.shape, case.dtype, case.backend
    working_set = kernel.working_set(shape, dtype)
    return Row(
        schema=SCHEMA,
        run_id=context.run_id,
        system=context.system,
        device=backend.device.name,
        backend=backend.name,
        kernel=kernel.name,
        dtype=dtype.name,
        n_elements=shape.n_elements,
        working_set_bytes=working_set,
        regime=judge.regime(working_set * (outcome.copies or 1), backend.device.llc_bytes),
        bytes_read=kernel.bytes_read(shape, dtype),
        bytes_written=kernel.bytes_written(shape, dtype),
        peak_gbs=context.peak.gbs,
        peak_source=context.peak.source or None,
        status="ok",
        suite=kernel.suite,
        m=shape.m,
        n=shape.n,
        weight_format=kernel.weight_format,
        variant=outcome.variant or case.variant,
        started_utc=outcome.started_utc,
        bandmark_version=__version__,
        backend_version=backend.version,
        driver=backend.driver,
        derived_peak_gbs=context.peak.derived_gbs,
        data=context.data,
        threads=backend.threads,
        llc_bytes=backend.device.llc_bytes,
        copies=outcome.copies,
        layer=case.layer.label if case.layer else None,
        layer_uses=case.layer.uses if case.layer else None,
        heads=kernel.attention.heads if kernel.attention else None,
        head_dim=kernel.attention.head_dim if kernel.attention else None,
    )


def _times(summary: Summary, samples: Samples) -> dict[str, Any]:
    """Return the columns that the samples alone decide."""
    return {
        "samples": summary.samples,
        "launches_per_sample": samples.launches,
        "time_median_s": summary.median_s,
        "time_min_s": summary.min_s,
        "time_q1_s": summary.q1_s,
        "time_q3_s": summary.q3_s,
        "time_max_s": summary.max_s,
        "ci95_rel": summary.ci95_rel,
        "stop_reason": samples.stop_reason,
    }


def _judged(row: Row, case: Case, summary: Summary, outcome: Outcome, context: Context) -> Row:
    """Return a row with its bandwidth, its percentages and every reason to doubt them."""
    assert outcome.samples is not None
    assert row.bytes_moved is not None
    bandwidth = row.bytes_moved / summary.median_s / 1e9
    clocks = outcome.samples.clocks_mhz or outcome.samples.sensor_clocks_mhz
    found = judge.doubts(
        outcome.samples.seconds,
        bandwidth_gbs=bandwidth,
        peak_gbs=context.peak.gbs,
        regime=row.regime,
        data=context.data,
        clocks_mhz=clocks or [c for c in [outcome.telemetry.clock_mhz] if c],
        max_clock_mhz=outcome.telemetry.max_clock_mhz,
        others_share=outcome.others_share,
        device=row.device,
    )
    found += list(outcome.telemetry.doubts)
    if outcome.max_error is None:
        found.insert(0, "the output was not verified")
    row = replace(
        row,
        bandwidth_gbs=bandwidth,
        bandwidth_best_gbs=row.bytes_moved / summary.min_s / 1e9,
        verified=None if outcome.max_error is None else True,
        max_error=outcome.max_error,
        weights_per_s=row.n_elements / summary.median_s if case.kernel.suite == "gemv" and row.n_elements else None,
        status="suspect" if found else "ok",
        reason="; ".join([*found, *_remarks(outcome)]) or None,
        clock_mhz=sorted(clocks)[len(clocks) // 2] if clocks else outcome.telemetry.clock_mhz,
        temperature_c=outcome.telemetry.temperature_c,
        power_w=outcome.telemetry.power_w,
    )
    return replace(row, **_percentages(row, context.peak, case))


def _remarks(outcome: Outcome) -> list[str]:
    """Return what the row must say although the figure is sound."""
    rotated = outcome.copies is not None and outcome.copies > 1
    return [
        *([judge.rotation(outcome.copies)] if rotated else []),
        *([outcome.note] if outcome.note else []),
    ]


def _percentages(row: Row, peak: Peak, case: Case) -> dict[str, Any]:
    """Return the comparison with the peaks: verified rows in the dram regime only."""
    if not row.verified or row.regime != "dram" or row.bandwidth_gbs is None:
        return {}
    of_peak = judge.percent(row.bandwidth_gbs, peak.gbs)
    said = verdict(of_peak, peak.memory_type, case.backend.device.integrated, row.kernel)
    return {
        "percent_of_peak": of_peak,
        "verdict": said.text or None,
        **{r.column: judge.percent(row.bandwidth_gbs, r.published_gbs) for r in REFERENCES},
    }


def with_ceiling(rows: Sequence[Row]) -> list[Row]:
    """Fill percent_of_ceiling: the ceiling is the best verified read bandwidth of the device in this run."""
    ceilings: dict[str, float] = {}
    for row in rows:
        if row.kernel == "read" and row.bandwidth_gbs and row.verified and row.regime == "dram":
            ceilings[row.device] = max(ceilings.get(row.device, 0.0), row.bandwidth_gbs)
    return [
        replace(row, percent_of_ceiling=100 * row.bandwidth_gbs / ceilings[row.device])
        if row.status in MEASURED and row.regime == "dram" and row.bandwidth_gbs and row.device in ceilings
        else row
        for row in rows
    ]


def with_slow_reads(rows: Sequence[Row]) -> list[Row]:
    """Mark kernels that read as suspect where the device's copies are fast and its reads are not.

    Only the CUDA kernels are judged by each other: a library's product may be slow for reasons of its own.
    """

    def counts(row: Row) -> bool:
        figure = row.verified and row.bandwidth_gbs is not None
        return row.backend == "cupy" and row.weight_format is None and row.regime == "dram" and bool(figure)

    copies = {(r.device, r.dtype): r.bandwidth_gbs or 0.0 for r in rows if r.kernel == "copy" and counts(r)}
    made = []
    for row in rows:
        copy = copies.get((row.device, row.dtype))
        clause = None
        if copy and counts(row) and kernel_class(row.kernel) == "read":
            clause = judge.slow_reads(row.bandwidth_gbs or 0.0, copy, row.device)
        told = clause is None or clause in (row.reason or "")
        reason = row.reason if told else "; ".join(filter(None, (clause, row.reason)))
        made.append(row if told else replace(row, status="suspect", reason=reason))
    return made
