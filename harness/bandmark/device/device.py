"""The facts about one device to measure, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a backend, the driver or the system reports about one device; None is unknown, never 0.

    Backends fill it in; nothing here reads hardware, so peaks, budgets and regimes are tested without a device.
    """

    kind: Literal["cpu", "gpu"]
    """"cpu" or "gpu" (any accelerator)."""
    name: str
    """The whole name as reported ("NVIDIA GB10"); of a CPU its model name."""
    index: int | None = None
    """The index that the backend uses to address it; None for a CPU."""
    memory_bytes: int | None = None
    """Total memory of the device in bytes; on unified memory the system's."""
    llc_bytes: int | None = None
    """Size in bytes of the last-level cache: L2 of a GPU, the sum of all last-level caches of a CPU."""
    bus_width_bits: int | None = None
    """Width of the memory bus in bits, as the driver reports it."""
    memory_clock_mhz: float | None = None
    """Memory clock in MHz, as the driver reports it (half the data rate on most discrete GPUs)."""
    max_memory_clock_mhz: float | None = None
    """Highest memory clock in MHz, from NVML."""
    integrated: bool | None = None
    """True where the device shares the system's memory (DGX Spark, Jetson)."""
    compute_capability: tuple[int, int] | None = None
    """CUDA compute capability, such as (12, 1)."""
    sm_count: int | None = None
    """Number of streaming multiprocessors."""
    mig: bool = False
    """True where the device is a MIG slice of a GPU."""
