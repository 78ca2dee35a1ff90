"""Which CUDA devices does CuPy see, and what does the driver tell about them?"""

from __future__ import annotations

from typing import Any

import cupy

from bandmark.device.device import Device
from bandmark.device.sensors import Sensors


def list_accelerators() -> tuple[list[tuple[str, Device]], str | None]:
    """Return address and facts of each CUDA device, and a sentence on what is missing."""
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return [], (
            f"CuPy {cupy.__version__} finds no usable NVIDIA driver ({error}); install or update the driver until "
            "`nvidia-smi` works, and for a CUDA 12 driver `pip install 'bandmark[cupy12]'` in place of cupy13"
        )
    if count == 0:
        return [], f"CuPy {cupy.__version__} finds no CUDA device; `nvidia-smi -L` lists what the driver has"
    found, problems = [], []
    for index in range(count):
        try:
            found.append((f"cuda:{index}", read_device(index)))
        except cupy.cuda.runtime.CUDARuntimeError as error:
            problems.append(f"CuPy can't read cuda:{index} ({error})")
    return found, "; ".join(problems) or None


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


def max_clock_mhz(index: int) -> float | None:
    """Return the highest clock of the multiprocessors that the driver lists, in MHz."""
    khz = cupy.cuda.runtime.getDeviceProperties(index).get("clockRate")
    return khz / 1e3 if khz else None


def bus_id(index: int) -> str | None:
    """Return a device's place on the PCI bus, by which NVML finds it, such as 0000:01:00.0."""
    try:
        found: str = cupy.cuda.runtime.deviceGetPCIBusId(index)
    except cupy.cuda.runtime.CUDARuntimeError:
        return None
    return found
