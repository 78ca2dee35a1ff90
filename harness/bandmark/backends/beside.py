"""Work of a GPU and work of the CPU at the same time, each counted in the same windows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from time import perf_counter, sleep
from typing import TYPE_CHECKING

from bandmark.measure.measurement import Reading

if TYPE_CHECKING:
    from bandmark.backends.base import Workload


def launches_between(ends: Sequence[float], begin: float, end: float) -> float:
    """Return how many launches there were between two moments, with parts of the first and the last.

    Args:
        ends: when one launch ended and the next began, in seconds; they enclose the two moments.
        begin: the first moment.
        end: the second.
    """
    return sum(max(0.0, min(b, end) - max(a, begin)) / (b - a) for a, b in pairwise(ends) if b > a)


class Beside:
    """A workload of the GPU in whose windows one of the CPU is launched again and again, in a thread of its own.

    The thread begins before the first window and goes on until the outputs are verified, so a window is full of both.
    Either the GPU's time is read, and how much the CPU moved meanwhile, or the other way round.
    """

    def __init__(self, gpu: Workload, cpu: Workload, moved: tuple[float, float], *, reads_gpu: bool) -> None:
        """Take two workloads and the bytes that a launch of each moves, the GPU's first."""
        self._gpu, self._cpu, self._moved, self._reads_gpu = gpu, cpu, moved, reads_gpu
        self.variant, self.copies = (gpu if reads_gpu else cpu).variant, (gpu if reads_gpu else cpu).copies
        self.pages: str | None = None if reads_gpu else getattr(cpu, "pages", None)
        self._each, self._launches = 1, 0
        self._ends: list[float] = []
        self._ending = False
        self._problem: Exception | None = None
        self._thread: threading.Thread | None = None

    @property
    def note(self) -> str | None:
        """What a row says of how its launches were made."""
        return (self._gpu if self._reads_gpu else self._cpu).note

    def start(self, launches: int) -> None:
        """Start the CPU's work if it does not run, then the GPU's watch."""
        if self._thread is None:
            self._ending, self._ends = False, []
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        self._await(lambda: len(self._ends) > 1)
        del self._ends[:-2]
        self._launches = launches * self._each
        self._begin = perf_counter()
        self._gpu.start(self._launches)

    def launch(self) -> None:
        """Queue the GPU's work: as much as lasts as long as a launch whose time is read."""
        for _ in range(self._each):
            self._gpu.launch()

    def stop(self) -> Reading:
        """Stop the GPU's watch, and count what the CPU did from its start to now."""
        gpu, end = self._gpu.stop(), perf_counter()
        self._await(lambda: self._ends[-1] >= end)
        done, window_s = launches_between(self._ends, self._begin, end), end - self._begin
        if self._reads_gpu:
            return replace(gpu, load_gbs=done * self._moved[1] / window_s / 1e9)
        launch_s, gpu_s = window_s / done, gpu.seconds / self._launches
        reading = Reading(launch_s * self._launches / self._each, load_gbs=self._moved[0] / gpu_s / 1e9)
        self._each = max(1, round(launch_s / gpu_s))
        return reading

    def verify(self) -> float:
        """End the CPU's work and return the larger error of the two."""
        self._end()
        return max(self._gpu.verify(), self._cpu.verify())

    def close(self) -> None:
        """End the CPU's work and release both."""
        self._end()
        self._gpu.close()
        self._cpu.close()

    def _work(self) -> None:
        try:
            self._cpu.start(1)
            try:
                while not self._ending:
                    self._cpu.launch()
                    self._ends.append(perf_counter())
            finally:
                self._cpu.stop()
        except Exception as problem:  # handed to the thread that waits
            self._problem = problem

    def _await(self, is_so: Callable[[], bool]) -> None:
        """Wait for the CPU's work; raises what ended it."""
        while not is_so():
            if self._problem is not None:
                raise self._problem
            sleep(1e-4)

    def _end(self) -> None:
        self._ending = True
        if self._thread is not None:
            self._thread.join()
            self._thread = None
