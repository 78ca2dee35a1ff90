"""Readings of a device's sensors now and then; what they say belongs to the case that ran then."""

from __future__ import annotations

import sys

import pytest

from bandmark.device import sensors
from bandmark.device.sensors import Sensors
from bandmark.device.telemetry import Glance, Telemetry
from cupy_sensors import Sensors as Library

BUS = "0000:01:00.0"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The moment that the sensors see, in a list of one."""
    now = [100.0]
    monkeypatch.setattr(sensors, "monotonic", lambda: now[0])
    return now


def test_every_sample_has_its_clock_and_its_brakes(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    """However short the time between two samples, clock and brakes are read anew; a brake seen once is a doubt."""
    clocks, brakes = iter(range(2400, 2500)), iter([0x1, 0x0, 0x40, 0x4, 0x1, 0x1])
    library = Library(
        nvmlDeviceGetClockInfo=lambda _, kind: next(clocks) if kind == 1 else 14000,
        nvmlDeviceGetCurrentClocksEventReasons=lambda _: next(brakes),
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    device = Sensors(BUS)
    first = device.watch()  # takes a whole reading, too
    assert first == Glance(clock_mhz=2400)
    seen = [device.watch() for _ in range(3)]
    heat, cap = "heat held its clocks down (hardware limit)", "the power cap held its clocks down"
    assert seen == [
        Glance(clock_mhz=2402, brakes=(heat,)),
        Glance(clock_mhz=2403, brakes=(cap,)),
        Glance(clock_mhz=2404),
    ]
    assert device.telemetry().doubts == (heat, cap)
    assert device.telemetry().clock_mhz == 2401


def test_readings_have_a_distance(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    """Watching more often than four times a second asks NVML no more often, and the last reading stays."""
    heat = iter([60, 61, 62])
    monkeypatch.setitem(sys.modules, "pynvml", Library(nvmlDeviceGetTemperature=lambda *_: next(heat)))
    device, seen = Sensors(BUS), []
    for step in (0.0, 0.1, 0.1, 0.1, 0.25):
        clock[0] += step
        device.watch()
        seen.append(device.telemetry().temperature_c)
    assert seen == [60, 60, 60, 61, 62]


def test_a_doubt_stays_until_it_is_forgotten(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    """A brake that was seen once is told although it is gone, once, and not of the next case."""
    brakes = iter([0x40, 0x1, 0x40])
    library = Library(nvmlDeviceGetCurrentClocksEventReasons=lambda _: next(brakes, 0x1))
    monkeypatch.setitem(sys.modules, "pynvml", library)
    device = Sensors(BUS)
    for _ in range(3):
        device.watch()
        clock[0] += 1
    assert device.telemetry().doubts == ("heat held its clocks down (hardware limit)",)
    device.forget()
    device.watch()
    assert device.telemetry().doubts == ()


def test_the_drivers_maximum_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The highest clock is NVML's, and the driver's where NVML tells none."""
    monkeypatch.setitem(sys.modules, "pynvml", Library())
    device = Sensors(BUS, 2400.0)
    device.watch()
    assert device.telemetry().max_clock_mhz == 2400
    monkeypatch.setitem(sys.modules, "pynvml", Library(nvmlDeviceGetMaxClockInfo=lambda *_: 2600))
    device = Sensors(BUS, 2400.0)
    device.watch()
    assert device.telemetry().max_clock_mhz == 2600
    assert device.facts()["device_max_clock_mhz"] == 2400


def test_without_nvml_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing library is no error."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    device = Sensors(BUS)
    assert device.watch() == Glance()
    assert (device.driver, device.telemetry(), device.facts()) == (None, Telemetry(), {"device_max_clock_mhz": None})
