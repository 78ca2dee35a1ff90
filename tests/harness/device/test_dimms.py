"""The firmware's record of the memory gives a peak only where type, speed, width and channels are plain."""

import struct
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.device.dimms import (
    BY_HAND,
    DMIDECODE,
    channel_of,
    is_virtual,
    judge_table,
    parse_modules,
    parse_structures,
    read_dimms,
)

DDR3, DDR4, DDR5, LPDDR5, RAM = 0x18, 0x1A, 0x22, 0x23, 0x07


def structure(kind: int, body: bytes, *strings: str) -> bytes:
    """An SMBIOS structure: header, formatted area, strings."""
    text = b"".join(s.encode() + b"\0" for s in strings) or b"\0"
    return struct.pack("<BBH", kind, len(body) + 4, 0x1000 + kind) + body + text + b"\0"


def module(
    locator: str,
    bank: str = "",
    *,
    size: int = 16384,
    bits: int = 64,
    kind: int = DDR5,
    speed: int = 5600,
    array: int = 0x1000,
    extended_size: int = 0,
    extended_speed: int = 0,
) -> bytes:
    """A type 17 structure as of SMBIOS 3.3 (DSP0134 section 7.18), 5Ch bytes long."""
    body = bytearray(0x5C)
    struct.pack_into("<HHHHH", body, 0x04, array, 0xFFFE, bits + 8 if bits < 0xFFF0 else bits, bits, size)
    struct.pack_into("<BBBB", body, 0x10, 1, 2 if bank else 0, kind, 0)
    struct.pack_into("<H", body, 0x15, 6400)
    struct.pack_into("<I", body, 0x1C, extended_size)
    struct.pack_into("<H", body, 0x20, speed)
    struct.pack_into("<I", body, 0x58, extended_speed)
    return structure(17, bytes(body[4:]), *([locator, bank] if bank else [locator]))


def bios(virtual: bool) -> bytes:
    body = bytearray(0x18)
    body[0x04], body[0x05], body[0x13] = 1, 2, 0x1C if virtual else 0x0C
    return structure(0, bytes(body[4:]), "Vendor", "1.0")


def maker(name: str, product: str) -> bytes:
    return structure(1, bytes([1, 2]) + bytes(21), name, product)


END = structure(127, b"")
REAL = bios(virtual=False) + maker("ASUS", "System Product Name")


@pytest.mark.parametrize(
    ("modules", "peak", "arithmetic"),
    [
        (
            [module("DIMM 1", "P0 CHANNEL A"), module("DIMM 1", "P0 CHANNEL B")],
            89.6,
            "2 channels x 5600 MT/s x 8 bytes",
        ),
        (
            [module(f"DIMM {slot}", f"P0 CHANNEL {c}") for c in "AB" for slot in (0, 1)],
            89.6,
            "2 channels x 5600 MT/s x 8 bytes",
        ),
        (
            [module("ChannelA-DIMM0", "BANK 0", kind=DDR4, speed=3200)],
            25.6,
            "1 channel x 3200 MT/s x 8 bytes",
        ),
        (
            [module("Controller0-ChannelA-DIMM0", "BANK 0"), module("Controller1-ChannelA-DIMM0", "BANK 0")],
            89.6,
            "2 channels x 5600 MT/s x 8 bytes",
        ),
        (
            [module(f"P{p}_Node0_Channel{c}_Dimm0", kind=DDR4, speed=2933) for p in (0, 1) for c in range(6)],
            281.568,
            "12 channels x 2933 MT/s x 8 bytes",
        ),
        (
            [module(f"P1-DIMM{c}1", speed=4800) for c in "ABCDEFGH"],
            307.2,
            "8 channels x 4800 MT/s x 8 bytes",
        ),
        ([module("DIMM_A2"), module("DIMM_B2")], 89.6, "2 channels x 5600 MT/s x 8 bytes"),
        (
            [module(f"Controller{n}-Channel{c}", kind=LPDDR5, speed=7467, bits=16) for n in (0, 1) for c in "ABCD"],
            119.472,
            "8 channels x 7467 MT/s x 2 bytes",
        ),
        (
            [module(f"CHANNEL {c}", array=array) for array in (1, 2) for c in "AB"],
            179.2,
            "4 channels x 5600 MT/s x 8 bytes",
        ),
    ],
)
def test_plain_records_give_a_peak(modules: list[bytes], peak: float, arithmetic: str) -> None:
    """Distinct named channels x configured speed x data width; two modules on one channel count once."""
    reading = judge_table(REAL + b"".join(modules) + END)
    assert reading.peak_gbs == pytest.approx(peak)
    assert reading.arithmetic == arithmetic and arithmetic in reading.explanation
    assert len(reading.modules) == len(modules)


