"""Estimate the change of each case, and the largest change that differences between runs explain.

The run is the unit of replication: samples within a run share its memory pages, clock and temperature (T. Kalibera and
R. Jones, Rigorous benchmarking in reasonable time, ISMM 2013). A run contributes one number per case, the logarithm of
its figure, in a two-way layout with a random run effect (S. R. Searle, G. Casella and C. E. McCulloch, Variance
Components, 1992): mean of the case on its side + run effect + rest. More cases do not average the run effect out.

- Run effect: its variance is the mean square of the runs' medians over the cases, with the few degrees of freedom that
  the replicates leave: 4 for three runs a side.
- Rest: its variance is pooled over all cases, by a quantile of the residuals, so that a few noisy cases do not widen
  all others. No case is taken to be known better than the samples within its runs say. Where the variances of the cases
  differ by more than chance has it, each case must also pass a t test by its own runs alone.
- With few degrees of freedom a prior joins in, the spread between runs of such devices: variances are averaged with
  their degrees of freedom as weights, which is the posterior under a scaled inverse chi-square prior (A. Gelman et al.,
  Bayesian Data Analysis, 3rd edition, section 2.6). With one run a side the prior is all there is.

The limit of a case is the change that any of the cases exceeds by chance with probability ERROR_RATE: the run effect,
Student's t, is integrated out, and given the run effect the cases share the rate (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[np.float64]

ERROR_RATE = 0.004
"""Probability of any FASTER or SLOWER among cases that do not differ: less than half of the 1 % that is promised,
because the spread of real runs is not quite normal."""

# Probability that a case passes the t test by its own runs without a difference, where cases are unequal: the test then
# has to hold for all that vary more than typical ones.
_OWN_RATE = 0.00025
_UNEQUAL_FROM = 5.0  # standard errors from which the mean square of the cases' variances shows that they are unequal
_SAME_TAIL = 0.05  # beyond each end of the 90 % interval of one case
_MIN_FREEDOM = 4  # from which the spread is that of the replicates alone: three runs a side
_PRIOR_FREEDOM = 20  # that a prior is worth: its standard deviation is known to a sixth
_RESOLUTION = 1e-4  # relative error below which no figure is known: host clocks, and nine digits in the file
_ONE_SIGMA = 0.6826895  # probability that a normal deviate lies within one standard deviation
_LIKE_SIZE = 0.25  # relative difference up to which two changes are of the same size
_STEPS = 10  # in which the limit is tabulated by the share of the rest in the error of a difference


@dataclass(frozen=True, slots=True)
class Prior:
    """The spread between runs that a kind of device is known for."""

    name: str
    run: float
    """Relative standard deviation of the run effect; that of the rest is taken to be half of it."""


PRIORS = {
    "gpu": Prior("GPUs", 0.01),
    "cpu": Prior("bare-metal CPUs", 0.015),
    "unknown": Prior("CPUs in virtual machines", 0.025),
}
"""Spread between runs by kind of device, each the upper end of what is published.

GPUs: BabelStream's triad on GH200, 0.1 % (dnhkng.github.io, 2026-04-25); copies and matrix-vector products on units of
GB10, 1.7 and 2.7 % (github.com/tonyd2wild/DeepSeek-V4.1-Flash-vLLM-DGX-Spark, issue 1), which differ as units as well.
CPUs in virtual machines: eight runs of four kernels on the system xeon-vm-2-vcpu vary by 2.4 % as a whole (README of
version 0.1.0). Bare metal lies between: no replicates of it are published here."""


@dataclass(frozen=True, slots=True)
class Replicates:
    """Runs under the same conditions: a side of the comparison, or stored runs of one system."""

    logs: _Array
    """Of figures, cases x runs, larger is better; NaN where a run lacks a case."""
    errors: _Array
    """Relative standard error of each within its run, of the same shape; NaN where unknown."""

    @property
    def residuals(self) -> _Array:
        """Deviations from the mean of each case; NaN where it has fewer than two runs."""
        known = np.isfinite(self.logs)
        several = known & (known.sum(axis=1, keepdims=True) > 1)
        deviations: _Array = np.where(several, self.logs - _row_means(self.logs)[:, None], np.nan)
        return deviations

    @property
    def sampling(self) -> _Array:
        """Mean squared error of the figures of each case within their runs."""
        means = _row_means(np.clip(self.errors, 0, 1e3) ** 2)
        squares: _Array = np.maximum(np.nan_to_num(means, nan=0.0), _RESOLUTION**2)
        return squares


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the runs say of one case. Differences are of logarithms, candidate less baseline, above zero for faster."""

    log_ratio: float
    limit: float
    """Largest difference that chance explains, over all cases at once."""
    limit_alone: float
    """Half-width of the 90 % interval of this case alone."""
    spread: float
    """Relative standard deviation between runs."""
    runs: tuple[int, int]
    """Runs of the baseline and of the candidate that have the case."""
    is_assumed: bool = False
    """Whether the spread is in part that of other devices of this kind, for lack of replicates."""


