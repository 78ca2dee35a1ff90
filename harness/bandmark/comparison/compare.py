"""Compare candidates with a baseline, case by case.

Sides that were measured under different settings are refused, unless the caller insists: a size, a thread count or
zeros for data change the figure by more than what one wants to find.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from statistics import fmean, median
from typing import Any

import numpy as np

from bandmark.comparison import statistics
from bandmark.comparison.figures import Figure, Run, Side, key_columns
from bandmark.comparison.pairing import (
    Pair,
    Statistic,
    common_statistic,
    dtype_differences,
    history_figures,
    history_groups,
    pair_up,
    setting_differences,
    version_notes,
)
from bandmark.comparison.statistics import PRIORS, Estimate, Prior, Replicates
from bandmark.comparison.verdict import MARGIN, CaseComparison, Comparison, Evidence, decide, run_count
from bandmark.errors import UsageError

_COLUMNS = ("kernel", "backend", "dtype", "weight_format", "variant", "m", "n", "layer")
"""Identity columns that are fields of CaseComparison."""

_LIKE_SIZE = 0.25
"""Relative difference up to which two changes are of the same size."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


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
        history: stored runs; those of the sides' systems and settings show the spread between runs.
        margin: relative change up to which cases count as the same.
        anyway: compare although settings differ; the differences become notes.

    Raises:
        UsageError: settings differ, no case is on both sides, or the sides have no statistic in common.
    """
    if not 0 < margin < 1:
        raise UsageError(f"--margin {100 * margin:g} is not a margin: take a percentage between 0 and 100, as 2.")
    return [_compare(baseline, side, history, margin, anyway=anyway, sides=len(candidates)) for side in candidates]


def _compare(
    baseline: Side, candidate: Side, history: Sequence[Run], margin: float, *, anyway: bool, sides: int
) -> Comparison:
    across = _across_devices(baseline, candidate)
    statistic = common_statistic(baseline, candidate)
    pairs, notes = pair_up(baseline, candidate)
    refusals, remarks = setting_differences(pairs, across=across)
    refusals += dtype_differences(baseline, candidate)
    if refusals and not anyway:
        raise UsageError(
            f"{baseline.label} and {candidate.label} were measured under unlike settings: {'; '.join(refusals)}. "
            "Measure both alike, or add --anyway to compare the cases that both have."
        )
    groups = history_groups(history, baseline, candidate)
    prior = _prior(baseline, candidate, across=across)
    estimates = statistics.estimate(
        _replicates([p.baseline for p in pairs], statistic),
        _replicates([p.candidate for p in pairs], statistic),
        [_replicates([history_figures(group, pair) for pair in pairs], statistic) for group in groups],
        prior=prior,
        family=len(pairs) * sides,
    )
    judged = zip(pairs, estimates, strict=True)
    cases = [_case(pair, case, estimates, statistic, margin, across=across) for pair, case in judged]
    if any(case.is_assumed for case in estimates):
        notes = [_assumption(prior, baseline, candidate), *notes]
    return Comparison(
        baseline=baseline,
        candidate=candidate,
        statistic=statistic,
        margin=margin,
        across_devices=across,
        cases=tuple(cases),
        history=tuple(run.name for group in groups for run in group),
        notes=(*[f"unlike settings: {r}" for r in refusals], *remarks, *version_notes(baseline, candidate), *notes),
    )


def _across_devices(baseline: Side, candidate: Side) -> bool:
    """Return whether the sides are different devices; one that another tool does not name is taken to be the same."""
    for side in (baseline, candidate):
        if len(side.devices) > 1:
            raise UsageError(f"{side.label} mixes devices ({', '.join(side.devices)}): a side is one device.")
    return bool(baseline.devices and candidate.devices and baseline.devices != candidate.devices)


def _prior(baseline: Side, candidate: Side, *, across: bool) -> Prior:
    """Return the spread between runs of the sides' kinds of device, the larger of the two."""
    kinds = [next((run.kind for run in side.runs if run.kind), "unknown") for side in (baseline, candidate)]
    if not across and kinds.count("unknown") == 1:
        kinds.remove("unknown")
    return max((PRIORS[kind] for kind in kinds), key=lambda prior: prior.run)


def _assumption(prior: Prior, baseline: Side, candidate: Side) -> str:
    """Return the note on verdicts that rest on an assumed spread between runs."""
    return (
        f"{run_count([len(side.runs) for side in (baseline, candidate)])}: the spread between runs is taken to be "
        f"{100 * prior.run:g} %, that of {prior.name}; 3 runs a side, or --history, show that of this system"
    )


def _log(figure: Figure | None, statistic: Statistic) -> float:
    """Return the logarithm of a figure, negative if lower is better; NaN where it has none."""
    value = None if figure is None else figure.value if statistic == "median" else figure.best
    if figure is None or value is None or not 0 < value < math.inf:
        return math.nan
    return math.log(value) if figure.metric.higher_is_better else -math.log(value)


def _replicates(cases: Sequence[Sequence[Figure | None]], statistic: Statistic) -> Replicates:
    """Return figures, a sequence per case with an entry per run, as matrices."""
    logs = [[_log(figure, statistic) for figure in case] for case in cases]
    known = statistic == "median"
    errors = [[f.error if known and f is not None and f.error is not None else math.nan for f in c] for c in cases]
    return Replicates(np.array(logs, dtype=np.float64), np.array(errors, dtype=np.float64))