def test_empty_slots_do_not_count() -> None:
    """A slot of size 0 is no module, whatever its speed field holds."""
    table = REAL + module("DIMM_A1", size=0, speed=0, kind=0x02) + module("DIMM_A2") + module("DIMM_B2") + END
    reading = judge_table(table)
    assert reading.peak_gbs == pytest.approx(89.6)
    assert [m.locator for m in reading.modules] == ["DIMM_A2", "DIMM_B2"]


DOUBTFUL = {
    "no modules": [],
    "slots that name no channel": [module("DIMM 0"), module("DIMM 1")],
    "Dell slots, whose letter is the socket": [module("A1"), module("B1")],
    "HPE slots": [module("PROC 1 DIMM 1"), module("PROC 1 DIMM 3")],
    "one module of unknown place": [module("DIMM_A1"), module("Top - Slot 2 (under)")],
    "unknown speed": [module("DIMM_A1", speed=0)],
    "unknown width": [module("DIMM_A1", bits=0xFFFF)],
    "no width": [module("DIMM_A1", bits=0)],
    "unknown type": [module("DIMM_A1", kind=RAM)],
    "different speeds": [module("DIMM_A1"), module("DIMM_B1", speed=4800)],
    "different types": [module("DIMM_A1"), module("DIMM_B1", kind=DDR4)],
    "width with check bits": [module("DIMM_A1", bits=72)],
    "a clock in place of the data rate": [module("DIMM_A1", kind=DDR4, speed=1600)],
    "a DDR3 clock": [module("DIMM_A1", kind=DDR3, speed=800)],
    "a speed beyond belief": [module("DIMM_A1", speed=0xFFFE)],
}


@pytest.mark.parametrize("modules", DOUBTFUL.values(), ids=DOUBTFUL.keys())
def test_doubtful_records_give_no_peak_but_say_what_to_do(modules: list[bytes]) -> None:
    """What is not plain gives no peak; the reason names dmidecode where that shows more, and --peak."""
    reading = judge_table(REAL + b"".join(modules) + END)
    assert reading.peak_gbs is None and reading.arithmetic == ""
    assert reading.explanation.endswith(BY_HAND) and "--peak" in BY_HAND
    assert (DMIDECODE in reading.explanation) == bool(modules)


GOOD_MODULES = module("DIMM_A2") + module("DIMM_B2")


@pytest.mark.parametrize(
    "head",
    [
        bios(virtual=True) + maker("ASUS", "System Product Name"),
        maker("QEMU", "Standard PC (Q35 + ICH9, 2009)"),
        maker("VMware, Inc.", "VMware7,1"),
        maker("Amazon EC2", "m7i.4xlarge"),
        maker("Google", "Google Compute Engine"),
        maker("Microsoft Corporation", "Virtual Machine"),
        maker("Xen", "HVM domU"),
        maker("innotek GmbH", "VirtualBox"),
    ],
)
def test_a_virtual_machine_gives_no_peak(head: bytes) -> None:
    """A virtual machine's modules are made up, however good they look."""
    assert is_virtual(head + GOOD_MODULES + END)
    reading = judge_table(head + GOOD_MODULES + END)
    assert reading.peak_gbs is None and "virtual machine" in reading.explanation
    assert DMIDECODE not in reading.explanation


