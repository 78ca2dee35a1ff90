"""The self-test finds a device whose timing is not what the method assumes, on a stand-in with a virtual clock."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from bandmark.device.peaks import Peak, find_peak
from bandmark.measure.sampling import StopRule
from bandmark.selftest.checks import Check
from bandmark.selftest.timing import Timing
from bandmark_kernels import KERNELS
from cupy_gpu import MIB, Gpu
from cupy_launch import Launched
from cupy_sensors import Sensors
from cupy_standin import StandIn, open_backend

RULE = StopRule(warmup_s=0.01, max_warmup_s=0.05, max_launches=100)


def linear(launch: Launched) -> float:
    """A fifth of a microsecond a launch, and a GB a second."""
    return 2e-7 + launch.array_bytes / 1e9


def checks(
    monkeypatch: pytest.MonkeyPatch,
    cupy: StandIn,
    sensors: Sensors | None = None,
    *,
    size: int = 64 * 1024,
    peak: float | None = 1344.0,
) -> dict[str, Check]:
    """The timing checks by name, on the stand-in's own clock."""
    backend = open_backend(monkeypatch, cupy, sensors)
    known: Peak = replace(find_peak(backend.device), gbs=peak)
    timing = Timing(backend, known, size=size, clock=lambda: cupy.now, rule=RULE)
    return {check.name: check for check in timing.checks([KERNELS["copy"], KERNELS["dot"]])}


def gpu(**changes: Any) -> Gpu:
    """A device that passes every check."""
    return Gpu(**{"law": linear, "l2_bytes": 1024, "tick_s": 1e-6} | changes)


def failed(found: dict[str, Check]) -> set[str]:
    """The names of the checks that failed."""
    return {name for name, check in found.items() if check.passed is False}


def test_a_sound_device_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every check passes, and shows the figure that was programmed."""
    found = checks(monkeypatch, StandIn(gpu(), host_launch_s=5e-6))
    assert not failed(found)
    assert found["launch"].result == "0.206 us on the device"  # the event clock ticks in microseconds
    assert found["queueing"].result == "5 us on the host"
    assert found["graph"].result == "0.206 us on the device"
    assert found["delay"].result == "2.02 ms of 2.02 ms requested"
    assert found["event step"].result == "1 us"
    assert found["clock"].result == "2400 MHz of at most 2400 MHz"
    assert found["twice the launches"].result.startswith(("2.000", "1.999"))
    assert re.fullmatch(r"fastest 0\.998\d GB/s, 0 % of 1344", found["variants"].result)
    names = ("v16", "v32", "v16-stream", "v32-stream", "v16-gridstride", "v16-bulk")
    figures = "".join(rf"  {name} 0\.998\d" for name in names)
    assert re.fullmatch(f"copy        {figures}", found["variants"].details[1])


def test_variants_of_kernels_with_a_dtype_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are timed in that dtype, by their own bytes."""
    backend = open_backend(monkeypatch, cupy := StandIn(gpu(law=lambda launch: launch.array_bytes * 28 / 16 / 1e9)))
    timing = Timing(backend, find_peak(backend.device), size=1 << 20, clock=lambda: cupy.now, rule=RULE)
    check = timing.variants([KERNELS["adamw"], KERNELS["adamw_master"]])
    assert check.passed is not False
    assert all(re.findall(r"v\S+ (0\.99\d+|1)\b", line) for line in check.details[1:])
    assert [line.split()[0] for line in check.details[1:]] == ["adamw", "adamw_master"]


def test_launches_that_cost_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """A launch without work that takes 20 us on the device is found, on the host as well."""
    assert "launch" in failed(checks(monkeypatch, StandIn(gpu(law=lambda launch: 2e-5 + launch.array_bytes / 1e9))))
    found = checks(monkeypatch, StandIn(gpu(law=lambda launch: 0.05)))
    assert found["launch"].result == "50000 us on the device"
    found = checks(monkeypatch, StandIn(gpu(), host_launch_s=20e-6))
    assert "queueing" in failed(found) and found["queueing"].result == "20 us on the host"


