"""Timing by device events: the delay goes first, the events enclose the launches, and the host waits at both ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.backends.events import _MAX_DELAY_S, _NOMINAL_CLOCK_HZ, EventTimer, delay_seconds, mean_clock_mhz
from bandmark.device.sensors import SensorReading
from bandmark.measure.measurement import Reading


class Module:
    """A pretend torch.cuda that logs what is called."""

    def __init__(self, milliseconds: float = 4.0) -> None:
        self.log: list[str] = []
        self.cycles = 0
        module = self

        class Event:
            made = 0

            def __init__(self, enable_timing: bool) -> None:
                assert enable_timing
                Event.made += 1
                self.name = {1: "begin", 2: "end"}[Event.made]

            def record(self) -> None:
                module.log.append(f"record {self.name}")

            def synchronize(self) -> None:
                module.log.append(f"wait for {self.name}")

            def elapsed_time(self, later: Event) -> float:
                assert (self.name, later.name) == ("begin", "end")
                return milliseconds

        self.Event = Event

    def synchronize(self) -> None:
        self.log.append("synchronize")

    def _sleep(self, cycles: int) -> None:
        self.log.append("delay")
        self.cycles = cycles


class WithoutDelay(Module):
    """A device module that has no spin kernel, as torch.xpu."""

    _sleep = None  # type: ignore[assignment]


def test_the_order_of_a_window() -> None:
    """Earlier work ends, then delay, start event, launches, stop event, a look at the sensors, and a wait."""
    module = Module(milliseconds=4.0)
    timer = EventTimer(module)
    timer.start(10)
    module.log.append("launches")

    def look() -> SensorReading:
        module.log.append("look")
        return SensorReading(clock_mhz=2400, throttle_reasons=("heat",))

    assert timer.stop(look) == Reading(pytest.approx(4e-3), sensor_clock_mhz=2400, braked=True)
    assert module.log == ["synchronize", "delay", "record begin", "launches", "record end", "look", "wait for end"]
    assert module.cycles == int(delay_seconds(10) * _NOMINAL_CLOCK_HZ)


def test_a_device_without_a_delay() -> None:
    """Where the library has no spin kernel the events alone are used."""
    module = WithoutDelay()
    timer = EventTimer(module)
    timer.start(10)
    assert timer.stop(SensorReading) == Reading(pytest.approx(4e-3))
    assert module.log == ["synchronize", "record begin", "record end", "wait for end"]


@given(st.integers(1, 100_000))
def test_the_delay_covers_queueing(launches: int) -> None:
    """The delay is twice what queueing takes at 6 us a launch, grows with the launches, and has a limit."""
    seconds = delay_seconds(launches)
    assert seconds >= min(2 * 6e-6 * launches, _MAX_DELAY_S)
    assert delay_seconds(launches) <= delay_seconds(launches + 1) <= _MAX_DELAY_S


def test_the_largest_window_is_covered() -> None:
    """As many launches as a window may have are hidden whole."""
    assert 2 * 6e-6 * 1024 < delay_seconds(1024) < _MAX_DELAY_S


def test_clocks_come_from_the_same_multiprocessor() -> None:
    """Cycles over nanoseconds of records that name the same multiprocessor; their median counts."""
    before = [(0, 1000, 1000), (1, 5000, 1000), (2, 0, 0)]
    after = [(1, 5000 + 4800, 1000 + 2000), (0, 1000 + 4800, 1000 + 2000), (7, 10**9, 1000)]
    assert mean_clock_mhz(before, after, None) == pytest.approx(2400)
    stuck = [(3, 77, 1000), (4, 88, 1000)]
    later = [(3, 77, 9000), (4, 80, 9000)]
    assert mean_clock_mhz(before + stuck, after + later, None) == pytest.approx(2400)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], []),
        ([(0, 0, 0)], [(0, 0, 0)]),
        ([(0, 5, 1000)], [(0, 5, 9000)]),
        ([(0, 1, 1000)], [(0, 9000, 1000)]),
        ([(0, 9000, 9000)], [(0, 1, 1)]),
        ([(0, 1, 0)], [(1, 9000, 9000)]),
    ],
)
def test_counters_that_say_nothing(before: list[tuple[int, int, int]], after: list[tuple[int, int, int]]) -> None:
    """Counters that stand still, run backwards or belong to different multiprocessors give None, never 0."""
    assert mean_clock_mhz(before, after, 2400) is None


@given(st.floats(1, 20_000), st.one_of(st.none(), st.floats(1000, 3500)))
def test_only_credible_clocks_count(mhz: float, max_mhz: float | None) -> None:
    """What no device runs at, or this one can't, is a counter of something else."""
    clock = mean_clock_mhz([(0, 0, 0)], [(0, int(mhz * 1e4), 10**7)], max_mhz)
    if 50 < mhz < min(5000, 1.5 * (max_mhz or 5000)) - 0.01:
        assert clock == pytest.approx(mhz, rel=1e-3)
    elif mhz < 49.9 or mhz > min(5000, 1.5 * (max_mhz or 5000)):
        assert clock is None
