"""The loops of the memory hierarchy, as Numba compiles them (bandmark_kernels.core.compiled).

This module imports Numba: import it only where compiled code is about to run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bandmark_kernels.core import intrinsics
from bandmark_kernels.core.compiled import compile_body
from bandmark_kernels.memory import places
from bandmark_kernels.memory.passes import SCALE, TILE
from bandmark_kernels.memory.places import INCREMENT, MULTIPLIER

compiler_barrier: Any = intrinsics.compiler_barrier
load_address: Any = intrinsics.load_address
first_of_stride: Any = compile_body(places.first_of_stride)


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


def strided(words: Any, progress: Any, step: Any) -> None:
    """Read every step-th element, from another first one in each launch (places.first_of_stride)."""
    first, total = np.uint64(first_of_stride(np.int64(progress[0]), step)), np.uint64(0)
    for k in range(words.size // step):
        total += words[first + np.uint64(k) * np.uint64(step)]
    progress[0] += np.uint64(1)
    progress[1] += total


def gather(words: Any, progress: Any, visits: Any, shift: Any, width: Any) -> None:
    """Read granules of len(width) elements at so many places, in the order of places.follow."""
    state, total, size = progress[0], np.uint64(0), np.uint64(len(width))
    mask = np.uint64(words.size) // size - np.uint64(1)
    for _ in range(visits):
        state = (state * np.uint64(MULTIPLIER) + np.uint64(INCREMENT)) & mask
        start = (state ^ (state >> shift)) * size
        for j in range(len(width)):
            total += np.uint64(words[start + np.uint64(j)])
    progress[0] = state
    progress[1] += total


def scatter(words: Any, progress: Any, visits: Any, shift: Any, width: Any) -> None:
    """Store the number of the visit in each element of the granules at so many places, in the same order."""
    state, number, size = progress[0], progress[1], np.uint64(len(width))
    mask = np.uint64(words.size) // size - np.uint64(1)
    for _ in range(visits):
        state = (state * np.uint64(MULTIPLIER) + np.uint64(INCREMENT)) & mask
        start = (state ^ (state >> shift)) * size
        number += np.uint64(1)
        for j in range(len(width)):
            words[start + np.uint64(j)] = number
    progress[0] = state
    progress[1] = number
