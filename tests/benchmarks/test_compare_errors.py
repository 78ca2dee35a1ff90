"""Error rates and power of `bandmark compare`, by simulations of known truth; `make test-bench` prints the figures."""

from __future__ import annotations

from typing import Any

import pytest

from simulated_runs import BY_RUN, NULLS, POWER, TROUBLED, Rates, World, rates

COMPARISONS = 200
"""Comparisons of 80 cases in each world. Without --benchmark-enable, two."""

COMPARISONS_OF_EQUALS = 1000
"""Comparisons of equal sides, whose rate of false verdicts is thus known to 0.3 %."""

SEED = 7


def measured(name: str, world: World, benchmark: Any, capsys: pytest.CaptureFixture[str]) -> Rates:
    """Simulate a world, and print what came out of it."""
    comparisons = COMPARISONS_OF_EQUALS if world in NULLS.values() else COMPARISONS
    found = benchmark.pedantic(rates, (world, 2 if benchmark.disabled else comparisons, SEED), rounds=1)
    if not benchmark.disabled:
        shares = ", ".join(f"{100 * share:.2f} % {verdict}" for verdict, share in found.verdicts.items() if share)
        with capsys.disabled():
            print(f"\n{name}: any FASTER or SLOWER in {100 * found.any_change:.1f} % of comparisons; cases {shares}")
    return found


@pytest.mark.parametrize("name", [*NULLS, *TROUBLED])
def test_false_verdicts(name: str, benchmark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Comparisons of equal sides have a FASTER or SLOWER in 1 % at most, on unsteady machines as well."""
    found = measured(f"equal sides, {name}", {**NULLS, **TROUBLED}[name], benchmark, capsys)
    assert found.any_change <= 0.01
    assert name not in TROUBLED or found.verdicts["UNCLEAR"] >= 0.85


@pytest.mark.parametrize("name", POWER)
def test_power(name: str, benchmark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A change of 5 % is found in 95 % of cases with three runs a side, one of 20 % in 90 % with one run a side."""
    found = measured(name, POWER[name], benchmark, capsys).verdicts
    right, wrong = ("SLOWER", "FASTER") if POWER[name].change < 0 else ("FASTER", "SLOWER")
    assert found[right] >= (0.9 if POWER[name].runs == (1, 1) else 0.95) and found[wrong] == 0


@pytest.mark.parametrize("name", BY_RUN)
def test_states_of_whole_runs(name: str, benchmark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Where whole runs are in one of two states, verdicts are wrong as often as chance sorts the states by side."""
    world = BY_RUN[name]
    by_chance = 2 ** (1 - 2 * world.runs[0])
    found = measured(f"equal sides, {name} ({100 * by_chance:.1f} % by chance)", world, benchmark, capsys)
    allowed = 0.5 if benchmark.disabled else 0.01
    assert found.any_change <= by_chance + allowed
