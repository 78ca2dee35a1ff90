"""A pointer chase: a ring of addresses through every cache line of a working set, each found by loading the one before.

Hardware can neither overlap such loads nor, in a random order, foresee them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bandmark_kernels.core import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINE_BYTES = 64
"""Bytes from node to node: the line of x86's caches, and of most Arm cores'."""

WINDOW_BYTES = 64 * 4096
"""The ring of the pattern window visits all lines of so many bytes before it goes on: as many pages as every
first-level TLB holds (google/multichase, multichase.c: a TLB window of 64 pages)."""

PATTERNS = ("random-4k", "random-2m", "window")
"""Orders of a ring: random over all lines in small pages, the same in huge pages, random within windows."""

UNROLLED = 16
"""Loads of a ring between two tests of the loop; numbers of hops are multiples of it."""


_WARM_HOPS = 2**19
"""Hops before a chase is timed, at most: a lap of any ring that a cache holds."""


def warm_hops(lines: int) -> int:
    """Return the hops before a chase is timed: a lap, and some beyond it.

    Timed hops are often a multiple of a ring's lines. After whole laps alone a chase that stands still, or that a
    compiler has removed, would be where it should be.
    """
    return min(lines, _WARM_HOPS) // UNROLLED * UNROLLED + UNROLLED


def order(lines: int, pattern: str, seed: int) -> NDArray[np.int64]:
    """Return the lines of a ring in the order of its visits: every number below `lines` once."""
    rng = np.random.default_rng(seed)
    window = WINDOW_BYTES // LINE_BYTES
    if pattern != "window" or lines <= window:
        return rng.permutation(lines)
    starts = rng.permutation(range(0, lines, window))
    return np.concatenate([start + rng.permutation(min(window, lines - start)) for start in starts])


def link(words: NDArray[np.uint64], ring: NDArray[np.int64], address: int | None = None) -> None:
    """Write into the first word of each line the address of the line that follows in the ring.

    `address` is where the words will be, if not where they are.
    """
    words[_first_words(words, ring)] = _followers(words, ring, address)


def is_ring(words: NDArray[np.uint64], ring: NDArray[np.int64], address: int | None = None) -> bool:
    """Return whether the addresses in memory are one cycle that visits every line exactly once, in this order."""
    lines = words.nbytes // LINE_BYTES
    visits = np.bincount(ring, minlength=lines)
    linked = np.array_equal(words[_first_words(words, ring)], _followers(words, ring, address))
    return linked and len(visits) == lines and bool(np.all(visits == 1))


def _first_words(words: NDArray[np.uint64], ring: NDArray[np.int64]) -> NDArray[np.int64]:
    return ring * (LINE_BYTES // words.itemsize)


def _followers(words: NDArray[np.uint64], ring: NDArray[np.int64], address: int | None) -> NDArray[np.uint64]:
    start = words.ctypes.data if address is None else address
    return np.roll(np.uint64(start) + np.uint64(LINE_BYTES) * ring.astype(np.uint64), -1)
