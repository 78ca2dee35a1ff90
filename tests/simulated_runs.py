"""Pretend comparisons of which the truth is known: cases x runs x samples, with the troubles that real machines have.

Times are relative: 1 is the true time of a launch of the baseline. Everything goes the way of real samples: summary,
doubts, sides, verdicts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bandmark.comparison import Figure, Run, Side
from bandmark.comparison.compare import compare_sides
from bandmark.comparison.sides import _NORMAL_95, _instabilities
from bandmark.comparison.table import Comparison
from bandmark.measure.stats import summarize

Array = np.ndarray[Any, np.dtype[np.float64]]
Rng = np.random.Generator

Within = Callable[[Rng, tuple[int, ...]], Array]
"""Noise of the samples of a side, relative: (generator, (cases, runs, samples)) -> such an array."""


def normal(rng: Rng, shape: tuple[int, ...]) -> Array:
    """1 % of independent normal noise."""
    return 0.01 * rng.standard_normal(shape)


def heavy(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Noise without a mean: Cauchy, of 1 % scale, cut where a launch would take no time or a hundred times as long."""
    return np.clip(0.01 * rng.standard_cauchy(shape), -0.9, 100.0)


def stalls(rng: Rng, shape: tuple[int, ...]) -> Array:
    """One sample in ten takes twice as long on average."""
    return normal(rng, shape) + (rng.random(shape) < 0.1) * rng.exponential(1.0, shape)


