"""The four verdicts: what each needs, what rules it out, and the next step where a case is inconclusive."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.comparison import MARGIN
from bandmark.comparison.compare import _MAX_RUNS, Evidence, decide
from bandmark.comparison.statistics import Estimate

NOTHING_ELSE = Evidence()


def case(
    log_ratio: float, limit: float = 0.01, limit_alone: float = 0.005, runs: int = 3, *, assumed: bool = False
) -> Estimate:
    """Return an estimate with these figures."""
    return Estimate(
        log_ratio=log_ratio, limit=limit, limit_alone=limit_alone, spread=0.004, runs=(runs, runs), is_assumed=assumed
    )


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
        (case(math.nan), "UNCLEAR"),
    ],
)
def test_verdicts(estimate: Estimate, verdict: str) -> None:
    """FASTER and SLOWER exceed limit and margin, SAME is surely within the margin, everything else is UNCLEAR."""
    assert decide(estimate, NOTHING_ELSE, MARGIN)[0] == verdict


@settings(deadline=None, max_examples=60)
@given(
    st.floats(-1, 1),
    st.floats(1e-4, 0.5),
    st.floats(1e-4, 0.5),
    st.floats(0.001, 0.2),
    st.floats(0, 0.3),
    st.booleans(),
)
def test_what_verdicts_imply(
    log_ratio: float, limit: float, alone: float, margin: float, sway: float, assumed: bool
) -> None:
    """No FASTER or SLOWER within limit or margin, no SAME that may be beyond it, a next step exactly when UNCLEAR."""
    evidence = Evidence(unsteady=("two speeds",) if sway else (), sway=sway)
    verdict, reason, step = decide(case(log_ratio, limit, alone, assumed=assumed), evidence, margin)
    edge = math.log1p(margin)
    if verdict in ("FASTER", "SLOWER"):
        assert abs(log_ratio) > max(limit + sway, edge) and (log_ratio > 0) == (verdict == "FASTER")
    if verdict == "SAME":
        assert abs(log_ratio) + alone <= edge and not sway
    assert bool(step) == (verdict == "UNCLEAR") and reason


def test_the_limit_is_given_in_the_direction_of_the_change() -> None:
    """A limit of 1 in logarithms is 172 % upwards and 63 % downwards."""
    reasons = [decide(case(sign * 1.5, limit=1.0), NOTHING_ELSE, MARGIN)[1] for sign in (1, -1)]
    assert reasons == [
        "348 % faster; differences between runs explain 172 % at most",
        "77.7 % slower; differences between runs explain 63 % at most",
    ]


def test_lower_is_better() -> None:
    """Where lower is better, a change is one of the metric: 20 % less time is 20 % faster."""
    evidence = Evidence(higher_is_better=False)
    verdict, reason, _ = decide(case(-math.log(0.8)), evidence, MARGIN)
    assert verdict == "FASTER" and reason.startswith("20.0 % faster; differences between runs explain 1.0 %")


def test_the_margin_is_the_users() -> None:
    """A wider margin makes a small change SAME, a narrower one makes it FASTER."""
    assert decide(case(0.03), NOTHING_ELSE, 0.05)[0] == "SAME"
    assert decide(case(0.015), NOTHING_ELSE, 0.01)[0] == "FASTER"


def test_doubts_come_first() -> None:
    """A case of which a run is suspect is UNCLEAR however large the change, and the reason is the run's."""
    verdict, reason, step = decide(case(0.5), Evidence(doubts=("baseline: suspect",)), MARGIN)
    assert verdict == "UNCLEAR" and reason == "baseline: suspect" and step


def test_unsteady_samples_widen_the_limit() -> None:
    """A change beyond limit and unsteadiness stands; a smaller one is UNCLEAR for that reason, and none is SAME."""
    unsteady = Evidence(unsteady=("baseline: two speeds",), sway=0.2)
    assert decide(case(0.25), unsteady, MARGIN)[0] == "FASTER"
    assert "explain 23 %" in decide(case(0.25), unsteady, MARGIN)[1]
    for change in (0.2, 0.0):
        assert decide(case(change), unsteady, MARGIN)[:2] == ("UNCLEAR", "baseline: two speeds")


def test_a_clock_that_explains_the_change() -> None:
    """A change in the direction in which the clock differs is UNCLEAR; against it, or below 5 %, it stands."""
    assert decide(case(0.2), Evidence(clock_ratio=1.2), MARGIN)[0] == "UNCLEAR"
    assert decide(case(-0.2), Evidence(clock_ratio=0.8), MARGIN)[0] == "UNCLEAR"
    assert decide(case(-0.2), Evidence(clock_ratio=1.2), MARGIN)[0] == "SLOWER"
    assert decide(case(0.2), Evidence(clock_ratio=1.04), MARGIN)[0] == "FASTER"
    assert decide(case(0.0), Evidence(clock_ratio=1.2), MARGIN)[0] == "SAME"


def test_changes_in_both_directions() -> None:
    """A change that other cases mirror is UNCLEAR, with more runs as the next step."""
    verdict, reason, step = decide(case(0.2), Evidence(mirrored=True), MARGIN)
    assert verdict == "UNCLEAR" and "in the other direction" in reason and step is not None and "3 runs" in step


def test_one_run_a_side_is_marked() -> None:
    """A verdict that rests on other devices' spread names the runs; where it is open, more runs or --history help."""
    _, reason, _ = decide(case(0.5, runs=1, assumed=True), NOTHING_ELSE, MARGIN)
    assert reason.endswith("(1 run a side)")
    step = decide(case(0.05, limit=0.06, runs=1, assumed=True), NOTHING_ELSE, MARGIN)[2]
    assert step is not None and "3 runs a side" in step and "--history" in step
    uneven = replace(case(0.5, assumed=True), runs=(1, 4))
    assert decide(uneven, NOTHING_ELSE, MARGIN)[1].endswith("(1 and 4 runs)")


def test_the_next_step_is_a_number_of_runs() -> None:
    """Twice the allowed limit needs four times the runs; beyond twenty the machine must become quieter."""
    step = decide(case(0.05, limit=0.099, limit_alone=0.03), NOTHING_ELSE, MARGIN)[2]
    assert step is not None and re.search(r"about 12 runs a side", step)
    hopeless = decide(case(0.05, limit=0.5, limit_alone=0.2), NOTHING_ELSE, MARGIN)[2]
    assert hopeless is not None and "quieten the machine" in hopeless
    for limit in np.linspace(0.051, 0.5, 40):
        text = decide(case(0.05, limit=float(limit), limit_alone=0.03), NOTHING_ELSE, MARGIN)[2]
        number = re.search(r"about (\d+) runs", text or "")
        assert number is None or 3 < int(number[1]) <= _MAX_RUNS


@pytest.mark.parametrize(
    ("log_ratio", "text"),
    [(math.log(1.051), "5.1 % faster"), (math.log(0.94), "6.0 % slower"), (math.log(4.0), "300 % faster")],
)
def test_changes_in_words(log_ratio: float, text: str) -> None:
    """A change is a percentage of the baseline's figure, in words."""
    assert decide(case(log_ratio), NOTHING_ELSE, MARGIN)[1].startswith(text)
