"""The CuPy backend: the raw CUDA kernels on an NVIDIA GPU, timed by the device's events.

Only these kernels, copies and memsets run on the device: CuPy allocates, compiles and launches, nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import cupy

from bandmark.backends.base import Backend, accelerator_budget, accelerator_facts, gpu_device, place
from bandmark.backends.cupy_routines import Accesses, Chase, LoadedChase, Passes
from bandmark.backends.cupy_transfer import Transfer
from bandmark.backends.cupy_workload import CupyWorkload, Gpu, bus_id, cuda_errors
from bandmark.device.device import Device
from bandmark.device.memory import MemoryBudget
from bandmark.device.sensors import Sensors
from bandmark.errors import BackendUnavailable, UsageError, first_line
from bandmark_kernels import Kernel
from bandmark_kernels.core.cuda import MIN_CAPABILITY, WIDE_PTX_NVRTC, fp4_probe, lacking, variants, variants_beside
from bandmark_kernels.core.kernel import Inputs

_OUT_OF_MEMORY = 2  # the status of both cudaErrorMemoryAllocation and CUDA_ERROR_OUT_OF_MEMORY


class CupyBackend(Backend):
    """CuPy on one CUDA device."""

    name = "cupy"
    version = cupy.__version__
    verifies_first = True
    routines: Mapping[str, Any] = {
        "chase": Chase,
        "loaded-chase": LoadedChase,
        "passes": Passes,
        "patterns": Accesses,
        "transfer": Transfer,
    }

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
        self.driver = self.gpu.sensors.driver
        runtime, own = cupy.cuda.runtime, device.index
        others = (index for index in range(runtime.getDeviceCount()) if index != own)
        self.peers = {index: bool(runtime.deviceCanAccessPeer(own, index)) for index in others}

    def variants(self, kernel: Kernel) -> tuple[str, ...]:
        """Return the variants of a kernel on this device, the default first."""
        wide_ptx = tuple(cupy.cuda.nvrtc.getVersion()) >= WIDE_PTX_NVRTC
        return variants(kernel, self.capability, fp4=self.fp4_problem is None, wide_ptx=wide_ptx)

    def lacking_variants(self, kernel: Kernel) -> Mapping[str, str]:
        """Return the variants of a kernel that the device is too old for, each with the reason."""
        return lacking(kernel, self.capability)

    def default_variants(self, kernel: Kernel) -> tuple[str | None, ...]:
        """Return the default, and the variants that are always measured beside it."""
        return (None, *variants_beside(self.variants(kernel), self.capability))

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
        """Place the operands and the workspace and compile the kernel."""
        chosen = self._select_variant(inputs.kernel, variant)
        return place(lambda: CupyWorkload(self.gpu, inputs, chosen, copies), self.lacks_memory, self.gpu.release)

    def lacks_memory(self, problem: BaseException) -> bool:
        """Return whether CuPy or CUDA found no room: the first launch of a kernel loads its code, and needs some."""
        return isinstance(problem, MemoryError) or (
            isinstance(problem, cuda_errors()) and getattr(problem, "status", None) == _OUT_OF_MEMORY
        )

    def _select_variant(self, kernel: Kernel, name: str | None) -> str:
        offered = self.variants(kernel)
        if name is None:
            return offered[0]
        if name not in offered:
            raise UsageError(
                f"{kernel.label} has no variant {name!r} on this device; choose from {', '.join(offered)}."
            )
        return name

    def budget(self) -> MemoryBudget:
        """Return the budget of the device's memory, or of the system's where the two share it."""
        return accelerator_budget(self.device, _free_bytes)

    def facts(self) -> Mapping[str, object]:
        """Return the CUDA versions in use and the facts of the device; "fp4_conversion" is native, or why it is not."""
        runtime = cupy.cuda.runtime
        return {
            "cuda_runtime": runtime.runtimeGetVersion(),
            "cuda_driver": runtime.driverGetVersion(),
            "nvrtc": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
            "fp4_conversion": self.fp4_problem or "native",
            **accelerator_facts(self.gpu.sensors, _free_bytes),
        }

    def close(self) -> None:
        """Release programs and pooled memory."""
        self.gpu.close()


def _free_bytes() -> int:
    return int(cupy.cuda.runtime.memGetInfo()[0])


def list_accelerators() -> tuple[list[tuple[str, Device]], str | None]:
    """Return address and facts of each CUDA device, and a clause on what is missing."""
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return [], (
            f"CuPy {cupy.__version__} finds no usable NVIDIA driver ({error}); install or update the driver until "
            "`nvidia-smi` works, and for a CUDA 12 driver `pip install 'cupy-cuda12x[ctk]'` in place of 13x"
        )
    if count == 0:
        return [], f"CuPy {cupy.__version__} finds no CUDA device; `nvidia-smi -L` lists what the driver has"
    devices, problems = [], []
    for index in range(count):
        try:
            devices.append((f"cuda:{index}", _read_device(index)))
        except cupy.cuda.runtime.CUDARuntimeError as error:
            problems.append(f"CuPy can't read cuda:{index} ({error})")
    return devices, "; ".join(problems) or None


def _read_device(index: int) -> Device:
    properties = cupy.cuda.runtime.getDeviceProperties(index)
    numbers = ("totalGlobalMem", "l2CacheSize", "memoryBusWidth", "memoryClockRate", "multiProcessorCount")
    device = gpu_device(properties["name"].decode(), index, map(properties.get, numbers), Sensors(bus_id(index)))
    return replace(
        device,
        integrated=bool(properties["integrated"]),
        compute_capability=(properties["major"], properties["minor"]),
    )


def open_accelerator(address: str, device: Device) -> CupyBackend:
    """Return the backend on a CUDA device such as cuda:0."""
    return CupyBackend(address, device)
