"""What did a device's sensors say while a case ran? They are read while the device is at work on each sample."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import Any

from bandmark.device.nvml import Nvml
from bandmark.device.telemetry import Glance, Telemetry

EVERY_S = 0.25
"""Time between two readings of all sensors: one takes NVML about a millisecond of the host's time."""


class Sensors:
    """The sensors of one device, whichever library computes on it; without NVML they say nothing."""

    def __init__(self, address: str | None, max_clock_mhz: float | None = None) -> None:
        """Find the sensors of a device.

        Args:
            address: its PCI bus id or UUID, as `Nvml` takes them; None if it is unknown.
            max_clock_mhz: the highest clock that the driver lists, for where NVML does not.
        """
        self._nvml = Nvml(address)
        self.driver = self._nvml.driver()
        self.max_clock_mhz = max_clock_mhz
        self._seen = Telemetry()
        self._seen_at = -EVERY_S
        self._doubts: dict[str, None] = {}

    def forget(self) -> None:
        """Begin anew with another case: what was doubtful before it does not concern it."""
        self._doubts.clear()

    def watch(self) -> Glance:
        """Look at clock and brakes, and at all else if that was long ago; to be called while the device is busy."""
        seen = self._nvml.glance()
        self._doubts |= dict.fromkeys(seen.brakes)
        if monotonic() - self._seen_at >= EVERY_S:
            self._seen, self._seen_at = self._nvml.telemetry(), monotonic()
            self._doubts |= dict.fromkeys(self._seen.doubts)
        return seen

    def telemetry(self) -> Telemetry:
        """Return the last reading of all sensors, with every doubt since the present case began."""
        return replace(
            self._seen,
            max_clock_mhz=self._seen.max_clock_mhz or self.max_clock_mhz,
            doubts=tuple(self._doubts),
        )

    def facts(self) -> dict[str, Any]:
        """Return what does not change during a run, for the run record."""
        return {"device_max_clock_mhz": self.max_clock_mhz, **self._nvml.facts()}
