"""The CuPy backend: the raw CUDA kernels on an NVIDIA GPU, timed by the device's events.

Only these kernels, copies and memsets run on the device: CuPy allocates, compiles and launches, nothing more.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import Any

import cupy

from bandmark.backends.cupy_devices import Gpu, cuda_errors
from bandmark.backends.cupy_workload import CupyWorkload
from bandmark.device.device import Device
from bandmark.device.memory import MemoryBudget, available_bytes, device_budget, unified_budget
from bandmark.device.sensors import SensorReading
from bandmark.errors import BackendUnavailable, UsageError, first_line
from bandmark_kernels import DType, Kernel
from bandmark_kernels.core.cuda import MIN_CAPABILITY, fp4_probe, variants
from bandmark_kernels.core.kernel import Inputs

OUT_OF_MEMORY = 2
"""The status of both cudaErrorMemoryAllocation and CUDA_ERROR_OUT_OF_MEMORY."""


class CupyBackend:
    """CuPy on one CUDA device."""

    name = "cupy"
    version = cupy.__version__
    threads = None
    verifies_first = True

    def __init__(self, address: str, device: Device) -> None:
        """Open the device; raises BackendUnavailable if it is too old or nothing can be compiled for it."""
        assert device.compute_capability is not None
        if device.compute_capability < MIN_CAPABILITY:
            has, needed = (".".join(map(str, c)) for c in (device.compute_capability, MIN_CAPABILITY))
            raise BackendUnavailable(
                f"{device.name} has compute capability {has}, and the CUDA kernels need {needed} or above. "
                "--backend torch measures such a GPU, --device cpu the CPU."
            )
        self.device = device
        self.capability = device.compute_capability
        self.memory_name = f"cupy {address}"
        self.gpu = Gpu(device)
        self.sensors = self.gpu.sensors
        self.driver = self.sensors.driver

    def unsupported_reason(self, kernel: Kernel, dtype: DType) -> str | None:
        """Return why there is no CUDA implementation, or None if there is one."""
        return kernel.unsupported_reason(self.name, dtype)

    def variants(self, kernel: Kernel) -> tuple[str, ...]:
        """Return the variants of a kernel on this device, the default first."""
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
        except Exception as error:  # many types, for what can't be compiled or loaded; facts() reports it
            return f"{' '.join(options)}: {type(error).__name__}: {first_line(error)}"
        return None

    def prepare(self, inputs: Inputs, variant: str | None = None, copies: int = 1) -> CupyWorkload:
        """Place the operands and the workspace and compile the kernel.

        Args:
            inputs: what the operands hold.
            variant: one of the kernel's variants on this device; None for the default.
            copies: sets of arrays to rotate through.

        Raises:
            MemoryError: the device has no room; fewer elements may fit.
        """
        self.sensors.reset()
        try:
            return CupyWorkload(self.gpu, inputs, self._select_variant(inputs.kernel, variant), copies)
        except Exception as error:  # lacks_memory says which of them mean that memory ran out
            if not self.lacks_memory(error):
                raise
            problem = first_line(error)
        # The end of the handler drops the unfinished workload, and so its arrays.
        self.gpu.release()
        raise MemoryError(problem)

    def lacks_memory(self, problem: BaseException) -> bool:
        """Return whether CuPy or CUDA found no room: the first launch of a kernel loads its code, and needs some."""
        return isinstance(problem, MemoryError) or (
            isinstance(problem, cuda_errors()) and getattr(problem, "status", None) == OUT_OF_MEMORY
        )

    def _select_variant(self, kernel: Kernel, name: str | None) -> str:
        """Return the variant to run: the one named, or the default; raises UsageError if there is none such."""
        offered = self.variants(kernel)
        if name is None:
            return offered[0]
        if name not in offered:
            raise UsageError(
                f"{kernel.label} has no variant {name!r} on this device; choose from {', '.join(offered)}."
            )
        return name

    def budget(self) -> MemoryBudget:
        """Return the budget of the device's memory, or of the system's where the two share it.

        On integrated devices CUDA's "free" leaves out what the system could drop, so it is not used.
        """
        if self.device.integrated:
            return unified_budget(available_bytes(), self.device.memory_bytes)
        free, _ = cupy.cuda.runtime.memGetInfo()
        return device_budget(free)

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

    def close(self) -> None:
        """Release programs and pooled memory."""
        self.gpu.close()


def open_accelerator(address: str, device: Device) -> CupyBackend:
    """Return the backend on a CUDA device such as cuda:0."""
    return CupyBackend(address, device)