@pytest.mark.parametrize("factor", [0, 0.9, 1.2])
def test_a_delay_of_another_length(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """A delay that ends at once, or early, or late is found; one that ends at once lets the host be timed."""
    found = failed(checks(monkeypatch, StandIn(gpu(delay_factor=factor), host_launch_s=8e-6)))
    assert "delay" in found
    assert ("launch" in found) == (factor == 0)


def test_time_that_is_not_linear_in_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that slows down within a window is found."""
    cupy = StandIn(gpu())

    def tiring(launch: Launched) -> float:
        since = next(k for k, entry in enumerate(reversed(cupy.log)) if entry == "event")
        return linear(launch) * (1 + 0.002 * since)

    cupy.gpu.law = tiring
    assert failed(checks(monkeypatch, cupy)) >= {"twice the launches"}


@pytest.mark.parametrize(
    "law", [lambda launch: 4e-6, lambda launch: 1e-6 + (launch.array_bytes > 256) * 2e-5 + launch.array_bytes / 1e9]
)
def test_time_that_is_not_linear_in_bytes(monkeypatch: pytest.MonkeyPatch, law: Any) -> None:
    """A time that does not grow, or has a fixed part, is found, and linearity in launches stays."""
    assert failed(checks(monkeypatch, StandIn(gpu(law=law)))) == {"twice the bytes", "twice the bytes read"}


def test_a_second_launch_that_costs_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reduction whose finishing launch takes 2 % of its time is found, though one launch alone is linear in bytes."""
    cupy = StandIn(gpu(law=lambda launch: linear(launch) + 2e-5 * launch.entry.endswith("_finish")))
    assert failed(checks(monkeypatch, cupy)) == {"twice the bytes read"}


def test_arrays_that_fit_the_cache_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where --size makes the arrays too small for the device's cache, the line says so."""
    found = checks(monkeypatch, StandIn(gpu(l2_bytes=MIB)))
    assert "too small for this device's cache" in found["twice the bytes"].result
    assert "too small" not in checks(monkeypatch, StandIn(gpu()))["twice the bytes"].result


def test_an_event_clock_with_large_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of 100 us are too coarse for windows of 5 ms."""
    found = checks(monkeypatch, StandIn(gpu(tick_s=1e-4)))
    assert "event step" in failed(found) and found["event step"].result == "100 us"


def test_an_event_clock_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that stands still shows no step at all, and every check of time fails."""
    found = checks(monkeypatch, StandIn(gpu(tick_s=1e6)))
    assert failed(found) >= {"event step", "launch", "delay", "twice the launches", "twice the bytes", "variants"}
    assert found["event step"].result == "all windows show the same time"


@pytest.mark.parametrize(
    ("counters", "seen"),
    [
        (lambda now: (0, 0), "the counters give no clock"),
        (lambda now: (int(now * 2e8), int(now * 1e9)), "200 MHz of at most 2400 MHz"),
        (lambda now: (int(now * 3e9), int(now * 1e9)), "3000 MHz of at most 2400 MHz"),
    ],
)
def test_a_clock_that_can_not_be(monkeypatch: pytest.MonkeyPatch, counters: Any, seen: str) -> None:
    """Counters that say nothing, or a clock that this device does not run at, fail."""
    found = checks(monkeypatch, StandIn(gpu(counters=counters)))
    assert failed(found) == {"clock"}
    assert found["clock"].result == seen


@pytest.mark.parametrize(
    ("seconds", "passed", "seen"),
    [(0.0002, True, "200 us a reading"), (0.02, False, "20000 us a reading"), (None, None, "they report no clock")],
)
def test_reading_the_sensors(
    monkeypatch: pytest.MonkeyPatch, seconds: float | None, passed: bool | None, seen: str
) -> None:
    """NVML that takes longer than a window is found; without NVML the check can't be judged."""
    cupy = StandIn(gpu())

    def clock(handle: Any, kind: int) -> int:
        cupy.now += seconds or 0
        return 2400

    check = checks(monkeypatch, cupy, Sensors(nvmlDeviceGetClockInfo=clock) if seconds else None)["sensors"]
    assert (check.passed, check.result) == (passed, seen)


def test_a_bandwidth_that_can_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variant above the published peak means wrong time or wrong bytes; without a peak nothing is judged."""
    found = checks(monkeypatch, StandIn(gpu()), peak=0.9)
    assert failed(found) == {"variants"}
    assert found["variants"].result.startswith("fastest 0.998") and found["variants"].result.endswith("111 % of 0.9")
    found = checks(monkeypatch, StandIn(gpu()), peak=None)
    assert found["variants"].passed is None and not failed(found)


def test_a_kernel_that_is_wrong_at_this_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variant is verified at the size at which it is timed; what is wrong has no figure."""
    found = checks(monkeypatch, StandIn(gpu(wrong_if=lambda launch: launch.entry == "bandmark_dot")))
    assert failed(found) == {"variants"}
    assert "wrong: dot v16, dot v32, dot v16-stream" in found["variants"].result
    assert "dot           v16 wrong" in "\n".join(found["variants"].details)


def test_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the checks nothing is held on the device."""
    cupy = StandIn(gpu())
    checks(monkeypatch, cupy)
    assert (cupy.gpu.live, cupy.gpu.pooled) == (0, 0)