def drift(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Each case of each run becomes slower or faster by up to 20 %, linearly, as a device warms up."""
    slope = rng.uniform(-0.2, 0.2, (*shape[:2], 1))
    return normal(rng, shape) + slope * np.linspace(0, 1, shape[2])


def two_states(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Each sample is taken in one of two states of the clock, 20 % apart."""
    return normal(rng, shape) + 0.2 * (rng.random(shape) < 0.5)


def two_states_in_blocks(rng: Rng, shape: tuple[int, ...]) -> Array:
    """The clock changes its state once within each case, at any moment, 20 % apart."""
    moment = rng.integers(0, shape[2] + 1, (*shape[:2], 1))
    late = np.arange(shape[2]) >= moment
    return normal(rng, shape) + 0.2 * (late ^ (rng.random((*shape[:2], 1)) < 0.5))


def two_states_by_case(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Each case of each run is wholly in one of two states, 20 % apart."""
    return normal(rng, shape) + 0.2 * (rng.random((*shape[:2], 1)) < 0.5)


def two_states_by_run(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Each run is wholly in one of two states, 20 % apart."""
    return normal(rng, shape) + 0.2 * (rng.random((1, shape[1], 1)) < 0.5)


def alike(rng: Rng, cases: int) -> Array:
    """All cases vary from run to run by the same amount."""
    return np.ones(cases)


def unlike(rng: Rng, cases: int) -> Array:
    """One case in ten varies four times as much from run to run."""
    return np.where(rng.random(cases) < 0.1, 4.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class World:
    """How a simulated machine behaves. Fractions of the time."""

    cases: int = 80
    runs: tuple[int, int] = (3, 3)
    samples: int = 20
    change: float = 0.0
    """By how much the candidate's bandwidth really differs: -0.05 for 5 % less."""
    between: float = 0.005
    """Standard deviation between runs."""
    shared: float = 0.0
    """Share of the variance between runs that all cases of a run have in common."""
    halves: bool = False
    """Whether the cases fall into two halves, as of two backends, each of which is fast or slow as a whole."""
    scales: Callable[[Rng, int], Array] = field(default=alike)
    within: Within = field(default=normal)

    def comparison(self, rng: Rng) -> Comparison:
        """Measure both sides once and compare them."""
        scales = self.scales(rng, self.cases)
        baseline = self._side(rng, "baseline", self.runs[0], 1.0, scales)
        candidate = self._side(rng, "candidate", self.runs[1], 1 + self.change, scales)
        return compare_sides(baseline, [candidate])[0]

    def _side(self, rng: Rng, label: str, runs: int, speed: float, scales: Array) -> Side:
        own = rng.standard_normal((2 if self.halves else self.cases, runs))
        if self.halves:
            own = np.repeat(own, self.cases // 2, axis=0)
        own *= scales[:, None]
        common = rng.standard_normal((1, runs))
        offsets = self.between * (math.sqrt(1 - self.shared) * own + math.sqrt(self.shared) * common)
        noise = self.within(rng, (self.cases, runs, self.samples))
        times = (1 + offsets[..., None]) * np.maximum(1 + noise, 0.05) / speed
        return Side(label=label, runs=tuple(self._run(f"{label}-{j}", times[:, j]) for j in range(runs)))

    def _run(self, name: str, times: Array) -> Run:
        return Run(name=name, figures=tuple(figure(i, list(t)) for i, t in enumerate(times)), device="Fake GPU")


def figure(case: int, seconds: list[float]) -> Figure:
    """Return a case's figure from its samples: a launch moves 100 GB."""
    summary = summarize(seconds)
    unsteady, sway = _instabilities(seconds)
    return Figure(
        case={"backend": "numpy", "kernel": f"case-{case}", "dtype": "float64", "n": 1000},
        value=100 / summary.median_s,
        best=100 / summary.min_s,
        error=None if summary.ci95_rel is None else summary.ci95_rel / _NORMAL_95,
        unsteady=tuple(unsteady),
        sway=sway,
    )


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What came out of many comparisons, as fractions."""

    any_change: float
    """Comparisons with any FASTER or SLOWER."""
    verdicts: dict[str, float]
    """Cases with each verdict."""


def rates(world: World, comparisons: int, seed: int) -> Rates:
    """Compare again and again in one world."""
    rng = np.random.default_rng(seed)
    counted: Counter[str] = Counter()
    changed = 0
    for _ in range(comparisons):
        found = world.comparison(rng).count()
        counted.update(found)
        changed += found["FASTER"] + found["SLOWER"] > 0
    total = sum(counted.values())
    return Rates(any_change=changed / comparisons, verdicts={v: n / total for v, n in counted.items()})


def _one_run(**changes: Any) -> World:
    """Return a world with one run a side."""
    return World(runs=(1, 1), **changes)


NULLS: dict[str, World] = {
    "runs vary case by case": World(),
    "runs vary as a whole": World(shared=1.0),
    "half and half": World(shared=0.5),
    "2 % between runs": World(between=0.02),
    "2 % between runs, as a whole": World(between=0.02, shared=1.0),
    "2 % between runs, mostly as a whole": World(between=0.02, shared=0.9),
    "2 % between runs, by halves of the cases": World(between=0.02, halves=True),
    "a tenth of cases 4 x as variable": World(scales=unlike),
    "a tenth of cases 4 x as variable, 2 % between runs": World(between=0.02, scales=unlike),
    "two runs a side": World(between=0.02, shared=0.5, runs=(2, 2)),
    "five runs against one": World(between=0.02, runs=(5, 1)),
    "one case": World(cases=1, between=0.02),
    "one run a side": _one_run(),
    "one run a side, 2 % as a whole": _one_run(between=0.02, shared=1.0),
    "one run a side, 3.5 % as a whole": _one_run(between=0.035, shared=1.0),
    "one run a side, 2 % case by case": _one_run(between=0.02),
}
"""Equal sides."""

TROUBLED: dict[str, World] = {
    f"{name}{text}": World(runs=runs, within=within)
    for text, runs in (("", (3, 3)), (", one run a side", (1, 1)))
    for name, within in (
        ("drift within runs", drift),
        ("heavy tails", heavy),
        ("stalls", stalls),
        ("two states by sample", two_states),
        ("two states in blocks", two_states_in_blocks),
        ("two states by case", two_states_by_case),
    )
}
"""Equal sides on machines that drift, stall or have two clock states 20 % apart."""

POWER: dict[str, World] = {
    "5 % faster, runs vary case by case": World(change=0.05),
    "5 % faster, runs vary as a whole": World(change=0.05, shared=1.0),
    "5 % faster, half and half": World(change=0.05, shared=0.5),
    "5 % slower, runs vary case by case": World(change=-0.05),
    "5 % slower, runs vary as a whole": World(change=-0.05, shared=1.0),
    "20 % faster, one run a side": _one_run(change=0.2),
    "20 % faster, one run a side, as a whole": _one_run(change=0.2, shared=1.0),
    "20 % slower, one run a side": _one_run(change=-0.2),
    "50 % faster, one run a side": _one_run(change=0.5),
}
"""Sides that differ in every case; 1 % of noise within runs and 0.5 % between them."""

BY_RUN: dict[str, World] = {
    "two states by run": World(within=two_states_by_run),
    "two states by run, four runs a side": World(within=two_states_by_run, runs=(4, 4)),
}
"""Equal sides of whole runs in one of two states, which no figure shows: all runs of one side may be in one state and
all of the other in the other, with probability 2^(1 - 2n)."""
