"""The devices with a published memory bandwidth: data/devices.csv, one row per device variant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from bandmark.device.device import Device
from bandmark.tables import read_table


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRow:
    """One device variant; None is unknown, or without a source, which is the same here.

    The fields named match_* separate variants that report one name. The published bandwidth is the manufacturer's
    figure with error correction off, in GB/s (1e9 bytes).
    """

    id: str
    marketing_name: str
    names: tuple[str, ...]
    compute_capability: str
    memory_type: str
    capacity_gb: str
    bus_width_bits: int | None
    published_gbs: float | None
    sm_count: int | None
    integrated: bool
    match_min_memory_bytes: int | None
    match_max_memory_bytes: int | None
    match_bus_width_bits: int | None
    match_min_memory_clock_mhz: float | None
    match_max_memory_clock_mhz: float | None
    confidence: str
    source: str
    note: str


@cache
def load_catalog() -> tuple[CatalogRow, ...]:
    """Return all rows of data/devices.csv in file order."""
    return read_table("devices.csv", CatalogRow)


def normalise(name: str) -> str:
    """Return a name as it is compared: case folded, runs of white space as one space."""
    return " ".join(name.split()).casefold()


def rows_named(name: str) -> tuple[CatalogRow, ...]:
    """Return the rows that list this whole name.

    Part of a name says nothing: B300 is part of GB300, L4 of L40S, A10 of A100, "RTX 5090 D" of "RTX 5090 D v2", and
    every desktop card's name is part of the laptop card's.
    """
    wanted = normalise(name)
    return tuple(row for row in load_catalog() if wanted in map(normalise, row.names))


def match(device: Device) -> tuple[CatalogRow | None, tuple[CatalogRow, ...]]:
    """Return the one row that this device is, or None, and all rows that list its name."""
    named = rows_named(device.name)
    possible = [row for row in named if _fits(row, device) is not False]
    if len(possible) == 1 and _fits(possible[0], device):
        return possible[0], named
    return None, named


def _fits(row: CatalogRow, device: Device) -> bool | None:
    """Return whether what the device reports agrees with the match_* fields of a row.

    True: there are none, or some agree and no other disagrees. False: one disagrees. None: the device reports none of
    these facts.
    """
    limits = (row.match_min_memory_bytes, row.match_max_memory_bytes)
    clocks = (row.match_min_memory_clock_mhz, row.match_max_memory_clock_mhz)
    # CUDA's attribute is the peak memory clock, so it serves where NVML does not list the maximum.
    clock = device.max_memory_clock_mhz or device.memory_clock_mhz
    bus = row.match_bus_width_bits
    results = [
        _within(device.memory_bytes, *limits),
        _within(device.bus_width_bits or None, bus, bus),
        _within(clock or None, *clocks),
    ]
    if False in results:
        return False
    has_fields = any(limit is not None for limit in (*limits, *clocks, bus))
    return True if True in results or not has_fields else None


def _within(value: float | None, low: float | None, high: float | None) -> bool | None:
    """Return whether a value lies within bounds, None if there is no value or no bound."""
    if value is None or (low is None and high is None):
        return None
    return (low is None or value >= low) and (high is None or value <= high)
