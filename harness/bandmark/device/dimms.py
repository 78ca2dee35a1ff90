"""Read the peak of a CPU's memory from the firmware's SMBIOS table (DMTF DSP0134), where the table is unambiguous.

The table has a structure per memory module (type 17). Modules are not channels, and firmware names slots as it likes,
so most tables give a hint instead of a peak.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bandmark.device.peaks import Peak
from bandmark.units import count_of

_DMI_TABLE = Path("/sys/firmware/dmi/tables/DMI")  # where Linux shows the SMBIOS table, to root alone on most systems

_DMIDECODE = "`sudo dmidecode -t 17` lists the modules."
_SET_PEAK = "Set the peak with --peak 76.8 (GB/s) or --peak 2x5600 (channels x MT/s)."

_CERTAIN_MTS = {0x1A: ("DDR4", 2933, 5400), 0x22: ("DDR5", 4800, 10_000)}
"""By "Memory Type": name, and the speeds that can only be MT/s. Some firmware writes the clock, half the data rate, and
lower values are also the clock of a faster module (2133 of DDR4-4266). Widths of LPDDR are not those of channels."""

_CHANNEL = re.compile(
    r"(?i)(?:(?:P|CPU|Proc|Socket|Node|Controller|i?MC)[ _-]?\d+[ _-]*)*channel[ _-]?(?:[a-z]|\d+)(?![a-z0-9])"
)
"""The beginning of a slot name that ends in its channel. A letter alone is none: Dell's A1 and B1 are two sockets."""

_OWNER = re.compile(r"(?i)(?<![a-z])(?:P|CPU|Proc(?:essor)?|Socket|Node|Controller|i?MC)[ _-]?\d+")
"""A processor, node or controller in a name."""

_VIRTUAL = re.compile(
    r"(?i)qemu|kvm|bochs|vmware|virtual|innotek|\bxen\b|hvm domu|openstack|amazon ec2|google compute|alibaba|parallels"
    r"|bhyve|droplet|ovirt|rhev|rhel|nutanix|cloud|vserver|firecracker"
)
"""Makers and products (type 1) whose memory modules are made up."""


@dataclass(frozen=True, slots=True)
class _Structure:
    """One SMBIOS structure: its formatted area from the header on, and its strings in order."""

    kind: int
    area: bytes
    strings: list[bytes]

    def number(self, offset: int, size: int) -> int | None:
        """Return the little-endian number at an offset, None beyond the structure's end."""
        field = self.area[offset : offset + size]
        return int.from_bytes(field, "little") if len(field) == size else None

    def text(self, offset: int) -> str:
        """Return the string that the byte at an offset refers to, counted from 1; empty if there is none."""
        index = self.number(offset, 1) or 0
        return self.strings[index - 1].decode("latin-1").strip() if 0 < index <= len(self.strings) else ""


def read_dimms(path: Path = _DMI_TABLE) -> Peak:
    """Return the peak that this system's table gives; one that can't be read is a reason, not an error."""
    try:
        return _judge(path.read_bytes())
    except PermissionError:
        return _unknown("Only root can read the firmware's table of memory modules.", _DMIDECODE)
    except OSError as error:
        return _unknown(f"This system shows no SMBIOS table ({type(error).__name__}).")


def _judge(table: bytes) -> Peak:
    """Return the peak of an SMBIOS table: channels x MT/s x 8 bytes, each of them certain."""
    structures = list(_structures(table))
    if any(map(_is_virtual, structures)):
        return _unknown("This is a virtual machine, whose firmware does not describe the real memory.")
    modules = [s for s in structures if s.kind == 17 and s.number(0x0C, 2) != 0]
    if not modules:
        return _unknown("The firmware lists no memory modules.")
    memory_type, speed = _common_speed(modules)
    channels = _channels(modules) if structures[-1].kind == 127 else None
    if channels is None or speed is None:
        what = count_of(len(modules), "memory module")
        reason = f"The firmware lists {what}, which do not say with certainty how many channels there are and how fast."
        return _unknown(reason, _DMIDECODE)
    arithmetic = f"{count_of(channels, 'channel')} x {speed} MT/s x 8 bytes"
    return Peak(
        gbs=channels * speed * 8 / 1e3,
        source=f"firmware: {arithmetic} (SMBIOS type 17)",
        memory_type=memory_type,
        explanation=f"{arithmetic} of {memory_type}, from the firmware's table of memory modules.",
    )


