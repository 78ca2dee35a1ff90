"""The sensors of NVIDIA devices: every query may be unsupported, and none of that is an error."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from bandmark.device import nvml
from bandmark.device.nvml import BRAKES, Nvml
from bandmark.device.telemetry import Glance, Telemetry


class NVMLError(Exception):
    """What the library raises for whatever it does not support."""


class Library:
    """A pretend pynvml: what is not told raises, as on a DGX Spark."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, **told: Any) -> None:
        self.told = told
        self.asked: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        def query(*arguments: Any) -> Any:
            answer = self.told.get(name)
            if answer is None:
                raise NVMLError("Not Supported")
            return answer(*arguments) if callable(answer) else answer

        if not name.startswith("nvml"):
            raise AttributeError(name)
        return query


EVERYTHING = {
    "nvmlDeviceGetHandleByPciBusId": lambda bus: ("handle", bus),
    "nvmlSystemGetDriverVersion": b"580.65.06",
    "nvmlDeviceGetEccMode": (1, 1),
    "nvmlDeviceGetMigMode": (0, 0),
    "nvmlDeviceGetMaxClockInfo": lambda handle, kind: 2600 if kind == 1 else 14001,
    "nvmlDeviceGetClockInfo": lambda handle, kind: 2400 if kind == 1 else 14000,
    "nvmlDeviceGetPowerUsage": 301_500,
    "nvmlDeviceGetTemperature": 64,
    "nvmlDeviceGetComputeRunningProcesses": ["this"],
    "nvmlDeviceGetCurrentClocksEventReasons": 0x1,
}


def test_everything_is_read() -> None:
    """Driver, modes, clocks in MHz, power in W, temperature; idle clocks (bit 0) and the own process are no doubt."""
    device = Nvml("0000:01:00.0", Library(**EVERYTHING))
    assert device.driver() == "580.65.06"
    assert device.facts() == {"ecc": True, "mig": False, "max_sm_clock_mhz": 2600, "max_memory_clock_mhz": 14001}
    assert device.telemetry() == Telemetry(
        temperature_c=64, power_w=301.5, clock_mhz=2400, max_clock_mhz=2600, memory_clock_mhz=14000
    )


def test_a_glance_is_clock_and_brakes_alone() -> None:
    """What is read for each sample asks two queries; zero is no clock, and a device that is not found tells nothing."""
    asked: list[str] = []
    library = Library(**EVERYTHING | {"nvmlDeviceGetCurrentClocksEventReasons": 0x4})
    device = Nvml("0000:01:00.0", library)
    query = device._ask
    device._ask = lambda name, *a, **k: (asked.append(name), query(name, *a, **k))[1]  # type: ignore[method-assign]
    assert device.glance() == Glance(clock_mhz=2400, brakes=("the power cap held its clocks down",))
    assert asked == ["nvmlDeviceGetClockInfo", "nvmlDeviceGetCurrentClocksEventReasons"]
    silent = Library(**EVERYTHING | {"nvmlDeviceGetClockInfo": lambda handle, kind: 0})
    assert Nvml("0000:01:00.0", silent).glance() == Nvml(None, library).glance() == Glance()


@pytest.mark.parametrize("missing", [name for name in EVERYTHING if name != "nvmlDeviceGetHandleByPciBusId"])
def test_each_query_may_be_unsupported(missing: str) -> None:
    """Whatever a driver does not answer is None; the rest is read."""
    device = Nvml("0000:01:00.0", Library(**{k: v for k, v in EVERYTHING.items() if k != missing}))
    values = [device.driver(), *device.facts().values()]
    seen = device.telemetry()
    values += [seen.temperature_c, seen.power_w, seen.clock_mhz, seen.max_clock_mhz, seen.memory_clock_mhz]
    silent = {
        "nvmlDeviceGetMaxClockInfo": 3,
        "nvmlDeviceGetClockInfo": 2,
        "nvmlDeviceGetComputeRunningProcesses": 0,
        "nvmlDeviceGetCurrentClocksEventReasons": 0,
    }
    assert sum(value is None for value in values) == silent.get(missing, 1)
    assert seen.doubts == ()


@pytest.mark.parametrize(
    ("processes", "clause"), [(0, None), (1, None), (2, "1 other program had"), (4, "3 other programs had")]
)
def test_other_programs_are_a_doubt(processes: int, clause: str | None) -> None:
    """Of the processes on the device one is this program; in a container its number differs, so they are counted."""
    library = Library(**EVERYTHING | {"nvmlDeviceGetComputeRunningProcesses": [object()] * processes or ()})
    doubts = Nvml("0000:01:00.0", library).telemetry().doubts
    assert doubts == (() if clause is None else (f"{clause} work on the device",))


@pytest.mark.parametrize("bit", BRAKES)
def test_brakes_are_doubts(bit: int) -> None:
    """Each reason for holding the clocks down is a clause, alone and with others."""
    library = Library(**EVERYTHING | {"nvmlDeviceGetCurrentClocksEventReasons": bit | 0x1})
    assert Nvml("0000:01:00.0", library).telemetry().doubts == (BRAKES[bit],)
    every = sum(BRAKES)
    library = Library(**EVERYTHING | {"nvmlDeviceGetCurrentClocksEventReasons": every})
    assert Nvml("0000:01:00.0", library).telemetry().doubts == tuple(BRAKES.values())


def test_a_device_that_is_not_found_has_no_sensors() -> None:
    """An unknown bus id, or none, leaves everything None; the driver's version needs no device."""
    for device in (
        Nvml(None, Library(**EVERYTHING)),
        Nvml("0000:99:00.0", Library(nvmlSystemGetDriverVersion="580.1")),
    ):
        assert device.telemetry() == Telemetry()
        assert set(device.facts().values()) == {None}
        assert device.driver()


@pytest.mark.parametrize("address", ["GPU-8a3c", "MIG-77b0"])
def test_a_device_is_found_by_its_uuid(address: str) -> None:
    """What begins as UUIDs do is looked up as one, and a bus id is not."""
    by_uuid = {"nvmlDeviceGetHandleByUUID": lambda uuid: ("handle", uuid), "nvmlDeviceGetTemperature": 64}
    assert Nvml(address, Library(**by_uuid)).telemetry().temperature_c == 64
    assert Nvml("0000:01:00.0", Library(**by_uuid)).telemetry() == Telemetry()


def test_a_library_that_is_too_old() -> None:
    """What an older pynvml has no function for is None, and the reasons of brakes are found by their former name."""

    class Old:
        NVMLError = NVMLError
        NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

        def nvmlDeviceGetHandleByPciBusId(self, bus: bytes) -> bytes:
            return bus

        def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: bytes) -> int:
            return 0x8

    device = Nvml("0000:01:00.0", Old())
    assert device.telemetry() == Telemetry(doubts=("a hardware slowdown held its clocks down",))
    assert set(device.facts().values()) == {None}
    assert device.driver() is None


def test_without_the_library_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing pynvml is no error."""
    monkeypatch.setattr(nvml, "_load", lambda: None)
    device = Nvml("0000:01:00.0")
    assert (device.driver(), device.facts(), device.telemetry()) == (None, {}, Telemetry())


def test_a_library_without_a_driver_is_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pynvml can be installed where no driver answers."""

    def fail() -> None:
        raise NVMLError("Driver Not Loaded")

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(nvmlInit=fail, NVMLError=NVMLError))
    assert nvml._load() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml._load() is None
