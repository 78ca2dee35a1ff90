"""Work on a CUDA device beside the kernel table: chases by one thread, passes over a working set, accesses by pattern.

Each is timed as the kernels are, but for one thing: a window is a single launch that does the work of all of its
launches, since work in a cache is short beside the time between two.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cupy
import numpy as np

from bandmark.backends.base import place
from bandmark.backends.cupy_peer import empty_on, enable_access, release_on
from bandmark.backends.cupy_workload import Watch
from bandmark.measure.measurement import Reading
from bandmark_kernels.core.launch import GridLaunch
from bandmark_kernels.memory import chase, device, passes
from bandmark_kernels.memory.places import Pattern, is_right, progress_after


class _Routine:
    """Work that one launch does, for all launches of a window."""

    variant: str | None = None
    copies = 1
    note: str | None = None
    pages: str | None = None
    has_all = True

    def __init__(self, backend: Any) -> None:
        """Use the device of the CuPy backend."""
        self._gpu, self._watch = backend.gpu, Watch(backend.gpu)
        self._launches, self._queued = 0, 0

    @abstractmethod
    def step(self, launches: int) -> tuple[str, GridLaunch]:
        """Return source and launch of the work of so many launches."""

    @abstractmethod
    def values(self) -> dict[str, Any]:
        """Return the arrays of the launch by name."""

    def start(self, launches: int) -> None:
        """Start the watch; what will be launched is compiled before."""
        self._run, self._launches, self._queued = self._bind(*self.step(launches)), launches, 0
        self._watch.start(1)

    def launch(self) -> None:
        """Queue the work of the whole window at its first launch."""
        self._queued += 1
        if self._queued == 1:
            self._run()

    def stop(self) -> Reading:
        """Stop the watch and read it."""
        return self._watch.stop()

    def close(self) -> None:
        """Release the records of the clocks, and what else is pooled."""
        self._watch.close()
        self._gpu.release()

    def _bind(self, text: str, step: GridLaunch) -> Callable[[], None]:
        function = self._gpu.compile(text, (), (step.entry,))[step.entry]
        arguments = step.arguments(self.values())
        return lambda: function(step.grid, step.block, arguments)


class Chase(_Routine):
    """A ring of addresses in the memory of the device or of a peer; a launch follows so many, on one multiprocessor."""

    patterns = ("random-2m", "window")
    """CUDA maps memory in pages of 2 MiB."""

    def __init__(self, backend: Any, *, size: int, pattern: str, hops: int, seed: int, peer: int | None = None) -> None:
        """Link the ring on the host and copy it; a peer must be within reach."""
        super().__init__(backend)
        self._home = backend.device.index if peer is None else peer
        if peer is not None:
            enable_access(peer)
        self._hops = hops
        self._ring = chase.order(size // chase.LINE_BYTES, pattern, seed)
        self._words = empty_on(self._home, size // 8, np.uint64, backend)
        self._state = cupy.empty(3, np.uint64)
        self._address = int(self._words.data.ptr)
        words = np.zeros(size // 8, np.uint64)
        chase.link(words, self._ring, self._address)
        self._words.set(words)
        self._state.set(np.array([self._place(0), 0, 0], np.uint64))
        self._done = chase.warm_hops(len(self._ring))
        self._bind(*self.program(self._done))()

    def step(self, launches: int) -> tuple[str, GridLaunch]:
        """Return the chase of all launches."""
        return self.program(self._hops * launches)

    def program(self, hops: int) -> tuple[str, GridLaunch]:
        """Return source and launch of a chase of so many hops."""
        return device.chase(hops)

    def values(self) -> dict[str, Any]:
        """Return the state."""
        return {"state": self._state}

    def stop(self) -> Reading:
        """Read the watch; the clock is that of the one multiprocessor, by its own cycles and nanoseconds."""
        reading = super().stop()
        self._done += self._hops * self._launches
        _, cycles, nanoseconds = self._state.get().tolist()
        return replace(reading, clock_mhz=1e3 * cycles / nanoseconds) if cycles and nanoseconds else reading

    def close(self) -> None:
        """Release the ring, too."""
        self._words = None
        super().close()
        release_on(self._home)

    def verify(self) -> float:
        """Return 0 if the chase is where so many hops lead, and the ring is one cycle through every line; else inf."""
        arrived = int(self._state.get()[0]) == self._place(self._done)
        return 0.0 if arrived and chase.is_ring(self._words.get(), self._ring, self._address) else float("inf")

    def _place(self, hops: int) -> int:
        return self._address + chase.LINE_BYTES * int(self._ring[hops % len(self._ring)])


class LoadedChase(Chase):
    """A chase by one block while those on the other multiprocessors read an array, with pauses, until it ends."""

    def __init__(self, backend: Any, *, pause: int | None, load_size: int, **ring: Any) -> None:
        """Place the array, of `load_size` bytes or a tile; without a pause nothing reads it.

        The grid has as many blocks as are resident together (cuOccupancyMaxActiveBlocksPerMultiprocessor), since those
        that read wait for the one that chases.
        """
        self._pause, self._tiles = pause or 0, max(1, load_size // (8 * device.TILE))
        text, step = device.loaded_chase(0, self._tiles, self._pause, 1)
        [kernel] = backend.gpu.compile(text, (), (step.entry,)).values()
        resident = backend.gpu.sm_count * backend.gpu.resident_blocks(kernel, step.block[0])
        self._grid = 1 if pause is None else resident
        self._array, self._sums = _tiles(backend, self._tiles, seed=0)
        self._partials, self._counts = (cupy.empty(self._grid, dtype) for dtype in (np.float64, np.uint64))
        self._control = cupy.empty(2, np.uint64)
        for array in (self._partials, self._counts, self._control):
            array.data.memset(0, array.nbytes)
        super().__init__(backend, **ring)

    def program(self, hops: int) -> tuple[str, GridLaunch]:
        """Return source and launch of a chase of so many hops, and of the load beside it."""
        return device.loaded_chase(hops, self._tiles, self._pause, self._grid)

    def values(self) -> dict[str, Any]:
        """Return the arrays."""
        arrays = {"a": self._array, "partials": self._partials, "counts": self._counts, "control": self._control}
        return super().values() | arrays

    def start(self, launches: int) -> None:
        """Reset what ends the load, and start the watch."""
        self._control.data.memset(0, self._control.nbytes)
        super().start(launches)

    def stop(self) -> Reading:
        """Read the watch, and what the load has moved meanwhile."""
        reading = super().stop()
        return replace(reading, load_gbs=int(self._counts.get().sum()) * device.TILE * 8 / reading.seconds / 1e9)

    def verify(self) -> float:
        """Return the error of the chase, or of a block's sum in the last window, which tells that it read its tiles."""
        expected = device.expected_sums(self._sums, self._counts.get())
        errors = abs(self._partials.get() - expected) / (passes.TOLERANCE * np.maximum(1, expected))
        return max(super().verify(), float(np.nan_to_num(errors.max(), nan=np.inf)))


