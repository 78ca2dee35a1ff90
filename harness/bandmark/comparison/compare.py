"""Which figures of two sides belong together, may they be compared, and what comes out?

Sides that were measured under unlike settings are refused, unless the caller insists: a size, a thread count or zeros
for data change the bandwidth by more than what one wants to find.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np

from bandmark.comparison.decide import MARGIN, Decision, Evidence, decide
from bandmark.comparison.estimate import Estimate
from bandmark.comparison.estimate import estimate as estimate_cases
from bandmark.comparison.figures import Figure, Run, Side
from bandmark.comparison.outcome import CaseComparison, Comparison
from bandmark.comparison.pairing import Pair, Statistic, common_statistic, history_groups, of_history, pair_up
from bandmark.comparison.settings import dtype_difference, unlike, version_notes
from bandmark.comparison.spread import Runs
from bandmark.errors import UsageError

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What all cases of a comparison have in common."""

    statistic: Statistic
    margin: float
    across: bool
    """Whether the sides are different devices."""
    history: bool
    """Whether stored runs were looked at."""


def compare_sides(
    baseline: Side,
    candidates: Sequence[Side],
    *,
    history: Sequence[Run] = (),
    margin: float = MARGIN,
    anyway: bool = False,
) -> list[Comparison]:
    """Return each candidate's comparison with the baseline.

    Args:
        baseline, candidates: the sides.
        history: stored runs, from which those of the sides' systems and settings tell the spread between runs.
        margin: relative difference of bandwidth up to which cases count as the same.
        anyway: compare although settings differ; the differences become notes.

    Raises:
        UsageError: settings differ, no case is on both sides, or the sides have no statistic in common.
    """
    if not 0 < margin < 1:
        raise UsageError(f"--margin {100 * margin:g} is not a margin: take a percentage between 0 and 100, as 2.")
    return [
        _compare(baseline, candidate, history, margin, anyway=anyway, candidates=len(candidates))
        for candidate in candidates
    ]


def _compare(
    baseline: Side, candidate: Side, history: Sequence[Run], margin: float, *, anyway: bool, candidates: int
) -> Comparison:
    across = _across_devices(baseline, candidate)
    statistic = common_statistic(baseline, candidate)
    pairs, notes = pair_up(baseline, candidate)
    refusals, remarks = unlike(pairs, across=across)
    refusals += dtype_difference(baseline, candidate)
    if refusals and not anyway:
        raise UsageError(
            f"{baseline.label} and {candidate.label} were measured under unlike settings: {'; '.join(refusals)}. "
            "Measure both alike, or add --anyway to compare the cases that both have."
        )
    groups = history_groups(history, baseline, candidate)
    estimates = estimate_cases(
        _runs([p.baseline for p in pairs], statistic),
        _runs([p.candidate for p in pairs], statistic),
        [_runs([of_history(group, pair) for pair in pairs], statistic) for group in groups],
        family=len(pairs) * candidates,
    )
    used = tuple(run.name for group in groups for run in group)
    terms = Terms(statistic=statistic, margin=margin, across=across, history=bool(history))
    cases = [_case(pair, estimate, terms) for pair, estimate in zip(pairs, estimates, strict=True)]
    return Comparison(
        baseline=baseline,
        candidate=candidate,
        statistic=statistic,
        margin=margin,
        across_devices=across,
        cases=tuple(cases),
        history=used,
        notes=(*[f"unlike settings: {r}" for r in refusals], *remarks, *version_notes(baseline, candidate), *notes),
    )


def _across_devices(baseline: Side, candidate: Side) -> bool:
    """Return whether the sides are different devices; one that another tool does not name is taken to be the same."""
    for side in (baseline, candidate):
        if len(side.devices) > 1:
            raise UsageError(f"{side.label} mixes devices ({', '.join(side.devices)}): a side is one device.")
    return bool(baseline.devices and candidate.devices and baseline.devices != candidate.devices)


def _value(figure: Figure | None, statistic: Statistic) -> float:
    """Return the logarithm of a figure's bandwidth; NaN where it has none."""
    gbs = None if figure is None else figure.gbs if statistic == "median" else figure.best_gbs
    return math.log(gbs) if gbs and 0 < gbs < math.inf else math.nan


def _runs(cases: Sequence[Sequence[Figure | None]], statistic: Statistic) -> Runs:
    """Return figures, a sequence per case with an entry per run, as matrices."""
    values = [[_value(f, statistic) for f in case] for case in cases]
    known = statistic == "median"
    errors = [[f.error if known and f is not None and f.error is not None else math.nan for f in c] for c in cases]
    return Runs(np.array(values, dtype=np.float64), np.array(errors, dtype=np.float64))


