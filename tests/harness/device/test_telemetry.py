"""A reading of the sensors holds what the device tells."""

from __future__ import annotations

from dataclasses import fields

from bandmark.device.telemetry import Telemetry


def test_everything_is_unknown_unless_told() -> None:
    """A device without sensors gives None everywhere, and no doubts."""
    empty = Telemetry()
    assert {getattr(empty, f.name) for f in fields(empty) if f.name != "doubts"} == {None}
    assert empty.doubts == ()
