"""Find the peak memory bandwidth of a device and its source, or the reason why there is none."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from bandmark.device.catalog import CatalogRow, match
from bandmark.device.device import Device
from bandmark.device.dimms import DimmReading
from bandmark.errors import UsageError

SET_PEAK = "Set it with --peak GBS."
"""The end of every explanation of a missing peak."""

_USER_SUPPLIED = "user-supplied"
_USER_SUPPLIED_BEFORE = "set by hand"
"""How the source of a user-supplied peak begins, now and in files of versions before 0.2.0."""

_MAX_DISAGREEMENT = 0.01
"""Relative difference up to which a published and a derived peak agree."""

_MAX_PEAK_GBS = 1e6
"""Limit of --peak; a larger number is not in GB/s, since no memory of one device comes near 1 PB/s."""

_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)", re.ASCII)
_CHANNELS = re.compile(r"(\d{1,3})\s*[xX]\s*(\d{2,6})", re.ASCII)
_MIG_NAME = re.compile(r"\bMIG \d+g\.", re.IGNORECASE)
# vGPU profiles are named GPU-<size><series>, as in "GRID A100-40C" and "NVIDIA A40-48Q".
_VGPU_NAME = re.compile(r"^GRID\b|-\d+(?:-\d+)?[ABCQ](?:ME)?$", re.IGNORECASE)
_LAPTOP_NAME = re.compile(r"\b(?:laptop|mobile|notebook|max-q)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """A device's peak memory bandwidth and where it comes from."""

    gbs: float | None = None
    """What percentages divide by, in GB/s: user-supplied, else published, else from firmware; or None."""
    source: str = ""
    """Where gbs comes from; empty if there is none."""
    derived_gbs: float | None = None
    """2 x memory clock x bus width / 8, in GB/s; never for an integrated device."""
    device_id: str | None = None
    """Row of data/devices.csv, None if the device is in no row or in several."""
    memory_type: str | None = None
    """Such as "GDDR7 ECC" or "DDR5". None where the peak is user-supplied, since the bands of published percentages
    (bandmark.judge.bands) are relative to published peaks."""
    explanation: str
    """One or two sentences: the basis of the peak, or why there is none and what to do."""


def parse_peak(text: str) -> tuple[float, str]:
    """Return the GB/s of --peak, given as 76.8 (GB/s) or 2x5600 (64-bit channels x MT/s), and the source in words.

    A channel of 64 data bits moves 8 bytes a transfer (JEDEC JESD79-4 and JESD79-5; the two 32-bit subchannels of a
    DDR5 module count as one channel). Raises UsageError for anything else.
    """
    stripped = text.strip()
    if channels := _CHANNELS.fullmatch(stripped):
        count, rate = int(channels[1]), int(channels[2])
        gbs, how = count * rate * 8 / 1e3, f": {count} channels x {rate} MT/s x 8 bytes"
    elif _NUMBER.fullmatch(stripped):
        gbs, how = float(stripped), ""
    else:
        gbs, how = 0.0, ""
    if not 0 < gbs <= _MAX_PEAK_GBS:
        raise UsageError(
            f"--peak {text!r} is not a peak. Give GB/s (10^9 bytes per second), as in --peak 76.8, "
            "or 64-bit channels x MT/s, as in --peak 2x5600."
        )
    return gbs, f"{_USER_SUPPLIED} (--peak {stripped}{how})"


def is_user_supplied(source: str | None) -> bool:
    """Return whether a peak's source is --peak, in this version's words or in those of earlier ones."""
    return (source or "").startswith((_USER_SUPPLIED, _USER_SUPPLIED_BEFORE))


def _is_discrete(device: Device, rows: tuple[CatalogRow, ...]) -> bool:
    if device.integrated is None:
        return bool(rows) and not any(row.integrated for row in rows)
    return not device.integrated and not any(row.integrated for row in rows)


def derived_peak(device: Device, rows: tuple[CatalogRow, ...] = ()) -> float | None:
    """Return 2 x memory clock x bus width / 8 in GB/s, or None where the rule fails or a fact is missing.

    CUDA's bandwidthTest and nvbench use this rule, in which the clock is half the data rate. It holds for GDDR and
    HBM. On integrated devices the clock has no consistent meaning (on GB10 it is the data rate, on the first Jetson
    Thor drivers it is 0), so they have no derived peak.
    """
    clock, bus = device.memory_clock_mhz, device.bus_width_bits
    if device.kind != "gpu" or not _is_discrete(device, rows) or not clock or not bus:
        return None
    return 2 * clock * bus / 8 / 1e3


