"""The loops of the memory hierarchy, as Numba compiles them (bandmark_kernels.core.compiled).

This module imports Numba: import it only where compiled code is about to run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bandmark_kernels.core import intrinsics
from bandmark_kernels.memory.passes import SCALE, TILE

compiler_barrier: Any = intrinsics.compiler_barrier
load_address: Any = intrinsics.load_address


def chase(start: Any, hops: Any) -> Any:
    """Return where so many loads lead from an address; hops are a multiple of UNROLLED."""
    address = np.uint64(start)  # of a signed and an unsigned number Numba makes a float, in every turn of the loop
    for _ in range(hops // 16):
        address = load_address(load_address(load_address(load_address(address))))
        address = load_address(load_address(load_address(load_address(address))))
        address = load_address(load_address(load_address(load_address(address))))
        address = load_address(load_address(load_address(load_address(address))))
    return address


def read(a: Any, passes: Any) -> Any:
    """Return the sum of the sums of all passes over an even number of elements.

    Two halves at once make twice the sums under way: with one, the latency of additions bounds a first-level cache.
    """
    total, last, half = 0.0, a.size - 1, a.size // 2
    for k in range(passes):
        a[last] = k + 1.0
        compiler_barrier()
        low, high = 0.0, 0.0
        for i in range(half):
            low += a[i]
            high += a[i + half]
        compiler_barrier()
        total += low + high
    return total


def copy(a: Any, b: Any, passes: Any) -> Any:
    """Copy b to a; return the sum of the last elements that the passes wrote."""
    total, last = 0.0, a.size - 1
    for k in range(passes):
        b[last] = k + 1.0
        compiler_barrier()
        for i in range(a.size):
            a[i] = b[i]
        compiler_barrier()
        total += a[last]
    return total


def load(a: Any, control: Any, progress: Any, pause: Any) -> Any:
    """Read an array tile by tile, round and round, until control[0] is set; return the sum of all that was read.

    progress[0] counts the tiles that were read; after each the loop waits for so many turns.
    """
    total, start = 0.0, 0
    while control[0] == 0:
        tile, part = a[start : start + TILE], 0.0
        for i in range(tile.size):
            part += tile[i]
        total += part
        progress[0] += 1
        start += TILE
        if start == a.size:
            start = 0
        for _ in range(pause):
            compiler_barrier()
        compiler_barrier()
    return total


def triad(a: Any, b: Any, c: Any, passes: Any) -> Any:
    """Store b + SCALE * c in a; return the sum of the last elements that the passes wrote."""
    total, last = 0.0, a.size - 1
    for k in range(passes):
        c[last] = k + 1.0
        compiler_barrier()
        for i in range(a.size):
            a[i] = b[i] + SCALE * c[i]
        compiler_barrier()
        total += a[last]
    return total