def estimate(
    baseline: Replicates,
    candidate: Replicates,
    history: Sequence[Replicates] = (),
    *,
    prior: Prior,
    family: int | None = None,
) -> list[Estimate]:
    """Return what the runs say of each case.

    Args:
        baseline, candidate: the two sides, with the same cases in the same order.
        history: groups of stored runs of the same systems, which add to the replicates.
        prior: the spread between runs of this kind of device, used while replicates are few.
        family: number of cases that are judged at once; by default those given.
    """
    sides = (baseline, candidate)
    difference = _row_means(candidate.logs) - _row_means(baseline.logs)
    groups = [group.residuals for group in (*sides, *history)]
    run, run_freedom, rest, rest_freedom = _components(groups)
    case_freedoms = _freedoms(groups)
    case_variances = np.nansum(np.hstack(groups) ** 2, axis=1) / np.maximum(case_freedoms, 1)
    unequal = _are_unequal(case_variances, case_freedoms, run + rest)
    few = run_freedom < _MIN_FREEDOM
    if few:
        run = (run_freedom * run + _PRIOR_FREEDOM * prior.run**2) / (run_freedom + _PRIOR_FREEDOM)
        rest = (rest_freedom * rest + _PRIOR_FREEDOM * (prior.run / 2) ** 2) / (rest_freedom + _PRIOR_FREEDOM)
        run_freedom, rest_freedom = run_freedom + _PRIOR_FREEDOM, math.inf
    counts = np.array([np.isfinite(side.logs).sum(axis=1) for side in sides])
    shares = 1 / np.maximum(counts, 1)
    sampling = np.array([side.sampling for side in sides])
    # What the samples within a run leave open is part of the replicates' spread, but not of the prior.
    rests = rest + sampling if few else np.maximum(rest, sampling)
    run_errors, rest_errors = np.sqrt(run * shares.sum(axis=0)), np.sqrt((rests * shares).sum(axis=0))
    own_errors = np.sqrt(case_variances * shares.sum(axis=0))
    estimates = []
    for i, (log_ratio, run_error, rest_error) in enumerate(zip(difference, run_errors, rest_errors, strict=True)):
        limit = _limit(float(run_error), run_freedom, float(rest_error), rest_freedom, family or len(difference))
        if unequal and case_freedoms[i] > 0:
            limit = max(limit, _t_quantile(_OWN_RATE / 2, float(case_freedoms[i])) * float(own_errors[i]))
        case = Estimate(
            log_ratio=float(log_ratio),
            limit=limit,
            limit_alone=_t_quantile(_SAME_TAIL, run_freedom) * math.hypot(run_error, rest_error),
            spread=math.sqrt(run + rests[:, i].max()),
            runs=(int(counts[0, i]), int(counts[1, i])),
            is_assumed=few,
        )
        estimates.append(case)
    return estimates


def is_mirrored(case: Estimate, cases: Sequence[Estimate]) -> bool:
    """Return whether single runs show changes of one size in both directions, a quarter of them in the other.

    A clock of two states that changes between cases does that, and nothing in single runs shows it otherwise.
    """
    if not case.is_assumed:
        return False
    size = abs(case.log_ratio)
    like = [e.log_ratio for e in cases if abs(abs(e.log_ratio) - size) <= _LIKE_SIZE * size]
    opposite = sum(log_ratio * case.log_ratio < 0 for log_ratio in like)
    return 4 * opposite >= len(like) > 1


def _components(groups: Sequence[_Array]) -> tuple[float, float, float, float]:
    """Return variance and degrees of freedom of the run effect, and those of the rest, from the groups' residuals."""
    residuals = np.hstack(groups)
    known = np.isfinite(residuals)
    if not known.any():
        return 0.0, 0.0, 0.0, 0.0
    effects = np.array([np.median(e) if e.size else 0.0 for e in (c[np.isfinite(c)] for c in residuals.T)])
    freedom = sum(max(0, int(np.isfinite(g).any(axis=0).sum()) - 1) for g in groups)
    run = float(np.sum(effects**2)) / freedom
    left = float(_freedoms(groups).sum()) - freedom
    if left <= 0:
        return run, freedom, 0.0, 0.0
    deviations = np.abs(residuals - effects)[known] * math.sqrt(known.sum() / left)
    # A quantile is about half as efficient as the variance, hence half the degrees of freedom.
    return run, freedom, float(np.quantile(deviations, _ONE_SIGMA)) ** 2, left / 2


