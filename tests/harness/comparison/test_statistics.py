"""Estimates by hand, the quantiles, and the error rates that are promised, by small simulations."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bandmark.comparison.statistics import (
    _MIN_FREEDOM,
    _PRIOR_FREEDOM,
    _RESOLUTION,
    ERROR_RATE,
    PRIORS,
    Estimate,
    Prior,
    Replicates,
    _are_unequal,
    _components,
    _limit,
    _limit_in_errors,
    _t_quantile,
    estimate,
    is_mirrored,
)
from simulated_runs import NULLS, POWER, TROUBLED, rates

PRIOR = Prior("devices", 0.01)
COMPARISONS = 4
SEED = 11


def runs(*rows: list[float], error: float = math.nan) -> Replicates:
    """Return cases of logarithms, all with the same error within their runs."""
    values = np.array(rows, dtype=float)
    return Replicates(values, np.full(values.shape, error))


def estimated(baseline: Replicates, candidate: Replicates, *history: Replicates, family: int | None = None) -> Estimate:
    """Return the first case's estimate."""
    return estimate(baseline, candidate, history, prior=PRIOR, family=family)[0]


def test_difference_is_of_the_means_of_logarithms() -> None:
    """The estimate is the mean over the candidate's runs less that over the baseline's, per case."""
    cases = estimate(runs([1.0, 1.2], [2.0, 2.0]), runs([1.3, 1.5], [1.0, 1.4]), prior=PRIOR)
    assert [c.log_ratio for c in cases] == pytest.approx([0.3, -0.8])
    assert [c.runs for c in cases] == [(2, 2), (2, 2)]


def test_one_case_is_students_t() -> None:
    """A single case has nothing to be pooled with: its limit is that of the two-sample t test with pooled variance."""
    case = estimated(runs([0.0, 0.02, 0.04]), runs([0.1, 0.11, 0.15]))
    variance = (2 * 0.0004 + (0.02**2 + 0.01**2 + 0.03**2)) / 4
    assert case.limit == pytest.approx(_t_quantile(ERROR_RATE / 2, 4) * math.sqrt(variance * 2 / 3), rel=0.02)
    assert case.spread == pytest.approx(math.sqrt(variance), rel=1e-4) and not case.is_assumed


def test_independent_cases_are_pooled() -> None:
    """Of many cases that vary on their own, the limit is the Bonferroni limit of a normal difference."""
    rng = np.random.default_rng(1)
    sides = [Replicates(0.01 * rng.standard_normal((400, 3)), np.full((400, 3), math.nan)) for _ in range(2)]
    cases = estimate(*sides, prior=PRIOR)
    expected = _t_quantile(ERROR_RATE / 800, math.inf) * 0.01 * math.sqrt(2 / 3)
    assert float(np.median([c.limit for c in cases])) == pytest.approx(expected, rel=0.08)


def test_a_common_effect_is_not_averaged_out_by_cases() -> None:
    """Runs that are fast or slow as a whole leave the degrees of freedom of the runs, however many cases there are."""
    level = [0.0, 0.01, 0.02]
    few, many = (estimated(runs(*[level] * n), runs(*[level] * n), family=1) for n in (5, 500))
    assert many.limit == pytest.approx(few.limit, rel=0.01)
    assert many.limit == pytest.approx(_t_quantile(ERROR_RATE / 2, 4) * 0.01 * math.sqrt(2 / 3), rel=0.02)


def test_missing_runs_count_as_missing() -> None:
    """A case that a run lacks is estimated from the others; without any on a side its difference is unknown."""
    lacking = runs([0.0, 0.1, math.nan], [math.nan] * 3)
    first, second = estimate(lacking, runs([0.2, 0.2, 0.2], [0.1, 0.1, 0.1]), prior=PRIOR)
    assert first.runs == (2, 3) and first.log_ratio == pytest.approx(0.15)
    assert second.runs == (0, 3) and math.isnan(second.log_ratio)


def test_one_run_a_side_takes_the_prior() -> None:
    """One run a side has the spread of other devices of its kind, more of it with noisier samples, and is marked."""
    quiet, noisy = (estimated(runs([0.0], error=e), runs([1.0], error=e)) for e in (0.0001, 0.02))
    assert quiet.is_assumed and quiet.limit < noisy.limit < 1
    least = _t_quantile(ERROR_RATE / 2, _PRIOR_FREEDOM) * PRIOR.run * math.sqrt(2)
    assert least < quiet.limit < 1.5 * least


def test_priors_allow_20_percent_to_be_seen() -> None:
    """With one run a side, the limit of 80 cases is below 20 % for all kinds of device, and smallest on GPUs."""
    one = runs([0.0], error=0.003)
    limits = {kind: estimate(one, one, prior=prior, family=80)[0].limit for kind, prior in PRIORS.items()}
    assert limits["gpu"] < limits["cpu"] < limits["unknown"] < math.log(1.2)


