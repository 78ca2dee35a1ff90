"""The firmware's table of memory modules gives a peak only where type, speed, width and channels are certain."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.device.dimms import _judge, read_dimms

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
            [module(f"CPU0 Channel {c}", size=0x7FFF, extended_size=65536, speed=4800) for c in range(12)],
            460.8,
            "12 channels x 4800 MT/s x 8 bytes",
        ),
    ],
)
def test_unambiguous_tables_give_a_peak(modules: list[bytes], peak: float, arithmetic: str) -> None:
    """Distinct named channels x configured speed x 8 bytes; two modules on one channel count once."""
    reading = _judge(REAL + b"".join(modules) + END)
    assert reading.gbs == pytest.approx(peak)
    assert reading.source == f"firmware: {arithmetic} (SMBIOS type 17)" and arithmetic in reading.explanation
    assert reading.memory_type in ("DDR4", "DDR5")


def test_empty_slots_do_not_count() -> None:
    """A slot of size 0 is no module, whatever its speed field holds."""
    empty = module("ChannelC-DIMM0", size=0, speed=0, kind=0x02)
    assert _judge(REAL + empty + GOOD_MODULES + END).gbs == pytest.approx(89.6)


def test_one_processor_beside_the_channel_and_other_spellings() -> None:
    """What all modules say alike is no second socket; Channel-0 1 and Channel 01 are one channel."""
    alike = [module(f"Channel{c}-DIMM0", "NODE 0") for c in "AB"]
    assert _judge(REAL + b"".join(alike) + END).gbs == pytest.approx(89.6)
    spelt = [module(f"Channel {name}-DIMM{i}") for i, name in enumerate(("1", "01", "2", "02"))]
    assert _judge(REAL + b"".join(spelt) + END).gbs == pytest.approx(89.6)


def channels(names: str, **changes: int) -> list[bytes]:
    """Modules in slots whose channels are certain."""
    return [module(f"Channel{name}-DIMM0", **changes) for name in names]


UNCERTAIN = {
    "slots that name no channel": [module("DIMM 0"), module("DIMM 1")],
    "Dell slots, whose letter is the socket": [module("A1"), module("B1")],
    "slot letters, which are channels or sockets": [module("DIMM_A2"), module("DIMM_B2")],
    "slot letters of a socket": [module(f"P1-DIMM{c}1") for c in "ABCDEFGH"],
    "HPE slots": [module("PROC 1 DIMM 1"), module("PROC 1 DIMM 3")],
    "a channel that is counted within a slot": [module("DIMM0_ChannelA"), module("DIMM1_ChannelA")],
    "one module of unknown place": [*channels("A"), module("Top - Slot 2 (under)")],
    "one locator for all modules": [module("Channel-0-DIMM-0", "BANK 0")] * 2,
    "one bank for all modules": [module("DIMM 0", "P0 CHANNEL A"), module("DIMM 1", "P0 CHANNEL A")],
    "two sockets with the same names": channels("ABAB"),
    "two nodes in the banks": [module(f"Channel{c}-DIMM0", f"NODE {n}") for n in (0, 1) for c in "AB"],
    "two processors behind the channel": [module(f"Channel{c}-DIMM0-CPU{n}") for n in (1, 2) for c in "AB"],
    "processors in the slot, channels in the bank": [
        module(f"CPU{n}-DIMM0", f"CHANNEL {c}") for n in (0, 1) for c in "AB"
    ],
    "two controllers in the banks": [module(f"Channel{c}-DIMM0", f"Controller{n}") for n in (0, 1) for c in "AB"],
    "one channel in two arrays": [module(f"ChannelA-DIMM{n}", array=0x1000 + n) for n in (0, 1)],
    "more modules on one channel than on another": [*channels("AB"), module("ChannelA-DIMM1")],
    "unknown speed": channels("AB", speed=0),
    "unknown width": channels("AB", bits=0xFFFF),
    "no width": channels("AB", bits=0),
    "unknown type": channels("AB", kind=RAM),
    "different speeds": [*channels("A"), *channels("B", speed=4800)],
    "different types": [*channels("A"), *channels("B", kind=DDR4)],
    "different sizes": [*channels("A"), *channels("B", size=8192)],
    "different extended sizes": [
        *channels("A", size=0x7FFF, extended_size=65536),
        *channels("B", size=0x7FFF, extended_size=32768),
    ],
    "width with check bits": channels("AB", bits=72),
    "subchannels": channels("ABCD", bits=32),
    "a DDR4 clock": channels("AB", kind=DDR4, speed=1600),
    "the clock of overclocked DDR4": channels("AB", kind=DDR4, speed=2000),
    "a rate that is a clock as well": channels("AB", kind=DDR4, speed=2133),
    "a DDR5 clock": channels("AB", speed=3000),
    "a DDR3 clock": channels("AB", kind=DDR3, speed=800),
    "DDR3, whose rates are all clocks as well": channels("AB", kind=DDR3, speed=1600),
    "LPDDR5 of 64 bits": channels("ABCDEFGH", kind=LPDDR5, speed=7467),
    "LPDDR5 of 16 bits": channels("ABCDEFGH", kind=LPDDR5, speed=7467, bits=16),
    "a speed in its extended field": channels("AB", speed=0xFFFF, extended_speed=70000),
    "a speed beyond belief": channels("AB", speed=0xFFFE),
}


@pytest.mark.parametrize("modules", UNCERTAIN.values(), ids=UNCERTAIN.keys())
def test_uncertain_tables_give_no_peak_but_say_what_to_do(modules: list[bytes]) -> None:
    """A wrong number is worse than none: the reason names dmidecode and --peak instead."""
    reading = _judge(REAL + b"".join(modules) + END)
    assert reading.gbs is None and reading.source == ""
    assert "sudo dmidecode -t 17" in reading.explanation and "--peak 2x5600" in reading.explanation


@pytest.mark.parametrize("table", [b"", REAL, REAL + END], ids=["empty", "cut", "without modules"])
def test_a_table_without_modules_says_so(table: bytes) -> None:
    """Without modules dmidecode would show nothing more."""
    reading = _judge(table)
    assert reading.gbs is None and reading.explanation.startswith("The firmware lists no memory modules.")


GOOD_MODULES = b"".join(channels("AB"))


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
    reading = _judge(head + GOOD_MODULES + END)
    assert reading.gbs is None and "virtual machine" in reading.explanation
    assert "dmidecode" not in reading.explanation


@pytest.mark.parametrize("head", [REAL, maker("Amazon EC2", "c7i.metal-24xl"), maker("Google", "Eve"), b""])
def test_real_machines_are_not_taken_for_virtual(head: bytes) -> None:
    """Bare-metal cloud instances and laptops of cloud makers are real."""
    assert _judge(head + GOOD_MODULES + END).gbs == pytest.approx(89.6)


def test_an_old_short_structure_leaves_later_fields_unknown() -> None:
    """SMBIOS 2.1 structures end before the configured speed, which then is unknown, not an error and not zero."""
    body = struct.pack("<HHHHHBBBBBH", 0x1000, 0xFFFE, 64, 64, 4096, 9, 0, 1, 0, DDR4, 0)
    reading = _judge(structure(17, body, "ChannelA-DIMM0") + END)
    assert reading.gbs is None and "The firmware lists 1 memory module," in reading.explanation


def test_nothing_after_the_end_marker_counts() -> None:
    """Type 127 ends the table; what firmware leaves behind it is not read."""
    assert "no memory modules" in _judge(REAL + END + GOOD_MODULES).explanation


@given(st.binary(max_size=400))
def test_no_bytes_make_the_parser_fail(noise: bytes) -> None:
    """Whatever firmware holds, there is a reading: a peak or a reason."""
    reading = _judge(noise)
    assert reading.explanation and (reading.gbs is None or reading.gbs > 0)


@given(st.integers(0, len(REAL + GOOD_MODULES + END) - 1))
def test_a_truncated_table_gives_no_peak(cut: int) -> None:
    """A table that ends before its end marker has lost modules, and so channels."""
    assert _judge((REAL + GOOD_MODULES + END)[:cut]).gbs is None


def test_reading_reports_what_it_could_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing table and one for root alone are reasons, not errors; a readable one is judged."""
    assert "no SMBIOS table (FileNotFoundError)" in read_dimms(tmp_path / "DMI").explanation
    table = tmp_path / "DMI"
    table.write_bytes(REAL + GOOD_MODULES + END)
    assert read_dimms(table).gbs == pytest.approx(89.6)

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    reading = read_dimms(table)
    assert reading.gbs is None and "root" in reading.explanation and "sudo dmidecode -t 17" in reading.explanation
