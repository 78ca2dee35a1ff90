"""The CUDA devices that CuPy sees, and what the driver tells about them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import cupy

from bandmark.backends.events import delay_seconds
from bandmark.device.device import Device
from bandmark.device.sensors import Sensors
from bandmark.errors import BackendUnavailable, first_line
from bandmark_kernels import DType, Kernel
from bandmark_kernels.core.cuda import Program, program
from bandmark_kernels.core.launch import clock_probe, delay

GET_COMPILER = "`pip install 'bandmark[cupy13]'` (cupy12 for a CUDA 12 driver) brings what CuPy compiles with."


def list_accelerators() -> tuple[list[tuple[str, Device]], str | None]:
    """Return address and facts of each CUDA device, and a clause on what is missing."""
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return [], (
            f"CuPy {cupy.__version__} finds no usable NVIDIA driver ({error}); install or update the driver until "
            "`nvidia-smi` works, and for a CUDA 12 driver `pip install 'bandmark[cupy12]'` in place of cupy13"
        )
    if count == 0:
        return [], f"CuPy {cupy.__version__} finds no CUDA device; `nvidia-smi -L` lists what the driver has"
    devices, problems = [], []
    for index in range(count):
        try:
            devices.append((f"cuda:{index}", read_device(index)))
        except cupy.cuda.runtime.CUDARuntimeError as error:
            problems.append(f"CuPy can't read cuda:{index} ({error})")
    return devices, "; ".join(problems) or None


def read_device(index: int) -> Device:
    """Return the facts of one device; 0 stands for unknown in several drivers."""
    properties: dict[str, Any] = cupy.cuda.runtime.getDeviceProperties(index)

    def known(name: str) -> Any:
        return properties.get(name) or None

    clock_khz = known("memoryClockRate")
    name = properties["name"].decode()
    return Device(
        kind="gpu",
        name=name,
        index=index,
        memory_bytes=known("totalGlobalMem"),
        llc_bytes=known("l2CacheSize"),
        bus_width_bits=known("memoryBusWidth"),
        memory_clock_mhz=clock_khz / 1e3 if clock_khz else None,
        max_memory_clock_mhz=Sensors(bus_id(index)).facts().get("max_memory_clock_mhz"),
        integrated=bool(properties["integrated"]),
        compute_capability=(properties["major"], properties["minor"]),
        sm_count=known("multiProcessorCount"),
        mig=" MIG " in name,
    )


def _max_clock_mhz(index: int) -> float | None:
    """Return the highest clock of the multiprocessors that the driver lists, in MHz."""
    khz = cupy.cuda.runtime.getDeviceProperties(index).get("clockRate")
    return khz / 1e3 if khz else None


def bus_id(index: int) -> str | None:
    """Return a device's address on the PCI bus, by which NVML finds it, such as 0000:01:00.0."""
    try:
        return str(cupy.cuda.runtime.deviceGetPCIBusId(index))
    except cupy.cuda.runtime.CUDARuntimeError:
        return None


class Gpu:
    """A CUDA device in use: the programs compiled for it, and its sensors."""

    def __init__(self, device: Device) -> None:
        """Use the device; raises BackendUnavailable if nothing can be compiled for it."""
        assert device.index is not None
        assert device.compute_capability is not None
        assert device.sm_count is not None
        self.sm_count = device.sm_count
        self._capability = device.compute_capability
        cupy.cuda.Device(device.index).use()
        self.sensors = Sensors(bus_id(device.index), _max_clock_mhz(device.index))
        self._functions: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}
        self._helpers = _compile_helpers(device.name)

    def compiled(self, kernel: Kernel, dtype: DType, variant: str) -> tuple[Program, dict[str, Any]]:
        """Return a kernel's program and its functions by entry point, compiled once per device."""
        compiled = program(kernel, dtype, variant, capability=self._capability)
        key = (compiled.source, compiled.options)
        if key not in self._functions:
            module = cupy.RawModule(code=compiled.source, options=compiled.options)
            self._functions[key] = {entry: module.get_function(entry) for entry in compiled.entries}
        return compiled, self._functions[key]

    def delay(self, launch_count: int) -> None:
        """Queue a delay behind which so many launches can be queued."""
        step = delay(int(delay_seconds(launch_count) * 1e9))[1]
        self._helpers[step.entry](step.grid, step.block, step.arguments())

    def probe_clocks(self, out: Any) -> None:
        """Queue a reading of the multiprocessors' clocks."""
        step = clock_probe(self.sm_count)[1]
        self._helpers[step.entry](step.grid, step.block, step.arguments({"out": out}))

    def release(self) -> None:
        """Return pooled memory to the device."""
        # A device that has failed refuses this, too; the row of the launch that failed says why.
        with suppress(*cuda_errors()):
            cupy.get_default_memory_pool().free_all_blocks()

    def close(self) -> None:
        """Release programs and pooled memory."""
        self._functions.clear()
        self.release()


def _compile_helpers(device_name: str) -> dict[str, Any]:
    """Compile the delay and the clock probe: what fails here would fail for every kernel."""
    helpers = (delay(0), clock_probe(1))
    try:
        return {step.entry: cupy.RawModule(code=text).get_function(step.entry) for text, step in helpers}
    except Exception as error:  # CuPy raises many types when NVRTC is missing, too old or broken
        raise BackendUnavailable(
            f"CuPy can't compile for {device_name} ({type(error).__name__}: {first_line(error)}). {GET_COMPILER}"
        ) from error


def cuda_errors() -> tuple[type[Exception], ...]:
    """Return what CuPy raises for errors of CUDA's runtime and of its driver."""
    return cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError
