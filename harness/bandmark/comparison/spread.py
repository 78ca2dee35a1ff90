"""How do runs under the same conditions differ, as a whole and case by case?

Three runs a side leave 4 degrees of freedom to a case, on which nothing could be shown for 80 cases at once. Variances
are therefore moderated as in G. K. Smyth, Linear models and empirical Bayes methods for assessing
differential expression in microarray experiments, Stat. Appl. Genet. Mol. Biol. 3 (2004): the variance of a case is
drawn towards the one expected of it, as if that came from d0 more degrees of freedom, and d0 follows from how alike
the variances of the cases are: many where pooling is justified, few where it is not. Four things are stricter here.
The expected variance is the sampling error of the case's own medians plus what typical cases vary beyond theirs (by
medians, so wild cases do not spoil tame ones). d0 comes from the upper end of its error, two standard errors away. No
side's variance is taken to be less than its runs' own sampling error, because agreeing runs may be luck. And a case
that varies more than the others must also pass by its own variance and degrees of freedom, as if it stood alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bandmark.comparison.quantiles import chi2_median, inverse_trigamma, trigamma

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


def spread_between_runs(groups: Sequence[Runs]) -> Spread:
    """Return how the runs of each group differ from each other, over all groups."""
    residuals = np.hstack([group.logs - row_means(group.logs)[:, None] for group in groups])
    counts = [np.isfinite(group.logs).sum(axis=1) for group in groups]
    freedom = np.sum([np.maximum(count - 1, 0) for count in counts], axis=0).astype(np.float64)
    sampling = mean_square(np.hstack([group.errors for group in groups]))
    known = freedom > 0
    total = np.nansum(residuals**2, axis=1) / np.maximum(freedom, 1)
    common, share, common_freedom = np.zeros(residuals.shape[1]), np.zeros(len(total)), 0
    if known.sum() > 1:
        weights = _weights(total, sampling, known)
        common, share = _common(residuals, weights), weights / weights.sum()
        runs = [int(np.isfinite(group.logs[known]).any(axis=0).sum()) for group in groups]
        common_freedom = sum(max(n - 1, 0) for n in runs)
    # The weighted mean takes from each case's freedom what the case contributes to it.
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


def _common(residuals: Array, weights: Array) -> Array:
    """Return what the cases of each run have in common: their weighted mean; 0 for a run without any."""
    present = np.where(np.isfinite(residuals), weights[:, None], 0.0)
    total = present.sum(axis=0)
    sums: Array = (present * np.nan_to_num(residuals)).sum(axis=0)
    return np.where(total > 0, sums / np.where(total > 0, total, 1), 0.0)


def _weights(variance: Array, sampling: Array, known: Array) -> Array:
    """Return the weight of each case in what is common to a run: less for noisy cases, none for unknown ones."""
    typical = float(np.median(variance[known]))
    least = max(typical, RESOLUTION**2)
    return np.where(known, 1 / np.maximum(np.maximum(variance, sampling), least), 0.0)


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


def row_means(values: Array) -> Array:
    """Return the mean of each row's known values; NaN where there is none."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def mean_square(errors: Array) -> Array:
    """Return the mean square of each row's known errors; 0 where none is known."""
    means: Array = np.nan_to_num(row_means(errors**2), nan=0.0)
    return means