class Passes(_Routine):
    """Reads of an array by all multiprocessors, over and over; a launch makes so many passes."""

    kernels = ("read",)
    """Passes that write would write the same elements from several blocks at once."""
    granule = 8 * device.TILE
    """Bytes of which a working set is a multiple."""

    def __init__(self, backend: Any, *, kernel: str, n: int, count: int, seed: int) -> None:
        """Fill the array; raises NotImplementedError for passes that write."""
        super().__init__(backend)
        if kernel not in self.kernels or n % device.TILE:
            raise NotImplementedError(f"a CUDA device makes passes that read multiples of {self.granule} bytes")
        self._tiles, self._count = n // device.TILE, count
        self._partials = cupy.empty(device.blocks(self._gpu.sm_count), np.float64)
        self._array, self._sums = _tiles(backend, self._tiles, seed)

    def step(self, launches: int) -> tuple[str, GridLaunch]:
        """Return the passes of all launches."""
        return device.passes(self._tiles, self._count * launches, self._gpu.sm_count)

    def values(self) -> dict[str, Any]:
        """Return the arrays."""
        return {"a": self._array, "partials": self._partials}

    def verify(self) -> float:
        """Return the error of one launch's sum, in units of what rounding explains."""
        self._partials.data.memset(0xFF, self._partials.nbytes)
        self._bind(*self.step(1))()
        expected = device.expected_sum(self._sums, self._count, self._gpu.sm_count)
        error = abs(float(self._partials.get().sum()) - expected) / (passes.TOLERANCE * abs(expected))
        return float(np.nan_to_num(error, nan=np.inf))


class Accesses(_Routine):
    """A pattern in one array of random contents; a launch goes on where the last one ended."""

    def __init__(self, backend: Any, *, pattern: Pattern, size: int, seed: int) -> None:
        """Fill an array of so many bytes, a power of two."""
        super().__init__(backend)
        self._pattern, self._size, self._progress = pattern, size, np.zeros(2, np.uint64)
        self._partials = cupy.empty(device.blocks(self._gpu.sm_count), np.uint64)
        self._words = _random(backend, size, f"u{pattern.itemsize}", seed)[0]

    def step(self, launches: int) -> tuple[str, GridLaunch]:
        """Return the accesses of all launches."""
        return device.accesses(self._pattern, self._size, self._progress, launches, self._gpu.sm_count)

    def values(self) -> dict[str, Any]:
        """Return the arrays."""
        return {"words": self._words, "partials": self._partials}

    def stop(self) -> Reading:
        """Read the watch, and note where the window ended."""
        self._progress = progress_after(self._pattern, self._size, self._progress, self._launches)
        return super().stop()

    def verify(self) -> float:
        """Return 0 if one more launch visits the places that are next, each once; else inf."""
        before = self._progress
        self._partials.data.memset(0xFF, self._partials.nbytes)
        self._bind(*self.step(1))()
        after = self._progress = progress_after(self._pattern, self._size, before, 1)
        if not self._pattern.writes:
            after = after + np.array([0, self._partials.get().sum()], np.uint64)
        return 0.0 if is_right(self._pattern, self._words.get(), before, after) else float("inf")


def _random(backend: Any, size: int, dtype: str, seed: int) -> tuple[Any, Any]:
    """Return an array on the device with random float64 contents, seen as a dtype, and the same on the host.

    Raises MemoryError if there is no room.
    """
    count = size // np.dtype(dtype).itemsize
    array = place(lambda: cupy.empty(count, dtype), backend.lacks_memory, backend.gpu.release)
    (host,) = passes.block(passes.PASSES["read"], size // 8, np.zeros(size, np.uint8), seed)
    array.set(host.view(dtype))
    return array, host


def _tiles(backend: Any, tiles: int, seed: int) -> tuple[Any, Any]:
    """Return so many tiles of random numbers on the device, and the sum of each."""
    array, host = _random(backend, tiles * device.TILE * 8, "float64", seed)
    return array, host.reshape(tiles, -1).sum(axis=1)
