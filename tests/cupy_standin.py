"""A stand-in for the few CuPy calls that the backend makes, on GPUs with a virtual clock.

Memory is NumPy's, kernels compute by their float64 references, and a launch takes the time that a law says. A queue
runs behind its host: queueing a launch costs the host time, an event happens when what was queued before it is done.
What CuPy or CUDA would raise, this raises, with the same text; launches are checked against the signature in the CUDA
source, which CUDA itself can't do. tests/test_cupy_contract.py holds this and a real CuPy to the same answers.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cupy_errors import CompileException, CUDADriverError, CUDARuntimeError, OutOfMemoryError
from cupy_gpu import Gpu
from cupy_launch import Module
from cupy_sensors import Sensors
from cupy_transfers import bytes_at, transfers


class StandIn:
    """An installation of CuPy: its GPUs, the host's clock, and a log of what was called."""

    def __init__(self, *gpus: Gpu, host_launch_s: float = 5e-6, device_count_error: int | None = None) -> None:
        self.gpus = gpus or (Gpu(),)
        self.host_launch_s = host_launch_s
        self.device_count_error = device_count_error
        self.now = 0.0
        self.index = 0
        self.log: list[str] = []
        self.compiled: list[tuple[int, str, tuple[str, ...]]] = []
        self.entries: set[str] = set()
        self.recording = False
        """Whether arguments are kept, which keeps their arrays, too."""
        self.arguments: list[tuple[Any, ...]] = []
        self.nvrtc = (13, 2)
        self.memory_asked = 0
        self.current: Stream | None = None
        """The stream that launches go to; None for the default one."""
        self.streams: list[Stream] = []
        self.held: dict[int, Any] = {}
        """Pinned, managed and registered memory of the host, by address."""
        self.homes: dict[int, int] = {}
        """Where managed memory is, by address: -1 on the host, else the device."""
        self.enabled: set[tuple[int, int]] = set()
        """The peers whose memory a device may use: pairs of its own index and the peer's."""
        self.captured: list[Callable[[], None]] | None = None
        """What a stream that captures was given; None while none does."""

    @property
    def gpu(self) -> Gpu:
        """The current device."""
        return self.gpus[self.index]

    def module(self) -> Any:
        """Return what stands for the module cupy."""
        runtime = SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            getDeviceCount=self._count,
            getDeviceProperties=lambda index: self._device(index).properties(),
            deviceGetPCIBusId=lambda index: f"0000:{self._device(index) and index + 1:02X}:00.0",
            memGetInfo=self._memory,
            deviceSynchronize=self.synchronize,
            runtimeGetVersion=lambda: 13020,
            driverGetVersion=lambda: 13020,
            deviceGetAttribute=lambda attribute, index: self._device(index).attributes.get(attribute, 0),
            **transfers(self),
        )
        cuda = SimpleNamespace(
            runtime=runtime,
            driver=SimpleNamespace(
                CUDADriverError=CUDADriverError,
                occupancyMaxActiveBlocksPerMultiprocessor=lambda function, threads, shared: self.gpu.resident,
            ),
            compiler=SimpleNamespace(CompileException=CompileException),
            memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            set_allocator=lambda allocator: self.log.append("set_allocator"),
            nvrtc=SimpleNamespace(getVersion=lambda: self.nvrtc),
            Device=lambda index: Device(self, index),
            Event=lambda disable_timing=False: Event(self),
            Stream=self._stream_class(),
            UnownedMemory=lambda address, size, owner, device_id: (address, size),
            MemoryPointer=lambda memory, offset: (memory[0] + offset, memory[1]),
            get_elapsed_time=elapsed_ms,
        )
        made: Any = types.ModuleType("cupy")
        made.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
        made.__version__ = "14.2.0"
        made.cuda = cuda
        made.empty = lambda count, dtype: Array.new(self, count * np.dtype(dtype).itemsize, dtype)
        made.asarray = lambda host: Array.new(self, host.nbytes, host.dtype, host)
        made.ndarray = lambda count, dtype, memptr: Array(self, bytes_at(memptr[0], memptr[1]), dtype)
        made.RawModule = lambda code, options=(): Module(self, code, options)
        made.get_default_memory_pool = lambda: SimpleNamespace(free_all_blocks=self._free)
        return made

    def queue(self, what: str, seconds: float, stream: Stream | None = None) -> float:
        """Queue work and return when it begins."""
        if self.gpu.lost:
            raise CUDARuntimeError(719)
        self.log.append(what)
        self.now += self.host_launch_s
        line = self.line(stream)
        begin = max(line.free_at, self.now)
        line.free_at = begin + seconds
        return begin

    def line(self, stream: Stream | None = None) -> Any:
        """Return what keeps the time until which a stream, or the current one, is busy."""
        return stream or self.current or self.gpu

    def _stream_class(self) -> Any:
        """Return what stands for the class Stream, whose `null` is the default stream."""

        def make(non_blocking: bool) -> Stream:
            return Stream(self)

        make.null = SimpleNamespace(wait_event=lambda event: self._wait(self.gpu, event))  # type: ignore[attr-defined]
        return make

    def _wait(self, line: Any, event: Event) -> None:
        assert event.at is not None
        line.free_at = max(line.free_at, event.at)

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.gpu.lost:
            raise CUDARuntimeError(719)
        self.log.append("synchronize")
        self.now = max(self.now, self.gpu.free_at, *(stream.free_at for stream in self.streams))

    def _count(self) -> int:
        if self.device_count_error is not None:
            raise CUDARuntimeError(self.device_count_error)
        return len(self.gpus)

    def _device(self, index: int) -> Gpu:
        if not 0 <= index < len(self.gpus):
            raise CUDARuntimeError(101)
        return self.gpus[index]

    def use(self, index: int) -> None:
        """Make a device the current one."""
        self._device(index)
        self.index = index

    def _memory(self) -> tuple[int, int]:
        self.memory_asked += 1
        gpu = self.gpu
        return gpu.memory_bytes - gpu.live - gpu.pooled, gpu.memory_bytes

    def _free(self) -> None:
        self.log.append("free")
        if self.gpu.lost:
            raise CUDARuntimeError(719)
        self.gpu.pooled = 0


