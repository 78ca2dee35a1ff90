"""Which devices have a published peak? Reads data/devices.csv, a row per device variant."""

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from bandmark.device.device import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRow:
    """One device variant of data/devices.csv; None is not known (or has no source, which is the same here).

    The fields named match_* tell apart variants that report one name. The published peak is the
    manufacturer's figure with error correction off, in GB/s (1e9 bytes).
    """

    id: str
    marketing_name: str
    names: tuple[str, ...]
    pci_ids: tuple[str, ...]
    compute_capability: str
    memory_type: str
    capacity_gb: str
    bus_width_bits: int | None
    data_rate_gbps: float | None
    published_gbs: float | None
    l2_mib: float | None
    sm_count: int | None
    integrated: bool
    match_min_memory_bytes: int | None
    match_max_memory_bytes: int | None
    match_bus_width_bits: int | None
    match_min_memory_clock_mhz: float | None
    match_max_memory_clock_mhz: float | None
    confidence: str
    source: str
    name_source: str
    note: str


def normalise(name: str) -> str:
    """The form in which names are compared: case folded, runs of white space single, nothing else changed."""
    return " ".join(name.split()).casefold()


def _int(text: str) -> int | None:
    return int(text) if text else None


def _float(text: str) -> float | None:
    return float(text) if text else None


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split("|") if part)


def _row(cells: dict[str, str]) -> CatalogRow:
    return CatalogRow(
        id=cells["id"],
        marketing_name=cells["marketing_name"],
        names=_split(cells["names"]),
        pci_ids=_split(cells["pci_ids"]),
        compute_capability=cells["compute_capability"],
        memory_type=cells["memory_type"],
        capacity_gb=cells["capacity_gb"],
        bus_width_bits=_int(cells["bus_width_bits"]),
        data_rate_gbps=_float(cells["data_rate_gbps"]),
        published_gbs=_float(cells["published_gbs"]),
        l2_mib=_float(cells["l2_mib"]),
        sm_count=_int(cells["sm_count"]),
        integrated=cells["integrated"] == "1",
        match_min_memory_bytes=_int(cells["match_min_memory_bytes"]),
        match_max_memory_bytes=_int(cells["match_max_memory_bytes"]),
        match_bus_width_bits=_int(cells["match_bus_width_bits"]),
        match_min_memory_clock_mhz=_float(cells["match_min_memory_clock_mhz"]),
        match_max_memory_clock_mhz=_float(cells["match_max_memory_clock_mhz"]),
        confidence=cells["confidence"],
        source=cells["source"],
        name_source=cells["name_source"],
        note=cells["note"],
    )


@lru_cache(maxsize=1)
def load_catalog() -> tuple[CatalogRow, ...]:
    """All rows of data/devices.csv in file order, read once."""
    text = files("bandmark").joinpath("data", "devices.csv").read_text(encoding="utf-8")
    return tuple(_row(cells) for cells in csv.DictReader(text.splitlines()))


def rows_named(name: str) -> tuple[CatalogRow, ...]:
    """The rows that list this whole name, and no row that lists a part or an extension of it.

    B300 is part of GB300, L4 of L40S, A10 of A100, "RTX 5090 D" of "RTX 5090 D v2" and every card's name
    of its laptop namesake's, so nothing short of the whole name says which device it is.
    """
    wanted = normalise(name)
    return tuple(row for row in load_catalog() if wanted in map(normalise, row.names))


def _within(value: float | None, low: float | None, high: float | None) -> bool | None:
    if value is None or (low is None and high is None):
        return None
    return (low is None or value >= low) and (high is None or value <= high)


def fits(row: CatalogRow, device: Device) -> bool | None:
    """Whether what the device reports agrees with what separates this row from others of the same name.

    True: the row needs no separating, or some separator agrees and none disagrees. False: one disagrees.
    None: none of the separating facts is known.
    """
    limits = (row.match_min_memory_bytes, row.match_max_memory_bytes)
    clocks = (row.match_min_memory_clock_mhz, row.match_max_memory_clock_mhz)
    # CUDA's attribute is the peak memory clock, so it serves where NVML does not list the maximum.
    clock = device.max_memory_clock_mhz or device.memory_clock_mhz
    bus = row.match_bus_width_bits
    verdicts = [
        _within(device.memory_bytes, *limits),
        _within(device.bus_width_bits or None, bus, bus),
        _within(clock or None, *clocks),
    ]
    if False in verdicts:
        return False
    separated = any(limit is not None for limit in (*limits, *clocks, bus))
    return True if True in verdicts or not separated else None


def match(device: Device) -> tuple[CatalogRow | None, tuple[CatalogRow, ...]]:
    """The one row that this device is, or None; and all rows that list its name, to explain a None."""
    named = rows_named(device.name)
    possible = [row for row in named if fits(row, device) is not False]
    if len(possible) == 1 and fits(possible[0], device):
        return possible[0], named
    return None, named
