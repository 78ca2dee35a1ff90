"""Work of a GPU and of the CPU at once: what is counted in a window, and when the CPU's work ends."""

from __future__ import annotations

import threading
from time import sleep
from typing import Any

import pytest

from bandmark.backends import beside
from bandmark.backends.beside import Beside, launches_between
from bandmark.measure.measurement import Reading
from bandmark.measure.sampling import take


class Work:
    """Work whose launches do what a test says."""

    note, pages = None, "2m"

    def __init__(self, name: str, launch: Any, seconds: float = 0.0, error: float = 0.25) -> None:
        self.variant, self.copies = name, 1
        self.launch, self.seconds, self.error = launch, seconds, error
        self.windows: list[int] = []
        self.stopped = self.closed = 0

    def start(self, launches: int) -> None:
        """Remember the window."""
        self.windows.append(launches)

    def stop(self) -> Reading:
        """Return so many seconds for each launch."""
        self.stopped += 1
        return Reading(self.seconds * self.windows[-1])

    def verify(self) -> float:
        """Return the error; nothing may be at work any more."""
        assert not any(thread.name == "launching" for thread in threading.enumerate())
        return self.error

    def close(self) -> None:
        """Count."""
        self.closed += 1


class Clock:
    """A clock that goes on by a second with each launch of the CPU, and stands still while nothing is launched."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def launch(self) -> None:
        """Take a second, and let the other thread have its turn."""
        threading.current_thread().name = "launching"
        sleep(1e-4)
        self.now += 1.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that windows are counted by."""
    clock = Clock()
    monkeypatch.setattr(beside, "perf_counter", clock)
    return clock


def patient(clock: Clock, seconds: float) -> Any:
    """Return a launch of the GPU that lasts until the clock has gone on."""

    def launch() -> None:
        until = clock.now + seconds
        while clock.now < until:
            sleep(1e-4)

    return launch


@pytest.mark.parametrize(
    ("begin", "end", "count"), [(0, 4, 3), (0.5, 1, 0.5), (0.5, 3, 2), (1, 1.5, 0.5), (2, 4, 1), (3, 3, 0)]
)
def test_parts_of_launches_count(begin: float, end: float, count: float) -> None:
    """Launches that end at 1, 2 and 4 count by the part of them that lies between two moments."""
    assert launches_between([0, 1, 2, 4], begin, end) == count


def test_the_gpus_time_is_read_and_the_cpus_bytes_counted(clock: Clock) -> None:
    """The CPU moves 2 GB a second whatever the length of a window, and the GPU's reading stays."""
    pair = Beside(Work("g", patient(clock, 3), 0.5), Work("c", clock.launch), (7e9, 2e9), reads_gpu=True)
    for launches in (1, 2):
        reading = take(pair, launches)
        assert (reading.seconds, reading.load_gbs) == (0.5 * launches, pytest.approx(2.0))
    pair.close()


def test_the_cpus_time_is_read_and_the_gpus_bytes_counted(clock: Clock) -> None:
    """A launch of the CPU takes a second; the GPU moves 7 GB in half of one, so two of its launches last as long."""
    gpu = Work("g", patient(clock, 0.5), 0.5)
    pair = Beside(gpu, Work("c", clock.launch), (7e9, 2e9), reads_gpu=False)
    for launches in (1, 3):
        reading = take(pair, launches)
        assert (reading.seconds, reading.load_gbs) == (pytest.approx(launches), pytest.approx(14.0))
    assert gpu.windows == [1, 6] and (pair.variant, pair.pages) == ("c", "2m")
    pair.close()


def test_the_cpu_works_before_the_window_and_until_it_is_verified(clock: Clock) -> None:
    """The thread outlives a window, ends before the outputs are compared, and begins again for the next window."""
    cpu = Work("c", clock.launch, error=3.0)
    pair = Beside(Work("g", patient(clock, 1), 0.5), cpu, (1.0, 1.0), reads_gpu=True)
    for verified in (1, 2):
        take(pair, 1)
        before = clock.now
        while clock.now < before + 2:
            sleep(1e-4)
        assert pair.verify() == 3.0 and cpu.stopped == verified
    pair.close()
    assert cpu.closed == 1


def test_a_failure_of_the_cpu_is_raised() -> None:
    """What ends the CPU's work is raised in the thread that samples, not waited for."""

    def fail() -> None:
        raise RuntimeError("no more")

    pair = Beside(Work("g", lambda: None, 0.5), Work("c", fail), (1.0, 1.0), reads_gpu=True)
    with pytest.raises(RuntimeError, match="no more"):
        take(pair, 1)
    pair.close()
