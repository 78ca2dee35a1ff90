"""Compare candidates with a baseline, case by case.

Sides that were measured under different settings are refused, unless the caller insists. FASTER and SLOWER need a
change that differences between runs do not explain in any of the cases at once (statistics) and that is larger than the
margin. SAME is shown by equivalence (D. J. Schuirmann, A comparison of the two one-sided tests procedure, J.
Pharmacokinet. Biopharm. 15 (1987)): the 90 % interval of the case lies within the margin. All else is UNCLEAR. Samples
without one speed widen the limit and rule out SAME; a row that is suspect for another reason has no verdict.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

import numpy as np

from bandmark.comparison import MARGIN, Figure, Run, Side, Statistic, key_columns, pairing, statistics
from bandmark.comparison.pairing import Pair
from bandmark.comparison.statistics import PRIORS, Estimate, Prior, Replicates
from bandmark.comparison.table import CaseComparison, Comparison, Verdict
from bandmark.errors import UsageError
from bandmark.results.reading import JsonObject
from bandmark.units import count_of

_COLUMNS = ("suite", "kernel", "backend", "dtype", "weight_format", "variant", "m", "n", "layer")
"""Identity columns that are fields of CaseComparison."""

_CLOCK_TOLERANCE = 0.05  # relative difference of processor clocks from which the clock may be what was compared
_MAX_RUNS = 20  # runs a side that are worth advising; beyond, the machine must become quieter

_MEASURE_AGAIN = "measure the runs in doubt again on a quiet machine, or leave them out"
_MORE_RUNS = "measure 3 runs a side, taken in turns, or name stored runs of this system with --history"
_SETTLE = "let the device settle or lock its clock, and measure the sides in turns"
_QUIETER = "quieten the machine (other programs, clocks, power): its runs differ too much for more to help"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a case besides its estimate."""

    doubts: Sequence[str] = ()
    unsteady: Sequence[str] = ()
    sway: float = 0.0
    """Change of the logarithm that the unsteady samples explain."""
    clock_ratio: float | None = None
    """Clock of the candidate over that of the baseline; None where it does not matter or was not recorded."""
    mirrored: bool = False
    """Whether other cases changed by as much in the other direction."""
    higher_is_better: bool = True


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
    statistic = pairing.common_statistic(baseline, candidate)
    pairs, notes = pairing.pair_up(baseline, candidate)
    settings = pairing.setting_notes(pairs, baseline, candidate, across=across, anyway=anyway)
    groups = pairing.history_groups(history, baseline, candidate)
    prior = _prior(baseline, candidate, across=across)
    estimates = statistics.estimate(
        _replicates([pair.baseline for pair in pairs], statistic),
        _replicates([pair.candidate for pair in pairs], statistic),
        [_replicates([pairing.history_figures(group, pair) for pair in pairs], statistic) for group in groups],
        prior=prior,
        family=len(pairs) * sides,
    )
    if estimates[0].is_assumed:
        runs = _run_count([len(baseline.runs), len(candidate.runs)])
        text = f"{runs}: the spread between runs is taken to be {100 * prior.run:g} %, that of {prior.name}; "
        notes = [text + "3 runs a side, or --history, show that of this system", *notes]
    judged = zip(pairs, estimates, strict=True)
    return Comparison(
        baseline=baseline,
        candidate=candidate,
        statistic=statistic,
        margin=margin,
        across_devices=across,
        cases=tuple(_case(pair, case, estimates, statistic, margin, across=across) for pair, case in judged),
        history=tuple(run.name for group in groups for run in group),
        notes=(*settings, *notes),
    )


def _across_devices(baseline: Side, candidate: Side) -> bool:
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


def _replicates(cases: Sequence[Sequence[Figure | None]], statistic: Statistic) -> Replicates:
    """Return figures, a sequence per case with an entry per run, as matrices; None becomes NaN."""
    logs = [[figure.log(statistic) if figure else None for figure in case] for case in cases]
    known = statistic == "median"
    errors = [[figure.error if figure and known else None for figure in case] for case in cases]
    return Replicates(np.array(logs, dtype=np.float64), np.array(errors, dtype=np.float64))


