"""The sensors of NVIDIA devices: each query may be unsupported, and a reading belongs to the case that ran then."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest

from bandmark.device import sensors
from bandmark.device.sensors import _THROTTLE_REASONS, POWER_CAP, SensorReading, Sensors, throttling
from cupy_sensors import NVMLError
from cupy_sensors import Sensors as Library

BUS = "0000:01:00.0"
HEAT = _THROTTLE_REASONS[0x40]
REASONS = "nvmlDeviceGetCurrentClocksEventReasons"

SPEED = SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=25781))

EVERYTHING = {
    "nvmlDeviceGetHandleByPciBusId": lambda bus: ("handle", bus),
    "nvmlSystemGetDriverVersion": b"580.65.06",
    "nvmlDeviceGetEccMode": (1, 1),
    "nvmlDeviceGetMigMode": (0, 0),
    "nvmlDeviceGetMaxClockInfo": lambda handle, kind: {1: 2600, 2: 14001}[kind],
    "nvmlDeviceGetClockInfo": lambda handle, kind: {1: 2400, 2: 14000}[kind],
    "nvmlDeviceGetPowerUsage": 301_500,
    "nvmlDeviceGetTemperature": 64,
    "nvmlDeviceGetComputeRunningProcesses": ["this"],
    "nvmlDeviceGetApplicationsClock": 2000,
    "nvmlDeviceGetEnforcedPowerLimit": 250_000,
    "nvmlDeviceGetPowerManagementDefaultLimit": 300_000,
    "nvmlDeviceGetCurrPcieLinkWidth": 8,
    "nvmlDeviceGetMaxPcieLinkWidth": 16,
    "nvmlDeviceGetCurrPcieLinkGeneration": 4,
    "nvmlDeviceGetMaxPcieLinkGeneration": 5,
    "nvmlDeviceGetPcieReplayCounter": 5,
    "nvmlDeviceGetTotalEccErrors": lambda handle, kind, period: {(1, 0): 7}[kind, period],
    "nvmlDeviceGetRemappedRows": (1, 2, 0, 0),
    "nvmlDeviceGetC2cModeInfoV": SimpleNamespace(isC2cEnabled=1),
    "nvmlDeviceGetNvLinkState": lambda handle, link: int(link < 12),
    "nvmlDeviceGetNvLinkVersion": 4,
    "nvmlDeviceGetFieldValues": lambda handle, fields: [SPEED] if fields == [90] else [],
    REASONS: 0x1,
}

Connect = Callable[..., Sensors]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return sensors on a pretend library with these answers, once read."""

    def make(address: str | None = BUS, max_clock_mhz: float | None = None, **answers: Any) -> Sensors:
        monkeypatch.setitem(sys.modules, "pynvml", Library(**answers))
        device = Sensors(address, max_clock_mhz)
        device.read_clock()
        return device

    return make


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The moment that the sensors see, in a list of one."""
    now = [100.0]
    monkeypatch.setattr(sensors, "monotonic", lambda: now[0])
    return now


def test_everything_is_unknown_by_default() -> None:
    """A device without sensors gives None everywhere, and no warnings and reasons."""
    empty = SensorReading()
    lists = ("warnings", "throttle_reasons")
    assert {getattr(empty, f.name) for f in fields(empty) if f.name not in lists} == {None}
    assert not any(getattr(empty, name) for name in lists)
    assert SensorReading() == SensorReading(clock_mhz=None, throttle_reasons=()) and not SensorReading().throttled


def test_everything_is_read(connect: Connect) -> None:
    """Driver, modes, clocks in MHz, power in W, temperature; idle clocks (bit 0) and this process are no warning."""
    device = connect(**EVERYTHING)
    assert device.driver == "580.65.06"
    assert device.facts() == {
        "device_max_clock_mhz": None,
        "ecc": True,
        "mig": False,
        "max_sm_clock_mhz": 2600,
        "max_memory_clock_mhz": 14001,
        "application_clock_mhz": 2000,
        "power_limit_w": 250.0,
        "default_power_limit_w": 300.0,
        "pcie_width": 8,
        "max_pcie_width": 16,
        "pcie_generation": 4,
        "max_pcie_generation": 5,
        "pcie_replays": 5,
        "c2c": True,
        "nvlink_generation": 3,
        "nvlinks": 12,
        "nvlink_mbs": 25781,
        "ecc_uncorrected": 7,
        "rows_remapped_correctable": 1,
        "rows_remapped_uncorrectable": 2,
        "row_remap_pending": 0,
        "row_remap_failed": 0,
    }
    assert device.reading() == SensorReading(
        temperature_c=64, power_w=301.5, clock_mhz=2400, max_clock_mhz=2600, memory_clock_mhz=14000
    )


@pytest.mark.parametrize("answer", ["GPU-1234", b"GPU-1234", None])
def test_the_uuid_is_text_and_no_fact(connect: Connect, answer: Any) -> None:
    """It is read as text from libraries of either kind, and never part of what is recorded."""
    device = connect(**EVERYTHING, nvmlDeviceGetUUID=answer)
    assert device.uuid == (answer and "GPU-1234")
    assert "GPU-1234" not in map(str, device.facts().values())


def test_a_sample_asks_for_clock_and_throttle_reasons_alone(
    connect: Connect, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read for each sample asks two queries; zero is no clock, and an unknown device reports nothing."""
    device = connect(**EVERYTHING | {REASONS: 0x4})
    queries: list[str] = []
    call = device._call
    monkeypatch.setattr(device, "_call", lambda name, *a: (queries.append(name), call(name, *a))[1])
    assert device.read_clock() == SensorReading(clock_mhz=2400, throttle_reasons=(POWER_CAP,))
    assert queries == [REASONS, "nvmlDeviceGetClockInfo"]
    assert connect(nvmlDeviceGetClockInfo=0).read_clock() == SensorReading()
    assert connect(None, **EVERYTHING).read_clock() == SensorReading()


