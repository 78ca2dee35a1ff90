"""Build the rows of a run from its outcomes: once after each group for the files, and again when a run is validated.

A row is filled in four steps: by the run (device, peak, versions), by the case (sizes and bytes), by its measurement
(times, bandwidth, warnings), and by the rows beside it (the ceiling). Nothing here reads a clock or a device, so a
stored run gives the same rows again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bandmark.judge import warnings as judge
from bandmark.measure.measurement import Measurement
from bandmark.results.case import in_order
from bandmark.results.row import SCHEMA, Row
from bandmark.suites.base import Draft, RunFacts, Suite, Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened to one case: a measurement, or the reason why there is none."""

    suite: Suite
    columns: Mapping[str, Any]
    """Everything about the row that was known before it was measured."""
    measurement: Measurement | None = None
    status: str = "error"
    """The status of a row without a measurement."""
    reason: str | None = None
    max_error: float | None = None
    """Error of an output that was wrong before anything was timed, in units of the tolerance."""


def build_rows(outcomes: Sequence[Outcome], facts: RunFacts) -> list[Row]:
    """Return the rows of outcomes, in the order of result files."""
    drafts = [_draft(outcome, facts) for outcome in outcomes]
    for suite in dict.fromkeys(draft.suite for draft in drafts):
        measured = [d for d in drafts if d.suite is suite and d.measurement and d.values.get("verified") is not False]
        suite.fill_across(measured, facts)
    return in_order(map(_finished, drafts))


def _draft(outcome: Outcome, facts: RunFacts) -> Draft:
    values: Values = {**_run_columns(facts, outcome.columns["backend"]), **outcome.columns}
    draft = Draft(suite=outcome.suite, values=values, measurement=outcome.measurement)
    if outcome.measurement is None:
        values |= {"status": outcome.status, "reason": outcome.reason}
        if outcome.max_error is not None:
            values |= {"verified": False, "max_error": outcome.max_error}
    else:
        values |= _measured_columns(outcome.measurement)
        draft.warnings += judge.sample_warnings(outcome.measurement, device=facts.device.name)
        draft.notes += judge.notes(outcome.measurement)
    outcome.suite.fill(draft, facts)
    return draft


def _run_columns(facts: RunFacts, backend: str) -> Values:
    library = facts.libraries.get(backend, {})
    return {
        "schema": SCHEMA,
        "run_id": facts.run_id,
        "system": facts.system,
        "device": facts.device.name,
        "bandmark_version": facts.version,
        "backend_version": library.get("version"),
        "driver": library.get("driver"),
        "threads": library.get("threads"),
        "cpus": library.get("cpus"),
        "peak_gbs": facts.peak.gbs,
        "peak_source": facts.peak.source or None,
        "derived_peak_gbs": facts.peak.derived_gbs,
        "data": facts.data,
        "llc_bytes": facts.device.llc_bytes,
    }


def _measured_columns(measurement: Measurement) -> Values:
    """Return the columns that the samples, the verification and the sensors decide, whatever the metric."""
    summary, clocks = measurement.summary, measurement.all_clocks_mhz
    return {
        "samples": summary.samples,
        "launches_per_sample": measurement.launches_per_sample,
        "time_median_s": summary.median_s,
        "time_min_s": summary.min_s,
        "time_q1_s": summary.q1_s,
        "time_q3_s": summary.q3_s,
        "time_max_s": summary.max_s,
        "ci95_rel": summary.ci95_rel,
        "stop_reason": measurement.stop_reason,
        "verified": None if measurement.max_error is None else measurement.max_error <= 1,
        "max_error": measurement.max_error,
        "variant": measurement.variant,
        "copies": measurement.copies,
        "preempted_samples": measurement.preempted_samples,
        "preempted_time_frac": measurement.preempted_time_frac,
        "load_gbs": measurement.mean_load_gbs,
        "pages": measurement.pages,
        "energy_j": measurement.energy_per_launch_j,
        "idle_power_w": measurement.idle_power_w,
        "started_utc": measurement.started_utc,
        "clock_mhz": sorted(clocks)[len(clocks) // 2] if clocks else None,
        "temperature_c": measurement.temperature_c,
        "power_w": measurement.power_w,
    }


def _finished(draft: Draft) -> Row:
    """Return the row of a draft, with its status and its reason."""
    values, measurement = draft.values, draft.measurement
    if measurement is not None and values["verified"] is False:
        reason = f"the output is wrong by {measurement.max_error:.3g} times the tolerance"
        values |= {"status": "failed_verification", "reason": reason, "clock_mhz": None}
        values |= dict.fromkeys(("temperature_c", "power_w", "energy_j", "idle_power_w"))
    elif measurement is not None:
        values["status"] = "suspect" if draft.warnings else "ok"
        values["reason"] = "; ".join([*draft.warnings, *draft.notes]) or None
    return Row.of(values)