def _case(pair: Pair, case: Estimate, terms: Terms) -> CaseComparison:
    evidence = Evidence(
        doubts=(*_doubts(pair.baseline, "baseline"), *_doubts(pair.candidate, "candidate")),
        clock_ratio=None if terms.across else _clock_ratio(pair),
        history=terms.history,
    )
    decision = _decide(case, evidence, terms)
    width = case.limit_alone if decision.verdict == "SAME" else case.limit
    one = pair.shown
    gbs = (_mean_gbs(pair.baseline, terms.statistic), _mean_gbs(pair.candidate, terms.statistic))
    return CaseComparison(
        kernel=one.kernel,
        backend=one.backend,
        dtype=one.dtype,
        weight_format=one.weight_format,
        variant=one.variant,
        m=one.m,
        n=one.n,
        layer=one.layer,
        baseline_gbs=gbs[0],
        candidate_gbs=gbs[1],
        ratio=_exp(case.log_ratio),
        ratio_low=_exp(case.log_ratio - width),
        ratio_high=_exp(case.log_ratio + width),
        verdict=decision.verdict,
        reason=decision.reason,
        next_step=decision.next_step or None,
        baseline_runs=case.runs[0],
        candidate_runs=case.runs[1],
        spread=case.spread if math.isfinite(case.spread) else None,
        **_of_peaks(pair, case, evidence, terms, gbs),
    )


def _decide(case: Estimate, evidence: Evidence, terms: Terms) -> Decision:
    """Return the verdict on a case, which may lack a figure on one side."""
    if math.isfinite(case.log_ratio):
        return decide(case, evidence, terms.margin)
    reason = "; ".join(evidence.doubts) or "one side has no figure"
    return Decision(verdict="UNCLEAR", reason=reason, next_step="measure the side that has no figure")


def _of_peaks(
    pair: Pair, case: Estimate, evidence: Evidence, terms: Terms, gbs: tuple[float | None, float | None]
) -> dict[str, Any]:
    """Return the columns that compare percentages of the peaks: between devices, where both peaks are known."""
    peaks = _peaks(pair) if terms.across else None
    if peaks is None or gbs[0] is None or gbs[1] is None:
        return {}
    # Peaks are constants: the ratio of the percentages has the error of the ratio of the bandwidths.
    of_peak = case.shifted(math.log(peaks[0] / peaks[1]))
    decision = decide(of_peak, evidence, terms.margin)
    return {
        "baseline_percent_of_peak": 100 * gbs[0] / peaks[0],
        "candidate_percent_of_peak": 100 * gbs[1] / peaks[1],
        "peak_ratio": _exp(of_peak.log_ratio),
        "peak_verdict": decision.verdict,
        "peak_reason": decision.reason,
    }


def _doubts(figures: Sequence[Figure | None], side: str) -> list[str]:
    """Return the doubts of a case's runs; alike but for numbers once, with how many runs they are about."""
    found: dict[str, list[str]] = {}
    for figure in figures:
        for doubt in figure.doubts if figure is not None else ():
            found.setdefault(_NUMBER.sub("#", doubt), []).append(doubt)
    runs = len(figures)
    return [f"{side}{f', {len(alike)} of {runs} runs' if runs > 1 else ''}: {alike[0]}" for alike in found.values()]


def _clock_ratio(pair: Pair) -> float | None:
    """Return the candidate's median processor clock over the baseline's; None where a run has none."""
    clocks = [
        [f.row.clock_mhz if f.row is not None else None for f in side if f is not None]
        for side in (pair.baseline, pair.candidate)
    ]
    if not all(clocks) or any(not c for side in clocks for c in side):
        return None
    before, after = (median([c for c in side if c]) for side in clocks)
    return after / before


def _peaks(pair: Pair) -> tuple[float, float] | None:
    """Return both sides' peaks, where every run is a verified dram row with one."""
    peaks = []
    for side in (pair.baseline, pair.candidate):
        rows = [f.row for f in side if f is not None and f.row is not None]
        known = [row.peak_gbs for row in rows if row.peak_gbs and row.percent_of_peak is not None]
        if not rows or len(known) != len(rows):
            return None
        peaks.append(fmean(known))
    return peaks[0], peaks[1]


def _mean_gbs(figures: Sequence[Figure | None], statistic: Statistic) -> float | None:
    """Return the geometric mean over the runs that have a figure, whose ratio is the one that is judged."""
    logs = [v for v in (_value(f, statistic) for f in figures) if math.isfinite(v)]
    return math.exp(fmean(logs)) if logs else None


def _exp(log_ratio: float) -> float | None:
    """Return a ratio; None where it is unknown, unbounded, or beyond all numbers, as two noisy runs can leave it."""
    return math.exp(log_ratio) if math.isfinite(log_ratio) and log_ratio < math.log(sys.float_info.max) else None
