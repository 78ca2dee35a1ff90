"""Where do the operands of CPU backends live? In one arena that NumPy and torch share: both move the same pages.

Each page is touched first by the thread that will work on it, which places it on that thread's NUMA node.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from bandmark.threads import Team
from bandmark_kernels import Launch, Operand
from bandmark_kernels.inputs import Inputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ALIGNMENT = 4096
"""Operands start on a page."""


def bounds(length: int, parts: int) -> list[tuple[int, int]]:
    """Cut range(length) into at most this many contiguous, nearly equal, non-empty parts."""
    parts = min(parts, length)
    return [(i * length // parts, (i + 1) * length // parts) for i in range(parts)]


def for_each(team: Team, calls: Sequence[Launch]) -> list[Launch]:
    """Return one call per thread: these, and nothing to do for the threads that tiny arrays leave without a part."""
    return [*calls, *[_nothing] * (len(team) - len(calls))]


def _nothing() -> None:
    """Do nothing."""


class HostMemory:
    """The arena of one process: large enough for the largest group so far, refilled for every group."""

    name = "host"

    def __init__(self, team: Team, numa_nodes: int = 1) -> None:
        self.team = team
        self._numa_nodes = numa_nodes
        self._arena: NDArray[np.uint8] | None = None
        self._inputs: Inputs | None = None
        self._operands: dict[str, NDArray[Any]] = {}

    def operands(self, inputs: Inputs) -> dict[str, NDArray[Any]]:
        """Return the operands of a case, filled and with a poisoned output; the same ones for the same inputs."""
        if self._inputs is not inputs:
            self._inputs, self._operands = inputs, self._carve(inputs)
            for operand in inputs.kernel.operands:
                self.reset(operand)
        return self._operands

    def reset(self, operand: Operand) -> None:
        """Fill an operand that is read with its tile, and one that is only written with NaN."""
        array = self._operands[operand.name]
        assert self._inputs is not None
        if operand.role == "result":
            array[...] = float("nan")
        elif operand.is_read:
            self._fill(operand, array, self._inputs)
        else:
            # All bits set is NaN in every format.
            self._each_part(operand, lambda part: array[part].view("uint8").fill(0xFF))

    def _carve(self, inputs: Inputs) -> dict[str, NDArray[Any]]:
        """Lay the operands out in the arena, in their order."""
        import numpy as np

        kernel, shape, dtype = inputs.kernel, inputs.shape, inputs.dtype
        placed: dict[str, tuple[int, int]] = {}
        end = 0
        for operand in kernel.operands:
            if operand.role != "result":
                size = operand.nbytes(shape, dtype)
                placed[operand.name] = (end, size)
                end += -(-size // ALIGNMENT) * ALIGNMENT
        arena = self._room(end)
        arrays: dict[str, NDArray[Any]] = {}
        for operand in kernel.operands:
            if operand.role == "result":
                arrays[operand.name] = np.full((), np.nan, dtype.accumulator)
                continue
            start, size = placed[operand.name]
            flat = arena[start : start + size].view(operand.stored_as(dtype))
            arrays[operand.name] = flat.reshape(-1, shape.n // operand.per) if operand.extent == "mn" else flat
        return arrays

    def _room(self, size: int) -> NDArray[np.uint8]:
        """Return an arena of at least this many bytes.

        On several NUMA nodes every layout gets fresh pages, since old ones stay where they were touched first.
        """
        import numpy as np

        if self._arena is None or len(self._arena) < size or self._numa_nodes > 1:
            self._operands, self._arena = {}, None
            pages = mmap.mmap(-1, max(size, ALIGNMENT), **_PRIVATE)
            if hasattr(mmap, "MADV_HUGEPAGE"):
                pages.madvise(mmap.MADV_HUGEPAGE)
            self._arena = np.frombuffer(pages, np.uint8)
        return self._arena

    def _each_part(self, operand: Operand, work: Callable[[Any], object]) -> None:
        """Let each thread work on its part of an operand, cut along the kernel's split axis."""
        assert self._inputs is not None
        parts = part_slices(operand, self._inputs, len(self.team))
        self.team.run(for_each(self.team, [partial(work, part) for part in parts]))

    def _fill(self, operand: Operand, array: NDArray[Any], inputs: Inputs) -> None:
        """Repeat an operand's tile along its first axis."""
        tile = inputs.tiles[operand.name]

        def fill(part: Any) -> None:
            rows, rest = (part[0], part[1:]) if isinstance(part, tuple) else (part, ())
            start, stop, _ = rows.indices(len(array))
            while start < stop:
                phase = start % len(tile)
                step = min(len(tile) - phase, stop - start)
                array[(slice(start, start + step), *rest)] = tile[(slice(phase, phase + step), *rest)]
                start += step

        self._each_part(operand, fill)
        if operand.name in inputs.ends:
            array[-1] = inputs.ends[operand.name]

    def close(self) -> None:
        """Let go of the arena."""
        self._arena, self._inputs, self._operands = None, None, {}


_PRIVATE: dict[str, int] = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_ANONYMOUS") else {}


def part_slices(operand: Operand, inputs: Inputs, parts: int) -> Sequence[Any]:
    """Return, thread by thread, the index of its part of an operand.

    Operands that the kernel's split axis does not cut (a GEMV's x) are cut along their own length: any thread may
    then touch any of them.
    """
    if operand.extent == "mn" and inputs.kernel.split == "n":
        return [(slice(None), slice(lo, hi)) for lo, hi in bounds(inputs.shape.n, parts)]
    length = inputs.shape.count("m") if operand.extent == "mn" else operand.count(inputs.shape)
    return [slice(lo, hi) for lo, hi in bounds(length, parts)]