@pytest.mark.parametrize("missing", [name for name in EVERYTHING if name != "nvmlDeviceGetHandleByPciBusId"])
def test_each_query_may_be_unsupported(connect: Connect, missing: str) -> None:
    """Whatever a driver does not answer is None; the rest is read."""
    device = connect(**{k: v for k, v in EVERYTHING.items() if k != missing})
    facts = device.facts()
    del facts["device_max_clock_mhz"]
    reading = device.reading()
    values = [device.driver, *facts.values(), reading.temperature_c, reading.power_w]
    values += [reading.clock_mhz, reading.max_clock_mhz, reading.memory_clock_mhz]
    unknown = {
        "nvmlDeviceGetMaxClockInfo": 3,
        "nvmlDeviceGetClockInfo": 2,
        "nvmlDeviceGetComputeRunningProcesses": 0,
        "nvmlDeviceGetRemappedRows": 4,
        "nvmlDeviceGetNvLinkState": 3,
        REASONS: 0,
    }
    assert sum(value is None for value in values) == unknown.get(missing, 1)
    assert (reading.warnings, reading.throttle_reasons) == ((), ())


@pytest.mark.parametrize(
    ("processes", "clause"), [(0, None), (1, None), (2, "1 other program had"), (4, "3 other programs had")]
)
def test_other_programs_are_a_warning(connect: Connect, processes: int, clause: str | None) -> None:
    """Of the processes on the device one is this program; in a container its number differs, so they are counted."""
    reading = connect(nvmlDeviceGetComputeRunningProcesses=[object()] * processes or ()).reading()
    assert reading.warnings == (() if clause is None else (f"{clause} work on the device",))


@pytest.mark.parametrize("bit", _THROTTLE_REASONS)
def test_throttle_reasons_are_clauses(connect: Connect, bit: int) -> None:
    """Each reason for holding the clocks down is a clause; the power cap stands apart and throttles no sample."""
    clause = _THROTTLE_REASONS[bit]
    device = connect(**{REASONS: bit | 0x1})
    assert device.read_clock().throttle_reasons == device.reading().throttle_reasons == (clause,)
    assert device.read_clock().throttled == (clause != POWER_CAP)


def test_several_throttle_reasons(connect: Connect) -> None:
    """All reasons of one moment are read, and beside the power cap another one throttles the sample."""
    device = connect(**{REASONS: sum(_THROTTLE_REASONS)})
    assert device.read_clock().throttle_reasons == tuple(_THROTTLE_REASONS.values())
    assert device.read_clock().throttled
    assert device.reading().throttle_reasons == tuple(_THROTTLE_REASONS.values())


@pytest.mark.parametrize(
    ("throttled", "samples", "expected"),
    [(0, 0, False), (0, 5, False), (1, 5, True), (1, 10, True), (1, 11, False), (9, 100, False), (10, 100, True)],
)
def test_a_tenth_of_the_samples_makes_a_figure_suspect(throttled: int, samples: int, expected: bool) -> None:
    """From one throttled sample in ten the reasons are warnings; fewer, and the power cap, are noted."""
    reading = SensorReading(throttle_reasons=(POWER_CAP, HEAT))
    suspect = (HEAT,), (POWER_CAP,)
    assert throttling(reading, throttled, samples) == (suspect if expected else ((), (POWER_CAP, HEAT)))
    assert throttling(SensorReading(), throttled, samples) == ((), ())


def test_every_sample_has_its_clock_and_its_reasons(connect: Connect, clock: list[float]) -> None:
    """However short the time between two samples, both are read anew; reasons at any time stay in the reading."""
    clocks, bits = iter(range(2400, 2500)), iter([0x1, 0x0, 0x40, 0x4, 0x1])
    device = connect(
        nvmlDeviceGetClockInfo=lambda _, kind: next(clocks) if kind == 1 else 14000,
        **{REASONS: lambda _: next(bits)},
    )
    assert [device.read_clock() for _ in range(4)] == [
        SensorReading(clock_mhz=2401),
        SensorReading(clock_mhz=2402, throttle_reasons=(HEAT,)),
        SensorReading(clock_mhz=2403, throttle_reasons=(POWER_CAP,)),
        SensorReading(clock_mhz=2404),
    ]
    assert (device.reading().throttle_reasons, device.reading().clock_mhz) == ((HEAT, POWER_CAP), 2400)