def _unknown(reason: str, derived: float | None = None, row: CatalogRow | None = None) -> Peak:
    return Peak(
        derived_gbs=derived,
        device_id=row.id if row else None,
        memory_type=row.memory_type if row else None,
        explanation=f"{reason} {SET_PEAK}",
    )


def _published(row: CatalogRow, gbs: float, derived: float | None) -> Peak:
    explanation = f"{gbs:g} GB/s is published for {row.marketing_name}."
    if derived is not None and abs(derived / gbs - 1) > _MAX_DISAGREEMENT:
        explanation += f" Clock x bus gives {derived:.1f} GB/s ({derived / gbs - 1:+.1%})."
        explanation += f" {row.note}" if row.note else ""
        explanation += " Percentages divide by the published figure."
    elif derived is not None:
        explanation += f" Clock x bus agrees ({derived:.1f} GB/s)."
    elif row.integrated:
        explanation += " Clock x bus is no guide on an integrated device."
    return Peak(
        gbs=gbs,
        source=f"published: {row.source}",
        derived_gbs=derived,
        device_id=row.id,
        memory_type=row.memory_type,
        explanation=explanation,
    )


def _reported(device: Device) -> str:
    facts = (
        (device.memory_bytes, "memory {} bytes"),
        (device.bus_width_bits, "bus {} bits"),
        (device.max_memory_clock_mhz or device.memory_clock_mhz, "memory clock {:g} MHz"),
    )
    return ", ".join(text.format(value) for value, text in facts if value) or "nothing else"


def _ambiguous(device: Device, named: tuple[CatalogRow, ...]) -> str:
    figures = ((row, f"{row.published_gbs:g} GB/s" if row.published_gbs else "no figure") for row in named)
    variants = "; ".join(f"{row.marketing_name} ({figure})" for row, figure in figures)
    return f"{device.name!r} may be {variants}: what it reports ({_reported(device)}) does not say which."


def _not_listed(name: str) -> str:
    if _LAPTOP_NAME.search(name):
        return f"{name!r} is a laptop part outside the catalogue, and its memory is not the desktop part's."
    return f"{name!r} is not in the catalogue, where only a whole name counts as a match."


def _gpu_peak(device: Device) -> Peak:
    if device.mig or _MIG_NAME.search(device.name):
        return _unknown(f"{device.name!r} is a MIG slice, whose share of the bandwidth is not published.")
    if _VGPU_NAME.search(device.name):
        return _unknown(f"{device.name!r} is a virtual GPU, which shares its memory bandwidth with others.")
    row, named = match(device)
    derived = derived_peak(device, named)
    if row is None:
        reason = _ambiguous(device, named) if named else _not_listed(device.name)
        return _unknown(reason, derived)
    if row.published_gbs is None or row.confidence == "low":
        return _unknown(f"{row.marketing_name} has no published figure that is safe to use. {row.note}", derived, row)
    return _published(row, row.published_gbs, derived)


def _cpu_peak(firmware: DimmReading | None) -> Peak:
    if firmware is None:
        return _unknown("The speed and channels of this system's memory were not read.")
    return Peak(
        gbs=firmware.peak_gbs,
        source=f"firmware: {firmware.arithmetic} (SMBIOS type 17)" if firmware.peak_gbs else "",
        memory_type=firmware.memory_type,
        explanation=firmware.explanation,
    )


def find_peak(device: Device, override: str | None = None, firmware: DimmReading | None = None) -> Peak:
    """Return the peak of a device: user-supplied, else published, else (CPU) from the firmware.

    An unknown or ambiguous device, a MIG slice, a virtual GPU and a row of low confidence have gbs None and a reason.
    A Grace CPU has no peak by name: its cores are called Neoverse-V2, as other makers' are.

    Args:
        override: the text of --peak; see `parse_peak`.
        firmware: bandmark.device.dimms.read_dimms() for a CPU.

    Raises:
        UsageError: override is not a peak.
    """
    peak = _cpu_peak(firmware) if device.kind == "cpu" else _gpu_peak(device)
    if override is None:
        return peak
    gbs, source = parse_peak(override)
    otherwise = f" Without it: {peak.explanation}" if peak.gbs is not None else ""
    explanation = f"{gbs:g} GB/s is {source}.{otherwise}"
    return replace(peak, gbs=gbs, source=source, memory_type=None, explanation=explanation)
