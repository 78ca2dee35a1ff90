"""Work on a CPU beside the kernel table: pointer chases, and passes over a working set that a cache may hold.

A backend offers such work by name in its `routines`. Each of these workloads runs on one processor, in the calling
thread, which is pinned while the watch runs.
"""

from __future__ import annotations

import contextlib
import mmap
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from bandmark.backends.host import PRIVATE, HostWatch
from bandmark.backends.team import pinned
from bandmark.device.memory import page_size
from bandmark.device.system import read_number
from bandmark.measure.measurement import Reading
from bandmark_kernels.core.compiled import compile_body
from bandmark_kernels.memory import NEEDED, chase, passes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bandmark.backends.team_backend import TeamBackend

_HUGE = 2 * 2**20
"""Bytes to which a block is aligned: the huge page of x86, and of Arm with small pages of 4 KiB."""

_TRIALS = 5  # calls of which the fastest counts

_MAX_CALL_SHARE = 0.02
"""Share of a pass that the call of a library may take."""


class OnOneCpu:
    """What these workloads have in common: one processor, its watch and its clock."""

    variant: str | None = None
    copies = 1
    note = None
    pages: str | None = None
    has_all = True

    def __init__(self, backend: TeamBackend) -> None:
        """Take the first processor of the backend's team."""
        self.cpu = backend.memory.team.cpus[0]
        self._watch = HostWatch()
        self._pin = contextlib.ExitStack()

    def start(self, launches: int) -> None:
        """Pin the thread and start the watch."""
        self._pin.enter_context(pinned(self.cpu))
        self._watch.start()

    def stop(self) -> Reading:
        """Read the watch and let the thread go."""
        reading = self._watch.stop()
        self._pin.close()
        return reading

    def close(self) -> None:
        """Release the arrays."""
        self._pin.close()


class Chase(OnOneCpu):
    """A ring of addresses through a block of memory; a launch follows so many of them."""

    patterns = chase.PATTERNS

    def __init__(self, backend: TeamBackend, *, size: int, pattern: str, hops: int, seed: int) -> None:
        """Link the ring; raises NotImplementedError where huge pages are the pattern's and the system gives none."""
        super().__init__(backend)
        from bandmark_kernels.memory import bodies

        self._words, self._ring = _new_ring(size, pattern, seed)
        self.pages = page_size(self._words.ctypes.data)
        if pattern == "random-2m" and self.pages == page_size(None):
            raise NotImplementedError("the system gives no huge pages: see /sys/kernel/mm/transparent_hugepage/enabled")
        self._chase, self._hops, self._done = compile_body(bodies.chase), hops, 0
        self._address = self._words.ctypes.data + chase.LINE_BYTES * int(self._ring[0])
        self._follow(chase.warm_hops(len(self._ring)))

    def launch(self) -> None:
        """Go on where the last launch ended."""
        self._address = self._chase(self._address, self._hops)
        self._done += self._hops

    def stop(self) -> Reading:
        """Read the watch, and the processor's clock where the system shows it."""
        reading = super().stop()
        khz = read_number(Path(f"/sys/devices/system/cpu/cpu{self.cpu}/cpufreq/scaling_cur_freq"))
        return reading if khz is None else replace(reading, sensor_clock_mhz=khz / 1e3)

    def verify(self) -> float:
        """Return 0 if the chase is where so many hops lead, and the ring is one cycle through every line; else inf."""
        place = int(self._ring[self._done % len(self._ring)])
        arrived = self._address == self._words.ctypes.data + chase.LINE_BYTES * place
        return 0.0 if arrived and chase.is_ring(self._words, self._ring) else float("inf")

    def close(self) -> None:
        """Release the ring."""
        super().close()
        forget_ring()

    def _follow(self, hops: int) -> None:
        self._address = self._chase(self._address, hops)
        self._done += hops


