"""Order statistics, the confidence interval of the median, drift and two speeds: as properties and by simulation."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.judge.warnings import DRIFTS_FROM
from bandmark.measure.stats import (
    _median_interval,
    _median_ranks,
    drift,
    quantile,
    relative_stdev,
    summarize,
    two_states,
)

SECONDS = st.lists(st.floats(1e-7, 10.0), min_size=1, max_size=60)


@given(SECONDS)
def test_order_of_a_summary(seconds: list[float]) -> None:
    """Minimum <= first quartile <= median <= third quartile <= maximum, and all lie within the samples."""
    s = summarize(seconds)
    assert s.samples == len(seconds)
    assert s.min_s == min(seconds) and s.max_s == max(seconds)
    tiny = 1e-12 * s.max_s
    assert s.min_s <= s.q1_s + tiny and s.q1_s <= s.median_s + tiny
    assert s.median_s <= s.q3_s + tiny and s.q3_s <= s.max_s + tiny


@given(SECONDS, st.integers(-30, 30))
def test_scaling_times_scales_a_summary(seconds: list[float], power: int) -> None:
    """In another unit of time every time scales, and the relative figures stay (exactly, for powers of two)."""
    one, other = summarize(seconds), summarize([math.ldexp(t, power) for t in seconds])
    for name in ("median_s", "min_s", "q1_s", "q3_s", "max_s"):
        assert getattr(other, name) == math.ldexp(getattr(one, name), power)
    assert other.ci95_rel == one.ci95_rel


@given(SECONDS, st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(seconds: list[float], rng: random.Random) -> None:
    """A summary is the same for every permutation of the samples, and the samples are left as they were."""
    before = list(seconds)
    shuffled = list(seconds)
    rng.shuffle(shuffled)
    assert summarize(shuffled) == summarize(seconds)
    assert seconds == before


@given(SECONDS, st.floats(0, 1))
def test_quantiles_are_numpys(seconds: list[float], q: float) -> None:
    """The q-quantile is that of NumPy's default method."""
    assert quantile(sorted(seconds), q) == pytest.approx(np.quantile(seconds, q), rel=1e-12)


@given(st.floats(1e-7, 10.0), st.integers(6, 200))
def test_equal_samples_have_no_width(seconds: float, n: int) -> None:
    """Samples that all agree have an interval of width zero, no spread, no drift and one state."""
    s = summarize([seconds] * n)
    assert s.median_s == seconds
    assert s.ci95_rel == 0 and s.q1_s == s.q3_s == seconds
    assert drift([seconds] * n) == 0 and two_states([seconds] * n) is None


def test_nothing_has_no_summary() -> None:
    """No samples is an error, not a row of zeros."""
    with pytest.raises(ValueError, match="no samples"):
        summarize([])


@pytest.mark.parametrize("n", range(6))
def test_fewer_than_six_samples_have_no_interval(n: int) -> None:
    """Five samples can't enclose the median with 95 % confidence (2 / 2^5 is above 5 %)."""
    assert _median_ranks(n) is None
    assert n == 0 or summarize([1.0] * n).ci95_rel is None


def coverage(n: int, k: int) -> Fraction:
    """The exact probability that ranks k and n + 1 - k enclose the median: 1 - 2 P(B < k), B binomial(n, 1/2)."""
    return 1 - 2 * Fraction(sum(math.comb(n, i) for i in range(k)), 2**n)


@pytest.mark.parametrize("n", [*range(6, 80), 99, 100, 128, 333, 500, 750, 998, 999])
def test_ranks_are_the_narrowest_that_cover(n: int) -> None:
    """Below 1000 samples the ranks have at least 95 % coverage by exact binomial sums, the next ones less."""
    ranks = _median_ranks(n)
    assert ranks is not None
    low, high = ranks
    assert low + high == n + 1
    assert coverage(n, low) >= Fraction(95, 100) > coverage(n, low + 1)


@pytest.mark.parametrize("n", [1000, 1001, 1250, 2000, 4999])
def test_ranks_of_many_samples_are_close_to_exact(n: int) -> None:
    """From 1000 samples on the approximation is within a rank of the exact one, on the safe side."""
    ranks = _median_ranks(n)
    assert ranks is not None
    low, high = ranks
    assert low + high == n + 1
    assert coverage(n, low) >= Fraction(95, 100) > coverage(n, low + 2)


@pytest.mark.parametrize("n", [6, 20, 51, 200])
def test_the_interval_covers_the_median_as_often_as_it_says(n: int) -> None:
    """In 4000 draws from a skewed distribution the interval holds the true median in at least 95 % (+- 1 %)."""
    rng = np.random.default_rng(20261123)
    draws = np.sort(rng.lognormal(0.0, 0.5, (4000, n)), axis=1)
    hits = 0
    for row in draws.tolist():
        interval = _median_interval(row)
        assert interval is not None
        hits += interval[0] <= 1.0 <= interval[1]
    ranks = _median_ranks(n)
    assert ranks is not None
    assert hits / 4000 == pytest.approx(float(coverage(n, ranks[0])), abs=0.012)
    assert hits / 4000 > 0.94


