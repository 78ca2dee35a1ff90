"""The interface between the kernels and the harness: what every backend can do."""

from __future__ import annotations

from typing import Any, Protocol

from bandmark.device.device import Device
from bandmark.device.memory import MemoryBudget
from bandmark.device.sensors import SensorReading
from bandmark.measure.sampling import Launcher
from bandmark_kernels import DType, Kernel
from bandmark_kernels.core.kernel import Inputs


class Workload(Launcher, Protocol):
    """A case with its operands in place, ready to be launched and timed."""

    variant: str | None
    """Which of the kernel's variants runs, where there are several."""
    copies: int
    """How many sets of the arrays launches rotate through, so that the cache does not serve a small set."""

    def verify(self) -> float:
        """Launch once more into a poisoned output and return the largest error in units of the tolerance."""

    def close(self) -> None:
        """Release the buffers."""


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

    def unsupported_reason(self, kernel: Kernel, dtype: DType) -> str | None:
        """Return why a kernel does not run at memory speed here, or None if it does."""

    def variants(self, kernel: Kernel) -> tuple[str, ...]:
        """Return the names of a kernel's variants on the backend; empty if there is only one."""

    def prepare(self, inputs: Inputs, variant: str | None = None, copies: int = 1) -> Workload:
        """Place the operands and bind the kernel to them.

        Args:
            inputs: what the operands hold.
            variant: one of the kernel's variants; None for the default.
            copies: sets of the operands to rotate through.

        Raises:
            MemoryError: there is no room for them after all.
            NotImplementedError: the variant does not support the operands.
        """

    def lacks_memory(self, problem: BaseException) -> bool:
        """Return whether an exception of the library says that memory ran out: fewer elements may fit."""

    def budget(self) -> MemoryBudget:
        """Return how much memory the arrays of a case may take at present."""

    def telemetry(self) -> SensorReading:
        """Read the device's present clocks, temperature and power, as far as they are known."""

    def facts(self) -> dict[str, Any]:
        """Return what the run record says about the library and what it was built with."""

    def close(self) -> None:
        """Release threads and devices."""