@lru_cache(maxsize=1)
def _new_ring(size: int, pattern: str, seed: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return a linked ring and its order; the last one made is kept until it is forgotten."""
    words = new_block(size, huge=pattern == "random-2m").view(np.uint64)
    ring = chase.order(size // chase.LINE_BYTES, pattern, seed)
    chase.link(words, ring)
    return words, ring


def forget_ring() -> None:
    """Release the ring that was kept."""
    _new_ring.cache_clear()


class LoadedChase(Chase):
    """A chase on one processor while every other one of the team reads an array of its own, with pauses."""

    def __init__(self, backend: TeamBackend, *, pause: int | None, load_size: int, **ring: Any) -> None:
        """Start the loaders; without a pause there are none. Raises NotImplementedError without a second processor."""
        cpus = backend.memory.team.cpus[1:]
        if not cpus:
            raise NotImplementedError("one processor chases and others load: it takes two, see --threads and --cpus")
        super().__init__(backend, **ring)
        self._control, self._progress = np.zeros(8, np.int64), np.zeros((len(cpus), 16), np.int64)
        self._arrays: list[NDArray[np.float64]] = []
        self._sums = [0.0] * len(cpus)
        self._threads: list[threading.Thread] = []
        for index, cpu in enumerate(cpus if pause is not None else ()):
            tiles = max(1, load_size // len(cpus) // (8 * passes.TILE))
            room = new_block(tiles * 8 * passes.TILE, huge=True)
            self._arrays += passes.block(passes.PASSES["read"], tiles * passes.TILE, room, seed=index)
            self._threads.append(threading.Thread(target=self._load, args=(index, cpu, pause), daemon=True))
        for thread in self._threads:
            thread.start()

    def _load(self, index: int, cpu: int, pause: int) -> None:
        from bandmark_kernels.memory import bodies

        with pinned(cpu):
            load = compile_body(bodies.load)
            self._sums[index] = load(self._arrays[index], self._control, self._progress[index], pause)

    def start(self, launches: int) -> None:
        """Start the watch, and note how far the loaders are, and when: pinning the thread takes a while."""
        super().start(launches)
        self._before = self._tiles_and_time()

    def stop(self) -> Reading:
        """Read the watch, and what the loaders have moved meanwhile."""
        (tiles, end), (tiles_before, begin) = self._tiles_and_time(), self._before
        return replace(super().stop(), load_gbs=(tiles - tiles_before) * passes.TILE * 8 / (end - begin) / 1e9)

    def _tiles_and_time(self) -> tuple[int, float]:
        return int(self._progress[:, 0].sum()), perf_counter()

    def verify(self) -> float:
        """Return the error of the chase, or of the loaders' sums, which tell that every tile was read."""
        self._end_load()
        errors = [super().verify()]
        for array, tiles, total in zip(self._arrays, self._progress[:, 0], self._sums, strict=False):
            expected = passes.expected_load(array, int(tiles))
            errors.append(abs(total - expected) / (passes.TOLERANCE * max(1.0, expected)))
        return max(errors)

    def _end_load(self) -> None:
        self._control[0] = 1
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        """End the loaders; the ring stays for the next pause."""
        self._end_load()
        OnOneCpu.close(self)


class Passes(OnOneCpu):
    """Passes over arrays of one block; a launch makes so many of them."""

    kernels = tuple(passes.PASSES)
    granule = 8

    def __init__(self, backend: TeamBackend, *, kernel: str, n: int, count: int, seed: int) -> None:
        """Place arrays of n elements and bind the passes to them."""
        super().__init__(backend)
        self._kind = passes.PASSES[kernel]
        room = new_block(passes.room_bytes(self._kind, n), huge=True)
        self._arrays = passes.block(self._kind, n, room, seed)
        self._count, self._launches, self._total = count, 0, 0.0
        self._expected = passes.expected_total(self._kind, self._arrays, count)
        self._run = self.bind(kernel)
        self.launch()

    def bind(self, kernel: str) -> Callable[..., float]:
        """Return what makes passes: it takes the arrays and their count, and returns the total."""
        from bandmark_kernels.memory import bodies

        return compile_body(getattr(bodies, kernel))  # type: ignore[no-any-return]

    def launch(self) -> None:
        """Make the passes and add up what they yield."""
        self._total += self._run(*self._arrays, self._count)
        self._launches += 1

    def verify(self) -> float:
        """Return the error of all launches' totals, and of a pass over a poisoned output, in units of the tolerance.

        The total of an honest run is off by rounding alone, which is far below the number 1 that the first mark is.
        """
        expected = self._launches * self._expected
        total = abs(self._total - expected) / (passes.TOLERANCE * abs(expected))
        for output in self._arrays[: self._kind.writes]:
            output.fill(np.nan)
        self._run(*self._arrays, self._count)
        return max(passes.output_error(self._kind, self._arrays), float(np.nan_to_num(total, nan=np.inf)))


class NumpyPasses(Passes):
    """The same by NumPy, a call for each pass; triad takes NumPy two passes, so it has none."""

    has_all = False

    def bind(self, kernel: str) -> Callable[..., float]:
        """Return the passes; raises NotImplementedError where they are two, or so short that the call itself counts."""
        if kernel not in _NUMPY_PASSES:
            raise NotImplementedError(f"NumPy has no {kernel} in a single pass; {NEEDED}")
        one_pass = _NUMPY_PASSES[kernel]
        whole = min(_seconds(one_pass, self._arrays) for _ in range(_TRIALS))
        call = min(_seconds(one_pass, [array[:1] for array in self._arrays]) for _ in range(_TRIALS))
        if call > _MAX_CALL_SHARE * whole:
            raise NotImplementedError(f"NumPy's call is over 2 % of the time of so short a pass; {NEEDED}")

        def run(*arrays_and_count: Any) -> float:
            *arrays, count = arrays_and_count
            total = 0.0
            for k in range(count):
                arrays[-1][-1] = k + 1
                total += one_pass(*arrays)
            return total

        return run


def _numpy_copy(a: Any, b: Any) -> float:
    np.copyto(a, b)
    return float(a[-1])


_NUMPY_PASSES: Mapping[str, Callable[..., float]] = {"read": np.add.reduce, "copy": _numpy_copy}


def _seconds(work: Callable[..., object], arrays: list[Any]) -> float:
    begin = perf_counter()
    work(*arrays)
    return perf_counter() - begin


def new_block(size: int, *, huge: bool) -> NDArray[np.uint8]:
    """Return so many zeroed bytes that start at a huge page, with the system asked for huge pages, or for none."""
    room = -(-size // _HUGE) * _HUGE + _HUGE
    pages = mmap.mmap(-1, room, **PRIVATE)
    advice = getattr(mmap, "MADV_HUGEPAGE" if huge else "MADV_NOHUGEPAGE", None)
    if advice is not None:
        with contextlib.suppress(OSError):  # a kernel without transparent huge pages refuses the advice (EINVAL)
            pages.madvise(advice)
    whole = np.frombuffer(pages, np.uint8)
    start = -whole.ctypes.data % _HUGE
    return whole[start : start + size]
