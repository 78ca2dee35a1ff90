"""Plateaus of synthetic staircases are found, named, and end where the stairs do."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.suites.plateaus import find_plateaus, name_levels

CACHES = {"L1": 32 * 2**10, "L2": 2**20, "L3": 32 * 2**20}


@st.composite
def staircases(draw: st.DrawFn) -> tuple[list[int], list[float], list[int], list[float]]:
    """Working sets of 2 or 4 an octave, a noisy staircase over them, the octaves in which its steps end, and steps."""
    per_octave = draw(st.sampled_from([2, 4]))
    ends = [draw(st.integers(low, low + 2)) for low in (2, 6, 11)][: draw(st.integers(0, 3))]
    up, ratios = draw(st.booleans()), [draw(st.floats(1.8, 8)) for _ in ends]
    steps = [10.0]
    for ratio in ratios:
        steps.append(steps[-1] * ratio if up else steps[-1] / ratio)
    rng = random.Random(draw(st.integers(0, 999)))
    octaves = [k / per_octave for k in range(16 * per_octave)]
    values = [steps[sum(octave > end for end in ends)] * math.exp(rng.uniform(-0.03, 0.03)) for octave in octaves]
    return [round(4096 * 2**octave) for octave in octaves], values, ends, steps


@given(staircases())
def test_every_step_of_a_staircase_is_a_plateau(
    stairs: tuple[list[int], list[float], list[int], list[float]],
) -> None:
    """As many plateaus as steps, each with its step's value, ending between the points around the step's end."""
    sizes, values, ends, steps = stairs
    plateaus = find_plateaus(sizes, values, 1.5)
    assert [p.value for p in plateaus] == pytest.approx(steps, rel=0.04)
    for plateau, end in zip(plateaus, ends, strict=False):
        assert sizes[plateau.last] <= 4096 * 2**end * 1.01
        assert plateau.end_bytes is not None and 0.99 <= plateau.end_bytes / (4096 * 2**end) <= 1.5
    assert plateaus[-1].end_bytes is None


@given(st.lists(st.floats(1e-3, 1e3), min_size=0, max_size=40))
def test_any_curve_has_an_answer(values: list[float]) -> None:
    """Plateaus are apart, in order, and within the curve, whatever is measured."""
    sizes = [round(4096 * 2 ** (k / 4)) for k in range(len(values))]
    plateaus = find_plateaus(sizes, values, 1.2)
    places = [place for plateau in plateaus for place in (plateau.first, plateau.last)]
    assert places == sorted(places) and all(0 <= place < len(values) for place in places)
    assert len(name_levels(sizes, plateaus, CACHES)) == len(plateaus)


def test_points_on_the_way_belong_to_no_plateau() -> None:
    """A step that takes two points lies between its plateaus, and ends the first where half of it is done."""
    values = [1.0] * 8 + [1.6, 2.6] + [4.0] * 8
    first, last = find_plateaus([round(4096 * 2 ** (k / 4)) for k in range(18)], values, 1.5)
    assert (first.first, first.last, last.first, last.last) == (0, 7, 10, 17)
    assert first.end_bytes == pytest.approx(4096 * 2 ** (8.46 / 4), rel=0.01)


@pytest.mark.parametrize(
    ("spans", "caches", "names"),
    [
        ([(12, 15), (16, 20), (21, 25), (26, 29)], CACHES, ["L1", "L2", "L3", "dram"]),
        ([(12, 13), (16, 17), (18, 19), (24, 25)], CACHES, ["L1", "L2", "L3", "dram"]),
        ([(12, 15), (21, 25)], CACHES, ["L1", "L3"]),
        ([(17, 20), (26, 29)], CACHES, ["L2", "dram"]),
        ([(12, 15), (16, 20), (21, 24), (25, 26), (27, 29)], CACHES, ["L1", "L2", "L3", "dram", "dram"]),
        ([(12, 15), (16, 20), (21, 29)], {}, ["L1", "L2", "dram"]),
        ([(12, 29)], {}, ["dram"]),
    ],
)
def test_levels_are_named_by_order_and_size(
    spans: list[tuple[int, int]], caches: dict[str, int], names: list[str]
) -> None:
    """A full set by its order, others by the caches that the system reports; the spans are powers of two."""
    sizes = [2**power for power in range(12, 30)]
    values = [1.0] * len(sizes)
    for number, (low, high) in enumerate(spans):
        values[low - 12 : high - 11] = [10.0 * 3**number] * (high - low + 1)
    plateaus = [p for p in find_plateaus(sizes, values, 1.5) if p.value > 2]
    assert [(sizes[p.first], sizes[p.last]) for p in plateaus] == [(2**low, 2**high) for low, high in spans]
    assert name_levels(sizes, plateaus, caches) == names
