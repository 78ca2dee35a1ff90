"""What is the peak of a CPU's memory? Read from the firmware's record of the modules, where it is plain.

The record is the SMBIOS table (DMTF DSP0134): its type 17 structures, "Memory Device", tell size, width,
speed and place of each module. Modules are not channels: a channel counts only where the place names it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DMI_TABLE = Path("/sys/firmware/dmi/tables/DMI")
"""Where Linux shows the SMBIOS table, to root alone on most systems."""

BY_HAND = "Set the peak with --peak 76.8 (GB/s) or --peak 2x5600 (channels x MT/s)."
"""How every explanation of a missing peak ends."""

DMIDECODE = "`sudo dmidecode -t 17` shows what the firmware says of each module."
"""Where to look, on a machine whose firmware knows its memory."""

# DSP0134 section 7.18.2, values of "Memory Type".
MEMORY_TYPES = {
    0x18: "DDR3",
    0x1A: "DDR4",
    0x1E: "LPDDR4",
    0x22: "DDR5",
    0x23: "LPDDR5",
}

# Data rates in MT/s that are believed. The lower limits are at or above half of each kind's fastest grade in
# use (JEDEC JESD79-3F, 79-4D, 79-5C, JESD209-4, 209-5), so that a clock that old firmware writes in place of
# the data rate is refused; the upper limits leave room for overclocked modules.
PLAUSIBLE_MTS = {
    "DDR3": (1066, 3200),
    "DDR4": (1866, 5600),
    "DDR5": (3600, 12800),
    "LPDDR4": (2400, 4800),
    "LPDDR5": (4200, 10800),
}

# Data bits of one channel: 64 for a module of DDR3 to DDR5 (in DDR5 two subchannels of 32); LPDDR varies.
MODULE_BITS = {"DDR3": (64,), "DDR4": (64,), "DDR5": (64,), "LPDDR4": (16, 32, 64), "LPDDR5": (16, 32, 64)}

VIRTUAL_MAKERS = re.compile(
    r"qemu|\bkvm\b|bochs|vmware|virtualbox|innotek|\bxen\b|hvm domu|virtual machine|openstack|amazon ec2"
    r"|google compute|alibaba cloud|parallels|bhyve|droplet|ovirt|rhev",
    re.IGNORECASE,
)
"""Makers and products, in the type 1 structure, whose memory modules are made up."""

_NAMED_CHANNEL = re.compile(r"^(.*?(?<![a-z])ch(?:annel|an)?[ _-]?(?:[a-z]|\d+))(?![a-z0-9])", re.IGNORECASE)
_LETTERED_SLOT = re.compile(r"^(.*(?:DIMM|DDR\d)[ _-]?[A-P])[ _-]?\d$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """One SMBIOS structure: its formatted area from the header on, and its strings in order."""

    kind: int
    body: bytes
    strings: tuple[str, ...]

    def number(self, offset: int, size: int) -> int | None:
        """The little-endian number at offset, None where the structure is too short to have it."""
        field = self.body[offset : offset + size]
        return int.from_bytes(field, "little") if len(field) == size else None

    def text(self, offset: int) -> str:
        """The string that the byte at offset refers to (from 1; 0 is none), empty if there is none."""
        index = self.number(offset, 1) or 0
        return self.strings[index - 1].strip() if 0 < index <= len(self.strings) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One populated memory device; None is unknown. Serial numbers and part numbers are not read."""

    array: int | None
    locator: str
    bank: str
    size_mib: int | None
    data_bits: int | None
    memory_type: str | None
    speed_mts: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DimmReading:
    """What the firmware says of the system's memory."""

    peak_gbs: float | None
    """Channels x MT/s x bytes, summed over the system's channels, in GB/s; None where it is not plain."""
    arithmetic: str
    """Such as "2 channels x 5600 MT/s x 8 bytes"; empty without a peak."""
    memory_type: str | None
    modules: tuple[Module, ...]
    explanation: str
    """What the peak rests on, or why there is none and what to do."""


def parse_structures(table: bytes) -> Iterator[Structure]:
    """The structures of an SMBIOS table up to its end marker (DSP0134 sections 6.1.2, 6.1.3).

    Each has a header (type, length, handle), its formatted area, and strings that end in zero bytes, two at
    the end. A truncated or malformed table ends the iteration: what came before still holds.
    """
    start = 0
    while start + 4 <= len(table):
        kind, length = table[start], table[start + 1]
        end = table.find(b"\0\0", start + length)
        if length < 4 or end < 0 or kind == 127:
            return
        strings = table[start + length : end].split(b"\0")
        yield Structure(
            kind=kind,
            body=table[start : start + length],
            strings=tuple(raw.decode("latin-1") for raw in strings if raw),
        )
        start = end + 2


def _size_mib(structure: Structure) -> int | None:
    """Field "Size" (0Ch), or "Extended Size" (1Ch) where it says 7FFFh; bit 15 marks KiB; 0 is empty."""
    size = structure.number(0x0C, 2)
    if size is None or size == 0xFFFF:
        return None
    if size == 0x7FFF:
        return structure.number(0x1C, 4)
    return (size & 0x7FFF) // 1024 if size & 0x8000 else size


