"""The compiled loops do what `chase` and `passes` say."""

from __future__ import annotations

import numpy as np
import pytest

from bandmark_kernels.core.compiled import compile_body
from bandmark_kernels.memory import bodies, chase
from bandmark_kernels.memory.passes import PASSES, TOLERANCE, block, expected_total, output_error, room_bytes


def test_a_chase_makes_as_many_hops_as_it_is_told() -> None:
    """It ends where the order of the ring has it."""
    words = np.zeros(1000 * 8, np.uint64)
    ring = chase.order(1000, "random-4k", 3)
    chase.link(words, ring)
    start = words.ctypes.data + chase.LINE_BYTES * int(ring[0])
    end = compile_body(bodies.chase)(start, 70 * chase.UNROLLED)
    assert type(end) is int, "an address that became a float is exact up to 2^53 alone, and costs every turn"
    assert end == words.ctypes.data + chase.LINE_BYTES * int(ring[70 * chase.UNROLLED % 1000])


@pytest.mark.parametrize("kernel", PASSES)
@pytest.mark.parametrize("n", [8, 1000, 4096])
def test_passes_yield_what_they_must(kernel: str, n: int) -> None:
    """Every pass counts, and the last one's output is whole."""
    kind = PASSES[kernel]
    arrays = block(kind, n, np.zeros(room_bytes(kind, n), np.uint8), seed=2)
    expected = expected_total(kind, arrays, 9)
    assert compile_body(getattr(bodies, kernel))(*arrays, 9) == pytest.approx(expected, rel=TOLERANCE)
    assert output_error(kind, arrays) <= 1
