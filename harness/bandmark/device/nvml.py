"""What do the device's sensors say? NVIDIA's management library, each call of which may be unsupported.

On a DGX Spark memory size, power limit and memory clock are "Not Supported"; in WSL2 most process queries are. Whatever
is not answered is None, and a missing library is no error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bandmark.device.telemetry import Glance, Telemetry

BRAKES = {
    0x04: "the power cap held its clocks down",
    0x08: "a hardware slowdown held its clocks down",
    0x20: "heat held its clocks down (software limit)",
    0x40: "heat held its clocks down (hardware limit)",
    0x80: "an external power brake held its clocks down",
}
"""Bits of nvmlDeviceGetCurrentClocksEventReasons (nvml.h, nvmlClocksEventReason*) that slow a measurement."""

UUID_PREFIXES = ("GPU-", "MIG-")
"""What the UUIDs of devices and of their slices begin with (nvmlDeviceGetHandleByUUID, NVML API Reference)."""


class Nvml:
    """The sensors of one device; everything is None without a working NVML.

    An index would not do: CUDA counts the devices that it may see, in an order of its own.
    """

    def __init__(self, address: str | None, library: Any = None) -> None:
        """Connect to a device by its PCI bus id (0000:01:00.0) or its UUID (GPU-...); None is no device.

        `library` replaces pynvml in tests.
        """
        self._library = library if library is not None else _load()
        self._handle = None
        if self._library is not None and address is not None:
            by = "UUID" if address.startswith(UUID_PREFIXES) else "PciBusId"
            self._handle = self._ask(f"nvmlDeviceGetHandleBy{by}", address.encode(), alone=True)

    def _ask(self, name: str, *arguments: Any, alone: bool = False) -> Any:
        """Return a query's answer, or None where the device does not support it or the library is too old for it."""
        query: Callable[..., Any] | None = getattr(self._library, name, None)
        if query is None or (self._handle is None and not alone):
            return None
        if not alone:
            arguments = (self._handle, *arguments)
        try:
            return query(*arguments)
        except self._library.NVMLError:
            return None

    def driver(self) -> str | None:
        """Return the driver's version."""
        if self._library is None:
            return None
        version = self._ask("nvmlSystemGetDriverVersion", alone=True)
        return version.decode() if isinstance(version, bytes) else version

    def facts(self) -> dict[str, Any]:
        """Return what does not change during a run: ECC and MIG modes and the clocks' maxima, for the run record."""
        library = self._library
        if library is None:
            return {}
        ecc, mig = self._ask("nvmlDeviceGetEccMode"), self._ask("nvmlDeviceGetMigMode")
        return {
            "ecc": bool(ecc[0]) if ecc else None,
            "mig": bool(mig[0]) if mig else None,
            "max_sm_clock_mhz": self._ask("nvmlDeviceGetMaxClockInfo", library.NVML_CLOCK_SM),
            "max_memory_clock_mhz": self._ask("nvmlDeviceGetMaxClockInfo", library.NVML_CLOCK_MEM),
        }

    def glance(self) -> Glance:
        """Read what may change from one sample to the next: the processors' clock and what holds it down."""
        library = self._library
        if library is None or self._handle is None:
            return Glance()
        clock = self._ask("nvmlDeviceGetClockInfo", library.NVML_CLOCK_SM) or None
        return Glance(clock_mhz=clock, brakes=tuple(self._brakes()))

    def telemetry(self) -> Telemetry:
        """Read all sensors once."""
        library = self._library
        if library is None or self._handle is None:
            return Telemetry()
        power = self._ask("nvmlDeviceGetPowerUsage")
        now = self.glance()
        return Telemetry(
            temperature_c=self._ask("nvmlDeviceGetTemperature", library.NVML_TEMPERATURE_GPU),
            power_w=power / 1e3 if power else None,
            clock_mhz=now.clock_mhz,
            max_clock_mhz=self._ask("nvmlDeviceGetMaxClockInfo", library.NVML_CLOCK_SM) or None,
            memory_clock_mhz=self._ask("nvmlDeviceGetClockInfo", library.NVML_CLOCK_MEM) or None,
            doubts=(*self._others(), *now.brakes),
        )

    def _others(self) -> list[str]:
        """Return a clause if other programs compute on the device.

        One of the processes is this one; in a container its number is another, so they are counted, not compared.
        """
        processes = self._ask("nvmlDeviceGetComputeRunningProcesses")
        others = len(processes) - 1 if processes else 0
        if others < 1:
            return []
        return [f"{others} other program{'s' * (others > 1)} had work on the device"]

    def _brakes(self) -> list[str]:
        """Return a clause for each reason that the device gives for holding its clocks down."""
        reasons = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if reasons is None:
            reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")  # its name before CUDA 12.2
        return [clause for bit, clause in BRAKES.items() if reasons and reasons & bit]


def _load() -> Any:
    """Return an initialised pynvml, or None where there is none or no driver answers."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml
