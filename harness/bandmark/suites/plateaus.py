"""Find the levels of a memory hierarchy in a curve over working sets: its plateaus, and where each ends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from bandmark.results.row import LEVELS

_MIN_POINTS = 2
"""Points of a plateau: a single one is an outlier, or lies on the way from one level to the next."""

_MIN_OCTAVES = 1.0
"""Width of a plateau, from its first to its last point: no level is less than twice as large as the one before it."""

_NOISE_STEPS = 2.0
"""The least step over the median difference of neighbours, most of which are of one level."""


@dataclass(frozen=True, slots=True)
class Plateau:
    """Neighbouring points of a curve that one level serves."""

    first: int
    last: int
    """Positions of its first and its last point."""
    value: float
    """Median of its points."""
    end_bytes: float | None = None
    """The working set at which the curve has left it: where it crosses the geometric mean of this plateau and the next;
    None for the last."""


def find_plateaus(
    sizes: Sequence[float], values: Sequence[float], min_step: float, min_octaves: float = _MIN_OCTAVES
) -> list[Plateau]:
    """Return the plateaus of a curve, in order of size.

    The curve is cut where the absolute deviations of the values' logarithms from the medians of the pieces are least in
    sum, with half of the least step as the price of a cut; a noisy curve, whose neighbours differ by more, takes larger
    steps. Pieces that are too short are no plateaus; those whose medians differ by less than a step are one.

    Args:
        sizes: working sets in bytes, ascending.
        values: what was measured of each, above 0.
        min_step: ratio of two values from which they are of different levels.
        min_octaves: width of a plateau, from its first to its last point; 0 where sizes are moments.
    """
    logs = [math.log(value) for value in values]
    noise = median(abs(b - a) for a, b in pairwise(logs)) if len(logs) > 1 else 0.0
    step = max(math.log(min_step), _NOISE_STEPS * noise)
    pieces = [p for p in _cut(logs, step / 2) if _is_wide(sizes, *p, min_octaves)]
    plateaus = [Plateau(m[0], m[-1], math.exp(_middle(logs, m))) for m in _merged(logs, pieces, step)]
    ends = [_crossing(sizes, logs, a, b) for a, b in pairwise(plateaus)]
    return [replace(plateau, end_bytes=end) for plateau, end in zip(plateaus, [*ends, None], strict=False)]


def _merged(logs: Sequence[float], pieces: Sequence[tuple[int, int]], step: float) -> list[list[int]]:
    """Return the positions of the points of each level: neighbours that differ by less than a step are one."""
    levels: list[list[int]] = []
    for first, last in pieces:
        points = [*range(first, last + 1)]
        if levels and abs(_middle(logs, points) - _middle(logs, levels[-1])) < step:
            levels[-1] += points
        else:
            levels.append(points)
    return levels


def _middle(logs: Sequence[float], points: Sequence[int]) -> float:
    return median(logs[point] for point in points)


def _is_wide(sizes: Sequence[float], first: int, last: int, octaves: float) -> bool:
    return last - first + 1 >= _MIN_POINTS and sizes[last] >= 2**octaves * 0.99 * sizes[first]


def _cut(logs: Sequence[float], price: float) -> list[tuple[int, int]]:
    """Return first and last position of each piece of the cheapest cut, by dynamic programming over its last piece."""
    best: list[tuple[float, int]] = [(0.0, 0)]
    for stop in range(1, len(logs) + 1):
        costs = (
            (best[start][0] + price + _deviation(logs[start:stop]), start) for start in range(max(0, stop - 64), stop)
        )
        best.append(min(costs))
    pieces, stop = [], len(logs)
    while stop:
        start = best[stop][1]
        pieces.append((start, stop - 1))
        stop = start
    return pieces[::-1]


def _deviation(logs: Sequence[float]) -> float:
    middle = median(logs)
    return sum(abs(value - middle) for value in logs)


def _crossing(sizes: Sequence[float], logs: Sequence[float], one: Plateau, other: Plateau) -> float:
    """Return the working set at which the curve crosses the geometric mean of two plateaus, on logarithmic axes."""
    middle = (math.log(one.value) + math.log(other.value)) / 2
    rises = other.value > one.value
    for k in range(one.last, other.first):
        if (logs[k + 1] > middle) == rises:
            low, high = math.log(sizes[k]), math.log(sizes[k + 1])
            share = (middle - logs[k]) / (logs[k + 1] - logs[k]) if logs[k + 1] != logs[k] else 0.5
            return math.exp(low + min(1.0, max(0.0, share)) * (high - low))
    return float(sizes[other.first])


def name_levels(sizes: Sequence[int], plateaus: Sequence[Plateau], caches: Mapping[str, int]) -> list[str]:
    """Return the level of each plateau.

    One plateau more than there are caches are those caches and memory, in order. Otherwise the middle of a plateau
    tells, by the sizes of the caches; what goes on beyond the last cache is memory. Without known caches the order
    alone tells.

    Args:
        caches: bytes that one core reaches of each level, by LEVELS; empty where the system does not say.
    """
    known = [level for level in LEVELS if level in caches]
    if not known or len(plateaus) == len(known) + 1:
        names = [*known, "dram"] if known else [*LEVELS]
        return [*names[: len(plateaus) - 1], "dram"][: len(plateaus)] if len(plateaus) > 1 else ["dram"]

    def level(plateau: Plateau) -> str:
        middle = math.sqrt(sizes[plateau.first] * sizes[plateau.last])
        is_beyond = plateau is plateaus[-1] and sizes[plateau.last] > max(caches.values())
        return "dram" if is_beyond else next((name for name in known if middle <= caches[name]), "dram")

    return [*map(level, plateaus)]