def test_slow_sensors_are_read_now_and_then(connect: Connect, clock: list[float]) -> None:
    """More samples than four a second ask NVML no more often, and the last reading stays."""
    heat = iter([60, 61, 62])
    device, temperatures = connect(nvmlDeviceGetTemperature=lambda *_: next(heat)), []
    for step in (0.0, 0.1, 0.1, 0.1, 0.25):
        clock[0] += step
        device.read_clock()
        temperatures.append(device.reading().temperature_c)
    assert temperatures == [60, 60, 60, 61, 62]


def test_warnings_and_reasons_stay_until_the_reset(connect: Connect, clock: list[float]) -> None:
    """What was read once is reported although it is gone, once, and not of the next case."""
    bits, processes = iter([0x40, 0x1, 0x40]), iter([["this", "other"], ["this"]])
    device = connect(
        **{REASONS: lambda _: next(bits, 0x1)},
        nvmlDeviceGetComputeRunningProcesses=lambda _: next(processes, ["this"]),
    )
    for _ in range(3):
        clock[0] += 1
        device.read_clock()
    assert device.reading().throttle_reasons == (HEAT,)
    assert device.reading().warnings == ("1 other program had work on the device",)
    device.reset()
    device.read_clock()
    assert (device.reading().throttle_reasons, device.reading().warnings) == ((), ())


def test_the_drivers_maximum_stands_in(connect: Connect) -> None:
    """The highest clock is NVML's, and the driver's where NVML has none."""
    assert connect(BUS, 2400.0).reading().max_clock_mhz == 2400
    device = connect(BUS, 2400.0, nvmlDeviceGetMaxClockInfo=2600)
    assert device.reading().max_clock_mhz == 2600
    assert device.facts()["device_max_clock_mhz"] == 2400


def test_an_unknown_device_has_no_sensors(connect: Connect) -> None:
    """An unknown bus id, or none, leaves everything None; the driver's version needs no device."""
    lost = {name: answer for name, answer in EVERYTHING.items() if name != "nvmlDeviceGetHandleByPciBusId"}
    for device in (connect(None, **EVERYTHING), connect("GPU-1", **lost)):
        assert device.reading() == SensorReading()
        assert set(device.facts().values()) == {None}
        assert device.driver == "580.65.06"


@pytest.mark.parametrize("address", ["GPU-8a3c", "MIG-77b0"])
def test_a_device_is_found_by_its_uuid(connect: Connect, address: str) -> None:
    """What begins as UUIDs do is looked up as one, and a bus id is not."""
    answers = {"nvmlDeviceGetHandleByUUID": lambda uuid: ("handle", uuid), "nvmlDeviceGetTemperature": 64}
    assert connect(address, **answers).reading().temperature_c == 64
    assert connect(BUS, nvmlDeviceGetHandleByPciBusId=None, **answers).reading() == SensorReading()


def test_a_library_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older pynvml has no function for is None, and throttle reasons are read by their former name."""
    old = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByPciBusId=lambda bus: bus,
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda handle: 0x8,
    )
    monkeypatch.setitem(sys.modules, "pynvml", old)
    device = Sensors(BUS)
    assert device.read_clock() == SensorReading(throttle_reasons=(_THROTTLE_REASONS[0x8],))
    assert device.reading() == SensorReading(throttle_reasons=(_THROTTLE_REASONS[0x8],))
    assert set(device.facts().values()) == {None} and device.driver is None


@pytest.mark.parametrize("error", [NVMLError("Driver Not Loaded"), OSError("libnvidia-ml.so"), TypeError("broken")])
def test_a_library_without_a_driver_is_no_library(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Pynvml can be missing, broken, or installed where no driver answers; nothing is known then."""

    def fail() -> None:
        raise error

    for module in (SimpleNamespace(nvmlInit=fail, NVMLError=NVMLError), None):
        monkeypatch.setitem(sys.modules, "pynvml", module)
        device = Sensors(BUS)
        assert device.read_clock() == SensorReading()
        assert (device.driver, device.reading()) == (None, SensorReading())
        assert device.facts() == {"device_max_clock_mhz": None}


def test_the_link_counts_at_work(connect: Connect, clock: list[float]) -> None:
    """An idle link falls back to its first generation: the highest that was seen counts."""
    seen = iter([1, 4, 1])
    device = connect(nvmlDeviceGetCurrPcieLinkGeneration=lambda handle: next(seen))
    for _ in range(2):
        clock[0] += 1.0
        device.read_clock()
    assert device.facts()["pcie_generation"] == 4


@pytest.mark.parametrize(("answer", "joules"), [(1_234_567, 1234.567), (0, None), (None, None)])
def test_the_energy_counter_is_in_joules(connect: Connect, answer: int | None, joules: float | None) -> None:
    """The library counts mJ; a counter at 0, or one that the device does not have, is unknown."""
    answers = {} if answer is None else {"nvmlDeviceGetTotalEnergyConsumption": answer}
    assert connect(**answers).energy_j() == joules
