"""The arena in which the operands of CPU backends are: NumPy and torch share it, and so move the same pages.

Each page is touched first by the thread that will work on it, which places it on that thread's NUMA node.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from bandmark.backends.team import Team
from bandmark.device.memory import MemoryBudget, available_bytes, host_budget
from bandmark.measure.measurement import Reading
from bandmark_kernels import Operand
from bandmark_kernels.core.kernel import Inputs

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ALIGNMENT = 4096  # operands start on a page
_PROBE_BYTES = 128 * 2**20  # least bytes that are copied to find out how fast the memory is, roughly

_PROBE_COPIES = 2

_SLICE_S = 0.004
"""What a program takes at most before Linux gives the processor back to one that waits: the base slice is 3 ms
(kernel/sched/fair.c, sysctl_sched_base_slice, 0.7 ms times at most 4) and ends with a tick of 1 to 4 ms."""

_WORKED_FROM = 0.05
"""Share of a window for which a thread must have run to count as one that worked."""

_SPARE = 2  # addresses of an arena over the bytes that it is allocated for


def bounds(length: int, parts: int) -> list[tuple[int, int]]:
    """Cut range(length) into at most this many contiguous, nearly equal, non-empty parts."""
    parts = min(parts, length)
    return [(i * length // parts, (i + 1) * length // parts) for i in range(parts)]


class HostWatch:
    """The watch of CPU cases: the host's clock, and how long a working thread lacked a processor meanwhile.

    Threads that wait give their processor up; an involuntary context switch takes it from one that works (getrusage(2),
    ru_nivcsw, of all threads of the process). Most are over in microseconds: Linux tells how long each thread waited
    for a processor, and elsewhere a switch is taken to cost a time slice.
    """

    def start(self) -> None:
        """Start the watch."""
        self._threads = _thread_times()
        self._switches = _involuntary_switches()
        self._begin = perf_counter()

    def stop(self) -> Reading:
        """Stop the watch and read it."""
        seconds = perf_counter() - self._begin
        switches = _involuntary_switches()
        if switches is None or self._switches is None:
            return Reading(seconds)
        if switches == self._switches:
            return Reading(seconds, preempted_s=0.0)
        threads = _thread_times()
        lost_s = _longest_wait_s(self._threads, threads, seconds) if threads else (switches - self._switches) * _SLICE_S
        return Reading(seconds, preempted_s=min(seconds, lost_s))


def _involuntary_switches() -> int | None:
    return None if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


_ThreadTimes = dict[str, tuple[float, float]]
"""Seconds that each thread ran, and that it was ready to run and had no processor."""


def _thread_times() -> _ThreadTimes:
    """Return the first two numbers of /proc/self/task/*/schedstat (kernel.org: Scheduler Statistics), if it has any."""
    times: _ThreadTimes = {}
    with contextlib.suppress(OSError, ValueError):
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(ProcessLookupError), open(f"/proc/self/task/{thread}/schedstat", "rb") as file:
                ran, waited, _ = map(int, file.read().split())
                times[thread] = ran * 1e-9, waited * 1e-9
    return times


def _longest_wait_s(before: _ThreadTimes, after: _ThreadTimes, window_s: float) -> float:
    """Return how long the thread waited for a processor that waited longest, of those that ran in the window at all.

    The thread that started the others and waits for them runs for some microseconds; that it gets its processor back
    late costs nothing while the others work.
    """
    longest = 0.0
    for thread, (ran, waited) in after.items():
        ran_before, waited_before = before.get(thread, (0.0, 0.0))
        if ran - ran_before >= _WORKED_FROM * window_s:
            longest = max(longest, waited - waited_before)
    return longest


class HostMemory:
    """The arena of one process: large enough for the largest group so far, refilled for every group."""

    name = "host"

    def __init__(self, team: Team, numa_nodes: int = 1) -> None:
        self.team = team
        self._numa_nodes = numa_nodes
        self._arena: NDArray[np.uint8] | None = None
        self._touched = 0
        """Bytes from the arena's start that have been used: the rest of it is addresses without memory."""
        self._inputs: Inputs | None = None
        self._sets: list[dict[str, NDArray[Any]]] = []

    def sets(self, inputs: Inputs, copies: int = 1) -> list[dict[str, NDArray[Any]]]:
        """Return sets of a case's operands, filled and with poisoned outputs; the same ones for the same inputs."""
        if self._inputs is not inputs or len(self._sets) != copies:
            self._inputs, self._sets = inputs, self._carve(inputs, copies)
            for index in range(copies):
                for operand in inputs.kernel.operands:
                    self.reset(operand, index)
        return self._sets

    def budget(self) -> MemoryBudget:
        """Return the budget of the system's memory; what the arena holds is there to be used again."""
        return host_budget(available_bytes() + self._touched)

    def reset(self, operand: Operand, index: int = 0) -> None:
        """Fill an operand of one of the sets: with its tile if it is read, with NaN if it is only written."""
        array = self._sets[index][operand.name]
        assert self._inputs is not None
        if operand.role == "result":
            array[...] = float("nan")
        elif operand.is_read:
            self._fill(operand, array, self._inputs)
        else:
            # All bits set is NaN in every format.
            self._each_part(operand, lambda part: array[part].view("uint8").fill(0xFF))

    def _carve(self, inputs: Inputs, copies: int) -> list[dict[str, NDArray[Any]]]:
        """Return views of the arena: the operands of each set in their order, and set behind set."""
        import numpy as np

        shape, dtype = inputs.shape, inputs.dtype
        sizes = {o.name: o.nbytes(shape, dtype) for o in inputs.kernel.operands if o.role != "result"}
        room = {name: -(-size // _ALIGNMENT) * _ALIGNMENT for name, size in sizes.items()}
        arena, start = self._room(copies * sum(room.values())), 0
        sets: list[dict[str, NDArray[Any]]] = [{} for _ in range(copies)]
        for arrays in sets:
            for operand in inputs.kernel.operands:
                name = operand.name
                if operand.role == "result":  # of a reduction: one number, outside the arena
                    arrays[name] = np.full((), np.nan, dtype.accumulator)
                    continue
                flat = arena[start : start + sizes[name]].view(operand.stored_as(dtype))
                columns = shape.n // operand.elements_per_item
                arrays[name] = flat.reshape(-1, columns) if operand.extent == "mn" else flat
                start += room[name]
        return sets

    def _room(self, size: int) -> NDArray[np.uint8]:
        """Return an arena of at least this many bytes.

        On several NUMA nodes every layout gets fresh pages, since old ones stay where they were touched first.
        """
        import numpy as np

        if self._arena is None or len(self._arena) < size or self._numa_nodes > 1:
            self._sets, self._arena, self._touched = [], None, 0
            # Addresses to spare cost nothing, and a larger group need not touch all of its pages anew.
            pages = mmap.mmap(-1, max(_SPARE * size, _ALIGNMENT), **PRIVATE)
            if hasattr(mmap, "MADV_HUGEPAGE"):
                # Advice only: a kernel without transparent huge pages refuses it (EINVAL).
                with contextlib.suppress(OSError):
                    pages.madvise(mmap.MADV_HUGEPAGE)
            self._arena = np.frombuffer(pages, np.uint8)
        self._touched = max(self._touched, size)
        return self._arena

    def _each_part(self, operand: Operand, work: Callable[[Any], object]) -> None:
        """Let each thread work on its part of an operand, cut along the kernel's split axis."""
        assert self._inputs is not None
        parts = part_slices(operand, self._inputs, len(self.team))
        self.team.run([partial(work, part) for part in parts])

    def _fill(self, operand: Operand, array: NDArray[Any], inputs: Inputs) -> None:
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
            array[-1:] = inputs.ends[operand.name]

    def copy_gbs(self, llc_bytes: int | None) -> float:
        """Return how fast all threads copy memory, roughly: what sizes are planned by where no peak is known.

        The arrays are larger than the cache together, and the pages stay for the operands that come next.
        """
        size = int(min(max(2 * (llc_bytes or 0), 2 * _PROBE_BYTES), self.budget().default_bytes)) // 2
        room = self._room(2 * size)
        calls = [
            partial(room[size + lo : size + hi].__setitem__, slice(None), room[lo:hi])
            for lo, hi in bounds(size, len(self.team))
        ]
        times = []
        for _ in range(1 + _PROBE_COPIES):  # the first pays for page faults
            begin = perf_counter()
            self.team.run(calls)
            times.append(perf_counter() - begin)
        return 2 * size / min(times[1:]) / 1e9

    def close(self) -> None:
        """Release the arena."""
        self._arena, self._inputs, self._sets, self._touched = None, None, [], 0


PRIVATE: dict[str, int] = {}
if hasattr(mmap, "MAP_ANONYMOUS"):
    # The system counts pages when they are touched, and not the addresses to spare.
    PRIVATE["flags"] = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)


def part_slices(operand: Operand, inputs: Inputs, parts: int) -> Sequence[Any]:
    """Return, thread by thread, the index of its part of an operand.

    Operands that the kernel's split axis does not cut (a GEMV's x) are cut along their own length: any thread may
    then touch any of them.
    """
    if operand.extent == "mn" and inputs.kernel.split == "n":
        return [(slice(None), slice(lo, hi)) for lo, hi in bounds(inputs.shape.n, parts)]
    length = inputs.shape.count("m") if operand.extent == "mn" else operand.count(inputs.shape)
    return [slice(lo, hi) for lo, hi in bounds(length, parts)]
