"""The known faults are found in the very words that rows and counters use."""

from __future__ import annotations

import re

import pytest

from bandmark.check.faults import clauses, known_faults, load_faults
from bandmark.device.sensors import _THROTTLE_REASONS
from bandmark.judge import warnings


def names(*reasons: str | None) -> list[str]:
    """The names of the faults that reasons show."""
    return [fault.name for fault in known_faults(reasons)]


def test_the_table_is_sound() -> None:
    """Each sign is an expression, each blame one of three, each name fits the line, each remedy is a sentence."""
    for fault in load_faults():
        re.compile(fault.sign)
        assert fault.blame in ("device", "others", "note") and len(fault.name) <= 25
        assert fault.remedy.endswith(".") and len(fault.remedy) < 200


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        (warnings._slow_state([600.0], "NVIDIA GB10"), "DGX Spark low power"),
        (warnings.slow_reads(70.0, 220.0, "NVIDIA GB10"), "DGX Spark slow reads"),
        (warnings._throttled([900.0], 2400.0), "throttled"),
        (warnings._contended(0.5), "other programs"),
        ("1 other program had work on the device", "other programs"),
        (_THROTTLE_REASONS[0x08], "throttled"),
        (_THROTTLE_REASONS[0x20], "too hot"),
        (_THROTTLE_REASONS[0x40], "too hot"),
        (_THROTTLE_REASONS[0x80], "power supply"),
    ],
)
def test_reasons_of_rows(reason: str, name: str) -> None:
    """Each reason that names a fault is found, alone and among others, and once."""
    assert names(reason) == names(None, f"matrix; {reason}", reason) == [name]


def test_what_is_no_fault() -> None:
    """A row without a reason, and one about something else, show none; so do counters at zero, or unknown."""
    assert names(None, "", "the samples fall into two speeds, 20 % apart") == []
    assert clauses({"ecc_uncorrected": 0, "pcie_width": 16, "max_pcie_width": 16, "row_remap_failed": None}, "") == []


def test_one_channel() -> None:
    """The firmware's table tells that one channel is in use; two are not named."""
    assert names(*clauses({}, "firmware: 1 channel x 5600 MT/s x 8 bytes (SMBIOS type 17)")) == ["single channel?"]
    assert clauses({}, "firmware: 2 channels x 5600 MT/s x 8 bytes (SMBIOS type 17)") == []
