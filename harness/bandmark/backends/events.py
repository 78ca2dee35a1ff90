"""Time a queue of launches on a device that runs behind the host: by two events around the launches.

A delay queued first keeps the device busy until every launch is queued, so that the
cost of launching from Python is hidden and the launches run back to back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

from bandmark.device.sensors import SensorReading
from bandmark.measure.measurement import Reading

_DELAY_BASE_S = 100e-6
DELAY_PER_LAUNCH_S = 12e-6
_MAX_DELAY_S = 20e-3
"""Length of the delay: queueing one launch from Python costs 4 to 6 us, so twice that and a start-up share."""

_NOMINAL_CLOCK_HZ = 2.0e9
"""Clock that turns a delay into cycles; devices run at 1.4 to 2.6 GHz, and the delay has a margin of two."""

REPLAYED_BELOW_S = 200e-6
"""Launches shorter than this replay from a graph: the time between two launches, 2.5 us from a stream and 1.2 us from a
graph of an H200 (github.com/te42kyfo/gpu-benches, gpu-small-kernels), is more than 1 % of theirs."""

CLOCK_RECORD = 3
"""Numbers that the clock probe writes per block: multiprocessor, cycles, nanoseconds."""

_CREDIBLE_MHZ = (50.0, 5000.0)
_CREDIBLE_OVER_MAX = 1.5
"""Clocks outside these bounds, or this far above the device's own maximum, are counters that read nonsense."""


def delay_seconds(launches: int) -> float:
    """Return how long the device must be held for this many launches to be queued behind."""
    return min(_MAX_DELAY_S, _DELAY_BASE_S + DELAY_PER_LAUNCH_S * launches)


class EventTimer:
    """Times queued work with the events of one of torch's device modules (torch.cuda, torch.xpu, torch.mps ...)."""

    def __init__(self, module: Any) -> None:
        """Use a device module; it must have Event(enable_timing=True) and synchronize()."""
        self._module = module
        self._begin = module.Event(enable_timing=True)
        self._end = module.Event(enable_timing=True)
        # torch has no public delay; CUDA's spin kernel is what its own tests use.
        self._sleep = getattr(module, "_sleep", None)

    def start(self, launches: int) -> None:
        """Wait for earlier work, queue the delay and then the start event."""
        self._module.synchronize()
        if self._sleep:
            self._sleep(int(delay_seconds(launches) * _NOMINAL_CLOCK_HZ))
        self._begin.record()

    def stop(self, read_clock: Callable[[], SensorReading]) -> Reading:
        """Queue the stop event, read the sensors while the device is busy, wait, and read the elapsed time."""
        self._end.record()
        sensors = read_clock()
        self._end.synchronize()
        seconds = float(self._begin.elapsed_time(self._end)) / 1e3
        return Reading(seconds, sensor_clock_mhz=sensors.clock_mhz, braked=sensors.throttled)


def mean_clock_mhz(
    before: Iterable[tuple[int, int, int]], after: Iterable[tuple[int, int, int]], max_mhz: float | None
) -> float | None:
    """Return the multiprocessors' median clock between two probes, or None where the counters say nothing.

    Args:
        before: records of the clock probe: multiprocessor, cycles, nanoseconds.
        after: the same, later; a multiprocessor that is missing in one of the two does not count.
        max_mhz: the highest clock that the driver lists, if it does.
    """
    first = {sm: (cycles, ns) for sm, cycles, ns in before}
    rates = []
    for sm, cycles, ns in after:
        begin = first.get(sm)
        if begin is not None and ns > begin[1] and cycles > begin[0]:
            rates.append(1e3 * (cycles - begin[0]) / (ns - begin[1]))
    clock = median(rates) if rates else 0.0
    most = min(_CREDIBLE_MHZ[1], _CREDIBLE_OVER_MAX * max_mhz) if max_mhz else _CREDIBLE_MHZ[1]
    return clock if _CREDIBLE_MHZ[0] <= clock <= most else None
