"""How is a queue of launches timed on a device that runs behind the host?

By two events around the launches. A delay queued first keeps the device busy until every launch is queued, so that the
cost of launching from Python is hidden and the launches run back to back.
"""

from __future__ import annotations

from typing import Any

DELAY_BASE_S = 100e-6
DELAY_PER_LAUNCH_S = 12e-6
DELAY_LIMIT_S = 20e-3
"""Length of the delay: queueing one launch from Python costs 4 to 6 us, so twice that and a start-up share."""

NOMINAL_CLOCK_HZ = 2.0e9
"""Clock that turns a delay into cycles; devices run at 1.4 to 2.6 GHz, and the delay has a margin of two."""


def delay_seconds(launches: int) -> float:
    """Return how long the device must be held for this many launches to be queued behind."""
    return min(DELAY_LIMIT_S, DELAY_BASE_S + DELAY_PER_LAUNCH_S * launches)


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
            self._sleep(int(delay_seconds(launches) * NOMINAL_CLOCK_HZ))
        self._begin.record()

    def stop(self) -> float:
        """Queue the stop event, wait for it and return the seconds between the two."""
        self._end.record()
        self._end.synchronize()
        return float(self._begin.elapsed_time(self._end)) / 1e3
