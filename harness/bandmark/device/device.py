"""What is being measured? The plain facts about one device, however they were read."""

from dataclasses import dataclass
from typing import Literal

DeviceKind = Literal["cpu", "gpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a backend, the driver or the system tells about one device; None is unknown, never 0.

    Nothing here reads hardware: backends fill it in, and everything that judges a device (its peak, its
    budget, its regime) takes it as plain data, so that it can be tested without the device.
    """

    kind: DeviceKind
    """"cpu" or "gpu" (any accelerator)."""
    name: str
    """The whole name as reported ("NVIDIA GB10"), a CPU's model name for a CPU."""
    index: int | None = None
    """The index that the backend uses to address it; None for a CPU."""
    memory_bytes: int | None = None
    """Total memory of the device in bytes; on unified memory the system's."""
    llc_bytes: int | None = None
    """Size in bytes of the last-level cache: L2 of a GPU, the sum of all last-level caches of a CPU."""
    bus_width_bits: int | None = None
    """Width of the memory bus in bits, the driver's attribute as it stands."""
    memory_clock_mhz: float | None = None
    """Memory clock in MHz, the driver's attribute as it stands (half the data rate on most discrete GPUs)."""
    max_memory_clock_mhz: float | None = None
    """Highest memory clock in MHz that NVML lists, where it does."""
    integrated: bool | None = None
    """True where the device shares the system's memory (DGX Spark, Jetson)."""
    compute_capability: tuple[int, int] | None = None
    """CUDA compute capability, such as (12, 1)."""
    sm_count: int | None = None
    """Number of streaming multiprocessors."""
    pci_id: str | None = None
    """PCI device and subsystem, "2BB3:10DE:204D" (device:subvendor:subdevice, upper-case hex)."""
    mig: bool = False
    """True where the device is a MIG slice of a GPU."""