def test_the_half_width_is_relative_to_the_median() -> None:
    """ci95_rel is half the distance of the interval's ends over the median: ranks 1 and 6 of six samples."""
    assert summarize([1.0, 2.0, 3.0, 5.0, 6.0, 9.0]).ci95_rel == pytest.approx((9 - 1) / 2 / 4)


@given(st.lists(st.floats(0.1, 10.0), min_size=2, max_size=40))
def test_relative_stdev_is_numpys(values: list[float]) -> None:
    """The relative standard deviation is the sample one, over the mean."""
    assert relative_stdev(values) == pytest.approx(np.std(values, ddof=1) / np.mean(values), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("values", [[], [1.0], [0.0, 0.0]])
def test_relative_stdev_of_too_little_is_infinite(values: list[float]) -> None:
    """Where it can't be told, the noise is infinite: nothing converges on it."""
    assert relative_stdev(values) == math.inf


@given(st.integers(12, 90), st.floats(0.01, 1.0))
def test_a_ramp_is_drift(n: int, change: float) -> None:
    """A change of level from the first third to the last, without noise, is drift of that size and sign."""
    third = n // 3
    up = [1.0] * third + [1.0 + change / 2] * (n - 2 * third) + [1.0 + change] * third
    assert drift(up) == pytest.approx(change / sorted(up)[n // 2], rel=0.6)
    assert drift(up) > 0 > drift(up[::-1])


@pytest.mark.parametrize("n", [0, 1, 5, 11])
def test_few_samples_show_no_drift(n: int) -> None:
    """Below twelve samples a third says too little."""
    assert drift([1.0 + i for i in range(n)]) == 0


def test_a_change_within_the_spread_is_no_drift() -> None:
    """Thirds must differ by more than three times the quartile distance within them."""
    noise = [0.0, 0.1, 0.2, 0.3]  # quartiles lie 0.15 apart
    assert drift([1 + x for x in noise] + [1.2] * 4 + [1.44 + x for x in noise]) == 0
    assert drift([1 + x for x in noise] + [1.2] * 4 + [1.46 + x for x in noise]) > 0


@pytest.mark.parametrize(("fast", "slow"), [(10, 10), (16, 4), (4, 16), (3, 3)])
def test_two_speeds_are_found(fast: int, slow: int) -> None:
    """Samples at two speeds, a fifth of them or more at each, are two states; their order does not matter."""
    seconds = [1.0 + 0.001 * (i % 3) for i in range(fast)] + [1.2 + 0.001 * (i % 3) for i in range(slow)]
    random.Random(1).shuffle(seconds)
    states = two_states(seconds)
    assert states is not None
    assert states == (pytest.approx(1.001, abs=0.0011), pytest.approx(1.201, abs=0.0011))


@pytest.mark.parametrize(
    "seconds",
    [
        [1.0] * 17 + [1.2] * 3,
        [1.0] * 3 + [1.2] * 2,
        [1.0] * 10 + [1.04] * 10,
        [1.0 + 0.02 * i for i in range(20)],
        [1.0, 1.1] * 5 + [1.25, 1.35] * 5,
    ],
    ids=["outliers", "too few", "too close", "a ramp", "gap within twice the spread"],
)
def test_what_is_not_two_speeds(seconds: list[float]) -> None:
    """Rare outliers, too few samples, a gap below 5 % or within the spread, and a ramp are not two states."""
    assert two_states(seconds) is None


FALSE_ALARMS = [
    # n, relative noise, most false alarms of drift and of two states in 2000 runs
    (6, 0.10, 0, 50),
    (12, 0.10, 16, 2),
    (20, 0.01, 0, 0),
    (20, 0.10, 4, 0),
    (60, 0.30, 0, 0),
    (200, 0.10, 0, 0),
]


@pytest.mark.parametrize(("n", "noise", "drifts", "states"), FALSE_ALARMS)
def test_stationary_noise_seldom_looks_like_something(n: int, noise: float, drifts: int, states: int) -> None:
    """Of 2000 runs of normal noise, from 20 samples on at most 0.2 % look like drift, none like two speeds.

    Below that, 1.7 % of runs of six samples look like two speeds and 0.4 % of runs of twelve like drift.
    """
    rng = np.random.default_rng(7)
    runs = np.maximum(0.1, rng.normal(1.0, noise, (2000, n))).tolist()
    assert sum(abs(drift(run)) >= DRIFTS_FROM for run in runs) <= drifts
    assert sum(two_states(run) is not None for run in runs) <= states
