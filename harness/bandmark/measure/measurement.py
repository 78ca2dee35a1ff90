"""What was measured of one case, as the run record stores it and as the row is computed from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cached_property
from typing import Any

from bandmark.measure.stats import Summary, relative_stdev, summarize
from bandmark.results.case import identity_columns
from bandmark.results.reading import JsonObject
from bandmark.results.row import StopReason

_STORED_ALWAYS = (
    "variant",
    "launches_per_sample",
    "seconds_per_launch",
    "clocks_mhz",
    "sensor_clocks_mhz",
    "braked_samples",
    "memory_clock_mhz",
)
"""What an entry of samples holds even if it is unknown or empty, as version 0.1.0 wrote it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a device's watch showed for one window."""

    seconds: float
    clock_mhz: float | None = None
    """Mean clock of the device's processors during the window, where the device has counters that tell."""
    sensor_clock_mhz: float | None = None
    """Their clock towards the end of the window, where the device has sensors that tell."""
    braked: bool = False
    """Whether the sensors said that something held the clocks down."""
    preempted_s: float | None = None
    """How long a thread that worked lacked a processor during the window; None on an accelerator."""
    load_gbs: float | None = None
    """What other threads of the case moved during the window, in GB/s, where a case has such threads."""
    energy_j: float | None = None
    """What the device took during the window, where the case reads its energy counter."""


@dataclass(kw_only=True)
class Measurement:
    """What was measured of one case: everything that its row is computed from, as the run record stores it."""

    seconds_per_launch: list[float] = field(default_factory=list)
    """In the order of sampling."""
    launches_per_sample: int
    stop_reason: StopReason | None = None
    warmed_up: bool = True
    """False where the time limit cut the warm-up short."""
    max_error: float | None = None
    """Error in units of the tolerance; None if the case was not verified."""
    variant: str | None = None
    copies: int | None = None
    started_utc: str | None = None
    clocks_mhz: list[float] = field(default_factory=list)
    """Mean SM clock during each sample, by the device's own counters."""
    sensor_clocks_mhz: list[float] = field(default_factory=list)
    """SM clock towards the end of each sample, by the device's sensors."""
    braked_samples: list[int] = field(default_factory=list)
    """Positions of the samples during which the device held its clocks down, the first being 0."""
    preempted_s: list[float] | None = None
    """Seconds of each sample, all its launches together, during which a thread that worked lacked a processor; None
    on an accelerator."""
    load_gbs: list[float] = field(default_factory=list)
    """What the other threads of the case moved during each sample, in GB/s."""
    energy_j: list[float] = field(default_factory=list)
    """Joules of each sample, all its launches together, where the case reads the device's energy counter."""
    idle_power_w: float | None = None
    """Power of the device with the operands in place and nothing running, by the same counter."""
    pages: str | None = None
    """Size of the pages of memory that the arrays lie in, where the case is about that."""
    clock_mhz: float | None = None
    """SM clock where no sample has one."""
    max_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    others_share: float | None = None
    """Share of the machine's processors that other programs used while sampling."""
    warnings: list[str] = field(default_factory=list)
    """Reasons to doubt the figure that the device reported: other programs on it, throttling."""
    note: str | None = None
    """What the row says although the figure is sound: a halved size."""
    noise: list[float] = field(default_factory=list, repr=False, compare=False)
    """Relative standard deviation of all samples so far, after each sample: does more sampling still change it? It is
    not stored."""

    def add(self, reading: Reading) -> None:
        """Append a sample: the reading of one window, rounded as the run record stores it, so that rows replay."""
        if reading.braked:
            self.braked_samples.append(len(self.seconds_per_launch))
        if reading.preempted_s is not None:
            self.preempted_s = self.preempted_s or []
            self.preempted_s.append(float(f"{reading.preempted_s:.3g}"))
        if reading.load_gbs is not None:
            self.load_gbs.append(_rounded(reading.load_gbs))
        if reading.energy_j is not None:
            self.energy_j.append(_rounded(reading.energy_j))
        self.seconds_per_launch.append(_rounded(reading.seconds / self.launches_per_sample))
        if reading.clock_mhz is not None:
            self.clocks_mhz.append(reading.clock_mhz)
        if reading.sensor_clock_mhz is not None:
            self.sensor_clocks_mhz.append(reading.sensor_clock_mhz)
        self.noise.append(relative_stdev(self.seconds_per_launch))

    @cached_property
    def summary(self) -> Summary:
        """The order statistics of the samples."""
        return summarize(self.seconds_per_launch)

    @property
    def all_clocks_mhz(self) -> list[float]:
        """The SM clocks while sampling: by the device's counters, else by its sensors, else the one reading."""
        return self.clocks_mhz or self.sensor_clocks_mhz or [c for c in [self.clock_mhz] if c]

    @property
    def preempted_samples(self) -> int | None:
        """How many samples lacked a processor for over 1 % of their time."""
        if self.preempted_s is None:
            return None
        return sum(lost > 0.01 * s for lost, s in zip(self.preempted_s, self._sample_s, strict=False))

    @property
    def preempted_time_frac(self) -> float | None:
        """The share of the sampling time during which a thread that worked lacked a processor."""
        return None if self.preempted_s is None else sum(self.preempted_s) / sum(self._sample_s)

    @property
    def _sample_s(self) -> list[float]:
        return [s * self.launches_per_sample for s in self.seconds_per_launch]

    @property
    def mean_load_gbs(self) -> float | None:
        """What the other threads moved over all samples, in GB/s; None where there were none."""
        if not self.load_gbs:
            return None
        moved = sum(gbs * s for gbs, s in zip(self.load_gbs, self.seconds_per_launch, strict=False))
        return moved / sum(self.seconds_per_launch)

    @property
    def energy_per_launch_j(self) -> float | None:
        """The joules of one launch over all samples: the counter's steps cancel in the sum."""
        if not self.energy_j:
            return None
        return sum(self.energy_j) / (len(self.energy_j) * self.launches_per_sample)

    def to_entry(self, identity: Mapping[str, Any]) -> JsonObject:
        """Return the entry of a run record, with the identity of the row first."""
        named = {name: identity[name] for name in identity_columns() if identity.get(name) is not None}
        stored = [f for f in fields(self) if f.name in _STORED_ALWAYS or getattr(self, f.name) != _default(f)]
        values = {f.name: getattr(self, f.name) for f in stored if f.name != "noise"}
        if not math.isfinite(values.get("max_error", 0.0)):
            values["max_error"] = str(self.max_error)  # JSON has no number for an error without bound
        return named | values

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Measurement:
        """Return the measurement that an entry holds; keys of other versions are left out."""
        values = {f.name: entry[f.name] for f in fields(cls) if f.name in entry}
        if isinstance(values.get("max_error"), str):
            values["max_error"] = float(values["max_error"])
        return cls(**values)


def _default(stored: Field[Any]) -> Any:
    """Return what a field holds if nothing is known."""
    return stored.default if stored.default_factory is MISSING else stored.default_factory()


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")
