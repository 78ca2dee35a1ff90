"""Check that timing on this device behaves as the method assumes.

Time must grow with launches and with bytes and with nothing else, behind a delay that holds the queue, on an event
clock with a fine enough step. Each check names the assumption that it tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
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
from bandmark_kernels.core.checks import make_inputs

if TYPE_CHECKING:
    from bandmark.backends.cupy_backend import CupyBackend

_DTYPE = DTYPES["float32"]

_ROUNDS = 9
_LAUNCHES = 160  # launches without work that are queued behind one delay

_LAUNCHES_TOLERANCE = 0.02  # relative error of twice the time, for twice the launches
_BYTES_TOLERANCE = 0.03  # the same for twice the bytes
_SUMS_TOLERANCE = (
    0.01  # the same for twice the bytes of a sum, whose second launch takes as long for any number of them
)

_MAX_EMPTY_LAUNCH_S = 0.005 * MIN_TRAFFIC_S
"""Limit of a launch without work: 0.5 % of the shortest launch that a run of the default size measures."""

_DELAY_BOUNDS = (0.99, 1.10)  # bounds of a delay's length over the one requested
_CLOCK_BOUNDS = (0.10, 1.05)  # bounds of a plausible clock over the device's maximum
_CLOCK_ROUNDING_S = 2e-9  # differences below this are rounding: events give milliseconds in single precision


@dataclass(slots=True)
class Timing:
    """The timing checks on one device, with arrays of `size` bytes or those of a run."""

    backend: CupyBackend
    peak: Peak
    size: int | None = None
    clock: Clock = perf_counter
    rule: StopRule = field(default_factory=StopRule)
    _clocks: list[float] = field(default_factory=list)
    """Clocks of the multiprocessors in the windows that gave one."""

    def checks(self, kernels: Sequence[Kernel]) -> Iterator[Check]:
        """Yield every check in turn."""
        yield from self._small_launches()
        yield from self._growth()
        yield self._sm_clock()
        yield self._sensors()
        yield self.variants(kernels)

    def _small_launches(self) -> list[Check]:
        with self._warm(KERNELS["write"], [Shape(1)], replay=False) as ([workload], _):
            found = [self._empty(workload), self._queueing(workload), self._delay(workload), self._step(workload)]
            workload.can_replay = True
            return [*found, self._graph(workload)]

    def _growth(self) -> Iterator[Check]:
        launches, moved = self._doubled(KERNELS["copy"], "bytes", _BYTES_TOLERANCE)
        yield from (launches, moved, self._doubled(KERNELS["read"], "bytes read", _SUMS_TOLERANCE)[1])

    def _doubled(self, kernel: Kernel, unit: str, tolerance: float) -> tuple[Check, Check]:
        """Return the checks of twice the launches and of twice the bytes of a kernel."""
        small = shape_for(kernel, _DTYPE, self._array_bytes(kernel, 3))
        with self._warm(kernel, [small, Shape(2 * small.n)]) as ([one, two], [once, twice]):
            first, doubled, larger = self._rounds([(one, once), (one, 2 * once), (two, twice)])
        size = format_bytes(small.n * _DTYPE.itemsize)
        what = f"{kernel.name}, arrays of {size} and twice that{self._cached(kernel, small)}"
        launches = f"{once} and {2 * once} launches of {what}"
        return (
            _linear("launches", doubled, first, _LAUNCHES_TOLERANCE, launches),
            _linear(unit, larger / twice, first / once, tolerance, what),
        )

    def _sm_clock(self) -> Check:
        highest = self.backend.telemetry().max_clock_mhz
        expected = "the counters of the multiprocessors give their clock: 10 to 105 % of the maximum, where it is known"
        if not self._clocks:
            return Check("clock", False, "the counters give no clock", expected)
        clock = median(self._clocks)
        low, high = (f * highest for f in _CLOCK_BOUNDS) if highest else (0.0, float("inf"))
        of = f" of at most {highest:.0f} MHz" if highest else ", maximum unknown"
        return Check("clock", low <= clock <= high, f"{clock:.0f} MHz{of}", expected)

    def _sensors(self) -> Check:
        sensors = self.backend.gpu.sensors
        expected = f"reading the sensors takes less than the {1e3 * self.rule.window_s:g} ms that the device then works"
        if sensors.read_clock().clock_mhz is None:
            return Check("sensors", None, "they report no clock", expected)
        cost = self._host_seconds(sensors.read_clock, _ROUNDS)
        return Check("sensors", cost <= self.rule.window_s, f"{_us(cost)} us a reading", expected)

    def variants(self, kernels: Sequence[Kernel]) -> Check:
        """Time every variant of every kernel side by side; none may exceed the published peak."""
        figures = {kernel.label: self._bandwidths(kernel) for kernel in kernels}
        every = {f"{label} {name}": gbs for label, row in figures.items() for name, gbs in row.items()}
        heading = "GB/s of each variant, float32 where there is a choice:"
        lines = (f"{label:12}" + "".join(map(_figure, row.items())) for label, row in figures.items())
        return Check(
            "variants",
            *_judge_variants(every, self.peak.gbs),
            f"every variant right at this size, and none above {100 * PLAUSIBLE:.0f} % of the published peak",
            (heading, *lines),
        )

    def _empty(self, workload: Any) -> Check:
        seconds = median(self._take(workload, _LAUNCHES) for _ in range(_ROUNDS)) / _LAUNCHES
        return Check(
            "launch",
            0 < seconds <= _MAX_EMPTY_LAUNCH_S,
            f"{_us(seconds)} us on the device",
            f"a launch without work takes at most {1e6 * _MAX_EMPTY_LAUNCH_S:g} us: 0.5 % of the shortest measured",
        )

    def _graph(self, workload: Any) -> Check:
        self._take(workload, _LAUNCHES)
        seconds = median(self._take(workload, _LAUNCHES) for _ in range(_ROUNDS)) / _LAUNCHES
        return Check(
            "graph",
            0 < seconds <= _MAX_EMPTY_LAUNCH_S,
            f"{_us(seconds)} us on the device",
            "a launch without work that replays from a graph takes no longer than one from a stream may",
        )

    def _queueing(self, workload: Any) -> Check:
        costs = []
        for _ in range(_ROUNDS):
            workload.start(_LAUNCHES)
            costs.append(self._host_seconds(workload.launch, _LAUNCHES))
            workload.stop()
        return Check(
            "queueing",
            median(costs) <= DELAY_PER_LAUNCH_S,
            f"{_us(median(costs))} us on the host",
            f"queueing a launch takes at most {1e6 * DELAY_PER_LAUNCH_S:g} us, which the delay allows for each",
        )

    def _delay(self, workload: Any) -> Check:
        requested, lengths = delay_seconds(_LAUNCHES), []
        for _ in range(_ROUNDS):
            workload.start(1)
            self.backend.gpu.delay(_LAUNCHES)
            lengths.append(workload.stop().seconds)
        low, high = _DELAY_BOUNDS
        return Check(
            "delay",
            low <= median(lengths) / requested <= high,
            f"{1e3 * median(lengths):.4g} ms of {1e3 * requested:.4g} ms requested",
            f"the delay holds the device {low:g} to {high:g} times as long as requested",
        )

    def _step(self, workload: Any) -> Check:
        times = sorted(self._take(workload, launches) for _ in range(_ROUNDS) for launches in range(1, 33))
        steps = [b - a for a, b in pairwise(times) if b - a > _CLOCK_ROUNDING_S]
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
        (dtype,) = kernel.dtypes_among([_DTYPE])
        shape = shape_for(kernel, dtype, self._array_bytes(kernel, len(names)))
        with self._warm(kernel, [shape] * len(names), names) as (workloads, counts):
            seconds = self._rounds(list(zip(workloads, counts, strict=True)))
            right = [workload.verify() <= 1 for workload in workloads]
        moved = kernel.bytes_read(shape, dtype) + kernel.bytes_written(shape, dtype)
        return {
            name: moved * k / t / 1e9 if ok and t > 0 else None
            for name, k, t, ok in zip(names, counts, seconds, right, strict=True)
        }

    def _rounds(self, windows: list[tuple[Any, int]]) -> list[float]:
        """Return the median seconds of each kind of window, taken in turns so that drift hits all alike."""
        rounds = [[self._take(*window) for window in windows] for _ in range(_ROUNDS)]
        return [median(times) for times in zip(*rounds, strict=True)]

    def _host_seconds(self, call: Callable[[], object], count: int) -> float:
        begin = self.clock()
        for _ in range(count):
            call()
        return (self.clock() - begin) / count

    def _take(self, workload: Any, launches: int) -> float:
        reading = take(workload, launches)
        if reading.clock_mhz is not None:
            self._clocks.append(reading.clock_mhz)
        return reading.seconds

    @contextmanager
    def _warm(
        self,
        kernel: Kernel,
        shapes: Sequence[Shape],
        variants: Sequence[str | None] | None = None,
        *,
        replay: bool = True,
    ) -> Iterator[tuple[list[Any], list[int]]]:
        """Prepare and warm up a workload per shape; give them and how many launches of each fill a window."""
        (dtype,) = kernel.dtypes_among([_DTYPE])
        with ExitStack() as stack:
            workloads = []
            for shape, variant in zip(shapes, variants or [None] * len(shapes), strict=True):
                workload = self.backend.prepare(make_inputs(kernel, dtype, shape, seed=1), variant, copies=1)
                workload.can_replay = replay
                stack.callback(workload.close)
                workloads.append(workload)
            estimates = warm_up(workloads, self.clock, self.rule, self.clock() + 4 * self.rule.max_warmup_s)
            yield workloads, [launches_for(seconds, self.rule) for seconds in estimates]

    def _array_bytes(self, kernel: Kernel, copies: int) -> int:
        device = self.backend.device
        sizing = Sizing(
            llc_bytes=device.llc_bytes, peak_gbs=self.peak.gbs, budget=self.backend.budget(), size_bytes=self.size
        )
        return array_bytes(kernel, sizing, copies)

    def _cached(self, kernel: Kernel, shape: Shape) -> str:
        """Return a note where the cache holds part of the arrays, so that time need not grow with them."""
        name = regime(kernel.working_set(shape, _DTYPE), self.backend.device.llc_bytes)
        return "" if name in (None, "dram") else " (too small for this device's cache)"


def _linear(unit: str, longer: float, shorter: float, tolerance: float, what: str) -> Check:
    ratio = longer / shorter if shorter > 0 else float("inf")  # a clock that stands still shows no time
    return Check(
        f"twice the {unit}",
        abs(ratio / 2 - 1) <= tolerance,
        f"{ratio:.4f} times the time ({what})",
        f"twice the {unit} take twice the time, within {100 * tolerance:g} %",
    )


def _judge_variants(figures: dict[str, float | None], limit: float | None) -> tuple[bool | None, str]:
    """Return whether the figures in GB/s are right (None is a wrong output) and plausible, and the result in words."""
    wrong = [name for name, gbs in figures.items() if gbs is None]
    fastest = max((gbs for gbs in figures.values() if gbs is not None), default=0.0)
    result = f"fastest {fastest:.4g} GB/s" + (f", {100 * fastest / limit:.0f} % of {limit:g}" if limit else "")
    if wrong:
        return False, f"{result}; wrong: {', '.join(wrong)}"
    return None if limit is None else fastest <= PLAUSIBLE * limit, result


def _us(seconds: float) -> str:
    """Return microseconds: three figures, or all before the point."""
    return f"{1e6 * seconds:.3g}" if seconds < 1e-3 else f"{1e6 * seconds:.0f}"


def _figure(entry: tuple[str, float | None]) -> str:
    name, gbs = entry
    return f"  {name} " + ("wrong" if gbs is None else f"{gbs:.4g}")
