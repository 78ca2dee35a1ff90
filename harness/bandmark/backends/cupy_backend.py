"""The CuPy backend: the raw CUDA kernels on an NVIDIA GPU, timed by the device's events.

Only these kernels, copies and memsets run on the device: CuPy allocates, compiles and launches, nothing more.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import Any

import cupy

from bandmark.backends.cupy_devices import bus_id, max_clock_mhz
from bandmark.backends.cupy_workload import CupyWorkload
from bandmark.backends.events import delay_seconds
from bandmark.device.device import Device
from bandmark.device.memory import MemoryBudget, available_bytes, device_budget, unified_budget
from bandmark.device.sensors import SensorReading, Sensors
from bandmark.errors import BackendUnavailable, UsageError, first_line
from bandmark_kernels import DType, Kernel
from bandmark_kernels.core.cuda import MIN_CAPABILITY, Program, fp4_probe, program, variants
from bandmark_kernels.core.inputs import Inputs
from bandmark_kernels.core.launch import clock_probe, delay

OUT_OF_MEMORY = 2
"""The status of both cudaErrorMemoryAllocation and CUDA_ERROR_OUT_OF_MEMORY."""

GET_COMPILER = "`pip install 'bandmark[cupy13]'` (cupy12 for a CUDA 12 driver) brings what CuPy compiles with."


class CupyBackend:
    """CuPy on one CUDA device."""

    name = "cupy"
    version = cupy.__version__
    threads = None
    verifies_first = True

    def __init__(self, address: str, device: Device) -> None:
        """Open the device; raises BackendUnavailable if it is too old or nothing can be compiled for it."""
        assert device.index is not None
        assert device.compute_capability is not None
        assert device.sm_count is not None
        if device.compute_capability < MIN_CAPABILITY:
            has, needed = (".".join(map(str, c)) for c in (device.compute_capability, MIN_CAPABILITY))
            raise BackendUnavailable(
                f"{device.name} has compute capability {has}, and the CUDA kernels need {needed} or above. "
                "--backend torch measures such a GPU, --device cpu the CPU."
            )
        self.device = device
        self.capability = device.compute_capability
        self.sm_count = device.sm_count
        self.memory_name = f"cupy {address}"
        cupy.cuda.Device(device.index).use()
        self.sensors = Sensors(bus_id(device.index), max_clock_mhz(device.index))
        self.driver = self.sensors.driver
        self._programs: dict[tuple[Any, ...], tuple[Program, dict[str, Any]]] = {}
        self._helpers = self._compile_helpers()

    def why_not(self, kernel: Kernel, dtype: DType) -> str | None:
        """Return why there is no CUDA body, or None: every kernel has one for every dtype."""
        return None

    def variants(self, kernel: Kernel) -> tuple[str, ...]:
        """Return the forms of a kernel on this device, the default first."""
        return variants(kernel, self.capability, fp4=self.fp4_problem is None)

    @cached_property
    def fp4_problem(self) -> str | None:
        """Why e2m1 codes are not converted by an instruction of their own, or None: tried once, by compiling one."""
        probe = fp4_probe(self.capability)
        if probe is None:
            return "the device has no instruction that converts e2m1"
        code, options, entry = probe
        try:
            cupy.RawModule(code=code, options=options).get_function(entry)
        except Exception as error:  # many types, for what can't be compiled or loaded; told in facts()
            return f"{' '.join(options)}: {type(error).__name__}: {first_line(error)}"
        return None

    def prepare(self, inputs: Inputs, variant: str | None = None, copies: int = 1) -> CupyWorkload:
        """Place the operands and the workspace and compile the kernel.

        Args:
            inputs: what the operands hold.
            variant: one of the kernel's forms on this device; None for the default.
            copies: sets of arrays to rotate over.

        Raises:
            MemoryError: the device has no room; with less it may have.
        """
        self.sensors.reset()
        try:
            return CupyWorkload(self, inputs, self.variant_for(inputs.kernel, variant), copies)
        except Exception as error:  # which of them mean want of memory, lacks_memory tells
            if not self.lacks_memory(error):
                raise
            problem = first_line(error)
        # The handler's end lets go of the half-made workload, and so of its arrays.
        self.release()
        raise MemoryError(problem)

    def lacks_memory(self, problem: BaseException) -> bool:
        """Return whether CuPy or CUDA found no room: the first launch of a kernel loads its code, and needs some."""
        return isinstance(problem, MemoryError) or (
            isinstance(problem, _cuda_errors()) and getattr(problem, "status", None) == OUT_OF_MEMORY
        )

    def variant_for(self, kernel: Kernel, asked: str | None) -> str:
        """Return the variant to run: the one asked for, or the default; raises UsageError if there is none such."""
        offered = self.variants(kernel)
        if asked is None:
            return offered[0]
        if asked not in offered:
            raise UsageError(
                f"{kernel.label} has no variant {asked!r} on this device; choose from {', '.join(offered)}."
            )
        return asked

    def compiled(self, kernel: Kernel, dtype: DType, variant: str) -> tuple[Program, dict[str, Any]]:
        """Return a kernel's program and its functions by entry point, compiled once per device."""
        key = (kernel.label, kernel.attention, dtype.name, variant)
        if key not in self._programs:
            made = program(kernel, dtype, variant, capability=self.capability)
            module = cupy.RawModule(code=made.source, options=made.options)
            self._programs[key] = made, {entry: module.get_function(entry) for entry in made.entries}
        return self._programs[key]

    def budget(self) -> MemoryBudget:
        """Return the budget of the device's memory, or of the system's where the two share it.

        On integrated devices CUDA's "free" leaves out what the system could drop, so it is not used.
        """
        if self.device.integrated:
            return unified_budget(available_bytes(), self.device.memory_bytes)
        free, _ = cupy.cuda.runtime.memGetInfo()
        return device_budget(free)

    def hold(self, launch_count: int) -> None:
        """Queue a delay behind which so many launches can be queued."""
        step = delay(int(delay_seconds(launch_count) * 1e9))[1]
        self._helpers[step.entry](step.grid, step.block, step.arguments())

    def probe_clocks(self, out: Any) -> None:
        """Queue a reading of the multiprocessors' clocks."""
        step = clock_probe(self.sm_count)[1]
        self._helpers[step.entry](step.grid, step.block, step.arguments({"out": out}))

    def telemetry(self) -> SensorReading:
        """Return the last reading taken at work, with every warning since the present cases were prepared."""
        return self.sensors.reading()

    def facts(self) -> dict[str, Any]:
        """Return the CUDA versions in use, the memory that CUDA calls free, and what NVML says of the device.

        "fp4_conversion" is native, or why it is not.

        On an integrated device "free" leaves out what the system could drop: it is recorded, and never used.
        """
        runtime = cupy.cuda.runtime
        free = None
        with suppress(runtime.CUDARuntimeError):  # drivers of integrated devices have refused this query
            free = runtime.memGetInfo()[0]
        return {
            "cuda_runtime": runtime.runtimeGetVersion(),
            "cuda_driver": runtime.driverGetVersion(),
            "nvrtc": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
            "device_free_bytes": free,
            "fp4_conversion": self.fp4_problem or "native",
            **self.sensors.facts(),
        }

    def release(self) -> None:
        """Give pooled memory back to the device."""
        # A device that has failed refuses this too; what it failed at is told where it was launched.
        with suppress(*_cuda_errors()):
            cupy.get_default_memory_pool().free_all_blocks()

    def close(self) -> None:
        """Give pooled memory back to the device."""
        self._programs.clear()
        self.release()

    def _compile_helpers(self) -> dict[str, Any]:
        """Compile the delay and the clock probe: what fails here would fail for every kernel."""
        helpers = (delay(0), clock_probe(1))
        try:
            return {step.entry: cupy.RawModule(code=text).get_function(step.entry) for text, step in helpers}
        except Exception as error:  # CuPy raises many types when NVRTC is missing, too old or broken; all are told
            raise BackendUnavailable(
                f"CuPy can't compile for {self.device.name} ({type(error).__name__}: {first_line(error)}). "
                f"{GET_COMPILER}"
            ) from error


def _cuda_errors() -> tuple[type[Exception], ...]:
    """Return what CuPy raises for errors of CUDA's runtime and of its driver."""
    return cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError


def open_accelerator(address: str, device: Device) -> CupyBackend:
    """Return the backend on a CUDA device such as cuda:0."""
    return CupyBackend(address, device)
