"""The self-test launches and verifies what each suite has beside the kernel table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bandmark.backends.select import open_target
from bandmark.device.machine import read_machine
from bandmark.selftest import suites
from bandmark.selftest.checks import Check
from bandmark.selftest.suites import check_suites
from bandmark.suites import SUITES, registered
from bandmark.suites.latency import Latency
from cupy_gpu import Gpu
from cupy_sensors import Sensors
from cupy_standin import StandIn, install


def checks(monkeypatch: pytest.MonkeyPatch, *gpus: Gpu) -> dict[str, Check]:
    """Return the checks on the first of some pretend devices, by name."""
    monkeypatch.setattr(suites, "_OPTIONS", replace(suites._OPTIONS, size_bytes=2**16))
    install(monkeypatch, StandIn(*gpus), Sensors())
    target = open_target(read_machine(), names=["cupy"], address="cuda:0")
    try:
        return {check.name: check for check in check_suites(target)}
    finally:
        target.close()


def test_every_suite_is_tried_on_a_sound_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """All suites of --suite all have a line; what needs a CPU or shared memory says so, and all others pass."""
    lines = checks(monkeypatch, Gpu(sms=2), Gpu(sms=2))
    assert set(lines) == {suite.name for suite in SUITES.values() if suite.in_all} - {"bandwidth"}
    left_out = {name for name, check in lines.items() if check.passed is None}
    assert left_out == {"scaling", "contention"}
    assert "counts threads of a CPU" in lines["scaling"].result and "memory of its own" in lines["contention"].result
    assert all(check.passed for name, check in lines.items() if name not in left_out)
    assert lines["peer"].passed and lines["patterns"].result.startswith("19 right, worst error")


def test_broken_programs_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that does nothing fails the suites that launch it, with the case named, and no others."""
    lines = checks(monkeypatch, Gpu(sms=2, wrong={"bandmark_chase", "bandmark_passes", "bandmark_gather"}))
    failed = {name for name, check in lines.items() if check.passed is False}
    assert failed == {"latency", "sweep", "patterns", "transfer"}
    assert all("wrong" in lines[name].result and lines[name].details for name in failed)
    assert all("gather" in detail for detail in lines["patterns"].details)


def test_a_suite_that_raises_is_a_failed_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite from outside that can't be planned fails with the reason; the others go on, and without peers say so."""

    class Broken(Latency):
        name = "broken"

        def plan(self, options: Any, target: Any) -> Any:
            raise ValueError("no such thing")

    with registered(Broken()):
        lines = checks(monkeypatch, Gpu(sms=2))
    assert lines["broken"].passed is False and "no such thing" in lines["broken"].result
    assert lines["latency"].passed and lines["peer"].passed is None and "need two" in lines["peer"].result
