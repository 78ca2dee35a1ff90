"""Find the peak memory bandwidth of a device and its source, or the reason why there is none.

Published peaks are in data/devices.csv, one row per device variant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from bandmark.device.device import Device
from bandmark.errors import UsageError
from bandmark.tables import read_table

_SET_PEAK = "Set it with --peak GBS."

_USER_SUPPLIED = "user-supplied"
_USER_SUPPLIED_BEFORE = "set by hand"
"""How the source of a user-supplied peak begins, now and in files of versions before 0.2.0."""

_MAX_DISAGREEMENT = 0.01  # relative difference up to which a published and a derived peak agree
_MAX_PEAK_GBS = 1e6  # limit of --peak; a larger number is not in GB/s, since no memory of one device comes near 1 PB/s
_MAX_MEMORY_GBS = {"cpu": 2000.0, "gpu": 25_000.0}  # by kind of device, a bandwidth above that of any memory on sale

_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)", re.ASCII)
_CHANNELS = re.compile(r"(\d{1,3})\s*[xX]\s*(\d{2,6})", re.ASCII)
_MIG_NAME = re.compile(r"\bMIG \d+g\.", re.IGNORECASE)
# vGPU profiles are named GPU-<size><series>, as in "GRID A100-40C" and "NVIDIA A40-48Q".
_VGPU_NAME = re.compile(r"^GRID\b|-\d+(?:-\d+)?[ABCQ](?:ME)?$", re.IGNORECASE)
_LAPTOP_NAME = re.compile(r"\b(?:laptop|mobile|notebook|max-q)\b", re.IGNORECASE)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """A device's peak memory bandwidth and where it comes from."""

    gbs: float | None = None
    """What percentages divide by, in GB/s: user-supplied, else published, else from firmware; or None."""
    source: str = ""
    derived_gbs: float | None = None
    """2 x memory clock x bus width / 8, in GB/s; never for an integrated device."""
    device_id: str | None = None
    """Row of data/devices.csv, None if the device is in no row or in several."""
    memory_type: str | None = None
    """Such as "GDDR7 ECC" or "DDR5". None where the peak is user-supplied, since the bands of published percentages
    (bandmark.judge.bands) are relative to published peaks."""
    explanation: str
    """One or two sentences: the basis of the peak, or why there is none and what to do."""

    @property
    def other_gbs(self) -> float | None:
        """The derived peak where it is not the peak that percentages divide by: they differ by more than 1 %."""
        if self.gbs is None or self.derived_gbs is None or abs(self.derived_gbs / self.gbs - 1) <= _MAX_DISAGREEMENT:
            return None
        return self.derived_gbs


@cache
def load_catalog() -> tuple[CatalogRow, ...]:
    """Return all rows of data/devices.csv in file order."""
    return read_table("devices.csv", CatalogRow)


def _normalise(name: str) -> str:
    """Return a name as it is compared: case folded, runs of white space as one space."""
    return " ".join(name.split()).casefold()


def rows_named(name: str) -> tuple[CatalogRow, ...]:
    """Return the rows that list this whole name.

    Part of a name says nothing: B300 is part of GB300, L4 of L40S, A10 of A100, "RTX 5090 D" of "RTX 5090 D v2", and
    every desktop card's name is part of the laptop card's.
    """
    wanted = _normalise(name)
    return tuple(row for row in load_catalog() if wanted in map(_normalise, row.names))


def _match(device: Device) -> tuple[CatalogRow | None, tuple[CatalogRow, ...]]:
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
        _within(device.bus_width_bits, bus, bus),
        _within(clock, *clocks),
    ]
    if False in results:
        return False
    has_fields = any(limit is not None for limit in (*limits, *clocks, bus))
    return True if True in results or not has_fields else None


def _within(value: float | None, low: float | None, high: float | None) -> bool | None:
    """Return whether a value lies within bounds, None if there is no value (0 stands for none) or no bound."""
    if not value or (low is None and high is None):
        return None
    return (low is None or value >= low) and (high is None or value <= high)


def parse_peak(text: str) -> tuple[float, str]:
    """Return the GB/s of --peak, given as 76.8 (GB/s) or 2x5600 (64-bit channels x MT/s), and the source in words.

    A channel of 64 data bits moves 8 bytes a transfer (JEDEC JESD79-4 and JESD79-5; the two 32-bit subchannels of a
    DDR5 module count as one channel). Raises UsageError for anything else.
    """
    stripped, gbs, how = text.strip(), 0.0, ""
    if channels := _CHANNELS.fullmatch(stripped):
        count, rate = int(channels[1]), int(channels[2])
        gbs, how = count * rate * 8 / 1e3, f": {count} channels x {rate} MT/s x 8 bytes"
    elif _NUMBER.fullmatch(stripped):
        gbs = float(stripped)
    if not 0 < gbs <= _MAX_PEAK_GBS:
        raise UsageError(
            f"--peak {text!r} is not a peak. Give GB/s (10^9 bytes per second), as in --peak 76.8, "
            "or 64-bit channels x MT/s, as in --peak 2x5600."
        )
    return gbs, f"{_USER_SUPPLIED} (--peak {stripped}{how})"


def is_user_supplied(source: str | None) -> bool:
    """Return whether a peak's source is --peak, in this version's words or in those of earlier ones."""
    return (source or "").startswith((_USER_SUPPLIED, _USER_SUPPLIED_BEFORE))


