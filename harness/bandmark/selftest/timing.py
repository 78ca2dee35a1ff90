"""Does timing on this device behave as the method assumes?

Time must grow with the work and with nothing else: with launches and with bytes, behind a delay that holds the queue,
on an event clock with a fine enough step. Each check names the assumption that it tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from bandmark.backends.events import DELAY_PER_LAUNCH_S, delay_seconds
from bandmark.device.peaks import Peak
from bandmark.judge.warnings import PLAUSIBLE, regime
from bandmark.measure.sampling import Clock, StopRule, launches_for, take, warm_up
from bandmark.selftest.checks import Check
from bandmark.suites.sizing import MIN_TRAFFIC_S, Sizing, array_bytes, shape_for
from bandmark.units import format_bytes
from bandmark_kernels import DTYPES, KERNELS, Kernel, Shape
from bandmark_kernels.core.inputs import make_inputs

if TYPE_CHECKING:
    from bandmark.backends.cupy_backend import CupyBackend

DTYPE = DTYPES["float32"]

ROUNDS = 9

LINEAR_IN_LAUNCHES = 0.02
LINEAR_IN_BYTES = 0.03
"""How far twice the launches, and twice the bytes, may be from taking twice the time."""

EMPTY_LIMIT_S = 0.005 * MIN_TRAFFIC_S
"""What a launch without work may take: 0.5 % of the shortest launch that a run of the default size measures."""

HELD_LAUNCHES = 160
HOLDS = (0.99, 1.10)
"""Bounds of a delay's length over what was asked for."""

CLOCK_OVER_MAX = (0.10, 1.05)
"""Bounds of a credible clock over the device's maximum."""


