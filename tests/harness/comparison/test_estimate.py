"""What runs say of a difference: the estimate by hand, its limits, and the promised error rates by simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bandmark.comparison.estimate import ERROR_RATE, estimate, limit
from bandmark.comparison.quantiles import t_quantile
from bandmark.comparison.spread import RESOLUTION, Runs, Spread
from simulated_runs import WORLDS, World, rates

COMPARISONS = 40


def runs(*rows: list[float], error: float = math.nan) -> Runs:
    """Return cases of logarithms, all with the same error within their runs."""
    values = np.array(rows, dtype=float)
    return Runs(values, np.full(values.shape, error))


def test_difference_is_of_the_means_of_logarithms() -> None:
    """The estimate is the mean over the candidate's runs less that over the baseline's, per case."""
    cases = estimate(runs([1.0, 1.2], [2.0, 2.0]), runs([1.3, 1.5], [1.0, 1.4]))
    assert [c.log_ratio for c in cases] == pytest.approx([0.3, -0.8])
    assert [c.runs for c in cases] == [(2, 2), (2, 2)]


def test_one_case_is_students_t() -> None:
    """A single case has nothing to be pooled with: its limit is that of the two-sample t-test with pooled variance."""
    (case,) = estimate(runs([0.0, 0.02, 0.04]), runs([0.1, 0.11, 0.15]))
    variance = (2 * 0.0004 + (0.02**2 + 0.01**2 + 0.03**2)) / 4
    expected = t_quantile(ERROR_RATE / 2, 4) * math.sqrt(variance * 2 / 3)
    assert case.limit == pytest.approx(expected)
    assert case.spread == pytest.approx(math.sqrt(variance))


def test_missing_runs_count_as_missing() -> None:
    """A case that a run lacks is estimated from the others, with less freedom; without any on a side it is unknown."""
    lacking = runs([0.0, 0.1, math.nan], [math.nan] * 3)
    first, second = estimate(lacking, runs([0.2, 0.2, 0.2], [0.1, 0.1, 0.1]))
    assert first.runs == (2, 3) and first.log_ratio == pytest.approx(0.15)
    assert second.runs == (0, 3) and math.isnan(second.log_ratio)


def test_one_run_a_side_has_no_limit() -> None:
    """One run a side leaves the spread between runs unknown: no difference is large enough."""
    (case,) = estimate(runs([0.0], error=0.001), runs([1.0], error=0.001))
    assert math.isinf(case.limit) and math.isinf(case.limit_alone) and math.isnan(case.spread)


def test_history_gives_single_runs_a_spread() -> None:
    """Stored runs give single runs a limit; their own level does not matter, only how they differ."""
    history = [runs([5.0, 5.01, 4.99, 5.0]), runs([7.0, 7.02])]
    (case,) = estimate(runs([0.0]), runs([0.3]), history)
    variance = (0.0002 + 0.0002) / 4
    assert case.limit == pytest.approx(t_quantile(ERROR_RATE / 2, 4) * math.sqrt(2 * variance))


def test_runs_are_not_surer_than_their_samples() -> None:
    """Runs that agree by luck are not taken to agree better than the error within each allows."""
    (case,) = estimate(runs([0.0, 0.0, 0.0], error=0.01), runs([0.0, 0.0, 0.0], error=0.01))
    assert case.limit == pytest.approx(t_quantile(ERROR_RATE / 2, 4) * 0.01 * math.sqrt(2 / 3))


def test_nothing_is_known_without_bound() -> None:
    """Runs that agree to the last digit still have the error of a clock and of nine figures."""
    (case,) = estimate(runs([0.0, 0.0]), runs([0.0, 0.0]))
    assert case.limit >= t_quantile(ERROR_RATE / 2, 2) * RESOLUTION


def spread(**changes: Any) -> Spread:
    """Return the spread of one case with nothing in common with others, and changes."""
    plain: dict[str, Any] = {
        "common": 0.0,
        "common_freedom": 0,
        "freedom": np.array([4.0]),
        "own": np.array([0.0]),
        "own_freedom": np.array([4.0]),
        "moderated": np.array([0.0]),
        "prior": 20.0,
    }
    return Spread(**{**plain, **changes})


def test_more_cases_need_a_larger_difference() -> None:
    """The limit grows with the number of cases that are judged at once."""
    assert limit(spread(), 0, (0.0, 0.0, 0.01), 1) < limit(spread(), 0, (0.0, 0.0, 0.01), 80)
    pairs = runs(*[[0.0, 0.01]] * 20)
    few, many = (estimate(pairs, pairs, family=n)[0].limit for n in (1, 1000))
    assert few < many


def test_parts_of_the_limit() -> None:
    """What runs have in common adds to what holds for all cases at once; each part may err at half of the rate."""
    both = spread(common_freedom=4)
    for_all = t_quantile(ERROR_RATE / 320, 24) * 0.01
    assert limit(both, 0, (0.02, 0.001, 0.01), 80) == pytest.approx(t_quantile(ERROR_RATE / 4, 4) * 0.02 + for_all)
    assert limit(spread(), 0, (0.0, 0.001, 0.01), 80) == pytest.approx(t_quantile(ERROR_RATE / 160, 24) * 0.01)


def test_a_case_must_pass_on_its_own() -> None:
    """A case whose own runs vary more than pooling expects is held to its own variance and freedom."""
    assert limit(spread(), 0, (0.0, 0.1, 0.01), 80) == pytest.approx(t_quantile(ERROR_RATE / 2, 4) * 0.1)
    assert math.isinf(limit(spread(freedom=np.array([0.0])), 0, (0.0, 0.01, 0.01), 80))
    assert math.isinf(limit(spread(own_freedom=np.array([0.0])), 0, (0.0, 0.01, 0.01), 80))


@pytest.mark.parametrize("name", [name for name in WORLDS if name.startswith("no difference")])
def test_no_difference_is_found_where_there_is_none(name: str) -> None:
    """Comparisons of 80 cases without a difference give a FASTER or SLOWER in 1 % at most; here in one of 40."""
    assert rates(WORLDS[name], COMPARISONS, seed=11).any_change <= 1 / COMPARISONS


@pytest.mark.parametrize("name", [name for name in WORLDS if name.startswith("5 %")])
def test_five_percent_is_found(name: str) -> None:
    """A change of 5 % is found in 95 % of cases, with 20 samples, 3 runs a side, 1 % noise within, 0.3 % between."""
    world = WORLDS[name]
    assert (world.samples, world.runs, world.between) == (20, (3, 3), 0.003)
    found = rates(world, COMPARISONS, seed=12).verdicts
    right, wrong = ("SLOWER", "FASTER") if world.change < 0 else ("FASTER", "SLOWER")
    assert found[right] >= 0.95 and found[wrong] == 0


def test_same_is_said_where_it_is_true() -> None:
    """Quiet machines without a difference get SAME, and a true difference of the margin gets SAME in 5 % at most."""
    assert rates(World(), 20, seed=13).verdicts["SAME"] >= 0.95
    at_the_margin = rates(World(change=0.02), 20, seed=14).verdicts
    assert at_the_margin["SAME"] <= 0.06


@pytest.mark.parametrize(
    "name", ["drift within runs", "two states by sample", "two states in blocks", "two states by case"]
)
def test_unstable_machines_end_unclear(name: str) -> None:
    """Drift and two states of the clock, 20 % apart, give no verdict at all."""
    found = rates(WORLDS[name], 20, seed=15)
    assert found.any_change == 0 and found.verdicts["UNCLEAR"] >= 0.99


@pytest.mark.parametrize("name", ["heavy tails", "stalls"])
def test_heavy_tails_end_unclear(name: str) -> None:
    """Heavy tails give no FASTER or SLOWER and mostly UNCLEAR; a case that escaped them is truly the same."""
    found = rates(WORLDS[name], 20, seed=16)
    assert found.any_change == 0 and found.verdicts["UNCLEAR"] >= 0.85


def test_states_by_run_are_found_out_by_the_runs() -> None:
    """Where whole runs are in one of two states, verdicts come no oftener than all runs of a side agree by luck."""
    assert rates(WORLDS["two states by run"], 100, seed=17).any_change <= 0.07


def test_a_careless_limit_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two standard errors, as for one case alone, give a false verdict in most comparisons: the simulation sees it."""
    monkeypatch.setattr("bandmark.comparison.estimate.limit", lambda spread, case, errors, family: 2 * errors[2])
    assert rates(WORLDS["no difference, 2 % between runs"], 20, seed=18).any_change > 0.5