class Device:
    """A device by its index, which is the current one within a context."""

    def __init__(self, device: StandIn, index: int) -> None:
        self._device, self._index, self._before = device, index, device.index

    def use(self) -> None:
        """Make it the current one."""
        self._device.use(self._index)

    def __enter__(self) -> None:
        self._before = self._device.index
        self.use()

    def __exit__(self, *_: object) -> None:
        self._device.use(self._before)


class Array:
    """A flat array on a device: bytes, seen as a dtype."""

    def __init__(self, device: StandIn, raw: Any, dtype: Any) -> None:
        self.device, self.raw, self.home = device, raw, device.index
        self.dtype = np.dtype(dtype)
        self.host = raw.view(self.dtype)
        self.size, self.nbytes = self.host.size, self.host.nbytes
        self.data = Pointer(self)

    @classmethod
    def new(cls, device: StandIn, nbytes: int, dtype: Any, host: Any = None) -> Array:
        """Allocate, and copy an array of the host; the memory goes back to the pool when its last view is gone."""
        gpu = device.gpu
        gpu.allocate(nbytes)
        device.log.append("allocate")
        raw = np.full(nbytes, 0xA5, "u1") if host is None else np.array(host).reshape(-1).view("u1")
        made = cls(device, raw, dtype)
        made.block = weakref.finalize(made, gpu.give_back, nbytes)  # type: ignore[attr-defined]
        return made

    def __getitem__(self, part: slice) -> Array:
        view = Array(self.device, self.host[part].view("u1"), self.dtype)
        view.owner, view.home = self, self.home  # type: ignore[attr-defined]
        return view

    def get(self) -> Any:
        """Copy to the host, after all that is queued."""
        self.device.queue("get", 1e-6)
        self.device.now = max(self.device.now, self.device.gpu.free_at)
        return self.host.copy()

    def set(self, values: Any) -> None:
        """Copy from the host."""
        if not isinstance(values, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if values.dtype != self.dtype:
            raise TypeError(f"{values.dtype} array cannot be set to {self.dtype} array")
        if values.shape != self.host.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.host.shape}, new shape: {values.shape}")
        self.device.queue("set", 1e-6)
        self.host[...] = values


