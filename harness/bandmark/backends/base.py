"""What must a backend be able to do? The one interface between the kernels and the harness."""

from __future__ import annotations

from typing import Any, Protocol

from bandmark.device.device import Device
from bandmark.device.memory import MemoryBudget
from bandmark.device.sensors import SensorReading
from bandmark.measure.sampling import Launcher
from bandmark_kernels import DType, Kernel
from bandmark_kernels.core.inputs import Inputs


class Workload(Launcher, Protocol):
    """A case with its operands in place, ready to be launched and timed."""

    variant: str | None
    """Which of the backend's implementations runs, where there are several."""
    copies: int
    """How many sets of the arrays launches rotate over, so that a small set is not served by the cache."""

    def verify(self) -> float:
        """Launch once more into a poisoned output and return the largest error in units of the tolerance."""

    def close(self) -> None:
        """Let go of the operands."""


class Backend(Protocol):
    """A library on a device."""

    name: str
    version: str
    driver: str | None
    device: Device
    threads: int | None
    """Host threads that work on a launch; None on an accelerator."""
    memory_name: str
    """Backends of the same memory name work on the same arrays; others hold their own."""
    verifies_first: bool
    """Whether a case is verified before it is timed, too: compilers have got single architectures wrong."""

    def why_not(self, kernel: Kernel, dtype: DType) -> str | None:
        """Return why a kernel does not run at memory speed here, or None if it does."""

    def variants(self, kernel: Kernel) -> tuple[str, ...]:
        """Return the names of the forms that the backend has of a kernel; empty if there is only one."""

    def prepare(self, inputs: Inputs, variant: str | None = None, copies: int = 1) -> Workload:
        """Place the operands and bind the kernel to them.

        Args:
            inputs: what the operands hold.
            variant: one of the backend's forms of the kernel; None for the default.
            copies: sets of the operands to rotate over.

        Raises:
            MemoryError: they don't fit after all.
            NotImplementedError: the variant asked for does not go with the operands.
        """

    def lacks_memory(self, problem: BaseException) -> bool:
        """Return whether what the library raised says that there was no room: fewer elements may have it."""

    def budget(self) -> MemoryBudget:
        """Return how much memory the arrays of a case may take at present."""

    def telemetry(self) -> SensorReading:
        """Read the device's present clocks, temperature and power, as far as it tells."""

    def facts(self) -> dict[str, Any]:
        """Return what the run record says of the library and what it was built with."""

    def close(self) -> None:
        """Let go of threads and devices."""
