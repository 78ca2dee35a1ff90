"""Which figures of two sides belong together, may they be compared, and what comes out?

Sides that were measured under unlike settings are refused, unless the caller insists: a size, a thread count or zeros
for data change the bandwidth by more than what one wants to find.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median

import numpy as np

from bandmark.compare import Estimate, Runs, estimate
from bandmark.comparison import CaseComparison, Comparison
from bandmark.decide import MARGIN, Decision, Evidence, decide
from bandmark.errors import UsageError
from bandmark.figures import Figure, Run, Side
from bandmark.pairing import Pair, Statistic, common_statistic, history_groups, of_history, pair_up
from bandmark.settings import dtype_difference, unlike, version_notes


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
    estimates = estimate(
        _runs([p.baseline for p in pairs], statistic),
        _runs([p.candidate for p in pairs], statistic),
        [_runs([of_history(group, pair) for pair in pairs], statistic) for group in groups],
        family=len(pairs) * candidates,
    )
    used = tuple(run.name for group in groups for run in group)
    asked = bool(history)
    cases = [_case(p, e, statistic, margin, across, asked) for p, e in zip(pairs, estimates, strict=True)]
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


def _case(
    pair: Pair, case: Estimate, statistic: Statistic, margin: float, across: bool, history: bool
) -> CaseComparison:
    doubts = (*_doubts(pair.baseline, "baseline"), *_doubts(pair.candidate, "candidate"))
    clock = None if across else _clock_ratio(pair)
    evidence = Evidence(doubts=doubts, clock_ratio=clock, history=history)
    if not math.isfinite(case.log_ratio):
        missing = "; ".join(doubts) or "one side has no figure"
        decision = Decision(verdict="UNCLEAR", reason=missing, next_step="measure the missing side")
    else:
        decision = decide(case, evidence, margin)
    one = pair.shown
    peaks = _peaks(pair) if across and math.isfinite(case.log_ratio) else None
    shift = math.log(peaks[0] / peaks[1]) if peaks else math.nan
    relative = decide(case.shifted(shift), evidence, margin) if peaks else None
    gbs = (_mean_gbs(pair.baseline, statistic), _mean_gbs(pair.candidate, statistic))
    return CaseComparison(
        kernel=one.kernel,
        backend=one.backend,
        dtype=one.dtype,
        weight_format=one.weight_format,
        variant=one.variant,
        m=one.m,
        n=one.n,
        baseline_gbs=gbs[0],
        candidate_gbs=gbs[1],
        ratio=_exp(case.log_ratio),
        ratio_low=_exp(case.log_ratio - case.limit),
        ratio_high=_exp(case.log_ratio + case.limit),
        verdict=decision.verdict,
        reason=decision.reason,
        next_step=decision.next_step or None,
        baseline_runs=case.runs[0],
        candidate_runs=case.runs[1],
        spread=case.spread if math.isfinite(case.spread) else None,
        baseline_percent_of_peak=100 * gbs[0] / peaks[0] if peaks and gbs[0] else None,
        candidate_percent_of_peak=100 * gbs[1] / peaks[1] if peaks and gbs[1] else None,
        peak_ratio=_exp(case.log_ratio + shift),
        peak_verdict=relative.verdict if relative else None,
        peak_reason=relative.reason if relative else None,
    )


def _doubts(figures: Sequence[Figure | None], side: str) -> list[str]:
    """Return the doubts of a case's runs, alike ones once, with how many of the runs they are about."""
    found = [doubt for figure in figures if figure is not None for doubt in figure.doubts]
    runs = sum(figure is not None for figure in figures)
    several = [f"{side}, {found.count(d)} of {runs} runs: {d}" if runs > 1 else f"{side}: {d}" for d in found]
    return list(dict.fromkeys(several))


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
    """Return a ratio; None where it is unknown or unbounded."""
    return math.exp(log_ratio) if math.isfinite(log_ratio) else None
