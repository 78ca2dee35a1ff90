"""The interface between the kernels and the harness: what every backend can do, and what accelerators' share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from bandmark.device.device import Device
from bandmark.device.memory import MemoryBudget, available_bytes, device_budget, unified_budget
from bandmark.device.sensors import SensorReading, Sensors
from bandmark.errors import first_line
from bandmark.measure.sampling import Launcher
from bandmark_kernels import DType, Kernel
from bandmark_kernels.core.kernel import Inputs


class Workload(Launcher, Protocol):
    """A case with its operands in place, ready to be launched and timed."""

    variant: str | None
    """Which of the kernel's variants runs, where there are several."""
    copies: int
    """How many sets of the arrays launches rotate through, so that the cache does not serve a small set."""

    @property
    def note(self) -> str | None:
        """What a row says of how its launches were made; None where there is nothing to say."""

    def verify(self) -> float:
        """Launch once more into a poisoned output and return the largest error in units of the tolerance."""

    def close(self) -> None:
        """Release the buffers."""


class Backend(Protocol):
    """A library on a device. What is written out here suits a library without variants or sensors."""

    name: str
    version: str
    device: Device
    sensors: Sensors | None = None
    driver: str | None = None
    threads: int | None = None
    """Host threads that work on a launch; None on an accelerator."""
    peers: Mapping[int, bool] = {}
    """Whether the device reaches their memory, by the indices of the other devices that its library sees."""
    memory_name: str
    """Backends of the same memory name work on the same arrays; others hold their own."""
    routines: Mapping[str, Any] = {}
    """Work beside the kernel table, by name: classes of workloads, which take the backend, and by keyword what a suite
    asks for. Where `has_all` is false a library can do it on a part of the cases, and stands in for those that can."""
    verifies_first: bool
    """Whether a case is verified before it is timed, too: compilers have got single architectures wrong."""

    def unsupported_reason(self, kernel: Kernel, dtype: DType) -> str | None:
        """Return why a kernel does not run at memory speed here, or None if it does."""
        return kernel.unsupported_reason(self.name, dtype, on_cpu=self.threads is not None)

    def variants(self, kernel: Kernel) -> tuple[str, ...]:
        """Return the names of a kernel's variants on the backend; empty if there is only one."""
        return ()

    def lacking_variants(self, kernel: Kernel) -> Mapping[str, str]:
        """Return the variants that the backend has on other devices alone, each with the reason."""
        return {}

    def default_variants(self, kernel: Kernel) -> tuple[str | None, ...]:
        """Return the variants that a run measures unasked, the first of them on any size, the others in memory only.

        None stands for the variant that the backend chooses.
        """
        return (None,)

    def prepare(self, inputs: Inputs, variant: str | None = None, copies: int = 1) -> Workload:
        """Place so many sets of the operands and bind a variant of the kernel, or the default, to them.

        Raises:
            MemoryError: there is no room for them after all; fewer elements may fit.
            NotImplementedError: the variant does not support the operands.
        """

    def lacks_memory(self, problem: BaseException) -> bool:
        """Return whether an exception of the library says that memory ran out: fewer elements may fit."""
        return isinstance(problem, MemoryError)

    def budget(self) -> MemoryBudget:
        """Return how much memory the arrays of a case may take at present."""

    def telemetry(self) -> SensorReading:
        """Return the last reading taken at work, with every warning since the present cases were prepared."""
        return self.sensors.reading() if self.sensors else SensorReading()

    def facts(self) -> Mapping[str, object]:
        """Return what the run record says about the library and what it was built with."""

    def close(self) -> None:
        """Release threads and devices."""


_T = TypeVar("_T")


def place(make: Callable[[], _T], lacks_memory: Callable[[Exception], bool], release: Callable[[], None]) -> _T:
    """Return a new workload; raises MemoryError, with the device's cached memory released, if there is no room."""
    try:
        return make()
    except Exception as error:
        if not lacks_memory(error):
            raise
        problem = first_line(error)
    # The end of the handler drops the unfinished workload, and so its arrays.
    release()
    raise MemoryError(problem)


def accelerator_budget(device: Device, free_bytes: Callable[[], int]) -> MemoryBudget:
    """Return the budget of an accelerator's memory, or of the system's where the two share it.

    On integrated devices the library's "free" leaves out what the system could drop, so it is not used.
    """
    if device.integrated:
        return unified_budget(available_bytes(), device.memory_bytes)
    return device_budget(free_bytes())


def gpu_device(name: str, index: int, numbers: Iterable[int | None], sensors: Sensors | None) -> Device:
    """Return the facts of a GPU that has properties.

    The numbers are bytes of memory and of cache, bits of the bus, kHz of the memory clock and multiprocessors; 0 stands
    for unknown in several drivers.
    """
    memory, cache, bus, clock_khz, multiprocessors = (number or None for number in numbers)
    return Device(
        kind="gpu",
        name=name,
        index=index,
        memory_bytes=memory,
        llc_bytes=cache,
        bus_width_bits=bus,
        memory_clock_mhz=clock_khz / 1e3 if clock_khz else None,
        max_memory_clock_mhz=sensors.max_memory_clock_mhz if sensors else None,
        sm_count=multiprocessors,
        mig=" MIG " in name,
    )


def accelerator_facts(sensors: Sensors, free_bytes: Callable[[], int]) -> dict[str, object]:
    """Return what NVML says of a device, and the memory that CUDA calls free: it is recorded, and never used.

    On an integrated device "free" leaves out what the system could drop.
    """
    free = None
    with suppress(RuntimeError):  # drivers of integrated devices have refused this query
        free = free_bytes()
    return {"device_free_bytes": free, **sensors.facts()}
