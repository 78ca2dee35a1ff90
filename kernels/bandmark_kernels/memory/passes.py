"""Passes over arrays that stay where they are, so that a cache serves them: read, copy and triad, repeated.

Before each pass the last element of an input takes the number of the pass, from 1 on, and what comes of that element is
added up: the sum tells whether every pass was made, and made to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bandmark_kernels.core import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TILE = 8192
"""Elements, 64 KiB, that a loader reads between two pauses."""

GAP_BYTES = 128
"""Bytes between the arrays of a block. Arrays that start at the same place of a page, or of a cache's way, make stores
wait for loads of other lines: triad reached 57 % in the first level."""

SCALE = 0.5
"""The factor of triad."""

_TILE = 2**16 - 3
"""Random elements that repeat: an odd number, so that no two arrays or lines are alike."""

TOLERANCE = 1e-11
"""Relative error of a total that rounding explains: sums of positive numbers, in float64, in any order of many lanes.
A pass that is left out, merged with another or cut short changes the total by more, up to 10^11 elements."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One kind of pass. The first array is what is written, or else what is read; the last one takes the mark."""

    reads: int
    writes: int
    result: Callable[..., Any]
    """float64 arrays that are read -> what the pass yields: an array, or a number."""

    @property
    def arrays(self) -> int:
        """How many arrays there are."""
        return self.reads + self.writes


PASSES: Mapping[str, Pass] = {
    "read": Pass(1, 0, lambda a: a.sum()),
    "copy": Pass(1, 1, lambda b: b),
    "triad": Pass(2, 1, lambda b, c: b + SCALE * c),
}
"""The passes of a sweep, by the kernel that each repeats."""


def block(kind: Pass, n: int, room: NDArray[np.uint8], seed: int) -> list[Array]:
    """Return the arrays of a pass, n elements from 0 to 1 each, as parts of a room that starts at a page."""
    rng = np.random.default_rng(seed)
    arrays = []
    for k in range(kind.arrays):
        start = k * (n * 8 + GAP_BYTES)
        arrays.append(room[start : start + n * 8].view(np.float64))
        tile = rng.random(min(n, _TILE))
        for begin in range(0, n, _TILE):
            arrays[-1][begin : begin + _TILE] = tile[: n - begin]
    return arrays


def room_bytes(kind: Pass, n: int) -> int:
    """Return the bytes that the arrays of a pass and the gaps between them take."""
    return kind.arrays * (n * 8 + GAP_BYTES)


def expected_total(kind: Pass, arrays: list[Array], passes: int) -> float:
    """Return what a launch of so many passes adds up: sums of the array read, or last elements of the one written."""
    inputs = [array[:-1] if kind.writes == 0 else array[-1:] for array in arrays[kind.writes :]]
    marks = passes * (passes + 1) / 2
    if kind.writes == 0:
        return float(passes * kind.result(*inputs) + marks)
    inputs[-1] = np.array([marks / passes])  # the mean of the marks: the passes are linear in them
    return float(passes * kind.result(*inputs)[0])


def expected_load(array: Array, tiles: int) -> float:
    """Return the sum of so many tiles of an array, read round and round."""
    sums = array.reshape(-1, TILE).sum(axis=1)
    rounds, rest = divmod(tiles, len(sums))
    return float(rounds * sums.sum() + sums[:rest].sum())


def output_error(kind: Pass, arrays: list[Array]) -> float:
    """Return the largest error of what the last pass wrote, in units of its rounding; inf for what is no number."""
    if kind.writes == 0:
        return 0.0
    expected = kind.result(*arrays[1:])
    error = np.max(abs(arrays[0] - expected)) / (2 * np.finfo(np.float64).eps * np.max(abs(expected)))
    return float(np.nan_to_num(error, nan=np.inf))
