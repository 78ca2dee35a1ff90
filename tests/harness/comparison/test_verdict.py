"""The four verdicts: what each needs, what stands in their way, and the advice where a case is open."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.comparison.verdict import MARGIN, MOST_RUNS, Evidence, change, decide, instabilities
from bandmark.comparison.estimate import Estimate

NOTHING_ELSE = Evidence()


def case(log_ratio: float, limit: float = 0.01, limit_alone: float = 0.005, runs: int = 3) -> Estimate:
    """Return an estimate with these figures."""
    return Estimate(log_ratio=log_ratio, limit=limit, limit_alone=limit_alone, spread=0.004, runs=(runs, runs))


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [
        (case(0.05), "FASTER"),
        (case(-0.05), "SLOWER"),
        (case(0.0), "SAME"),
        (case(0.015, limit=0.001, limit_alone=0.0005), "SAME"),
        (case(0.05, limit=0.06), "UNCLEAR"),
        (case(0.019, limit=0.01, limit_alone=0.005), "UNCLEAR"),
        (case(0.0, limit=0.1, limit_alone=0.05), "UNCLEAR"),
        (case(0.5, limit=math.inf, limit_alone=math.inf, runs=1), "UNCLEAR"),
    ],
)
def test_verdicts(estimate: Estimate, verdict: str) -> None:
    """FASTER and SLOWER exceed luck and margin, SAME is surely within the margin, all else is UNCLEAR."""
    assert decide(estimate, NOTHING_ELSE, MARGIN).verdict == verdict


@given(st.floats(-1, 1), st.floats(1e-4, 0.5), st.floats(1e-4, 0.5), st.floats(0.001, 0.2))
def test_what_verdicts_imply(log_ratio: float, limit: float, alone: float, margin: float) -> None:
    """No FASTER or SLOWER within luck or margin, no SAME that may be beyond the margin, advice exactly when UNCLEAR."""
    found = decide(case(log_ratio, limit, alone), NOTHING_ELSE, margin)
    edge = math.log1p(margin)
    if found.verdict in ("FASTER", "SLOWER"):
        assert abs(log_ratio) > max(limit, edge) and (log_ratio > 0) == (found.verdict == "FASTER")
    if found.verdict == "SAME":
        assert abs(log_ratio) + alone <= edge
    assert bool(found.next_step) == (found.verdict == "UNCLEAR") and found.reason


def test_luck_is_told_in_the_direction_of_the_change() -> None:
    """A limit of 1 in logarithms is 172 % upwards and 63 % downwards."""
    said = [decide(case(sign * 1.5, limit=1.0), NOTHING_ELSE, MARGIN).reason for sign in (1, -1)]
    assert said == ["348 % faster; luck explains 172 % at most", "77.7 % slower; luck explains 63 % at most"]


def test_the_margin_is_the_users() -> None:
    """A wider margin makes a small change SAME, a narrower one makes it FASTER."""
    assert decide(case(0.03), NOTHING_ELSE, 0.05).verdict == "SAME"
    assert decide(case(0.015), NOTHING_ELSE, 0.01).verdict == "FASTER"


def test_doubts_stand_before_everything() -> None:
    """A case of which a run is in doubt is UNCLEAR however large the difference, and the reason is the doubt."""
    found = decide(case(0.5), Evidence(doubts=("baseline: the samples fall into two speeds",)), MARGIN)
    assert found.verdict == "UNCLEAR" and found.reason.startswith("baseline: the samples") and found.next_step


def test_a_clock_that_explains_the_difference() -> None:
    """A difference in the direction in which the clock differs is UNCLEAR; against it, or below 5 %, it stands."""
    assert decide(case(0.2), Evidence(clock_ratio=1.2), MARGIN).verdict == "UNCLEAR"
    assert decide(case(-0.2), Evidence(clock_ratio=0.8), MARGIN).verdict == "UNCLEAR"
    assert decide(case(-0.2), Evidence(clock_ratio=1.2), MARGIN).verdict == "SLOWER"
    assert decide(case(0.2), Evidence(clock_ratio=1.04), MARGIN).verdict == "FASTER"
    assert decide(case(0.0), Evidence(clock_ratio=1.2), MARGIN).verdict == "SAME"


def test_one_run_a_side_names_the_way_out() -> None:
    """Without a spread between runs the advice is more runs or --history; that history was in vain is said."""
    alone = case(0.5, limit=math.inf, limit_alone=math.inf, runs=1)
    without, tried = (decide(alone, Evidence(history=h), MARGIN) for h in (False, True))
    assert "--history" in without.next_step and "twice more" in without.next_step
    assert "stored run" in tried.reason and "stored run" not in without.reason


def test_advice_says_how_many_runs() -> None:
    """Twice the luck that the difference allows needs four times the runs; beyond twenty the machine must get quiet."""
    found = decide(case(0.05, limit=0.099, limit_alone=0.03), NOTHING_ELSE, MARGIN)
    assert re.search(r"about 12 runs a side", found.next_step)
    hopeless = decide(case(0.05, limit=0.5, limit_alone=0.2), NOTHING_ELSE, MARGIN)
    assert "quieten the machine" in hopeless.next_step
    for limit in np.linspace(0.051, 0.5, 40):
        text = decide(case(0.05, limit=float(limit), limit_alone=0.03), NOTHING_ELSE, MARGIN).next_step
        number = re.search(r"about (\d+) runs", text)
        assert number is None or 3 < int(number[1]) <= MOST_RUNS


def test_a_change_at_the_margin() -> None:
    """No number of runs tells on which side of the margin a change lies that is just on it: another margin does."""
    found = decide(case(math.log1p(MARGIN) - 1e-4), NOTHING_ELSE, MARGIN)
    assert found.verdict == "UNCLEAR" and "--margin" in found.next_step


def test_steady_samples_raise_no_doubt() -> None:
    """Normal noise of 1 % raises no doubt in 500 runs, nor does a single stall, which the median outlives."""
    rng = np.random.default_rng(1)
    assert not any(instabilities(list(1 + 0.01 * rng.standard_normal(20))) for _ in range(500))
    assert not instabilities([*(1 + 0.01 * rng.standard_normal(19)), 3.0])
    assert not instabilities([1.0]) and not instabilities([])


def test_unsteady_samples_raise_doubts() -> None:
    """Two speeds, drift and a few far samples are each named."""
    rng = np.random.default_rng(1)
    noise = 0.01 * rng.standard_normal(20)
    assert "two speeds" in instabilities(list(1 + noise + 0.2 * (np.arange(20) % 2)))[0]
    assert "slower while sampling" in instabilities(list(1 + noise / 5 + np.linspace(0, 0.1, 20)))[0]
    far = 1 + noise
    far[[3, 9, 15]] += 2
    assert "a few far ones" in instabilities(list(far))[0]


@pytest.mark.parametrize(
    ("log_ratio", "text"),
    [(math.log(1.051), "5.1 % faster"), (math.log(0.94), "6.0 % slower"), (math.log(4.0), "300 % faster")],
)
def test_changes_in_words(log_ratio: float, text: str) -> None:
    """A change is a percentage of the baseline's bandwidth, in words."""
    assert change(log_ratio) == text
