"""Tests of the operations that compiled CPU code needs."""

from __future__ import annotations

import numpy as np
from numba import njit

from bandmark_kernels.core.intrinsics import compiler_barrier, load_address


def test_an_address_is_followed() -> None:
    """`load_address` returns the 8 bytes at an address, so that loads of a ring come back to their start."""

    @njit("uint64(uint64,int64)")
    def walk(address: int, steps: int) -> int:
        for _ in range(steps):
            address = load_address(address)
        return address

    ring = np.zeros(4, np.uint64)
    start = ring.ctypes.data
    ring[:] = [start + 16, start, start + 24, start + 8]  # 0 -> 2 -> 3 -> 1 -> 0
    assert [(walk(start, steps) - start) // 8 for steps in range(5)] == [0, 2, 3, 1, 0]


def test_repeats_are_kept() -> None:
    """A store is not removed though the next repeat overwrites it, where a barrier stands between them."""

    @njit
    def fill(array: np.ndarray, repeats: int) -> None:
        for repeat in range(repeats):
            array[0] = repeat
            compiler_barrier()

    array = np.zeros(1, np.int64)
    fill(array, 3)
    assert array[0] == 2
    assembly = next(iter(fill.inspect_llvm().values()))
    assert "memory" in assembly
