"""How runs under the same conditions differ: what they have in common, what is left, and the moderation of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bandmark.comparison.spread import RESOLUTION, Runs, mean_square, moderate, row_means, spread_between_runs


def runs(values: np.ndarray) -> Runs:
    """Return these logarithms as runs whose errors are unknown."""
    return Runs(values, np.full(values.shape, math.nan))


def test_means_of_what_is_known() -> None:
    """Means leave out unknown values; without any a mean is unknown, and a squared error is none."""
    values = np.array([[1.0, 3.0, np.nan], [np.nan] * 3])
    assert row_means(values)[0] == 2 and math.isnan(row_means(values)[1])
    assert list(mean_square(values)) == [5.0, 0.0]


def test_what_runs_have_in_common() -> None:
    """If runs are fast or slow as a whole, all of it is common, with the runs' own degrees of freedom."""
    level = np.array([0.0, 0.01, 0.05, 0.02])
    found = spread_between_runs([runs(np.arange(40.0)[:, None] + level), runs(np.tile([0.0, 0.04], (40, 1)))])
    squares = np.sum((level - level.mean()) ** 2) + 2 * 0.02**2
    assert found.common_freedom == 4
    assert found.common == pytest.approx(math.sqrt(squares / 4))
    assert found.own == pytest.approx(0, abs=1e-20)


def test_what_is_left_of_cases() -> None:
    """If cases vary on their own, little is common, and the rest has their variance, without bias."""
    rng = np.random.default_rng(1)
    found = [spread_between_runs([runs(0.01 * rng.standard_normal((40, 4)))]) for _ in range(200)]
    assert np.mean([f.own for f in found]) == pytest.approx(1e-4, rel=0.03)
    assert np.mean([f.common**2 for f in found]) == pytest.approx(1e-4 / 40, rel=0.3)
    assert found[0].own_freedom.sum() == pytest.approx(3 * 39, rel=0.01)


def test_a_noisy_case_does_not_set_what_is_common() -> None:
    """A case with ten times the noise hardly moves what the others have in common."""
    rng = np.random.default_rng(2)
    values = 0.001 * rng.standard_normal((20, 6))
    values[0] *= 100
    assert spread_between_runs([runs(values)]).common < 0.001


def test_a_single_case_has_nothing_in_common() -> None:
    """With one case, all variance is its own."""
    found = spread_between_runs([runs(np.array([[0.0, 0.1]]))])
    assert (found.common, found.common_freedom, found.own[0]) == (0.0, 0, pytest.approx(0.005))


def test_runs_without_cases_do_not_count() -> None:
    """Runs that lack every case add no freedom; cases that no two runs have add nothing."""
    values = np.array([[0.0, 0.1, np.nan], [0.0, 0.1, np.nan], [np.nan, 0.3, np.nan]])
    found = spread_between_runs([runs(values)])
    assert found.common_freedom == 1 and list(found.freedom) == [1, 1, 0]


def test_single_runs_have_no_spread() -> None:
    """One run a group has no freedom anywhere, and raises no warning."""
    found = spread_between_runs([runs(np.array([[0.0], [1.0]])), runs(np.array([[0.5], [1.0]]))])
    assert not found.freedom.any() and found.common_freedom == 0 and found.prior == 0


def test_moderation_draws_to_what_is_typical() -> None:
    """Where variances scatter as chance has it, each is drawn to the typical one; a wild one stays large."""
    rng = np.random.default_rng(2)
    variance = 1e-4 * rng.chisquare(4, 200) / 4
    variance[0] = 1.0
    moderated, prior = moderate(variance, np.full(200, 4.0), np.zeros(200))
    assert prior > 2
    assert np.std(np.log(moderated[1:])) < 0.7 * np.std(np.log(variance[1:]))
    assert moderated[0] > 0.1 and np.median(moderated) == pytest.approx(1e-4, rel=0.2)


def test_unlike_variances_are_hardly_pooled() -> None:
    """Where the cases' variances differ much more than chance has it, moderation adds few degrees of freedom."""
    rng = np.random.default_rng(3)
    chance = rng.chisquare(4, 200) / 4
    freedom, floor = np.full(200, 4.0), np.zeros(200)
    _, alike = moderate(1e-4 * chance, freedom, floor)
    _, apart = moderate(1e-4 * chance * np.exp(2 * rng.standard_normal(200)), freedom, floor)
    assert apart < 2 < alike


def test_errors_within_runs_explain_variances() -> None:
    """A case with noisy samples is expected to vary more, and is not taken for a wild one."""
    rng = np.random.default_rng(4)
    sampling = np.where(np.arange(200) < 100, 1e-6, 1e-3)
    variance = sampling * rng.chisquare(4, 200) / 4
    moderated, prior = moderate(variance, np.full(200, 4.0), sampling)
    assert prior > 4
    assert np.median(moderated[:100]) == pytest.approx(1e-6, rel=0.5)
    assert np.median(moderated[100:]) == pytest.approx(1e-3, rel=0.5)


def test_a_single_variance_is_left_alone() -> None:
    """One case has nothing to be drawn to, and nothing is known better than a clock and nine figures."""
    moderated, prior = moderate(np.array([0.04]), np.array([4.0]), np.array([0.0]))
    assert (moderated[0], prior) == (0.04, 0.0)
    unknown, _ = moderate(np.array([9.0]), np.array([0.0]), np.array([0.0]))
    assert unknown[0] == RESOLUTION**2