class Pointer:
    """An array's memory, as CuPy's MemoryPointer."""

    def __init__(self, array: Array) -> None:
        self._array = weakref.ref(array)

    @property
    def raw(self) -> Any:
        """The bytes."""
        array = self._array()
        assert array is not None
        return array.raw

    @property
    def ptr(self) -> int:
        """The address."""
        return int(self.raw.ctypes.data)

    def memset(self, value: int, size: int) -> None:
        """Set bytes."""
        assert size <= self.raw.nbytes
        self._device().queue("memset", 1e-6)
        self.raw[:size] = value

    def copy_from_device(self, source: Pointer, size: int) -> None:
        """Copy bytes."""
        assert size <= min(self.raw.nbytes, source.raw.nbytes)
        self._device().queue("copy", 1e-6)
        self.raw[:size] = source.raw[:size]

    def _device(self) -> StandIn:
        array = self._array()
        assert array is not None
        return array.device


class Event:
    """A point in the device's queue."""

    def __init__(self, device: StandIn) -> None:
        self.device = device
        self.at: float | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Queue the event."""
        self.at = self.device.queue("event", 0.0, stream)


class Stream:
    """A stream that is not the default one: it has a queue of its own, or captures graphs."""

    def __init__(self, device: StandIn) -> None:
        self.device, self.free_at = device, 0.0
        device.streams.append(self)
        self.ptr = len(device.streams)

    def wait_event(self, event: Event) -> None:
        """Begin nothing before an event has happened."""
        self.device._wait(self, event)

    def __enter__(self) -> Stream:
        self.device.current = self
        return self

    def __exit__(self, *_: object) -> None:
        self.device.current = None
        assert self.device.captured is None, "the capture was not ended"

    def begin_capture(self) -> None:
        """Keep what is launched from now on."""
        self.device.captured = []

    def end_capture(self) -> Graph:
        """Return what was kept."""
        steps, self.device.captured = self.device.captured, None
        assert steps is not None
        return Graph(self.device, steps)


class Graph:
    """Launches that are queued by one call."""

    def __init__(self, device: StandIn, steps: list[Callable[[], None]]) -> None:
        self.device, self.steps = device, steps

    def upload(self) -> None:
        """Bring the graph to the device."""
        self.device.queue("upload", 0.0)

    def launch(self) -> None:
        """Queue all launches."""
        self.device.queue("graph", 0.0)
        for step in self.steps:
            step()


def elapsed_ms(begin: Event, end: Event) -> float:
    """Return the milliseconds between two events in single precision, as CUDA does."""
    if begin.at is None or end.at is None:
        raise CUDARuntimeError(400)
    if max(begin.at, end.at) > end.device.now:
        raise CUDARuntimeError(600)
    tick = end.device.gpu.tick_s
    first, last = ((t // tick * tick) if tick else t for t in (begin.at, end.at))
    return float(np.float32(1e3 * (last - first)))


def install(monkeypatch: pytest.MonkeyPatch, cupy: StandIn | types.ModuleType, sensors: Sensors | None = None) -> None:
    """Put a stand-in in CuPy's place, and pretend sensors (or none) in pynvml's, until the test ends."""
    module = cupy.module() if isinstance(cupy, StandIn) else cupy
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setitem(sys.modules, "pynvml", sensors)
    for name in (f"bandmark.backends.cupy_{part}" for part in ("backend", "workload", "peer", "routines", "transfer")):
        monkeypatch.setitem(sys.modules, name, module)  # so that the undo takes out what the test imports
        del sys.modules[name]


def open_backend(monkeypatch: pytest.MonkeyPatch, cupy: StandIn, sensors: Sensors | None = None, index: int = 0) -> Any:
    """Return the CuPy backend on a pretend GPU."""
    install(monkeypatch, cupy, sensors)
    from bandmark.backends.cupy_backend import list_accelerators, open_accelerator

    found, problem = list_accelerators()
    assert problem is None
    return open_accelerator(*found[index])
