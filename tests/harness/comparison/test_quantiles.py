"""Student's t and the gamma functions: against printed tables and exact values."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.comparison.quantiles import chi2_median, inverse_trigamma, t_quantile, t_tail, trigamma

FREEDOM = st.floats(0.5, 1e5)


@pytest.mark.parametrize(
    ("tail", "df", "expected"),
    [(0.025, 1, 12.7062), (0.025, 4, 2.77645), (0.0005, 4, 8.61030), (0.05, 10, 1.81246), (0.005, 30, 2.74999)],
)
def test_quantiles_of_tables(tail: float, df: int, expected: float) -> None:
    """Quantiles agree with the printed tables of Student's t."""
    assert t_quantile(tail, df) == pytest.approx(expected, rel=1e-5)


@given(st.floats(1e-12, 0.49))
def test_one_degree_of_freedom_is_cauchy(tail: float) -> None:
    """With one degree of freedom the quantile is that of the Cauchy distribution, 1 / tan(pi tail), far out too."""
    assert t_quantile(tail, 1) == pytest.approx(1 / math.tan(math.pi * tail), rel=1e-6)


@given(st.floats(1e-12, 0.49))
def test_two_degrees_of_freedom(tail: float) -> None:
    """With two degrees of freedom the quantile is (1 - 2 p) / sqrt(2 p (1 - p)) exactly."""
    assert t_quantile(tail, 2) == pytest.approx((1 - 2 * tail) / math.sqrt(2 * tail * (1 - tail)), rel=1e-6)


@given(st.floats(1e-9, 0.49), FREEDOM)
def test_quantile_inverts_the_tail(tail: float, df: float) -> None:
    """The tail beyond a quantile is the one that was asked for."""
    assert t_tail(t_quantile(tail, df), df) == pytest.approx(tail, rel=1e-5)


@given(st.floats(1e-6, 0.4), FREEDOM)
def test_more_freedom_comes_nearer_to_normal(tail: float, df: float) -> None:
    """The quantile falls with the degrees of freedom, towards the normal one, and is infinite without any."""
    normal = -NormalDist().inv_cdf(tail)
    assert t_quantile(tail, df) >= t_quantile(tail, 2 * df) >= normal - 1e-6
    assert t_quantile(tail, 1e9) == pytest.approx(normal, rel=1e-6)
    assert math.isinf(t_quantile(tail, 0))


@pytest.mark.parametrize("tail", [0.0, 0.5, -1.0, 1.0])
def test_tails_that_make_no_sense(tail: float) -> None:
    """A tail outside (0, 1/2) is refused."""
    with pytest.raises(ValueError, match="not between"):
        t_quantile(tail, 3)


def test_trigamma_at_known_places() -> None:
    """Trigamma is pi^2/6 at 1, pi^2/2 at 1/2, and falls by 1/x^2 from x to x + 1."""
    assert trigamma(1) == pytest.approx(math.pi**2 / 6, rel=1e-11)
    assert trigamma(0.5) == pytest.approx(math.pi**2 / 2, rel=1e-11)
    assert trigamma(7.3) - trigamma(8.3) == pytest.approx(1 / 7.3**2, rel=1e-9)


@given(st.floats(1e-3, 1e3))
def test_inverse_trigamma(x: float) -> None:
    """The inverse of trigamma returns its argument; nothing varies by zero or less, so it is infinite there."""
    assert inverse_trigamma(trigamma(x)) == pytest.approx(x, rel=1e-6)
    assert math.isinf(inverse_trigamma(0.0))


@pytest.mark.parametrize(("df", "median"), [(1, 0.454936), (2, 2 * math.log(2)), (4, 3.356694), (10, 9.341818)])
def test_chi_square_median(df: int, median: float) -> None:
    """The approximate median of chi-square over its degrees of freedom is within 4 % of the tables'."""
    assert chi2_median(df) == pytest.approx(median / df, rel=0.04)
