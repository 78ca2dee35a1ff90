"""Transfers between a CUDA device's memory and the host's or a peer's, by copy engines or by multiprocessors.

All memory is allocated and touched before anything is timed. Copies run on streams of their own, behind one event that
starts the window for both directions.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import cupy
import numpy as np

from bandmark.backends.base import place
from bandmark.backends.cupy_peer import empty_on, enable_access, release_on
from bandmark.backends.cupy_workload import Watch
from bandmark.measure.measurement import Reading
from bandmark_kernels import DTYPES, KERNELS, Shape
from bandmark_kernels.core.cuda import exact_scalars, launches
from bandmark_kernels.memory import device, passes

_HOST = -1  # cudaCpuDeviceId
_DEFAULT_KIND = 4  # cudaMemcpyDefault: CUDA tells host and device by the address
_ALLOC_FLAGS = {"pinned": 3, "write-combined": 7}  # cudaHostAlloc: Portable 1, Mapped 2, WriteCombined 4
_CONCURRENT_MANAGED_ACCESS = 89  # cudaDevAttrConcurrentManagedAccess
_POISON = 0xFF
_FLOAT64 = DTYPES["float64"]


@dataclass(slots=True)
class _Move:
    """One direction of a transfer: its arrays, its stream, and the event that ends it."""

    way: str
    far: Any
    """Memory of the host (NumPy's) or of a peer (CuPy's)."""
    device: Any
    stream: Any
    done: Any

    def ends(self, far: Any, device: Any) -> tuple[Any, Any]:
        """Return the source's and the destination's of two things."""
        return (far, device) if self.way in ("h2d", "p2d") else (device, far)


class Transfer:
    """Transfers of so many bytes from one side to the other, or both ways at once between arrays of their own.

    Methods: ce (memcpyAsync, memcpyPeerAsync), sm (the kernel copy), in-place (a read of the other side's memory),
    prefetch (of managed pages).
    """

    variant: str | None = None
    copies = 1
    note: str | None = None
    has_all = True

    def __init__(
        self,
        backend: Any,
        *,
        size: int,
        direction: str,
        host_memory: str | None,
        method: str,
        seed: int,
        peer: int | None = None,
    ) -> None:
        """Place the arrays; a transfer with a peer has no memory of the host.

        Kernels need access to the peer. Raises NotImplementedError where the driver migrates no managed memory on
        demand.
        """
        self._gpu, self._index, self._peer, self._size = backend.gpu, backend.device.index, peer, size
        if peer is not None and backend.peers[peer]:
            enable_access(peer)
        elif peer is not None:
            self.note = f"staged through the host: device {self._index} has no access to its peer {peer}"
        self._watch, self._cleanup = Watch(self._gpu), contextlib.ExitStack()
        self._on_host_clock, self._is_managed = host_memory == "pageable", (host_memory or "").startswith("managed")
        self._in_place, self._partials = method == "prefetch", None
        self._data = np.random.default_rng(seed).uniform(0.5, 1.0, size // 8)
        binders = {"ce": self._by_engine, "sm": self._by_kernel, "in-place": self._read, "prefetch": self._prefetch}
        self._moves: list[_Move] = []
        self._runs: list[Callable[[], None]] = []
        try:
            both = ("h2d", "d2h") if peer is None else ("p2d", "d2p")
            for way in both if direction == "both" else (direction,):
                far = self._host_array(host_memory) if peer is None else self._peer_array(backend, peer)
                array = None if method in ("in-place", "prefetch") else self._device_array(backend)
                stream, done = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Event(disable_timing=True)
                self._moves.append(_Move(way, far, array, stream, done))
                self._fill(self._moves[-1])
            self._runs = [binders[method](move) for move in self._moves]
        except BaseException:
            self.close()
            raise

    def start(self, launches: int) -> None:
        """Bring managed pages back to where they came from, and start the watch and the streams behind it."""
        if self._is_managed:
            self._send_home()
        if self._on_host_clock:
            cupy.cuda.runtime.deviceSynchronize()
            self._begin = perf_counter()
            return
        self._watch.start(launches * len(self._runs))
        for move in self._moves:
            move.stream.wait_event(self._watch.begin)

    def launch(self) -> None:
        """Queue a transfer in each direction."""
        for run in self._runs:
            run()

    def stop(self) -> Reading:
        """Let the watch wait for all streams, and read it; the staging of pageable memory is the host's work."""
        if self._on_host_clock:
            cupy.cuda.runtime.deviceSynchronize()
            seconds = perf_counter() - self._begin
            sensors = self._gpu.sensors.read_clock()
            return Reading(seconds, sensor_clock_mhz=sensors.clock_mhz, braked=sensors.throttled)
        for move in self._moves:
            move.done.record(move.stream)
            cupy.cuda.Stream.null.wait_event(move.done)
        return self._watch.stop()

    def verify(self) -> float:
        """Return 0 if a transfer fills each poisoned destination with the bytes of its source, else inf."""
        for move in self._moves:
            self._poison(move)
        if self._is_managed:
            self._send_home()
        cupy.cuda.runtime.deviceSynchronize()  # the transfers' streams do not wait for the default one
        self.launch()
        cupy.cuda.runtime.deviceSynchronize()
        return 0.0 if all(map(self._has_arrived, self._moves)) else float("inf")

    def close(self) -> None:
        """Release the arrays of both sides."""
        with contextlib.suppress(cupy.cuda.runtime.CUDARuntimeError):  # of a launch that failed; its row says so
            cupy.cuda.runtime.deviceSynchronize()
        self._runs, self._moves = [], []
        self._cleanup.close()
        self._watch.close()
        self._gpu.release()

    def _host_array(self, kind: str | None) -> Any:
        """Return so many bytes of the host's memory, of exactly this size, seen as float64."""
        runtime, size = cupy.cuda.runtime, self._size
        if kind in _ALLOC_FLAGS:
            address = runtime.hostAlloc(size, _ALLOC_FLAGS[kind])
            self._cleanup.callback(runtime.freeHost, address)
        elif self._is_managed:
            if not runtime.deviceGetAttribute(_CONCURRENT_MANAGED_ACCESS, self._index):
                raise NotImplementedError("the driver does not migrate managed memory on demand (Windows and WSL2)")
            address = runtime.mallocManaged(size)
            self._cleanup.callback(runtime.free, address)
        else:
            array = np.zeros(size // 8)
            if kind == "registered":
                runtime.hostRegister(array.ctypes.data, size, 0)
                self._cleanup.callback(runtime.hostUnregister, array.ctypes.data)
            return array
        return np.frombuffer(memoryview((ctypes.c_char * size).from_address(address)), np.float64)

    def _device_array(self, backend: Any) -> Any:
        return place(lambda: cupy.empty(self._size // 8, np.float64), backend.lacks_memory, self._gpu.release)

    def _peer_array(self, backend: Any, peer: int) -> Any:
        self._cleanup.callback(release_on, peer)
        return empty_on(peer, self._size // 8, np.float64, backend)

    def _by_engine(self, move: _Move) -> Callable[[], None]:
        runtime, size, stream = cupy.cuda.runtime, self._size, move.stream.ptr
        if self._peer is not None:
            source, target = move.ends((move.far.data.ptr, self._peer), (move.device.data.ptr, self._index))
            return lambda: runtime.memcpyPeerAsync(*target, *source, size, stream)
        begin, end = move.ends(move.far.ctypes.data, move.device.data.ptr)
        return lambda: runtime.memcpyAsync(end, begin, size, _DEFAULT_KIND, stream)

    def _by_kernel(self, move: _Move) -> Callable[[], None]:
        kernel = KERNELS["copy"]
        compiled, functions = self._gpu.compiled(kernel, _FLOAT64, "v16")
        (step,) = launches(compiled, Shape(self._size // 8), sm_count=self._gpu.sm_count).steps
        source, target = move.ends(self._mapped(move.far), move.device)
        arrays = {kernel.inputs[0].name: source, kernel.output.name: target}
        arguments = step.arguments({**arrays, **exact_scalars(kernel, _FLOAT64, kernel.scalars)})
        return self._on_stream(move, functions[step.entry], step, arguments)

    def _read(self, move: _Move) -> Callable[[], None]:
        """Return a read of the host's memory that leaves no copy: only its sum."""
        self._partials = cupy.empty(device.blocks(self._gpu.sm_count), np.float64)
        text, step = device.passes(self._size // (8 * device.TILE), 1, self._gpu.sm_count)
        arguments = step.arguments({"a": self._mapped(move.far), "partials": self._partials})
        return self._on_stream(move, self._gpu.compile(text, (), (step.entry,))[step.entry], step, arguments)

    def _on_stream(self, move: _Move, function: Any, step: Any, arguments: Any) -> Callable[[], None]:
        def run() -> None:
            with move.stream:
                function(step.grid, step.block, arguments)

        return run

    def _prefetch(self, move: _Move) -> Callable[[], None]:
        to = self._index if move.way == "h2d" else _HOST
        return lambda: self._migrate(move, to)

    def _migrate(self, move: _Move, to: int) -> None:
        cupy.cuda.runtime.memPrefetchAsync(move.far.ctypes.data, self._size, to, move.stream.ptr)

    def _send_home(self) -> None:
        for move in self._moves:
            self._migrate(move, _HOST if move.way == "h2d" else self._index)
        cupy.cuda.runtime.deviceSynchronize()

    def _mapped(self, far: Any) -> Any:
        """Return the device's view of the other side's memory: one address on both sides (unified addressing)."""
        if self._peer is not None:
            return far
        memory = cupy.cuda.UnownedMemory(far.ctypes.data, far.nbytes, far, self._index)
        return cupy.ndarray(far.size, np.float64, cupy.cuda.MemoryPointer(memory, 0))

    def _fill(self, move: _Move) -> None:
        """Give the source its contents."""
        source, _ = move.ends(move.far, move.device)
        _put(move.far if self._in_place else source, self._data)

    def _poison(self, move: _Move) -> None:
        if self._partials is not None:
            self._partials.data.memset(_POISON, self._partials.nbytes)
        elif not self._in_place:  # what is prefetched is its own destination
            _, target = move.ends(move.far, move.device)
            _put(target, np.full(self._size, _POISON, np.uint8).view(np.float64))

    def _has_arrived(self, move: _Move) -> bool:
        if self._partials is not None:
            tile_sums = self._data.reshape(-1, device.TILE).sum(axis=1)
            expected = device.expected_sum(tile_sums, 1, self._gpu.sm_count)
            return bool(abs(float(self._partials.get().sum()) - expected) <= passes.TOLERANCE * expected)
        _, target = move.ends(move.far, move.device)
        arrived = move.far if self._in_place else target
        return np.array_equal(arrived if isinstance(arrived, np.ndarray) else arrived.get(), self._data)


def _put(array: Any, values: Any) -> None:
    """Write values into memory of the host or of a device."""
    if isinstance(array, np.ndarray):
        array[:] = values
    else:
        array.set(values)
