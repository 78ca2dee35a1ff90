"""A device is plain facts, each unknown by default."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from bandmark.device.device import Device


def test_everything_but_kind_and_name_is_unknown_by_default() -> None:
    """What was not read is None (and mig False), never 0 or a placeholder."""
    device = Device(kind="gpu", name="NVIDIA GB10")
    optional = {f.name: getattr(device, f.name) for f in fields(device) if f.name not in ("kind", "name")}
    assert optional.pop("mig") is False
    assert set(optional.values()) == {None}


def test_a_device_cannot_be_changed() -> None:
    """A device is a fact of a run: frozen and hashable, so that results may be keyed by it."""
    device = Device(kind="cpu", name="A CPU", memory_bytes=1)
    with pytest.raises(FrozenInstanceError):
        device.memory_bytes = 2  # type: ignore[misc]
    assert hash(device) == hash(Device(kind="cpu", name="A CPU", memory_bytes=1))


def test_facts_are_given_by_name() -> None:
    """Facts are keyword-only, so that no two integers can be swapped unseen."""
    with pytest.raises(TypeError):
        Device("gpu", "NVIDIA GB10")  # type: ignore[call-arg]
