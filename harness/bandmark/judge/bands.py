"""Judge a percentage of the peak by published measurements on the same kind of memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

from bandmark.tables import read_table

Level = Literal["normal", "low", "above", "none"]
KernelClass = Literal["read", "write", "mixed"]

_READ_KERNELS = frozenset({"read", "dot", "gemv", "gemv_t", "kv"})
"""Kernels whose traffic is nearly all reads; they reach 5 to 12 points more than mixed ones."""

_WRITE_KERNELS = frozenset({"write"})

FAMILIES = {
    "GDDR6": "GDDR6",
    "GDDR6X": "GDDR6X and GDDR7",
    "GDDR7": "GDDR6X and GDDR7",
    "HBM2": "HBM",
    "HBM2e": "HBM",
    "HBM3": "HBM",
    "HBM3e": "HBM",
    "LPDDR5": "LPDDR5",
    "LPDDR5X": "LPDDR5X",
}
"""Memory types whose measurements are judged together; other types (a CPU's DDR5, GDDR5) have no band."""

_MIN_DEVICES = 3
"""Devices with measurements of a kernel class from which the class has a band of its own."""

_MIN_ROWS = 3
"""Measurements of a family from which it has a band."""

MARGIN_BELOW = 2
"""Points that a band extends below the lowest measurement: published figures are mostly the best of several runs, and
the percentage judged here is that of a median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One published measurement of data/measurements.csv."""

    device_id: str
    memory_type: str
    kernel: str
    percent_of_peak: float
    excluded: str
    """Why it counts in no band (another program ran, too small, too weak a kernel); empty if it counts."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The percentages of the published peak, whole numbers, that are normal."""

    low: int
    high: int
    family: str
    kernels: KernelClass | None
    """The class of kernels that was measured; None where the whole family's measurements count."""
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a percentage is normal, in words."""

    text: str
    """At most 28 characters, for a table: "normal for GDDR7 (78-92 %)"; empty without a band."""
    detail: str
    """One sentence, for footnotes and JSON; empty without a band."""
    level: Level


NO_VERDICT = Verdict(text="", detail="", level="none")


@cache
def load_measurements() -> tuple[Measurement, ...]:
    """Return all rows of data/measurements.csv in file order."""
    return read_table("measurements.csv", Measurement)


def kernel_class(kernel: str) -> KernelClass:
    """Return the class of a kernel's traffic; GEMVs, quantized ones included, read nearly all of theirs."""
    if kernel in _READ_KERNELS or kernel.startswith("gemv"):
        return "read"
    return "write" if kernel in _WRITE_KERNELS else "mixed"


def plain_type(memory_type: str) -> str:
    """Return the memory type without its addition: "GDDR7 ECC" is "GDDR7"."""
    return memory_type.split(maxsplit=1)[0] if memory_type.strip() else ""


def _band(family: str, kernels: KernelClass | None, rows: tuple[Measurement, ...]) -> Band:
    percents = [row.percent_of_peak for row in rows]
    low, high = math.floor(min(percents)) - MARGIN_BELOW, min(100, math.ceil(max(percents)))
    return Band(low=low, high=high, family=family, kernels=kernels, measurements=rows)


@cache
def find_band(memory_type: str, kernel: str) -> Band | None:
    """Return the band of a memory type and kernel, None where there are too few measurements.

    Its limits are the lowest and highest percentage measured, rounded outwards, the lower less MARGIN_BELOW. They are
    those of the kernel's class where it was measured on enough devices, else of all kernels of the family.
    """
    family = FAMILIES.get(plain_type(memory_type))
    if family is None:
        return None
    rows = tuple(row for row in load_measurements() if FAMILIES.get(row.memory_type) == family and not row.excluded)
    wanted = kernel_class(kernel)
    alike = tuple(row for row in rows if kernel_class(row.kernel) == wanted)
    if len({row.device_id for row in alike}) >= _MIN_DEVICES:
        return _band(family, wanted, alike)
    return _band(family, None, rows) if len(rows) >= _MIN_ROWS else None


def verdict(percent: float | None, memory_type: str | None, integrated: bool | None, kernel: str) -> Verdict:
    """Return whether a percentage of the published peak is normal for this memory and kernel.

    The percentage is compared as it is shown, as a whole number. Without a percentage or a band the verdict is empty.
    The bands of LPDDR come from integrated GPUs, so a device that is known not to be one has none.
    """
    band = find_band(memory_type, kernel) if memory_type is not None else None
    if percent is None or memory_type is None or band is None:
        return NO_VERDICT
    if band.family.startswith("LPDDR") and integrated is False:
        return NO_VERDICT
    shown, name = round(percent), plain_type(memory_type)
    level: Level = "low" if shown < band.low else "above" if shown > band.high else "normal"
    words = {"normal": "normal for", "low": "low for", "above": "above"}[level]
    text = f"{words} {name} ({band.low}-{band.high} %)"
    kernels = f"{band.kernels} kernels" if band.kernels else "all kernels"
    detail = (
        f"{shown} % of the peak is {words} {name}: {len(band.measurements)} published measurements of "
        f"{kernels} on {band.family} put the normal range at {band.low} to {band.high} %."
    )
    return Verdict(text=text, detail=detail, level=level)
