"""What passes must yield: the total of an honest launch, and no other launch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bandmark_kernels.memory.passes import (
    GAP_BYTES,
    PASSES,
    SCALE,
    TOLERANCE,
    block,
    expected_total,
    output_error,
    room_bytes,
)

N, COUNT = 1000, 7


def arrays_of(kernel: str, n: int = N) -> list[Any]:
    """Return the arrays of a pass."""
    kind = PASSES[kernel]
    return block(kind, n, np.zeros(room_bytes(kind, n), np.uint8), seed=1)


def honest(kernel: str, arrays: list[Any], marks: range) -> float:
    """Make the passes in NumPy and return their total."""
    total = 0.0
    for mark in marks:
        arrays[-1][-1] = mark
        if kernel == "read":
            total += float(arrays[0].sum())
            continue
        arrays[0][:] = arrays[1] if kernel == "copy" else arrays[1] + SCALE * arrays[2]
        total += float(arrays[0][-1])
    return total


@pytest.mark.parametrize("kernel", PASSES)
def test_an_honest_launch_gives_the_expected_total(kernel: str) -> None:
    """As many passes as were asked for, each to its end."""
    arrays = arrays_of(kernel)
    expected = expected_total(PASSES[kernel], arrays, COUNT)
    assert honest(kernel, arrays, range(1, COUNT + 1)) == pytest.approx(expected, rel=TOLERANCE)
    assert output_error(PASSES[kernel], arrays) <= 1


@pytest.mark.parametrize("kernel", PASSES)
@pytest.mark.parametrize("marks", [range(1, COUNT), range(COUNT, COUNT + 1), range(2, COUNT + 2)], ids=str)
def test_other_launches_give_another_total(kernel: str, marks: range) -> None:
    """A pass that is left out, passes that are merged into the last, and marks that are not the passes' own."""
    arrays = arrays_of(kernel)
    expected = expected_total(PASSES[kernel], arrays, COUNT)
    assert honest(kernel, arrays, marks) != pytest.approx(expected, rel=1e6 * TOLERANCE)


@pytest.mark.parametrize("kernel", ["copy", "triad"])
@pytest.mark.parametrize("place", [0, N // 2, N - 1])
def test_an_output_that_misses_an_element_is_wrong(kernel: str, place: int) -> None:
    """NaN that no store has replaced, and a value that is off, are errors."""
    arrays = arrays_of(kernel)
    honest(kernel, arrays, range(1, 2))
    arrays[0][place] += 1e-9
    assert output_error(PASSES[kernel], arrays) > 1
    arrays[0][place] = np.nan
    assert output_error(PASSES[kernel], arrays) == np.inf


def test_arrays_of_a_block_are_apart() -> None:
    """They lie one after the other, 128 bytes apart, and hold different numbers."""
    a, b, c = arrays_of("triad")
    assert b.ctypes.data - a.ctypes.data == c.ctypes.data - b.ctypes.data == 8 * N + GAP_BYTES
    assert not np.array_equal(b, c) and b.min() >= 0 and b.max() <= 1
