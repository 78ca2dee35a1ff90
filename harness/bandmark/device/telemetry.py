"""How hot, how fast and how loaded is the device at present? What it does not tell is None."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """One reading of a device's sensors."""

    temperature_c: float | None = None
    power_w: float | None = None
    clock_mhz: float | None = None
    """Clock of the processors."""
    max_clock_mhz: float | None = None
    """Highest clock of the processors that the device lists."""
    memory_clock_mhz: float | None = None
    doubts: tuple[str, ...] = ()
    """Clauses on what makes a figure doubtful: another program on the device, a thermal or power brake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What the sensors say of one sample, while the device still works on it."""

    clock_mhz: float | None = None
    """Clock of the processors."""
    brakes: tuple[str, ...] = ()
    """Clauses on what held the clocks down."""