def test_two_runs_a_side_join_the_prior() -> None:
    """Below three runs a side the variance is the average with the prior's, by degrees of freedom."""
    case = estimated(runs([0.0, 0.1]), runs([0.0, 0.1]))
    variance = (2 * 0.005 + _PRIOR_FREEDOM * PRIOR.run**2) / (2 + _PRIOR_FREEDOM)
    assert case.is_assumed and case.spread == pytest.approx(math.sqrt(variance + (PRIOR.run / 2) ** 2), rel=1e-3)


def test_history_replaces_the_prior() -> None:
    """Stored runs give single runs a limit; their own level does not matter, only how they differ."""
    history = [runs([5.0, 5.01, 4.99, 5.0]), runs([7.0, 7.02])]
    case = estimated(runs([0.0]), runs([0.3]), *history)
    variance = (0.0002 + 0.0002) / 4
    assert not case.is_assumed
    assert case.limit == pytest.approx(_t_quantile(ERROR_RATE / 2, _MIN_FREEDOM) * math.sqrt(2 * variance), rel=0.02)


def test_runs_are_not_surer_than_their_samples() -> None:
    """Runs that agree by chance are not taken to agree better than the error within each allows."""
    case = estimated(runs([0.0] * 3, error=0.01), runs([0.0] * 3, error=0.01))
    assert case.limit == pytest.approx(_t_quantile(ERROR_RATE / 2, math.inf) * 0.01 * math.sqrt(2 / 3), rel=0.03)
    exact = estimated(runs([0.0] * 3), runs([0.0] * 3))
    least = _t_quantile(ERROR_RATE / 2, math.inf) * _RESOLUTION * math.sqrt(2 / 3)
    assert exact.limit == pytest.approx(least, rel=1e-6)


def test_a_noisy_case_does_not_widen_the_others() -> None:
    """One case with a hundred times the noise leaves the others' limit alone, and has a wide one itself."""
    rng = np.random.default_rng(2)
    noise = 0.001 * rng.standard_normal((2, 40, 3))
    noise[:, 0] *= 100
    cases = estimate(*[Replicates(n, np.full((40, 3), math.nan)) for n in noise], prior=PRIOR)
    assert cases[0].limit > 0.2 and max(c.limit for c in cases[1:]) < 0.02


def test_more_cases_need_a_larger_difference() -> None:
    """The limit grows with the number of cases that are judged at once."""
    rng = np.random.default_rng(3)
    sides = [Replicates(rng.standard_normal((20, 3)), np.full((20, 3), math.nan)) for _ in range(2)]
    limits = [estimated(*sides, family=n).limit for n in (1, 10, 1000)]
    assert all(a < b for a, b in pairwise(limits))


@pytest.mark.parametrize("scale", [1e-6, 1e3])
def test_estimates_do_not_depend_on_the_unit(scale: float) -> None:
    """The same runs in another unit give the same differences and limits."""
    rng = np.random.default_rng(4)
    logs = [0.01 * rng.standard_normal((5, 3)) for _ in range(2)]
    nothing = np.full((5, 3), math.nan)
    plain = estimate(*[Replicates(x, nothing) for x in logs], prior=PRIOR)
    scaled = estimate(*[Replicates(x + math.log(scale), nothing) for x in logs], prior=PRIOR)
    assert [c.limit for c in scaled] == pytest.approx([c.limit for c in plain], rel=1e-6)
    assert [c.log_ratio for c in scaled] == pytest.approx([c.log_ratio for c in plain], abs=1e-9)


@pytest.mark.parametrize(
    ("tail", "freedom", "t"),
    [
        (0.025, 1, 12.7062), (0.025, 4, 2.77645), (0.005, 10, 3.16927), (0.0005, 4, 8.61030), (1e-6, 30, 5.87112),
        (0.025, 2.5, 3.57465), (0.025, 1e4, 1.96020), (0.025, math.inf, 1.95996),
    ],
)  # fmt: skip
def test_quantiles_of_students_t(tail: float, freedom: float, t: float) -> None:
    """The quantiles are those of published tables, and of the incomplete beta function between them."""
    assert _t_quantile(tail, freedom) == pytest.approx(t, rel=2e-4)


