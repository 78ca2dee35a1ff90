"""Read the sensors of an NVIDIA device through NVML, each query of which may be unsupported.

On a DGX Spark memory size, power limit and memory clock are "Not Supported"; in WSL2 most queries about processes are.
Whatever can't be read is None, and a missing library is no error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

POWER_CAP = "the power cap held its clocks down"

_THROTTLE_REASONS = {
    0x04: POWER_CAP,
    0x08: "a hardware slowdown held its clocks down",
    0x20: "heat held its clocks down (software limit)",
    0x40: "heat held its clocks down (hardware limit)",
    0x80: "an external power brake held its clocks down",
}
"""Bits of nvmlDeviceGetCurrentClocksEventReasons (nvml.h, nvmlClocksEventReason*) that slow a measurement.

The power cap is one of another kind: some devices copy under their cap at all times and reach their usual bandwidth.
"""

_MIN_THROTTLED_SHARE = 0.10
"""Share of throttled samples from which a figure is suspect; below it the reasons are a note."""

_READ_EVERY_S = 0.25
"""Time between two readings of the slow sensors, which takes NVML about a millisecond of the host's time."""

_CLOCK_KINDS = {"SM": 1, "MEM": 2}  # NVML_CLOCK_SM and NVML_CLOCK_MEM (nvml.h)
_TEMPERATURE_GPU = 0  # NVML_TEMPERATURE_GPU

_UNCORRECTED_SINCE_BOOT = (1, 0)  # NVML_MEMORY_ERROR_TYPE_UNCORRECTED and NVML_VOLATILE_ECC (nvml.h)
_MAX_NVLINKS = 18  # NVML_NVLINK_MAX_LINKS (nvml.h)
_NVLINK_MBPS = 90  # NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON (nvml.h): of each active link
_NVLINK_GENERATIONS = {1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 5}  # of NVML_NVLINK_VERSION_1_0 to _5_0 (nvml.h)
_REMAPPED_ROWS = ("rows_remapped_correctable", "rows_remapped_uncorrectable", "row_remap_pending", "row_remap_failed")
"""What nvmlDeviceGetRemappedRows returns, in its order."""

_UUID_PREFIXES = ("GPU-", "MIG-")
"""How the UUIDs of devices and of their slices begin (nvmlDeviceGetHandleByUUID, NVML API Reference)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorReading:
    """What the sensors say at one time, or over several samples; what the device does not report is None."""

    temperature_c: float | None = None
    power_w: float | None = None
    clock_mhz: float | None = None
    """SM clock."""
    max_clock_mhz: float | None = None
    """Highest SM clock that the device lists."""
    memory_clock_mhz: float | None = None
    warnings: tuple[str, ...] = ()
    """Clauses on other programs on the device."""
    throttle_reasons: tuple[str, ...] = ()
    """Clauses on what held the clocks down, the power cap among them."""

    @property
    def throttled(self) -> bool:
        """Whether anything but the power cap held the clocks down."""
        return any(reason != POWER_CAP for reason in self.throttle_reasons)


def throttling(reading: SensorReading, throttled: int, samples: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the throttle reasons that make a figure suspect, and those that are a note.

    The power cap alone is a note: where it holds the clock really low, the clock makes the figure suspect. `throttled`
    is how many of the samples anything else throttled.
    """
    other = tuple(reason for reason in reading.throttle_reasons if reason != POWER_CAP)
    if throttled >= max(1, _MIN_THROTTLED_SHARE * samples):
        return other, tuple(reason for reason in reading.throttle_reasons if reason == POWER_CAP)
    return (), reading.throttle_reasons


