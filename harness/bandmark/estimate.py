"""How much faster is a candidate than a baseline, case by case, and how much of it may be luck?

The unit of replication is the run, a process of its own: samples within a run share its memory pages, clock and
temperature, so twenty of them are not twenty looks at the difference (T. Kalibera and R. Jones, Rigorous benchmarking
in reasonable time, ISMM 2013). Each run counts by one number, the logarithm of its bandwidth.

Spread. Three runs a side leave 4 degrees of freedom to a case, on which nothing could be shown for 80 cases at once.
Variances are therefore moderated as in G. K. Smyth, Linear models and empirical Bayes methods for assessing
differential expression in microarray experiments, Stat. Appl. Genet. Mol. Biol. 3 (2004): the variance of a case is
drawn towards the one expected of it, as if that came from d0 more degrees of freedom, and d0 follows from how alike
the variances of the cases are: many where pooling is justified, few where it is not. Three things are stricter here.
The expected variance is the sampling error of the case's own medians plus what typical cases vary beyond theirs (by
medians, so wild cases do not spoil tame ones). d0 comes from the upper end of its error, two standard errors away.
And no side's variance is taken to be less than its runs' own sampling error, because two agreeing runs may be luck.

Many cases. A difference counts if it exceeds the larger of two limits. If the runs vary case by case, Bonferroni's: the
moderated t at ERROR_RATE over the number of cases. If a run is fast or slow as a whole, the cases say one thing
together, and pooling them adds nothing: Student's t at ERROR_RATE with the case's own variance and degrees of freedom,
which also holds back a case that varies more than the others. The larger limit holds between these extremes too, as
tests/benchmarks/test_compare_errors.py measures.

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

ERROR_RATE = 0.0025
"""Probability of any FASTER or SLOWER among cases that do not differ: a quarter of the 1 % that is promised, because
the spread of real runs is not quite normal."""

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
    freedom: float
    """Degrees of freedom of the spread: those of the case's runs and those of the moderation."""
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
    groups = [baseline, candidate, *history]
    freedom, variance = _between_runs(groups)
    sampling = _mean_square(np.hstack([g.errors for g in groups]))
    moderated, prior = moderate(variance, freedom, sampling)
    sides = (baseline, candidate)
    counts = [np.isfinite(side.logs).sum(axis=1) for side in sides]
    difference = _row_means(candidate.logs) - _row_means(baseline.logs)
    error, own_error = (_standard_error(v, sides, counts) for v in (moderated, variance))
    family = max(1, len(difference) if family is None else family)
    return [
        Estimate(
            log_ratio=float(difference[i]),
            limit=limit(float(error[i]), float(own_error[i]), float(freedom[i]), prior, family),
            limit_alone=t_quantile(SAME_TAIL, float(freedom[i])) * float(error[i]) if freedom[i] else math.inf,
            spread=math.sqrt(moderated[i]) if freedom[i] else math.nan,
            freedom=float(freedom[i]) + prior,
            runs=(int(counts[0][i]), int(counts[1][i])),
        )
        for i in range(len(difference))
    ]


def limit(error: float, own_error: float, freedom: float, prior: float, family: int) -> float:
    """Return the difference that luck does not explain: the larger of the two limits of the module's text.

    Args:
        error, own_error: standard errors of the difference, by the moderated variance and by the case's own.
        freedom, prior: degrees of freedom of the case's own variance, and those that the moderation adds.
        family: number of cases that are judged at once.
    """
    if freedom <= 0:
        return math.inf
    case_by_case = t_quantile(ERROR_RATE / (2 * family), freedom + prior) * error
    as_a_whole = t_quantile(ERROR_RATE / 2, freedom) * own_error
    return max(case_by_case, as_a_whole)


def _standard_error(variance: Array, sides: Sequence[Runs], counts: Sequence[Array]) -> Array:
    """Return the standard error of each case's difference; no side is surer than its runs' own sampling error."""
    floors = [np.maximum(variance, np.maximum(_mean_square(side.errors), RESOLUTION**2)) for side in sides]
    with np.errstate(divide="ignore"):
        return np.sqrt(floors[0] / counts[0] + floors[1] / counts[1])


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


def _between_runs(groups: Sequence[Runs]) -> tuple[Array, Array]:
    """Return the degrees of freedom and the variance of each case's runs around the mean of their group."""
    freedom = np.zeros(len(groups[0].logs))
    squares = np.zeros(len(groups[0].logs))
    for group in groups:
        freedom += np.maximum(np.isfinite(group.logs).sum(axis=1) - 1, 0)
        squares += np.nansum((group.logs - _row_means(group.logs)[:, None]) ** 2, axis=1)
    return freedom, squares / np.maximum(freedom, 1)


def _row_means(values: Array) -> Array:
    """Return the mean of each row's known values; NaN where there is none."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def _mean_square(errors: Array) -> Array:
    """Return the mean square of each row's known errors; 0 where none is known."""
    means: Array = np.nan_to_num(_row_means(errors**2), nan=0.0)
    return means
