"""What is expected of a device: limits by the spread of equal devices, and the file that keeps them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bandmark.errors import FileError
from bandmark.units import printable

MIN_DEVICES = 5
"""Figures from which their spread is known; fewer are judged by an expectation or a published band alone."""

_DEVIATIONS = 4.0
_MAD_TO_SD = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution (P. J. Rousseeuw and C. Croux, 1993)."""
_FLOOR = 0.03
"""Share of the median within which no figure is an outlier, however alike the others are.

With four deviations and this floor, simulated fleets of 1000 devices that differ by 1 % show 0.04 false alarms a run,
and five devices that are 8 % slower are found every time: tests/harness/judge/test_expectations.py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median and median absolute deviation of figures, of equal devices or of one device at several times."""

    count: int
    median: float
    mad: float
    higher_is_better: bool
    unit: str

    @classmethod
    def of(cls, values: Sequence[float], *, higher_is_better: bool, unit: str) -> Spread:
        """Return the spread of one value or more."""
        median, mad = map(float, median_and_mad(np.asarray(values, dtype=np.float64)))
        return cls(count=len(values), median=median, mad=mad, higher_is_better=higher_is_better, unit=unit)

    @property
    def limit(self) -> float:
        """The figure from which one is an outlier: below it where higher is better, above it otherwise."""
        return float(self.median + (-1 if self.higher_is_better else 1) * margin(self.median, self.mad))


def is_beyond(value: float, limit: float | None, *, higher_is_better: bool) -> bool:
    """Return whether a figure is worse than its limit, if there is one."""
    return limit is not None and (value < limit if higher_is_better else value > limit)


def median_and_mad(values: npt.NDArray[np.float64]) -> tuple[Any, Any]:
    """Return median and median absolute deviation along the last axis."""
    median = np.median(values, axis=-1)
    return median, np.median(np.abs(values - median[..., None]), axis=-1)


def margin(median: Any, mad: Any) -> Any:
    """Return the distance from the median beyond which a figure is an outlier."""
    return np.maximum(_DEVIATIONS * _MAD_TO_SD * mad, _FLOOR * median)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What makes devices equal; None is unknown."""

    device: str
    memory_gib: int | None = None
    driver: str | None = None
    power_limit_w: int | None = None

    def __str__(self) -> str:
        parts = (self.memory_gib and f"{self.memory_gib} GiB", self.driver and f"driver {self.driver}")
        limit = self.power_limit_w and f"{self.power_limit_w} W"
        return ", ".join(str(part) for part in (self.device, *parts, limit) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """The limits of one kind of device by case, in the unit of the case's figure."""

    hardware: Hardware
    limits: Mapping[str, float]

    def covers(self, hardware: Hardware) -> bool:
        """Return whether the expectation is of such hardware; what it leaves out may be anything."""
        wanted = asdict(self.hardware).items()
        return all(value is None or getattr(hardware, name) == value for name, value in wanted)


def find_limits(expectations: Iterable[Expectation], hardware: Hardware) -> Mapping[str, float]:
    """Return the limits of the first expectation of such hardware; none where there is none."""
    return next((e.limits for e in expectations if e.covers(hardware)), {})


_FORM = """\
the file has tables [[group]] with a device and, as far as they matter, memory_gib, driver and power_limit_w, each with
a table [group.limits] of positive numbers by case, such as "numpy copy float32" = 41.5; `bandmark fleet --write-expect`
writes one""".replace("\n", " ")


def read_expectations(path: Path) -> list[Expectation]:
    """Return the expectations of a TOML file; raises FileError where it can't be read or has another form."""
    try:
        groups = tomllib.loads(path.read_text(encoding="utf-8"))["group"]
        if not groups:
            raise ValueError("it has no group")
        return [_expectation(group) for group in groups]
    except OSError as error:
        raise FileError(f"can't read {printable(str(path))}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # no TOML, a key that lacks, another type
        raise FileError(f"{printable(str(path))} is no expectation file ({error}): {_FORM}.") from error


def _expectation(group: dict[str, Any]) -> Expectation:
    limits = {case: float(limit) for case, limit in group.pop("limits").items()}
    types = {"device": str, "memory_gib": int, "driver": str, "power_limit_w": int}
    if not limits or not all(0 < limit < np.inf for limit in limits.values()):
        raise ValueError("limits must be positive")
    if wrong := [name for name, value in group.items() if not isinstance(value, types[name])]:
        raise ValueError(f"{wrong[0]} has another type")
    return Expectation(hardware=Hardware(**group), limits=limits)


def to_toml(groups: Mapping[Hardware, Mapping[str, Spread]]) -> str:
    """Write the limits that follow from observations as an expectation file."""
    lines = ["# Limits of bandmark check and bandmark fleet: what is slower is too slow. Edit them, or leave keys of a"]
    lines.append("# group out that do not matter. Each limit has the median and its absolute deviation beside it.")
    for hardware, cases in groups.items():
        lines += ["", "[[group]]"]
        known = [(f.name, getattr(hardware, f.name)) for f in fields(hardware)]
        lines += [f"{name} = {_toml(value)}" for name, value in known if value is not None]
        lines += ["", "[group.limits]"]
        for case, spread in cases.items():
            beside = (
                f"{spread.median:.5g} {spread.unit}, {100 * spread.mad / spread.median:.1f} % of it, of {spread.count}"
            )
            lines.append(f"{_toml(case)} = {spread.limit:#.5g}  # {beside}")
    return "\n".join(lines) + "\n"


def _toml(value: str | int) -> str:
    """Write a text or a whole number; JSON escapes all of a text that TOML does, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
