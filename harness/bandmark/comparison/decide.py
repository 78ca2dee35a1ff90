"""What is the verdict on one case, why, and what is to do where it is open?

FASTER and SLOWER need a difference that luck does not explain in any of the cases at once (estimate.py) and that
is larger than the margin, however certain a smaller one may be. SAME is not the lack of a difference: it is shown by
equivalence (D. J. Schuirmann, A comparison of the two one-sided tests procedure, J. Pharmacokinet. Biopharm. 15
(1987)): the 90 % interval of the case lies within the margin. All else is UNCLEAR, and so is every case of which a run
is in doubt: two speeds, drift and the like bias both sides, and no number of samples mends that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bandmark.comparison.estimate import Estimate
from bandmark.judge.warnings import stability_warnings
from bandmark.measure.stats import quantile

Verdict = Literal["FASTER", "SLOWER", "SAME", "UNCLEAR"]

MARGIN = 0.02
"""Relative difference of bandwidth up to which cases count as the same, unless the user says otherwise."""

CLOCK_TOLERANCE = 0.05
"""Relative difference of the sides' processor clocks from which it may be the clock that was compared."""

HEAVY_FROM = 0.01
"""Mean distance of the samples from their median, over it, from which far samples matter."""

FEWEST_RUNS = 3
"""Runs a side below which the spread between them is known so badly that this alone leaves a case open: Student's t is
127 for one case with one degree of freedom, 509 for four cases at once; with the four of three runs a side 6 and 8."""

MOST_RUNS = 20
"""So many runs a side are worth advising; beyond, the machine must become quieter."""

MEASURE_AGAIN = "measure the runs in doubt again on a quiet machine, or leave them out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A verdict, why, and what to do next where it is UNCLEAR."""

    verdict: Verdict
    reason: str
    next_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What else is known of a case besides its figures."""

    doubts: Sequence[str] = ()
    """Why some of the figures can't be relied on, each with the run that it is about."""
    clock_ratio: float | None = None
    """Clock of the candidate over that of the baseline, on the same device; None where it was not recorded."""
    history: bool = False
    """Whether stored runs were looked at for the spread between runs."""


def decide(case: Estimate, evidence: Evidence, margin: float) -> Decision:
    """Return the verdict on a case; margin is a relative difference of bandwidth, 0.02 for 2 %."""
    if evidence.doubts:
        return Decision(verdict="UNCLEAR", reason="; ".join(evidence.doubts), next_step=MEASURE_AGAIN)
    if not math.isfinite(case.limit):
        return _without_spread(evidence)
    edge, size = math.log1p(margin), abs(case.log_ratio)
    if size > case.limit and size > edge:
        return _different(case, evidence)
    if size + case.limit_alone <= edge:
        reason = f"the difference is within {100 * margin:g} %, with 95 % confidence on either side"
        return Decision(verdict="SAME", reason=reason)
    return _open(case, edge, margin)


def _different(case: Estimate, evidence: Evidence) -> Decision:
    """Return FASTER or SLOWER, unless the clock differs in the same direction."""
    faster = case.log_ratio > 0
    clock = evidence.clock_ratio
    if clock is not None and abs(clock - 1) > CLOCK_TOLERANCE and (clock > 1) == faster:
        return Decision(
            verdict="UNCLEAR",
            reason=f"{change(case.log_ratio)}, but the candidate's clock was {change(math.log(clock))} as well",
            next_step="let the device settle or lock its clock, and measure the sides in turns",
        )
    luck = abs(math.expm1(case.limit if faster else -case.limit))
    reason = f"{change(case.log_ratio)}; luck explains {_percent(luck)} at most"
    return Decision(verdict="FASTER" if faster else "SLOWER", reason=reason)


def _without_spread(evidence: Evidence) -> Decision:
    """Return UNCLEAR for a case whose runs have nothing to be compared with on their own side."""
    reason = "one run a side says nothing of the spread between runs"
    if evidence.history:
        reason += ", nor does any stored run of this system and these settings"
    return Decision(
        verdict="UNCLEAR",
        reason=reason,
        next_step="measure each side twice more (on a quiet machine three runs a side find a change of 5 %), or name "
        "stored runs of this system with --history",
    )


def _open(case: Estimate, edge: float, margin: float) -> Decision:
    """Return UNCLEAR, with the number of runs that would settle it: errors shrink with the root of the runs."""
    size = abs(case.log_ratio)
    if size > edge:
        excess, reason = case.limit / size, "luck in one of the cases explains a change of this size"
    else:
        excess = case.limit_alone / (edge - size) if size < edge else math.inf
        reason = f"the change may be within {100 * margin:g} % or beyond"
    runs = min(case.runs)
    wanted = max(runs + 1, math.ceil(runs * min(excess, 1e3) ** 2))
    if wanted > FEWEST_RUNS and sum(case.runs) < 2 * FEWEST_RUNS:
        step = f"measure each side until it has {FEWEST_RUNS} runs, taken in turns: fewer say little of their spread"
    elif wanted <= MOST_RUNS:
        step = f"about {wanted} runs a side tell, taken in turns"
    elif case.limit_alone < edge:
        step = "the change is so close to the margin that more runs won't tell; choose another --margin"
    else:
        step = "quieten the machine (other programs, clocks, power): the runs differ too much for more of them to help"
    return Decision(verdict="UNCLEAR", reason=reason, next_step=step)


def instabilities(seconds: Sequence[float]) -> list[str]:
    """Return why the samples of one run have no one bandwidth: two speeds, drift, or far samples that dominate.

    The samples are in the order in which they were taken. Far samples dominate where the mean distance from the median,
    without the farthest of each twenty (one stall is no pattern), exceeds that of the quartiles from each other; for
    normal noise it is 0.59 of it, for a Laplace distribution 0.72.
    """
    if len(seconds) < 2:
        return []
    found = stability_warnings(seconds)
    ordered = sorted(seconds)
    middle = quantile(ordered, 0.5)
    distances = sorted(abs(s - middle) for s in ordered)
    kept = distances[: -max(1, len(distances) // 20)]
    distance = sum(kept) / len(kept) / middle
    quartiles = (quantile(ordered, 0.75) - quantile(ordered, 0.25)) / middle
    if not found and distance > HEAVY_FROM and distance > quartiles:
        found.append(f"samples lie {_percent(distance)} from the median on average, most of it by a few far ones")
    return found


def change(log_ratio: float) -> str:
    """Write a difference of logarithms as a change: '5.1 % faster'."""
    amount = 100 * abs(math.expm1(log_ratio))
    return f"{amount:.{1 if amount < 100 else 0}f} % {'faster' if log_ratio >= 0 else 'slower'}"


def _percent(relative: float) -> str:
    """Write a small relative difference: 0.0123 -> '1.2 %'."""
    return f"{100 * relative:.2g} %" if relative < 1 else f"{100 * relative:.0f} %"