def test_quantiles_that_do_not_exist() -> None:
    """Without freedom there is no bound; a tail of one half and more is a mistake of the caller."""
    assert math.isinf(_t_quantile(0.01, 0))
    for tail in (0.0, 0.5, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1/2"):
            _t_quantile(tail, 3)


@pytest.mark.parametrize("name", NULLS)
def test_equal_sides_have_no_verdict(name: str) -> None:
    """Whole comparisons of equal cases give no FASTER or SLOWER; tests/benchmarks has the rates."""
    assert rates(NULLS[name], COMPARISONS, SEED).any_change == 0


@pytest.mark.parametrize("name", TROUBLED)
def test_unsteady_machines_end_unclear(name: str) -> None:
    """Drift, heavy tails and two clock states give no FASTER or SLOWER, and mostly UNCLEAR."""
    found = rates(TROUBLED[name], 2, SEED)
    assert found.any_change == 0 and found.verdicts["UNCLEAR"] >= 0.85


@pytest.mark.parametrize("name", POWER)
def test_changes_are_found(name: str) -> None:
    """5 % with three runs a side and 20 % with one are found in nearly all cases, and never in the wrong direction."""
    found = rates(POWER[name], COMPARISONS, SEED).verdicts
    right, wrong = ("SLOWER", "FASTER") if POWER[name].change < 0 else ("FASTER", "SLOWER")
    assert found[right] >= 0.95 and found[wrong] == 0


def test_a_careless_limit_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two standard errors, as for one case alone, give a false verdict in most comparisons: the simulation shows it."""
    monkeypatch.setattr(
        "bandmark.comparison.statistics._limit", lambda run, _r, rest, _f, _n: 2 * math.hypot(run, rest)
    )
    assert rates(NULLS["2 % between runs"], COMPARISONS, SEED).any_change > 0.5


def single(log_ratio: float) -> Estimate:
    """What single runs say of a case."""
    return Estimate(log_ratio=log_ratio, limit=0.1, limit_alone=0.1, spread=0.01, runs=(1, 1), is_assumed=True)


@pytest.mark.parametrize(
    ("log_ratios", "mirrored"),
    [
        ([1.0, -1.0], True),
        ([1.0, 1.0, 1.0, -1.0], True),  # a quarter
        ([1.0, 1.0, 1.0, 1.0, -1.0], False),
        ([1.0, -1.25], True),  # of one size up to a quarter
        ([1.0, -1.26], False),
        ([0.0, 0.0], False),  # in no direction
        ([1.0], False),
    ],
)
def test_changes_of_one_size_in_both_directions(log_ratios: list[float], mirrored: bool) -> None:
    """A quarter of the changes of a size must go the other way."""
    cases = [single(log_ratio) for log_ratio in log_ratios]
    assert is_mirrored(cases[0], cases) is mirrored
    assert not is_mirrored(replace(cases[0], is_assumed=False), cases)


def test_the_spread_of_few_runs() -> None:
    """Without replicates nothing is known; two runs of two cases leave one degree of freedom for the rest."""
    nan = np.full((2, 2), np.nan)
    assert _components([nan]) == (0.0, 0.0, 0.0, 0.0)
    run, run_freedom, rest, rest_freedom = _components([np.array([[0.1, -0.1], [0.3, -0.3]]), nan])
    assert (run, run_freedom, rest_freedom) == (pytest.approx(0.08), 1, 0.5)
    assert rest == pytest.approx(0.1**2 * 4)  # deviations of 0.1 from the effects of 0.2, four of them for one degree


@pytest.mark.parametrize(
    ("variance", "freedom", "typical", "unequal"),
    [
        (1.9, 2.0, 1.0, False),
        (2.1, 2.0, 1.0, True),
        (2.4, 1.0, 1.0, False),
        (2.5, 1.0, 1.0, True),
        (9.0, 2.0, 0.0, False),
    ],
)
def test_cases_of_unequal_spread(variance: float, freedom: float, typical: float, unequal: bool) -> None:
    """With 25 cases the mean square must be twice what chance has, 1 + 2 / freedom; cases without runs do not count."""
    variances = np.repeat([variance, 0.0], 25)
    assert _are_unequal(variances, np.repeat([freedom, 0.0], 25), typical) is unequal
    assert _are_unequal(variances, np.zeros(50), 1.0) is False


@pytest.mark.parametrize("freedom", [0.5, 5.0, 1e9])
def test_the_limit_without_a_run_effect(freedom: float) -> None:
    """It is the quantile of Student's t for the family, of which each case may exceed it at both ends."""
    expected = _t_quantile(ERROR_RATE / 2 / 10, freedom)
    assert _limit(0.0, 10.0, 1.0, freedom, 10) == pytest.approx(expected, rel=1e-3)


def test_the_limit_between_tabulated_shares() -> None:
    """The table is read linearly between two shares of the rest in the error."""
    low, high = (_limit_in_errors(6.0, 10, share) for share in (0.5, 0.6))
    limit = _limit(math.sqrt(1 - 0.525**2), 6.0, 0.525, math.inf, 10)
    assert limit == pytest.approx(low + 0.25 * (high - low)) and low != pytest.approx(high, rel=1e-3)
