"""How much faster is a candidate than a baseline, case by case, and how much of it may be luck?

The unit of replication is the run, a process of its own: samples within a run share its memory pages, clock and
temperature, so twenty of them are not twenty looks at the difference (T. Kalibera and R. Jones, Rigorous benchmarking
in reasonable time, ISMM 2013). Each run counts by one number, the logarithm of its bandwidth.

Two kinds of luck. A run may be fast or slow as a whole (a clock, a page layout), and cases may vary in it each on its
own. What the cases of a run have in common is estimated by their weighted mean, and its part of the limit is Student's
t by the degrees of freedom of the runs alone: more cases do not help against it. The rest varies case by case, and its
part of the limit holds for all cases at once by Bonferroni's inequality. Each part may err at half of ERROR_RATE, so
their sum holds whatever the mixture.

The spread between runs, and how it is pooled over cases, is in bandmark.comparison.spread.

How often all this errs is measured in tests/benchmarks/test_compare_errors.py, with and without these assumptions.

SAME is shown by equivalence, and not by the lack of a difference: see bandmark.comparison.decide.

What no statistics of the runs can see: a device that keeps one of two speeds for whole runs puts n runs of one side
into one and n of the other into the other by luck with probability 2^(1 - 2n), 3 % for three runs a side, 0.8 % for
four. decide.py looks at the recorded clock, if there is one. Sides measured in turns help against slow drift.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bandmark.comparison.quantiles import t_quantile
from bandmark.comparison.spread import RESOLUTION, Array, Runs, Spread, mean_square, row_means, spread_between_runs

ERROR_RATE = 0.005
"""Probability of any FASTER or SLOWER among cases that do not differ: half of the 1 % that is promised, because the
spread of real runs is not quite normal."""

SAME_TAIL = 0.05
"""Tail beyond each end of the 90 % interval of one case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the runs say of one case. Differences are of logarithms, candidate less baseline."""

    log_ratio: float
    limit: float
    """Half-width of the interval that holds for all cases at once; infinite without a spread."""
    limit_alone: float
    """Half-width of the 90 % interval of this case alone."""
    spread: float
    """Relative standard deviation between runs, moderated; NaN if unknown."""
    runs: tuple[int, int]
    """Runs of the baseline and of the candidate that have the case."""

    def shifted(self, by: float) -> Estimate:
        """Return the estimate of a ratio that is known to differ from this one by a factor of exp(by)."""
        return replace(self, log_ratio=self.log_ratio + by)


def estimate(
    baseline: Runs, candidate: Runs, history: Sequence[Runs] = (), *, family: int | None = None
) -> list[Estimate]:
    """Return what the runs say of each case.

    Args:
        baseline, candidate: the two sides, with the same cases in the same order.
        history: other runs of the same systems, group by group alike, from which the spread between runs is known.
        family: number of cases that are judged at once; by default those given.
    """
    spread = spread_between_runs([baseline, candidate, *history])
    counts = [np.isfinite(side.logs).sum(axis=1) for side in (baseline, candidate)]
    # A side without a run of a case has no mean, so its error does not matter.
    shares = [1 / np.maximum(count, 1) for count in counts]
    common = spread.common * np.sqrt(shares[0] + shares[1])
    own, pooled = (_error(v, (baseline, candidate), shares) for v in (spread.own, spread.moderated))
    difference = row_means(candidate.logs) - row_means(baseline.logs)
    cases = len(difference) if family is None else family
    return [
        Estimate(
            log_ratio=float(difference[i]),
            limit=limit(spread, i, (float(common[i]), float(own[i]), float(pooled[i])), max(1, cases)),
            limit_alone=t_quantile(SAME_TAIL, float(spread.freedom[i])) * math.hypot(common[i], pooled[i])
            if spread.freedom[i]
            else math.inf,
            spread=math.hypot(spread.common, math.sqrt(spread.moderated[i])) if spread.freedom[i] else math.nan,
            runs=(int(counts[0][i]), int(counts[1][i])),
        )
        for i in range(len(difference))
    ]


def limit(spread: Spread, case: int, errors: tuple[float, float, float], family: int) -> float:
    """Return the difference of a case that luck does not explain.

    Args:
        spread, case: the spread between runs, and which case.
        errors: standard errors of its difference: by what is common, by its own variance, by the moderated one.
        family: number of cases that are judged at once.
    """
    if spread.freedom[case] <= 0 or spread.own_freedom[case] <= 0:
        return math.inf
    common, own, pooled = errors
    rate = ERROR_RATE / 2 if spread.common_freedom else ERROR_RATE
    as_a_whole = t_quantile(rate / 2, spread.common_freedom) * common if spread.common_freedom else 0.0
    freedom = float(spread.own_freedom[case])
    for_all = t_quantile(rate / (2 * family), freedom + spread.prior) * pooled
    on_its_own = t_quantile(rate / 2, freedom) * own
    return as_a_whole + max(for_all, on_its_own)


def _error(variance: Array, sides: Sequence[Runs], shares: Sequence[Array]) -> Array:
    """Return the standard error of each case's difference; no side is surer than its runs' own sampling error."""
    floors = [np.maximum(variance, np.maximum(mean_square(side.errors), RESOLUTION**2)) for side in sides]
    errors: Array = np.sqrt(floors[0] * shares[0] + floors[1] * shares[1])
    return errors