def _case(
    pair: Pair, case: Estimate, all_cases: Sequence[Estimate], statistic: Statistic, margin: float, *, across: bool
) -> CaseComparison:
    metric = pair.shown.metric
    evidence = _evidence(pair, across=across, mirrored=not across and statistics.is_mirrored(case, all_cases))
    verdict, reason, next_step = decide(case, evidence, margin)
    width = case.limit_alone if verdict == "SAME" else case.limit + evidence.sway
    log_ratio = case.log_ratio if metric.higher_is_better else -case.log_ratio
    compared = CaseComparison(
        **_identity(pair.shown),
        baseline_gbs=_mean(pair.baseline, statistic),
        candidate_gbs=_mean(pair.candidate, statistic),
        ratio=_exp(log_ratio),
        ratio_low=_exp(log_ratio - width),
        ratio_high=_exp(log_ratio + width),
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
    )
    return _with_peaks(compared, pair, case, evidence, margin) if across else compared


def _identity(shown: Figure) -> JsonObject:
    """Return the columns of CaseComparison that identify a case."""
    others = {name: shown.get(name) for name in key_columns() if name not in _COLUMNS}
    others = {name: value for name, value in others.items() if value is not None}
    return {**{name: shown.get(name) for name in _COLUMNS}, "other_columns": others or None}


def _evidence(pair: Pair, *, across: bool, mirrored: bool) -> Evidence:
    sways = [[math.log1p(figure.sway) for figure in side if figure] for side in (pair.baseline, pair.candidate)]
    return Evidence(
        doubts=_merged(pair, lambda figure: figure.doubts),
        unsteady=_merged(pair, lambda figure: figure.unsteady),
        sway=sum(max(side, default=0.0) for side in sways),
        clock_ratio=None if across else _clock_ratio(pair),
        mirrored=mirrored,
        higher_is_better=pair.shown.metric.higher_is_better,
    )


def _with_peaks(
    compared: CaseComparison, pair: Pair, case: Estimate, evidence: Evidence, margin: float
) -> CaseComparison:
    """Add the comparison of the percentages of the peaks, where both peaks are known."""
    before, after = compared.baseline_gbs, compared.candidate_gbs
    peaks = _peak(pair.baseline), _peak(pair.candidate)
    if not (before and after and peaks[0] and peaks[1]):
        return compared
    percents = 100 * before / peaks[0], 100 * after / peaks[1]
    # Peaks are constants: the ratio of the percentages has the error of the ratio of the bandwidths.
    log_ratio = math.log(percents[1] / percents[0])
    verdict, reason, _ = decide(replace(case, log_ratio=log_ratio), evidence, margin)
    return replace(
        compared,
        baseline_percent_of_peak=percents[0],
        candidate_percent_of_peak=percents[1],
        peak_ratio=_exp(log_ratio),
        peak_verdict=verdict,
        peak_reason=reason,
    )


def _merged(pair: Pair, texts_of: Callable[[Figure], Sequence[str]]) -> list[str]:
    """Return what is said of each side's runs: the first text, and of how many runs something is said."""
    merged = []
    for side, figures in (("baseline", pair.baseline), ("candidate", pair.candidate)):
        texts = ["; ".join(texts_of(figure)) for figure in figures if figure and texts_of(figure)]
        runs = f", {len(texts)} of {len(figures)} runs" if len(figures) > 1 else ""
        merged += [f"{side}{runs}: {text}" for text in texts[:1]]
    return merged


def _clock_ratio(pair: Pair) -> float | None:
    """Return the candidate's median processor clock over the baseline's; None where a run has none."""
    if not all(figure.row and figure.row.clock_mhz for figure in pair.figures):
        return None
    before, after = ([f.row.clock_mhz or 0 for f in side if f and f.row] for side in (pair.baseline, pair.candidate))
    return median(after) / median(before)


def _peak(figures: Sequence[Figure | None]) -> float | None:
    """Return a side's peak, where every run has a verified dram row with one."""
    rows = [figure.row for figure in figures if figure and figure.row]
    peaks = [row.peak_gbs for row in rows if row.peak_gbs and row.percent_of_peak is not None]
    return fmean(peaks) if peaks and len(peaks) == len(rows) else None


