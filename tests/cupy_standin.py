"""A stand-in for the few CuPy calls that the backend makes: memory is NumPy's, launches take programmed device time.

The kernels compute by their float64 references, so that verification sees what a right kernel would leave.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from bandmark_kernels import DTYPES, KERNELS

MIB = 2**20


class OutOfMemoryError(MemoryError):
    """What CuPy's pool raises."""


class CUDARuntimeError(RuntimeError):
    """What CuPy raises for errors of the CUDA runtime."""


class Pointer:
    """An array's data, as CuPy's MemoryPointer."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def memset(self, value: int, size: int) -> None:
        """Set bytes."""
        self.array.host.view(np.uint8).reshape(-1)[:size] = value

    def copy_from_device(self, source: Pointer, size: int) -> None:
        """Copy bytes."""
        self.array.host.view(np.uint8)[:size] = source.array.host.view(np.uint8)[:size]


class Array:
    """A flat array on the device."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self.data = Pointer(self)
        self.size, self.nbytes, self.dtype = host.size, host.nbytes, host.dtype

    def __getitem__(self, part: slice) -> Array:
        return Array(self.host[part])

    def get(self) -> Any:
        """Copy to the host."""
        return self.host.copy()

    def set(self, values: Any) -> None:
        """Copy from the host."""
        self.host[...] = values


class StandIn:
    """One pretend device: its clock, its memory and a log of what was queued."""

    def __init__(self, seconds: Callable[[str], float], *, memory: int = 4096 * MIB, wrong: str = "") -> None:
        """Program the device: the time of each entry point, its memory, and a kernel that computes nothing."""
        self.seconds, self.memory, self.wrong = seconds, memory, wrong
        self.now = 0.0
        self.log: list[str] = []
        self.compiled: list[str] = []
        self.properties: dict[str, Any] = {
            "name": b"NVIDIA RTX PRO 5000 Blackwell",
            "totalGlobalMem": 48 * 2**30,
            "l2CacheSize": MIB,
            "memoryBusWidth": 384,
            "memoryClockRate": 14001000,
            "clockRate": 2400000,
            "integrated": 0,
            "major": 12,
            "minor": 0,
            "multiProcessorCount": 4,
        }

    def module(self) -> Any:
        """Return what stands for the module cupy."""
        runtime = SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            getDeviceCount=lambda: 1,
            getDeviceProperties=lambda index: self.properties,
            deviceGetPCIBusId=lambda index: "0000:01:00.0",
            memGetInfo=lambda: (self.memory, self.memory),
            deviceSynchronize=lambda: self.log.append("synchronize"),
            runtimeGetVersion=lambda: 13020,
            driverGetVersion=lambda: 13020,
        )
        cuda = SimpleNamespace(
            runtime=runtime,
            memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            nvrtc=SimpleNamespace(getVersion=lambda: (13, 0)),
            Device=lambda index: SimpleNamespace(use=lambda: None),
            Event=lambda: Event(self),
            get_elapsed_time=lambda begin, end: 1e3 * (end.at - begin.at),
        )
        return SimpleNamespace(
            __version__="14.2.0",
            cuda=cuda,
            empty=self.empty,
            asarray=lambda host: Array(np.array(host)),
            RawModule=lambda code, options=(): Module(self, code, options),
            get_default_memory_pool=lambda: SimpleNamespace(free_all_blocks=lambda: self.log.append("free")),
        )

    def empty(self, count: int, dtype: Any) -> Array:
        """Allocate, or raise as CuPy's pool does."""
        size = count * np.dtype(dtype).itemsize
        if size > self.memory:
            raise OutOfMemoryError(f"Out of memory allocating {size} bytes.")
        self.log.append("allocate")
        return Array(np.zeros(count, dtype))


class Event:
    """A point in the device's queue."""

    def __init__(self, device: StandIn) -> None:
        self.device, self.at = device, 0.0

    def record(self) -> None:
        """Queue the event."""
        self.device.log.append("event")
        self.at = self.device.now


class Module:
    """A compiled source; its functions compute the kernel that the entry point is named after."""

    def __init__(self, device: StandIn, code: str, options: Any) -> None:
        self.device = device
        self.element = next((o.split("=")[1] for o in options if o.startswith("-DELEMENT=")), None)

    def get_function(self, entry: str) -> Callable[..., None]:
        """Return a function that queues a launch."""
        self.device.compiled.append(entry)

        def launch(grid: Any, block: Any, arguments: Any) -> None:
            self.device.log.append(entry)
            self.device.now += self.device.seconds(entry)
            name = entry.removeprefix("bandmark_").removesuffix("_ragged")
            if name in KERNELS and name != self.device.wrong and not KERNELS[name].is_reduction:
                self._compute(KERNELS[name], arguments)

        return launch

    def _compute(self, kernel: Any, arguments: Any) -> None:
        dtype = DTYPES[self.element or "float32"]
        arrays = dict(zip((o.name for o in kernel.operands), arguments, strict=False))
        values = {o.name: dtype.decode(arrays[o.name].host) for o in kernel.inputs}
        scalars = dict(zip(kernel.scalars, map(float, arguments[len(kernel.operands) :]), strict=False))
        if kernel.is_matrix:
            n = int(arguments[-1])
            values["A"] = values["A"].reshape(-1, n)
        out = arrays[kernel.output.name].host
        out[...] = dtype.encode(np.broadcast_to(kernel.reference(**values, **scalars), out.shape))
