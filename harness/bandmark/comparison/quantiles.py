"""Which quantiles does comparing runs need? Student's t, and those of variances.

SciPy has all of these, and as a dependency for four functions it would be the largest one of the package.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

NEARLY_NORMAL = 1e7
"""Degrees of freedom from which Student's t is the normal distribution to eight figures."""


def t_tail(t: float, df: float) -> float:
    """Return P(T > t) for t >= 0: half of the incomplete beta function I_x(df/2, 1/2) at x = df / (df + t^2).

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.5.27.
    """
    # 1 - x by its own formula: near t = 0 the difference would have no figures left.
    return 0.5 * _beta(df / 2, 0.5, df / (df + t * t), t * t / (df + t * t))


def _beta(a: float, b: float, x: float, rest: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b), with rest = 1 - x (DLMF 8.17.4, 8.17.22)."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, rest, x)
    log_front = a * math.log(x) + b * math.log(rest) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(log_front) / a * _beta_fraction(a, b, x)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of DLMF 8.17.22 by the modified Lentz method (DLMF 3.10)."""
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / (1.0 + term * d)
            c = 1.0 + term / c
            value *= c * d
        if abs(c * d - 1.0) < 1e-14:
            return value
    raise ArithmeticError(f"the continued fraction of I_x({a}, {b}) at {x} does not converge")


@lru_cache(maxsize=4096)
def t_quantile(tail: float, df: float) -> float:
    """Return the t that Student's t with df degrees of freedom exceeds with probability tail, below one half.

    The tail and not the level, because 1 - 1e-17 is 1. Infinite without a degree of freedom.
    """
    if not 0 < tail < 0.5:
        raise ValueError(f"a tail of {tail} is not between 0 and 1/2")
    if df <= 0:
        return math.inf
    if df >= NEARLY_NORMAL:
        return -NormalDist().inv_cdf(tail)
    low, high = 0.0, 1.0
    while t_tail(high, df) > tail:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, df) > tail else (low, middle)
    return (low + high) / 2


def trigamma(x: float) -> float:
    """Return the second derivative of log gamma, by recurrence to x >= 10 and its asymptotic series (DLMF 5.15.8)."""
    shifted = 0.0
    while x < 10:
        shifted += 1 / (x * x)
        x += 1
    y = 1 / (x * x)
    return shifted + 1 / x + y / 2 + y / x * (1 / 6 - y * (1 / 30 - y * (1 / 42 - y / 30)))


def inverse_trigamma(value: float) -> float:
    """Return the x > 0 at which trigamma is value; it falls from infinity to zero. Infinite for zero and below."""
    if value <= 0:
        return math.inf
    low, high = 0.0, 1.0
    while trigamma(high) > value:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if trigamma(middle) > value else (low, middle)
    return (low + high) / 2


def chi2_median(df: float) -> float:
    """Return the median of chi-square over df, within 4 %: (1 - 2 / (9 df))^3 (Wilson and Hilferty, 1931)."""
    return float((1 - 2 / (9 * df)) ** 3)