def _freedoms(groups: Sequence[_Array]) -> _Array:
    total: _Array = np.sum([np.maximum(np.isfinite(g).sum(axis=1) - 1.0, 0) for g in groups], axis=0)
    return total


def _are_unequal(variances: _Array, freedoms: _Array, typical: float) -> bool:
    """Return whether the variances of the cases differ by more than chance has it.

    The mean square of an estimated variance with f degrees of freedom is 1 + 2 / f squares of the true one.
    """
    known = freedoms > 0
    if not known.any() or typical <= 0:
        return False
    expected = 1 + 2 / float(freedoms[known].mean())
    square = float(np.mean((variances[known] / typical) ** 2))
    return square > expected * (1 + _UNEQUAL_FROM / math.sqrt(known.sum()))


def _row_means(values: _Array) -> _Array:
    """Return the mean of each row's known values; NaN where there is none."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    sums = np.where(known, values, 0.0).sum(axis=1)
    means: _Array = np.where(count > 0, sums / np.maximum(count, 1), np.nan)
    return means


def _limit(run_error: float, run_freedom: float, rest_error: float, rest_freedom: float, family: int) -> float:
    """Return the difference that any of the cases exceeds by chance with probability ERROR_RATE."""
    if 0 < rest_freedom < math.inf:
        # A normal deviate with the tail that Student's t has where the limit lies.
        tail = ERROR_RATE / 2 / family
        rest_error *= _t_quantile(tail, rest_freedom) / _t_quantile(tail, math.inf)
    error = math.hypot(run_error, rest_error)
    part = _STEPS * rest_error / error
    low = min(int(part), _STEPS - 1)
    limits = [_limit_in_errors(run_freedom, family, (low + i) / _STEPS) for i in (0, 1)]
    return error * (limits[0] + (part - low) * (limits[1] - limits[0]))


@lru_cache(maxsize=4096)
def _limit_in_errors(freedom: float, family: int, share: float) -> float:
    """Return the limit in standard errors of a difference, of which the rest has this share."""
    u = np.linspace(-12.0, 12.0, 801)
    effects, weights = math.sqrt(1 - share**2) * np.sinh(u), _t_density(u, freedom) * (u[1] - u[0])
    scale = max(share, 1e-6) * math.sqrt(2)

    def chance(limit: float) -> float:
        beyond = [math.erfc((limit - effect) / scale) + math.erfc((limit + effect) / scale) for effect in effects]
        return float(np.dot(weights, np.minimum(1.0, family * np.array(beyond) / 2)))

    return _solve(chance, ERROR_RATE)


@lru_cache(maxsize=4096)
def _t_quantile(tail: float, freedom: float) -> float:
    """Return the t that Student's t exceeds with probability tail, below one half; infinite without freedom.

    The tail is integrated by Simpson's rule over u = arsinh(t), along which it decays exponentially.
    """
    if not 0 < tail < 0.5:
        raise ValueError(f"a tail of {tail} is not between 0 and 1/2")
    if freedom <= 0:
        return math.inf
    if freedom > 1e6:
        return -NormalDist().inv_cdf(tail)

    def beyond(t: float) -> float:
        u = np.linspace(math.asinh(t), math.asinh(t) + 40 / min(freedom, 8), 1001)
        weights = np.where(np.arange(len(u)) % 2 == 1, 4.0, 2.0)
        weights[[0, -1]] = 1.0
        return float(np.dot(weights, _t_density(u, freedom))) * float(u[1] - u[0]) / 3

    return _solve(beyond, tail)


def _t_density(u: _Array, freedom: float) -> _Array:
    """Return the density of Student's t at sinh(u), times the derivative of sinh."""
    scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2
    density: _Array = np.exp(scale - (freedom + 1) / 2 * np.log1p(np.sinh(u) ** 2 / freedom)) * np.cosh(u)
    return density


def _solve(falling: Callable[[float], float], value: float) -> float:
    """Return where a falling function of a positive number takes a value."""
    low, high = 0.0, 1.0
    while falling(high) > value:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > value else (low, middle)
    return (low + high) / 2