def _common_speed(modules: Sequence[_Structure]) -> tuple[str, int | None]:
    """Return the memory type and the MT/s of all modules; None where they differ or the unit is not certain.

    Modules of different type, speed, width or size (0x7FFF refers to 0x1C) do not add up to channels x MT/s.
    """
    kinds = {
        (s.number(0x12, 1), s.number(0x20, 2), s.number(0x0A, 2), s.area[0x0C:0x0E] + s.area[0x1C:0x20])
        for s in modules
    }
    code, speed, bits, _ = kinds.pop()
    memory_type, low, high = _CERTAIN_MTS.get(code or 0, ("", 1, 0))
    certain = not kinds and speed is not None and low <= speed <= high and bits == 64
    return memory_type, speed if certain else None


def _structures(table: bytes) -> Iterator[_Structure]:
    """Yield the structures up to the end marker, kind 127, or to a malformed one (sections 6.1.2 and 6.1.3)."""
    start = kind = 0
    while start + 4 <= len(table) and kind != 127:
        kind, length = table[start], table[start + 1]
        end = table.find(b"\0\0", start + length)
        if length < 4 or end < 0:
            return
        strings = [raw for raw in table[start + length : end].split(b"\0") if raw]
        yield _Structure(kind, table[start : start + length], strings)
        start = end + 2


def _is_virtual(structure: _Structure) -> bool:
    """Return whether type 0 (section 7.1.2.2) or the maker and product of type 1 name a virtual machine."""
    if structure.kind == 0:
        return bool((structure.number(0x13, 1) or 0) & 0x10)
    name = f"{structure.text(0x04)} {structure.text(0x05)}" if structure.kind == 1 else ""
    return _VIRTUAL.search(name) is not None and ".metal" not in name  # c7i.metal-24xl is no virtual machine


def _channels(modules: Sequence[_Structure]) -> int | None:
    """Return the number of channels, None unless every slot has its own name and all channels as many modules.

    Several modules that all name one channel are more likely firmware that knows no other.
    """
    slots = {(s.text(0x11), s.text(0x10)): s.number(0x04, 2) for s in modules}
    named = [(channel, owners, array) for slot, array in slots.items() for channel, owners in _channel_in(*slot)]
    channels = Counter(channel for channel, _, _ in named)
    # A processor that the name of the channel leaves out, or an array of its own, may have a channel of the same name.
    owners, arrays = {owners for _, owners, _ in named}, {(channel, array) for channel, _, array in named}
    if len(owners) != 1 or len(arrays) > len(channels):
        return None
    if len(named) < len(modules) or len(set(channels.values())) > 1:
        return None
    return None if len(channels) == 1 < len(modules) else len(channels)


def _channel_in(bank: str, slot: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the channel that the names of a slot begin with, and what owners they name beside it; else nothing."""
    if match := _CHANNEL.match(bank) or _CHANNEL.match(slot):
        beside = _OWNER.findall(f"{bank} {slot}".replace(match[0], ""))
        yield _plain(match[0]), tuple(map(_plain, beside))


def _plain(name: str) -> str:
    """Return a name without what firmware writes in many ways: case, separators and zeros in front of a number."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[ _-]", "", name.casefold()))


def _unknown(reason: str, hint: str = "") -> Peak:
    return Peak(explanation=" ".join(filter(None, (reason, hint, _SET_PEAK))))