def peak_warning(peak: Peak, device: Device) -> str | None:
    """Return a warning about a user-supplied peak that no memory of this kind of device has: the unit is wrong."""
    limit = _MAX_MEMORY_GBS[device.kind]
    if peak.gbs is None or peak.gbs <= limit or not is_user_supplied(peak.source):
        return None
    return (
        f"--peak {peak.gbs:g} is in GB/s, and no memory of a {device.kind.upper()} reaches {limit:g} GB/s. "
        f"If {peak.gbs:g} MB/s is meant, give --peak {peak.gbs / 1e3:g}."
    )


def _derived_peak(device: Device, rows: tuple[CatalogRow, ...]) -> float | None:
    """Return 2 x memory clock x bus width / 8 in GB/s, or None where the rule fails or a fact is missing.

    CUDA's bandwidthTest and nvbench use this rule, in which the clock is half the data rate. It holds for GDDR and
    HBM. On integrated devices the clock has no consistent meaning (on GB10 it is the data rate, on the first Jetson
    Thor drivers it is 0), so they have no derived peak.
    """
    clock, bus = device.memory_clock_mhz, device.bus_width_bits
    listed = any(row.integrated for row in rows)
    discrete = bool(rows) if device.integrated is None else not device.integrated
    if not discrete or listed or not clock or not bus:
        return None
    return 2 * clock * bus / 8 / 1e3


def _unknown(reason: str, derived: float | None = None, row: CatalogRow | None = None) -> Peak:
    return Peak(
        derived_gbs=derived,
        device_id=row.id if row else None,
        memory_type=row.memory_type if row else None,
        explanation=f"{reason} {_SET_PEAK}",
    )


def _published(row: CatalogRow, gbs: float, derived: float | None) -> Peak:
    explanation = f"{gbs:g} GB/s is published for {row.marketing_name}."
    if derived is not None and abs(derived / gbs - 1) > _MAX_DISAGREEMENT:
        explanation += f" Clock x bus gives {derived:.1f} GB/s ({derived / gbs - 1:+.1%})."
        explanation += f" {row.note}" if row.note else ""
        explanation += " Percentages divide by the published figure."
    return Peak(
        gbs=gbs,
        source=f"published: {row.source}",
        derived_gbs=derived,
        device_id=row.id,
        memory_type=row.memory_type,
        explanation=explanation,
    )


def _no_match(device: Device, named: tuple[CatalogRow, ...]) -> str:
    """Return why a device is no row: several share its name, or none has it."""
    if not named and _LAPTOP_NAME.search(device.name):
        return f"{device.name!r} is a laptop part outside the catalogue, and its memory is not the desktop part's."
    if not named:
        return f"{device.name!r} is not in the catalogue, where only a whole name counts as a match."
    figures = ((row, f"{row.published_gbs:g} GB/s" if row.published_gbs else "no figure") for row in named)
    variants = "; ".join(f"{row.marketing_name} ({figure})" for row, figure in figures)
    return f"{device.name!r} may be {variants}: what it reports ({_reported(device)}) does not say which."


def _reported(device: Device) -> str:
    facts = (
        (device.memory_bytes, "memory {} bytes"),
        (device.bus_width_bits, "bus {} bits"),
        (device.max_memory_clock_mhz or device.memory_clock_mhz, "memory clock {:g} MHz"),
    )
    return ", ".join(text.format(value) for value, text in facts if value) or "nothing else"


def _gpu_peak(device: Device) -> Peak:
    if device.mig or _MIG_NAME.search(device.name):
        return _unknown(f"{device.name!r} is a MIG slice, whose share of the bandwidth is not published.")
    if _VGPU_NAME.search(device.name):
        return _unknown(f"{device.name!r} is a virtual GPU, which shares its memory bandwidth with others.")
    row, named = _match(device)
    derived = _derived_peak(device, named)
    if row is None:
        return _unknown(_no_match(device, named), derived)
    if row.published_gbs is None or row.confidence == "low":
        return _unknown(f"{row.marketing_name} has no published figure that is safe to use. {row.note}", derived, row)
    return _published(row, row.published_gbs, derived)


def find_peak(device: Device, override: str | None = None, firmware: Peak | None = None) -> Peak:
    """Return the peak of a device: user-supplied, else published, else (CPU) from the firmware.

    An unknown or ambiguous device, a MIG slice, a virtual GPU and a row of low confidence have gbs None and a reason.
    A Grace CPU has no peak by name: its cores are called Neoverse-V2, as other makers' are. The override is the text of
    --peak (see `parse_peak`), and firmware is what `bandmark.device.dimms.read_dimms` says for a CPU.
    """
    if device.kind == "cpu":
        peak = firmware or _unknown("The speed and channels of this system's memory were not read.")
    else:
        peak = _gpu_peak(device)
    if override is None:
        return peak
    gbs, source = parse_peak(override)
    otherwise = f" Without it: {peak.explanation}" if peak.gbs is not None else ""
    memory_type = "DDR" if _CHANNELS.fullmatch(override.strip()) else None
    return replace(
        peak, gbs=gbs, source=source, memory_type=memory_type, explanation=f"{gbs:g} GB/s is {source}.{otherwise}"
    )