def _mean(figures: Sequence[Figure | None], statistic: Statistic) -> float | None:
    """Return the geometric mean over the runs that have a figure, whose ratio is the one that is judged."""
    logs = [log for figure in figures if figure and (log := figure.log(statistic)) is not None]
    higher = all(figure.metric.higher_is_better for figure in figures if figure)
    return math.exp(fmean(logs) if higher else -fmean(logs)) if logs else None


def _exp(log_ratio: float) -> float | None:
    """Return a ratio; None where it is unknown, unbounded, or beyond all numbers, as two noisy runs can leave it."""
    return math.exp(log_ratio) if math.isfinite(log_ratio) and log_ratio < math.log(sys.float_info.max) else None


def decide(case: Estimate, evidence: Evidence, margin: float) -> tuple[Verdict, str, str | None]:
    """Return the verdict on a case, the reason, and the next step where it is UNCLEAR."""
    if evidence.doubts:
        return "UNCLEAR", "; ".join(evidence.doubts), _MEASURE_AGAIN
    if not math.isfinite(case.log_ratio):
        return "UNCLEAR", "one side has no figure", "measure the side that has no figure"
    edge, size = math.log1p(margin), abs(case.log_ratio)
    if size > max(case.limit + evidence.sway, edge):
        return _different(case, evidence)
    if evidence.unsteady:
        return "UNCLEAR", "; ".join(evidence.unsteady), _MEASURE_AGAIN
    if size + case.limit_alone <= edge:
        return "SAME", f"the change is within {100 * margin:g} %, with 95 % confidence on either side", None
    if size > edge:
        reason = "differences between runs explain a change of this size in one of the cases"
        step = _more_runs(case, case.limit, size)
    else:
        reason = f"the change may be within {100 * margin:g} % or beyond"
        step = _more_runs(case, case.limit_alone, edge - size)
    return "UNCLEAR", reason, step


def _more_runs(case: Estimate, limit: float, wanted: float) -> str:
    """Return what would make the limit of a case as small as wanted: it shrinks with the root of the runs."""
    if case.is_assumed:
        return _MORE_RUNS
    runs = min(case.runs)
    number = max(runs + 1, math.ceil(runs * min(limit / wanted, 1e3) ** 2)) if wanted > 0 else math.inf
    return f"about {number} runs a side tell, taken in turns" if number <= _MAX_RUNS else _QUIETER


def _different(case: Estimate, evidence: Evidence) -> tuple[Verdict, str, str | None]:
    """Return FASTER or SLOWER, unless the clock or a second state of it explains the change."""
    faster, sign = case.log_ratio > 0, 1 if evidence.higher_is_better else -1
    word = "faster" if faster else "slower"
    change = f"{_percent(sign * case.log_ratio, 100)} {word}"
    clock = evidence.clock_ratio
    if clock is not None and abs(clock - 1) > _CLOCK_TOLERANCE and (clock > 1) == faster:
        reason = f"{change}, but the candidate's clock was {_percent(math.log(clock), 100)} {word} as well"
        return "UNCLEAR", reason, _SETTLE
    if evidence.mirrored:
        reason = f"{change}, and other cases changed by as much in the other direction: a clock of two states does that"
        return "UNCLEAR", reason, _MORE_RUNS
    limit = math.copysign(case.limit + evidence.sway, sign * case.log_ratio)
    reason = f"{change}; differences between runs explain {_percent(limit, 9.95)} at most"
    return "FASTER" if faster else "SLOWER", reason + (f" ({_run_count(case.runs)})" if case.is_assumed else ""), None


def _percent(log_ratio: float, whole_from: float) -> str:
    """Write the size of a change in percent; beyond a factor of 10^6 no more is known of it than that."""
    percent = 100 * abs(math.expm1(min(log_ratio, math.log(1e6))))
    return f"{percent:.{1 if percent < whole_from else 0}f} %"


def _run_count(runs: Sequence[int]) -> str:
    low, high = min(runs), max(runs)
    return f"{count_of(low, 'run')} a side" if low == high else f"{low} and {high} runs"
