"""How much faster is a candidate than a baseline, case by case, and how much of it may be luck?

The unit of replication is the run, a process of its own: samples within a run share its memory pages, clock and
temperature, so twenty of them are not twenty looks at the difference (T. Kalibera and R. Jones, Rigorous benchmarking
in reasonable time, ISMM 2013). Each run counts by one number, the logarithm of its bandwidth.

Two kinds of luck. A run may be fast or slow as a whole (a clock, a page layout), and cases may vary in it each on its
own. What the cases of a run have in common is estimated by their weighted mean, and its part of the limit is Student's
t by the degrees of freedom of the runs alone: more cases do not help against it. The rest varies case by case, and its
part of the limit holds for all cases at once by Bonferroni's inequality. Each part may err at half of ERROR_RATE, so
their sum holds whatever the mixture.

Spread of a case. Three runs a side leave 4 degrees of freedom to a case, on which nothing could be shown for 80 cases
at once. Variances are therefore moderated as in G. K. Smyth, Linear models and empirical Bayes methods for assessing
differential expression in microarray experiments, Stat. Appl. Genet. Mol. Biol. 3 (2004): the variance of a case is
drawn towards the one expected of it, as if that came from d0 more degrees of freedom, and d0 follows from how alike
the variances of the cases are: many where pooling is justified, few where it is not. Four things are stricter here.
The expected variance is the sampling error of the case's own medians plus what typical cases vary beyond theirs (by
medians, so wild cases do not spoil tame ones). d0 comes from the upper end of its error, two standard errors away. No
side's variance is taken to be less than its runs' own sampling error, because agreeing runs may be luck. And a case
that varies more than the others must also pass by its own variance and degrees of freedom, as if it stood alone.

How often all this errs is measured in tests/benchmarks/test_compare_errors.py, with and without these assumptions.

SAME is shown by equivalence, and not by the lack of a difference: see bandmark.decide.

What no statistics of the runs can see: a device that keeps one of two speeds for whole runs puts n runs of one side
into one and n of the other into the other by luck with probability 2^(1 - 2n), 3 % for three runs a side, 0.8 % for
four. bandmark.decide looks at the recorded clock, if there is one. Sides measured in turns help against slow drift.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bandmark.quantiles import chi2_median, inverse_trigamma, t_quantile, trigamma

ERROR_RATE = 0.005
"""Probability of any FASTER or SLOWER among cases that do not differ: half of the 1 % that is promised, because the
spread of real runs is not quite normal."""

SAME_TAIL = 0.05
"""Tail beyond each end of the 90 % interval of one case."""

RESOLUTION = 1e-4
"""Relative error below which no run median is known: host clocks, and nine figures in the file."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Runs:
    """Some runs under the same conditions: a side of the comparison, or stored runs of one system."""

    logs: Array
    """Logarithms of bandwidths, cases x runs; NaN where a run lacks a case."""
    errors: Array
    """Relative standard error of each within its run, of the same shape; NaN where unknown."""


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
    with np.errstate(divide="ignore"):
        common = spread.common * np.sqrt(1 / counts[0] + 1 / counts[1])
        own, pooled = (_error(v, (baseline, candidate), counts) for v in (spread.own, spread.moderated))
    difference = _row_means(candidate.logs) - _row_means(baseline.logs)
    cases = len(difference) if family is None else family
    return [
        Estimate(
            log_ratio=float(difference[i]),
            limit=spread.limit(i, (float(common[i]), float(own[i]), float(pooled[i])), max(1, cases)),
            limit_alone=t_quantile(SAME_TAIL, float(spread.freedom[i])) * math.hypot(common[i], pooled[i])
            if spread.freedom[i]
            else math.inf,
            spread=math.hypot(spread.common, math.sqrt(spread.moderated[i])) if spread.freedom[i] else math.nan,
            runs=(int(counts[0][i]), int(counts[1][i])),
        )
        for i in range(len(difference))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How runs under the same conditions differ; variances are of logarithms."""

    common: float
    """Standard deviation of what the cases of a run have in common; 0 for a single case, where it can't be told."""
    common_freedom: float
    freedom: Array
    """Degrees of freedom of each case's runs."""
    own: Array
    """Variance of the rest, by the case's own runs."""
    own_freedom: Array
    moderated: Array
    """Variance of the rest, drawn towards what is expected of it."""
    prior: float
    """Degrees of freedom that the moderation adds."""

    def limit(self, case: int, errors: tuple[float, float, float], family: int) -> float:
        """Return the difference of a case that luck does not explain.

        Args:
            case: which.
            errors: standard errors of its difference: by what is common, by its own variance, by the moderated one.
            family: number of cases that are judged at once.
        """
        if self.freedom[case] <= 0 or self.own_freedom[case] <= 0:
            return math.inf
        common, own, pooled = errors
        rate = ERROR_RATE / 2 if self.common_freedom else ERROR_RATE
        as_a_whole = t_quantile(rate / 2, self.common_freedom) * common if self.common_freedom else 0.0
        freedom = float(self.own_freedom[case])
        for_all = t_quantile(rate / (2 * family), freedom + self.prior) * pooled
        on_its_own = t_quantile(rate / 2, freedom) * own
        return as_a_whole + max(for_all, on_its_own)


def spread_between_runs(groups: Sequence[Runs]) -> Spread:
    """Return how the runs of each group differ from each other, over all groups."""
    residuals = np.hstack([group.logs - _row_means(group.logs)[:, None] for group in groups])
    counts = [np.isfinite(group.logs).sum(axis=1) for group in groups]
    freedom = np.sum([np.maximum(count - 1, 0) for count in counts], axis=0).astype(np.float64)
    sampling = _mean_square(np.hstack([group.errors for group in groups]))
    total = np.nansum(residuals**2, axis=1) / np.maximum(freedom, 1)
    known = freedom > 0
    common, share = np.zeros(residuals.shape[1]), np.zeros(len(total))
    common_freedom = 0
    if known.sum() > 1:
        weights = _weights(total, sampling, known)
        present = np.where(np.isfinite(residuals), weights[:, None], 0.0)
        common = np.nansum(present * np.nan_to_num(residuals), axis=0) / np.maximum(present.sum(axis=0), 1e-300)
        share = weights / weights.sum()
        # Columns without any case belong to runs that tell nothing here.
        runs = [int(np.isfinite(group.logs[known]).any(axis=0).sum()) for group in groups]
        common_freedom = sum(max(n - 1, 0) for n in runs)
    own_freedom = freedom * (1 - share)
    own = np.nansum((residuals - common) ** 2, axis=1) / np.where(own_freedom > 0, own_freedom, 1)
    moderated, prior = moderate(own, own_freedom, sampling)
    return Spread(
        common=math.sqrt(float(np.sum(common**2)) / max(common_freedom, 1)),
        common_freedom=common_freedom,
        freedom=freedom,
        own=own,
        own_freedom=own_freedom,
        moderated=moderated,
        prior=prior,
    )


def _weights(variance: Array, sampling: Array, known: Array) -> Array:
    """Return the weight of each case in what is common to a run: less for noisy cases, none for unknown ones."""
    typical = float(np.median(variance[known]))
    least = max(typical, RESOLUTION**2)
    return np.where(known, 1 / np.maximum(np.maximum(variance, sampling), least), 0.0)


def _error(variance: Array, sides: Sequence[Runs], counts: Sequence[Array]) -> Array:
    """Return the standard error of each case's difference; no side is surer than its runs' own sampling error."""
    floors = [np.maximum(variance, np.maximum(_mean_square(side.errors), RESOLUTION**2)) for side in sides]
    errors: Array = np.sqrt(floors[0] / counts[0] + floors[1] / counts[1])
    return errors


def moderate(variance: Array, freedom: Array, sampling: Array) -> tuple[Array, float]:
    """Return the moderated variance of each case, and how many degrees of freedom the moderation adds.

    Args:
        variance: of the runs within their groups, per case; what it says where freedom is 0 does not matter.
        freedom: its degrees of freedom.
        sampling: the squared error of a run's median within the run, per case.
    """
    known = freedom > 0
    floor = np.maximum(sampling, RESOLUTION**2)
    if not known.any():
        return floor, 0.0
    expected = floor + _excess(variance[known], freedom[known], floor[known])
    ratio = np.maximum(variance[known] / expected[known], 1e-6)
    prior = _prior_freedom(np.log(ratio), freedom[known])
    moderated = expected.copy()
    moderated[known] = (prior * expected[known] + freedom[known] * variance[known]) / (prior + freedom[known])
    return moderated, prior


def _excess(variance: Array, freedom: Array, floor: Array) -> float:
    """Return what typical cases vary beyond their floor: it puts half of the variances below what is expected."""
    medians = np.array([chi2_median(f) for f in freedom])

    def too_low(excess: float) -> bool:
        return bool(np.median(variance / (floor + excess) / medians) > 1)

    low, high = 0.0, float(np.max(variance / medians))
    if not too_low(low):
        return 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if too_low(middle) else (low, middle)
    return high


def _prior_freedom(log_ratio: Array, freedom: Array) -> float:
    """Return d0, Smyth's moment estimate (his section 6.2) from the upper end of its error.

    The logarithm of a variance with f degrees of freedom varies by trigamma(f/2); what the cases' vary beyond that is
    trigamma(d0/2). A single case has nothing to be drawn to.
    """
    cases = len(log_ratio)
    if cases < 2:
        return 0.0
    by_chance = float(np.mean([trigamma(f / 2) for f in freedom]))
    beyond = max(0.0, float(np.var(log_ratio, ddof=1)) - by_chance)
    return 2 * inverse_trigamma(beyond + 2 * by_chance * math.sqrt(2 / (cases - 1)))


def _row_means(values: Array) -> Array:
    """Return the mean of each row's known values; NaN where there is none."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def _mean_square(errors: Array) -> Array:
    """Return the mean square of each row's known errors; 0 where none is known."""
    means: Array = np.nan_to_num(_row_means(errors**2), nan=0.0)
    return means
