"""Accesses that use a part of what memory moves at once: reads in strides, granules at random places (gather, scatter).

A random order is a lap of a linear congruential generator over a power of two of places, which visits every place once
(Hull and Dobell, SIAM Review 4, 1962), with the high bits of its state mixed into the low ones. It takes no index from
memory, so that all traffic is the pattern's own; a launch goes on where the last one ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bandmark_kernels.core import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MULTIPLIER, INCREMENT = 6364136223846793005, 1442695040888963407
"""The generator of MMIX (Knuth, The Art of Computer Programming 2, 3.3.4), modulo the number of places."""

SECTOR_BYTES = 32
"""What a GPU's memory moves at once (CUDA C++ Best Practices Guide, "Coalesced Access to Global Memory")."""

_RANDOM = ("gather", "scatter")

_MAX_VISITS = 2**20
"""Places that a launch visits, about, at most: some milliseconds, and quick to verify."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Every step-th element of 8 bytes, for the kernel read, or granules of so many bytes, for gather and scatter."""

    kernel: str
    step: int

    @property
    def name(self) -> str:
        """The pattern in a word: stride-8 or granule-64."""
        return f"{'granule' if self.is_random else 'stride'}-{self.step}"

    @property
    def is_random(self) -> bool:
        """Whether the places are in random order."""
        return self.kernel in _RANDOM

    @property
    def writes(self) -> bool:
        """Whether the accesses are stores."""
        return self.kernel == "scatter"

    @property
    def granule(self) -> int:
        """Bytes of an access, all of them used."""
        return self.step if self.is_random else 8

    @property
    def itemsize(self) -> int:
        """Bytes of an element: granules of 4 bytes are a uint32, others are of uint64."""
        return min(8, self.granule)

    def utilization(self, unit: int) -> float:
        """Return the share that is used, 0 to 1, of the units of so many bytes that memory moves: lines or sectors.

        Granules are aligned to their size.
        """
        return self.granule / (max(unit, self.granule) if self.is_random else min(unit, 8 * self.step))

    def accesses(self, size: int) -> int:
        """Return how many accesses a launch makes to so many bytes, a power of two; odd numbers of random ones."""
        if self.is_random:
            return min(size // self.granule // 4, _MAX_VISITS) + 1
        return size // 8 // self.step

    def arguments(self, size: int) -> tuple[Any, ...]:
        """Return what the body takes after the array and its progress; a tuple's length is a constant to Numba."""
        if self.is_random:
            return self.accesses(size), mixing_shift(size // self.granule), (0,) * (self.granule // self.itemsize)
        return (self.step,)


def is_right(pattern: Pattern, words: NDArray[Any], before: NDArray[np.uint64], after: NDArray[np.uint64]) -> bool:
    """Return whether one launch led from one progress to the other, read what it must, and left in memory what it must.

    Progress, uint64 of shape (2,), is the state of the order and the sum of all that was read, or the number of visits.
    """
    if not pattern.is_random:
        total = words[first_of_stride(int(before[0]), pattern.step) :: pattern.step].sum()
        return np.array_equal(after, before + np.array([1, total], np.uint64))
    granules = words.reshape(-1, pattern.granule // pattern.itemsize)
    places, state = follow(int(before[0]), pattern.accesses(words.nbytes), len(granules))
    visited = granules[places]
    if not pattern.writes:
        return bool(after[0] == state) and np.array_equal(after[1:], before[1:] + visited.sum(dtype=np.uint64))
    numbers = before[1] + np.arange(1, len(places) + 1, dtype=np.uint64)
    stored = bool(np.all(visited == numbers.astype(words.dtype)[:, None]))
    return stored and bool(after[0] == state and after[1] == numbers[-1])


def follow(state: int, visits: int, places: int) -> tuple[NDArray[np.uint64], int]:
    """Return the places of so many visits that follow a state, and the state after them."""
    factor, term, mask = MULTIPLIER, INCREMENT, np.uint64(places - 1)
    states = np.array([state * factor + term & places - 1], np.uint64)
    while len(states) < visits:  # what leads as many visits on as there are states so far
        states = np.concatenate([states, states * np.uint64(factor) + np.uint64(term) & mask])
        factor, term = factor * factor % 2**64, (factor + 1) * term % 2**64
    states = states[:visits]
    return states ^ states >> mixing_shift(places), int(states[-1])


def progress_after(pattern: Pattern, size: int, before: NDArray[np.uint64], launches: int) -> NDArray[np.uint64]:
    """Return the progress after so many launches on `size` bytes; the sum of what was read is left as it is."""
    if not pattern.is_random:
        return before + np.array([launches, 0], np.uint64)
    visits, mask = pattern.accesses(size) * launches, size // pattern.granule - 1
    state, factor, term, bits = int(before[0]), MULTIPLIER, INCREMENT, visits
    while bits:
        state = state * factor + term & mask if bits & 1 else state
        factor, term, bits = factor * factor % 2**64, (factor + 1) * term % 2**64, bits >> 1
    return np.array([state, (int(before[1]) + visits * pattern.writes) % 2**64], np.uint64)


def first_of_stride(launch: Any, step: Any) -> Any:
    """Return the element with which a launch begins: the lines of the launches before it come last."""
    return (launch * 8 + launch * 8 // step) % step


def mixing_shift(places: int) -> np.uint64:
    """Return by how many bits a state is shifted that is mixed into itself."""
    return np.uint64(max(1, places.bit_length() // 2))
