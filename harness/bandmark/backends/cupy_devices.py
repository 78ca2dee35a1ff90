"""Which CUDA devices does CuPy see, and what does the driver tell about them?"""

from __future__ import annotations

from typing import Any

import cupy

from bandmark.device import Device


def list_accelerators() -> tuple[list[tuple[str, Device]], str | None]:
    """Return address and facts of each CUDA device, and a sentence if there is none."""
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return [], (
            f"CuPy {cupy.__version__} finds no usable NVIDIA driver ({error}); "
            "check that `nvidia-smi` works and that the CuPy package matches the driver's CUDA version"
        )
    if count == 0:
        return [], f"CuPy {cupy.__version__} finds no CUDA device"
    return [(f"cuda:{index}", read_device(index)) for index in range(count)], None


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
        integrated=bool(properties["integrated"]),
        compute_capability=(properties["major"], properties["minor"]),
        sm_count=known("multiProcessorCount"),
        mig=" MIG " in name,
    )


def max_clock_mhz(index: int) -> float | None:
    """Return the highest clock of the multiprocessors that the driver lists, in MHz."""
    khz = cupy.cuda.runtime.getDeviceProperties(index).get("clockRate")
    return khz / 1e3 if khz else None