class Timing:
    """The timing checks on one device."""

    def __init__(
        self,
        backend: CupyBackend,
        peak: Peak,
        *,
        size: int | None = None,
        clock: Clock = perf_counter,
        rule: StopRule | None = None,
    ) -> None:
        """Prepare the checks.

        Args:
            size: bytes of each array; None for those of a run.
            clock: the host's clock.
            rule: for warm-up and the length of windows.
        """
        self.backend, self.peak, self.size, self.clock = backend, peak, size, clock
        self.rule = rule or StopRule()
        self._clocks: list[float | None] = []

    def checks(self, kernels: Sequence[Kernel]) -> Iterator[Check]:
        """Yield every check in turn."""
        yield from self.small_launches()
        yield from self.growth()
        yield self.multiprocessor_clock()
        yield self.look()
        yield self.variants(kernels)

    def small_launches(self) -> list[Check]:
        """Check what launches without work show: their cost on both sides, the delay, the event clock's step."""
        workload = self._prepare(KERNELS["write"], Shape(1))
        try:
            warm_up([workload], self.clock, self.rule, self.clock() + 4 * self.rule.max_warmup_s)
            return [self._empty(workload), self._queueing(workload), self._delay(workload), self._step(workload)]
        finally:
            workload.close()

    def growth(self) -> list[Check]:
        """Check that twice the launches and twice the bytes take twice the time."""
        kernel = KERNELS["copy"]
        small = shape_for(kernel, DTYPE, self._array_bytes(kernel, 3))
        shapes = (small, Shape(2 * small.n))
        workloads = [self._prepare(kernel, shape) for shape in shapes]
        try:
            estimates = warm_up(workloads, self.clock, self.rule, self.clock() + 4 * self.rule.max_warmup_s)
            once, twice = (launches_for(t, self.rule) for t in estimates)
            first, doubled, larger = self._rounds(
                [(workloads[0], once), (workloads[0], 2 * once), (workloads[1], twice)]
            )
        finally:
            for workload in workloads:
                workload.close()
        where = f"copy, arrays of {format_bytes(small.n * DTYPE.itemsize)} and twice that{self._cached(kernel, small)}"
        return [
            _linear(
                "launches", _ratio(doubled, first), LINEAR_IN_LAUNCHES, f"{once} and {2 * once} launches of {where}"
            ),
            _linear("bytes", _ratio(larger / twice, first / once), LINEAR_IN_BYTES, where),
        ]

    def multiprocessor_clock(self) -> Check:
        """Check that the multiprocessors' own counters give a credible clock."""
        clocks = [c for c in self._clocks if c is not None]
        highest = self.backend.telemetry().max_clock_mhz
        wanted = "the counters of the multiprocessors tell their clock: 10 to 105 % of the maximum, where that is known"
        if not clocks:
            return Check("clock", False, "the counters say nothing", wanted)
        seen = median(clocks)
        low, high = (f * highest for f in CLOCK_OVER_MAX) if highest else (0.0, float("inf"))
        of = f" of at most {highest:.0f} MHz" if highest else ", maximum unknown"
        return Check("clock", low <= seen <= high, f"{seen:.0f} MHz{of}", wanted)

    def look(self) -> Check:
        """Check that looking at the sensors, which is done in every window, takes less than the shortest window."""
        wanted = f"a look at the sensors takes less than the {1e3 * self.rule.window_s:g} ms that the device then works"
        if self.backend.sensors.watch().clock_mhz is None:
            return Check("sensors", None, "they tell no clock", wanted)
        costs = []
        for _ in range(ROUNDS):
            begin = self.clock()
            self.backend.sensors.watch()
            costs.append(self.clock() - begin)
        return Check("sensors", median(costs) <= self.rule.window_s, f"{_us(median(costs))} us a look", wanted)

    def variants(self, kernels: Sequence[Kernel]) -> Check:
        """Time every variant of every kernel side by side; none may exceed the published peak."""
        lines, fastest, wrong = [], 0.0, []
        for kernel in kernels:
            figures = self._bandwidths(kernel)
            lines.append(f"{kernel.label:12}" + "".join(f"  {name} {_gbs(gbs)}" for name, gbs in figures.items()))
            wrong += [f"{kernel.label} {name}" for name, gbs in figures.items() if gbs is None]
            fastest = max([fastest, *(gbs for gbs in figures.values() if gbs is not None)])
        limit = self.peak.gbs
        seen = f"fastest {fastest:.4g} GB/s" + (f", {100 * fastest / limit:.0f} % of {limit:g}" if limit else "")
        seen += f"; wrong: {', '.join(wrong)}" if wrong else ""
        passed = False if wrong else None if limit is None else fastest <= PLAUSIBLE * limit
        return Check(
            "variants",
            passed,
            seen,
            f"every variant right at this size, and none above {100 * PLAUSIBLE:.0f} % of the published peak",
            ("GB/s of each variant, float32 where there is a choice:", *lines),
        )

    def _empty(self, workload: Any) -> Check:
        seconds = median(self._take(workload, HELD_LAUNCHES) for _ in range(ROUNDS)) / HELD_LAUNCHES
        return Check(
            "launch",
            0 < seconds <= EMPTY_LIMIT_S,
            f"{_us(seconds)} us on the device",
            f"a launch without work takes at most {1e6 * EMPTY_LIMIT_S:g} us: 0.5 % of the shortest launch measured",
        )

    def _queueing(self, workload: Any) -> Check:
        costs = []
        for _ in range(ROUNDS):
            workload.start(HELD_LAUNCHES)
            begin = self.clock()
            for _ in range(HELD_LAUNCHES):
                workload.launch()
            costs.append((self.clock() - begin) / HELD_LAUNCHES)
            workload.stop()
        return Check(
            "queueing",
            median(costs) <= DELAY_PER_LAUNCH_S,
            f"{_us(median(costs))} us on the host",
            f"queueing a launch takes at most {1e6 * DELAY_PER_LAUNCH_S:g} us: the delay hides as much of each",
        )

    def _delay(self, workload: Any) -> Check:
        asked, held = delay_seconds(HELD_LAUNCHES), []
        for _ in range(ROUNDS):
            workload.start(1)
            self.backend.hold(HELD_LAUNCHES)
            held.append(workload.stop().seconds)
        ratio = median(held) / asked
        return Check(
            "delay",
            HOLDS[0] <= ratio <= HOLDS[1],
            f"{1e3 * median(held):.4g} ms of {1e3 * asked:.4g} ms asked for",
            f"the delay holds the device as long as asked: {HOLDS[0]:g} to {HOLDS[1]:g} times that",
        )

    def _step(self, workload: Any) -> Check:
        seen = sorted(self._take(workload, launches) for _ in range(ROUNDS) for launches in range(1, 33))
        # Differences below 2 ns are the rounding of the milliseconds, which have single precision.
        steps = [b - a for a, b in pairwise(seen) if b - a > 2e-9]
        limit = self.rule.precision * self.rule.window_s
        return Check(
            "event step",
            bool(steps) and min(steps) <= limit,
            f"{_us(min(steps))} us" if steps else "all windows show the same time",
            f"the event clock's step is at most {1e6 * limit:g} us: 0.5 % of the shortest window",
        )

    def _bandwidths(self, kernel: Kernel) -> dict[str, float | None]:
        """Return GB/s by variant, None where the output is wrong."""
        names = self.backend.variants(kernel)
        (dtype,) = kernel.dtypes_among([DTYPE])
        shape = shape_for(kernel, dtype, self._array_bytes(kernel, len(names)))
        workloads = [self._prepare(kernel, shape, name) for name in names]
        try:
            estimates = warm_up(workloads, self.clock, self.rule, self.clock() + self.rule.max_warmup_s)
            counts = [launches_for(t, self.rule) for t in estimates]
            seconds = self._rounds(list(zip(workloads, counts, strict=True)))
            right = [workload.verify() <= 1 for workload in workloads]
        finally:
            for workload in workloads:
                workload.close()
        moved = kernel.bytes_read(shape, dtype) + kernel.bytes_written(shape, dtype)
        return {
            name: moved * k / t / 1e9 if ok and t > 0 else None
            for name, k, t, ok in zip(names, counts, seconds, right, strict=True)
        }

    def _rounds(self, windows: list[tuple[Any, int]]) -> list[float]:
        """Return the median seconds of each kind of window, taken in turns so that drift hits all alike."""
        taken = [[self._take(*window) for window in windows] for _ in range(ROUNDS)]
        return [median(column) for column in zip(*taken, strict=True)]

    def _take(self, workload: Any, launches: int) -> float:
        reading = take(workload, launches)
        self._clocks.append(reading.clock_mhz)
        return reading.seconds

    def _prepare(self, kernel: Kernel, shape: Shape, variant: str | None = None) -> Any:
        (dtype,) = kernel.dtypes_among([DTYPE])
        return self.backend.prepare(make_inputs(kernel, dtype, shape, seed=1), variant, copies=1)

    def _array_bytes(self, kernel: Kernel, copies: int) -> int:
        device = self.backend.device
        sizing = Sizing(
            llc_bytes=device.llc_bytes, peak_gbs=self.peak.gbs, budget=self.backend.budget(), size_bytes=self.size
        )
        return array_bytes(kernel, sizing, copies)

    def _cached(self, kernel: Kernel, shape: Shape) -> str:
        """Return a remark where the cache holds part of the arrays, so that time need not grow with them."""
        where = regime(kernel.working_set(shape, DTYPE), self.backend.device.llc_bytes)
        return "" if where in (None, "dram") else " (too small for this device's cache)"


def _linear(what: str, ratio: float, tolerance: float, where: str) -> Check:
    return Check(
        f"twice the {what}",
        abs(ratio / 2 - 1) <= tolerance,
        f"{ratio:.4f} times the time ({where})",
        f"twice the {what} take twice the time, within {100 * tolerance:g} %",
    )


def _ratio(longer: float, shorter: float) -> float:
    """Return how many times as long something took; infinite where a clock that stands still shows no time."""
    return longer / shorter if shorter > 0 else float("inf")


def _us(seconds: float) -> str:
    """Return microseconds: three figures, or all before the point."""
    return f"{1e6 * seconds:.3g}" if seconds < 1e-3 else f"{1e6 * seconds:.0f}"


def _gbs(value: float | None) -> str:
    return "wrong" if value is None else f"{value:.4g}"