def _case(
    pair: Pair, case: Estimate, all_cases: Sequence[Estimate], statistic: Statistic, margin: float, *, across: bool
) -> CaseComparison:
    shown, metric = pair.shown, pair.shown.metric
    evidence = Evidence(
        doubts=_merged(pair, lambda figure: figure.doubts),
        unsteady=_merged(pair, lambda figure: figure.unsteady),
        sway=sum(max(math.log1p(f.sway) if f else 0.0 for f in side) for side in (pair.baseline, pair.candidate)),
        clock_ratio=None if across else _clock_ratio(pair),
        mirrored=not across and _is_mirrored(case, all_cases),
        higher_is_better=metric.higher_is_better,
    )
    verdict, reason, next_step = decide(case, evidence, margin)
    width = case.limit_alone if verdict == "SAME" else case.limit + evidence.sway
    sign = 1 if metric.higher_is_better else -1
    low, high = sign * case.log_ratio - width, sign * case.log_ratio + width
    columns = {name: shown.get(name) for name in _COLUMNS}
    others = {name: shown.get(name) for name in key_columns() if name not in columns and shown.get(name) is not None}
    return CaseComparison(
        **columns,
        baseline_gbs=_mean(pair.baseline, statistic),
        candidate_gbs=_mean(pair.candidate, statistic),
        ratio=_exp(sign * case.log_ratio),
        ratio_low=_exp(low),
        ratio_high=_exp(high),
        verdict=verdict,
        reason=reason,
        next_step=next_step,
        baseline_runs=case.runs[0],
        candidate_runs=case.runs[1],
        spread=case.spread,
        spread_source="devices of this kind" if case.is_assumed else "replicates",
        metric=metric.column,
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        other_columns=others or None,
        **(_of_peaks(pair, case, evidence, statistic, margin) if across else {}),
    )


def _of_peaks(pair: Pair, case: Estimate, evidence: Evidence, statistic: Statistic, margin: float) -> dict[str, Any]:
    """Return the columns that compare percentages of the peaks, where both peaks are known."""
    values = [_mean(figures, statistic) for figures in (pair.baseline, pair.candidate)]
    peaks = [_peak(figures) for figures in (pair.baseline, pair.candidate)]
    if None in (*values, *peaks):
        return {}
    percents = [100 * value / peak for value, peak in zip(values, peaks, strict=True) if value and peak]
    # Peaks are constants: the ratio of the percentages has the error of the ratio of the bandwidths.
    of_peak = case.shifted(math.log(percents[1] / percents[0]) - case.log_ratio)
    verdict, reason, _ = decide(of_peak, evidence, margin)
    return {
        "baseline_percent_of_peak": percents[0],
        "candidate_percent_of_peak": percents[1],
        "peak_ratio": _exp(of_peak.log_ratio),
        "peak_verdict": verdict,
        "peak_reason": reason,
    }


def _merged(pair: Pair, texts_of: Callable[[Figure], Sequence[str]]) -> list[str]:
    """Return what is said of the runs; texts that differ in numbers only once a side, with how many runs have them."""
    merged = []
    for side, figures in (("baseline", pair.baseline), ("candidate", pair.candidate)):
        alike: dict[str, list[str]] = {}
        for text in (text for figure in figures if figure is not None for text in texts_of(figure)):
            alike.setdefault(_NUMBER.sub("#", text), []).append(text)
        runs = len(figures)
        merged += [f"{side}{f', {len(a)} of {runs} runs' if runs > 1 else ''}: {a[0]}" for a in alike.values()]
    return merged


def _is_mirrored(case: Estimate, cases: Sequence[Estimate]) -> bool:
    """Return whether single runs show changes of one size in both directions, a quarter of them in the other.

    A clock of two states that changes between cases does that, and nothing in single runs shows it otherwise.
    """
    if not case.is_assumed:
        return False
    size = abs(case.log_ratio)
    like = [e.log_ratio for e in cases if abs(abs(e.log_ratio) - size) <= _LIKE_SIZE * size]
    opposite = sum(log_ratio * case.log_ratio < 0 for log_ratio in like)
    return 4 * opposite >= len(like) > 1


def _clock_ratio(pair: Pair) -> float | None:
    """Return the candidate's median processor clock over the baseline's; None where a run has none."""
    sides = [[f.row.clock_mhz if f.row is not None else None for f in s if f] for s in (pair.baseline, pair.candidate)]
    clocks = [[clock for clock in side if clock] for side in sides]
    if not all(clocks) or clocks != sides:
        return None
    return median(clocks[1]) / median(clocks[0])


def _peak(figures: Sequence[Figure | None]) -> float | None:
    """Return a side's peak, where every run has a verified dram row with one."""
    rows = [f.row for f in figures if f is not None and f.row is not None]
    peaks = [row.peak_gbs for row in rows if row.peak_gbs and row.percent_of_peak is not None]
    return fmean(peaks) if peaks and len(peaks) == len(rows) else None


def _mean(figures: Sequence[Figure | None], statistic: Statistic) -> float | None:
    """Return the geometric mean over the runs that have a figure, whose ratio is the one that is judged."""
    logs = [log for f in figures if math.isfinite(log := _log(f, statistic))]
    metric = next((f.metric for f in figures if f is not None), None)
    if not logs or metric is None:
        return None
    return math.exp(fmean(logs) if metric.higher_is_better else -fmean(logs))


def _exp(log_ratio: float) -> float | None:
    """Return a ratio; None where it is unknown, unbounded, or beyond all numbers, as two noisy runs can leave it."""
    return math.exp(log_ratio) if math.isfinite(log_ratio) and log_ratio < math.log(sys.float_info.max) else None