@pytest.mark.parametrize("head", [REAL, maker("Amazon EC2", "c7i.metal-24xl"), maker("Google", "Eve"), b""])
def test_real_machines_are_not_taken_for_virtual(head: bytes) -> None:
    """Bare-metal cloud instances and laptops of cloud makers are real."""
    assert judge_table(head + GOOD_MODULES + END).peak_gbs == pytest.approx(89.6)


def test_size_and_speed_in_their_extended_fields() -> None:
    """7FFFh and FFFFh refer to the extended size and speed; bit 15 of the size marks KiB."""
    table = (
        module("A", size=0x7FFF, extended_size=65536, speed=0xFFFF, extended_speed=70000)
        + module("B", size=0x8000 | 2048)
        + module("C", size=0xFFFF)
        + END
    )
    assert [(m.size_mib, m.speed_mts) for m in parse_modules(table)] == [
        (65536, 70000),
        (2, 5600),
        (None, 5600),
    ]


def test_an_old_short_structure_leaves_later_fields_unknown() -> None:
    """SMBIOS 2.1 structures end before the configured speed: unknown, not an error and not zero."""
    body = struct.pack("<HHHHHBBBBBH", 0x1000, 0xFFFE, 64, 64, 4096, 9, 0, 1, 0, DDR3, 0)
    (only,) = parse_modules(structure(17, body, "ChannelA-DIMM0") + END)
    assert only.speed_mts is None and only.memory_type == "DDR3" and only.locator == "ChannelA-DIMM0"


def test_nothing_after_the_end_marker_counts() -> None:
    """Type 127 ends the table; what firmware leaves behind it is not read."""
    assert [s.kind for s in parse_structures(REAL + END + GOOD_MODULES)] == [0, 1]


@pytest.mark.parametrize(
    ("locator", "bank", "same"),
    [
        ("DIMM 0", "P0 CHANNEL A", "DIMM 1|P0 CHANNEL A"),
        ("ChannelA-DIMM0", "BANK 0", "ChannelA-DIMM1|BANK 1"),
        ("P1-DIMMA1", "", "P1-DIMMA2|"),
    ],
)
def test_modules_of_one_channel_share_its_key(locator: str, bank: str, same: str) -> None:
    """The slot within a channel does not make another channel; another channel does."""
    first, second = parse_modules(module(locator, bank) + module(*same.split("|")) + END)
    assert channel_of(first) == channel_of(second) is not None
    other = module(locator.replace("A", "B"), bank.replace("CHANNEL A", "CHANNEL B"))
    assert channel_of(parse_modules(other + END)[0]) != channel_of(first)


@given(st.binary(max_size=400))
def test_no_bytes_make_the_parser_fail(noise: bytes) -> None:
    """Whatever firmware holds, there is a reading: a peak or a reason."""
    reading = judge_table(noise)
    assert reading.explanation and (reading.peak_gbs is None or reading.peak_gbs > 0)


@given(st.integers(0, len(REAL + GOOD_MODULES)))
def test_a_truncated_table_never_gives_more_than_the_whole(cut: int) -> None:
    """A table that ends early loses modules, and its peak is none or a part."""
    reading = judge_table((REAL + GOOD_MODULES)[:cut])
    assert reading.peak_gbs is None or 0 < reading.peak_gbs <= 89.6001


def test_reading_reports_what_it_could_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing table and one for root alone are reasons, not errors; a readable one is judged."""
    assert "no SMBIOS table (FileNotFoundError)" in read_dimms(tmp_path / "DMI").explanation
    table = tmp_path / "DMI"
    table.write_bytes(REAL + GOOD_MODULES + END)
    assert read_dimms(table).peak_gbs == pytest.approx(89.6)

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    reading = read_dimms(table)
    assert reading.peak_gbs is None and "root" in reading.explanation and "sudo dmidecode -t 17" in reading.explanation


def test_no_serial_number_is_kept() -> None:
    """Row files hold no serial numbers, so the reading has no field that could."""
    (only,) = parse_modules(module("DIMM_A1") + END)
    names = {field.name for field in fields(only)}
    assert names == {"array", "locator", "bank", "size_mib", "data_bits", "memory_type", "speed_mts"}