class Sensors:
    """The sensors of one device, whichever library computes on it.

    The device's index would not find it, since CUDA counts the devices that it may see, in an order of its own.
    """

    def __init__(self, address: str | None, max_clock_mhz: float | None = None) -> None:
        """Connect to a device.

        Args:
            address: its PCI bus id (0000:01:00.0) or its UUID (GPU-...); None if it is unknown.
            max_clock_mhz: the highest SM clock that the driver lists, for where NVML does not.
        """
        self.max_clock_mhz = max_clock_mhz
        self._library = _load()
        self._handle = None
        if address is not None:
            by = "UUID" if address.startswith(_UUID_PREFIXES) else "PciBusId"
            self._handle = self._call(f"nvmlDeviceGetHandleBy{by}", address.encode())
        driver = self._call("nvmlSystemGetDriverVersion")
        self.driver: str | None = driver.decode() if isinstance(driver, bytes) else driver
        self._last = SensorReading(max_clock_mhz=max_clock_mhz)
        self._last_s = -_READ_EVERY_S
        self._warnings: dict[str, None] = {}
        self._throttle_reasons: dict[str, None] = {}
        self._pcie_generation: int | None = None

    def reset(self) -> None:
        """Forget the warnings and throttle reasons so far, which do not concern the next case."""
        self._warnings.clear()
        self._throttle_reasons.clear()

    def read_clock(self) -> SensorReading:
        """Read SM clock and throttle reasons, and the slow sensors if that was long ago, while the device is busy."""
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:
            bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")  # its name before CUDA 12.2
        reasons = tuple(clause for bit, clause in _THROTTLE_REASONS.items() if bits and bits & bit)
        clock = SensorReading(clock_mhz=self._clock("ClockInfo", "SM"), throttle_reasons=reasons)
        self._throttle_reasons |= dict.fromkeys(reasons)
        if monotonic() - self._last_s >= _READ_EVERY_S:
            self._last, self._last_s = self._read_all(clock.clock_mhz), monotonic()
            self._warnings |= dict.fromkeys(self._last.warnings)
        return clock

    def reading(self) -> SensorReading:
        """Return the last reading of the slow sensors, with all warnings and throttle reasons since the last reset."""
        return replace(self._last, warnings=tuple(self._warnings), throttle_reasons=tuple(self._throttle_reasons))

    @property
    def max_memory_clock_mhz(self) -> float | None:
        """The highest memory clock that the device lists."""
        return self._clock("MaxClockInfo", "MEM")

    def energy_j(self) -> float | None:
        """Return the joules that the device has taken since the driver was loaded (Volta and later), None if unknown.

        The counter is in mJ (nvmlDeviceGetTotalEnergyConsumption, NVML API Reference).
        """
        millijoules = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        return millijoules / 1e3 if millijoules else None

    @property
    def uuid(self) -> str | None:
        """The name that no other device has. It is private: what is published never holds it."""
        uuid = self._ask("nvmlDeviceGetUUID")
        return uuid.decode() if isinstance(uuid, bytes) else uuid

    def facts(self) -> dict[str, object]:
        """Return what a run does not change, for the run record: modes, limits, and the counts of errors since boot."""
        facts: dict[str, object] = {"device_max_clock_mhz": self.max_clock_mhz}
        if self._library is None:
            return facts
        ecc, mig = self._ask("nvmlDeviceGetEccMode"), self._ask("nvmlDeviceGetMigMode")
        c2c = self._ask("nvmlDeviceGetC2cModeInfoV")
        return facts | {
            "ecc": bool(ecc[0]) if ecc else None,
            "mig": bool(mig[0]) if mig else None,
            "max_sm_clock_mhz": self._clock("MaxClockInfo", "SM"),
            "max_memory_clock_mhz": self.max_memory_clock_mhz,
            "application_clock_mhz": self._clock("ApplicationsClock", "SM"),
            "power_limit_w": self._watts("nvmlDeviceGetEnforcedPowerLimit"),
            "default_power_limit_w": self._watts("nvmlDeviceGetPowerManagementDefaultLimit"),
            "pcie_width": self._ask("nvmlDeviceGetCurrPcieLinkWidth"),
            "max_pcie_width": self._ask("nvmlDeviceGetMaxPcieLinkWidth"),
            "pcie_generation": self._pcie_generation,
            "max_pcie_generation": self._ask("nvmlDeviceGetMaxPcieLinkGeneration"),
            "pcie_replays": self._ask("nvmlDeviceGetPcieReplayCounter"),
            "ecc_uncorrected": self._ask("nvmlDeviceGetTotalEccErrors", *_UNCORRECTED_SINCE_BOOT),
            "c2c": bool(c2c.isC2cEnabled) if c2c else None,
            **self._nvlink(),
            **dict(zip(_REMAPPED_ROWS, self._ask("nvmlDeviceGetRemappedRows") or (None,) * 4, strict=False)),
        }

    def _nvlink(self) -> dict[str, object]:
        """Return the generation of NVLink, how many links are active, and MB/s of each, one way, before line code."""
        active = [k for k in range(_MAX_NVLINKS) if self._ask("nvmlDeviceGetNvLinkState", k) == 1]
        version = self._ask("nvmlDeviceGetNvLinkVersion", active[0]) if active else None
        fields = self._ask("nvmlDeviceGetFieldValues", [_NVLINK_MBPS]) if active else None
        return {
            "nvlink_generation": _NVLINK_GENERATIONS.get(version or 0),
            "nvlinks": len(active) or None,
            "nvlink_mbs": next((field.value.uiVal for field in fields or () if field.nvmlReturn == 0), None) or None,
        }

    def _watts(self, query: str) -> float | None:
        """Return a power limit in watts, None where there is none."""
        milliwatts = self._ask(query)
        return milliwatts / 1e3 if milliwatts else None

    def _read_all(self, clock_mhz: float | None) -> SensorReading:
        # An idle link falls back to its first generation: the highest that was seen at work counts.
        generation = self._ask("nvmlDeviceGetCurrPcieLinkGeneration")
        self._pcie_generation = max(filter(None, (self._pcie_generation, generation)), default=None)
        power = self._ask("nvmlDeviceGetPowerUsage")
        return SensorReading(
            temperature_c=self._ask("nvmlDeviceGetTemperature", _TEMPERATURE_GPU),
            power_w=power / 1e3 if power else None,
            clock_mhz=clock_mhz,
            max_clock_mhz=self._clock("MaxClockInfo", "SM") or self.max_clock_mhz,
            memory_clock_mhz=self._clock("ClockInfo", "MEM"),
            warnings=self._other_programs(),
        )

    def _other_programs(self) -> tuple[str, ...]:
        """Return a clause if other programs compute on the device.

        One of the processes is this one; in a container its number differs, so they are counted and not compared.
        """
        processes = self._ask("nvmlDeviceGetComputeRunningProcesses")
        others = len(processes) - 1 if processes else 0
        return (f"{others} other program{'s' * (others > 1)} had work on the device",) if others > 0 else ()

    def _clock(self, query: str, kind: str) -> float | None:
        """Return a clock in MHz; 0 stands for unknown."""
        return self._ask(f"nvmlDeviceGet{query}", _CLOCK_KINDS[kind]) or None

    def _ask(self, query: str, *arguments: Any) -> Any:
        return None if self._handle is None else self._call(query, self._handle, *arguments)

    def _call(self, query: str, *arguments: Any) -> Any:
        """Return the answer to a query, None where device, driver or library do not support it."""
        function: Callable[..., Any] | None = getattr(self._library, query, None)
        if function is None:
            return None
        try:
            return function(*arguments)
        except self._library.NVMLError:
            return None


def _load() -> Any:
    """Return an initialised pynvml, or None where there is none or no driver answers."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # a library that is missing, broken or without a driver raises many types; all mean "unknown"
        return None
    return pynvml