def _speed_mts(structure: Structure) -> int | None:
    """Field "Configured Memory Speed" (20h), or its extended form (58h) where it says FFFFh; 0 is unknown."""
    speed = structure.number(0x20, 2)
    if speed == 0xFFFF:
        speed = structure.number(0x58, 4)
    return speed or None


def parse_modules(table: bytes) -> tuple[Module, ...]:
    """The populated memory devices (type 17, DSP0134 section 7.18) of an SMBIOS table."""
    modules = []
    for structure in parse_structures(table):
        size = _size_mib(structure) if structure.kind == 17 else 0
        if size == 0:
            continue
        bits = structure.number(0x0A, 2)
        module = Module(
            array=structure.number(0x04, 2),
            locator=structure.text(0x10),
            bank=structure.text(0x11),
            size_mib=size,
            data_bits=bits if bits not in (0, 0xFFFF) else None,
            memory_type=MEMORY_TYPES.get(structure.number(0x12, 1) or 0),
            speed_mts=_speed_mts(structure),
        )
        modules.append(module)
    return tuple(modules)


def is_virtual(table: bytes) -> bool:
    """Whether the table describes a virtual machine, whose modules say nothing of the real ones.

    Told by the type 0 bit "SMBIOS table describes a virtual machine" (DSP0134 section 7.1.2.2) or by the
    maker and product of type 1. Bare-metal cloud instances (product "c7i.metal-24xl") are real.
    """
    for structure in parse_structures(table):
        if structure.kind == 0 and (structure.number(0x13, 1) or 0) & 0x10:
            return True
        if structure.kind == 1:
            name = f"{structure.text(0x04)} {structure.text(0x05)}"
            if VIRTUAL_MAKERS.search(name) and ".metal" not in name:
                return True
    return False


def channel_of(module: Module) -> str | None:
    """A key of the module's memory channel, None where its place does not name it plainly.

    Plain are "P0 CHANNEL A" and "Controller1-ChannelB-DIMM0" (all up to the channel counts, so sockets and
    controllers stay apart), and "DIMM_A2" or "P1-DIMMB1" (the letter is the channel, the digit the slot). Not
    plain are Dell's "A1" (its letter is the socket), "PROC 1 DIMM 3" and "DIMM 0".
    """
    for place in (module.bank, module.locator):
        if found := _NAMED_CHANNEL.match(place):
            return f"{module.array} {found[1].casefold()}"
    if found := _LETTERED_SLOT.match(module.locator):
        return f"{module.array} {found[1].casefold()}"
    return None


def _unknown(reason: str, modules: tuple[Module, ...] = (), look: bool = False) -> DimmReading:
    types = {module.memory_type for module in modules}
    return DimmReading(
        peak_gbs=None,
        arithmetic="",
        memory_type=types.pop() if len(types) == 1 else None,
        modules=modules,
        explanation=" ".join([reason, *([DMIDECODE] if look else []), BY_HAND]),
    )


def _doubt(modules: tuple[Module, ...]) -> str:
    """Why these modules give no peak, empty if they do."""
    kinds = {(module.memory_type, module.speed_mts, module.data_bits) for module in modules}
    if not modules:
        return "The firmware lists no memory modules."
    if len(kinds) > 1:
        return "The firmware lists modules of different types, speeds or widths."
    memory_type, speed, bits = kinds.pop()
    if memory_type is None or speed is None or bits is None:
        return "The firmware does not tell type, configured speed and width of the memory modules."
    low, high = PLAUSIBLE_MTS[memory_type]
    if not low <= speed <= high or bits not in MODULE_BITS[memory_type]:
        return f"The firmware's {memory_type} at {speed} MT/s with {bits} data bits is not plausible."
    if any(channel_of(module) is None for module in modules):
        what = f"{len(modules)} modules of {memory_type} at {speed} MT/s"
        return f"The firmware lists {what}, but not plainly on how many channels."
    return ""


def judge_table(table: bytes) -> DimmReading:
    """The peak that an SMBIOS table tells, or why it tells none: channels x MT/s x data bits / 8."""
    if is_virtual(table):
        return _unknown("This is a virtual machine: its firmware does not tell what the memory really is.")
    modules = parse_modules(table)
    if doubt := _doubt(modules):
        return _unknown(doubt, modules, look=bool(modules))
    memory_type, speed, bits = modules[0].memory_type, modules[0].speed_mts or 0, modules[0].data_bits or 0
    channels = len({channel_of(module) for module in modules})
    arithmetic = f"{channels} channel{'s'[: channels > 1]} x {speed} MT/s x {bits // 8} bytes"
    return DimmReading(
        peak_gbs=channels * speed * (bits // 8) / 1e3,
        arithmetic=arithmetic,
        memory_type=memory_type,
        modules=modules,
        explanation=f"{arithmetic} of {memory_type}, from the firmware's record of all populated channels.",
    )


def read_dimms(path: Path = DMI_TABLE) -> DimmReading:
    """The peak of this system's memory from its firmware; never raises for a table that cannot be read."""
    try:
        table = path.read_bytes()
    except PermissionError:
        return _unknown("The firmware's record of the memory modules is readable by root alone.", look=True)
    except OSError as error:
        return _unknown(f"This system shows no SMBIOS table ({type(error).__name__}).")
    return judge_table(table)
