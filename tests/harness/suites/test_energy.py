"""The suite energy: joules by the device's counter beside the bandwidth, and unsupported rows where there is none."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import pytest

from bandmark.cli.app import main
from bandmark.measure.measurement import Reading
from bandmark.measure.sampling import StopRule
from bandmark.results.files import read_rows
from bandmark.suites import energy
from bandmark.suites.energy import Metered, NvmlMeter

WATTS = 50.0
COMMAND = ["run", "--suite", "energy", "--device", "cpu", "--backend", "numpy", "--quick", "--size", "1MiB"]


class SteadyMeter:
    """A counter of a device that always takes the same power."""

    reason: str | None = None

    def read(self) -> float:
        """Return joules."""
        return WATTS * perf_counter()

    def joules(self, before: float, after: float) -> float | None:
        """Return the difference."""
        return after - before


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Windows of a test's length."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(energy, "_IDLE_S", 0.01)
    monkeypatch.setattr(energy, "_RULE", StopRule(min_samples=5, min_time_s=0.01, window_s=0.002, warmup_s=0.01))


@pytest.mark.usefixtures("short")
def test_a_run_with_a_counter_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Joules, picojoules per byte and idle power are in every row, agree with each other, and replay."""
    monkeypatch.setattr(energy, "meter_of", lambda backend: SteadyMeter())
    assert main([*COMMAND, "--time-limit", "1", "--output", "a.csv"]) in (0, 3)
    rows = read_rows(Path("a.csv"))
    assert {row.kernel for row in rows} == {"read", "copy", "triad", "gemv"}
    for row in rows:
        assert row.verified and row.energy_j and row.bytes_moved and (row.idle_power_w or 0) > 0
        assert row.energy_pj_per_byte == pytest.approx(row.energy_j / row.bytes_moved * 1e12)
    for command in (["validate", "a.csv"], ["show", "a.csv"], ["compare", "a.csv", "a.csv"]):
        assert main(command) == 0


@pytest.mark.usefixtures("short")
def test_without_a_counter_every_row_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figure is made up: the rows are unsupported with the counter's reason, and the run exits with 3."""
    meter: Any = SimpleNamespace(reason="root alone may read it")
    monkeypatch.setattr(energy, "meter_of", lambda backend: meter)
    assert main([*COMMAND, "--output", "a.csv"]) == 3
    rows = read_rows(Path("a.csv"))
    assert len(rows) == 4 and {(r.status, r.reason, r.energy_j) for r in rows} == {("unsupported", meter.reason, None)}


def test_a_window_has_the_energy_between_its_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counter is read before the watch starts and after it stops; what else a workload has is passed through."""
    monkeypatch.setattr(energy, "_IDLE_S", 0.0)
    shown = iter([1.0, 2.0, 10.0, 14.5])
    sensors: Any = SimpleNamespace(energy_j=lambda: next(shown))
    work: Any = SimpleNamespace(launch=None, start=lambda n: None, stop=lambda: Reading(2.0), variant="v")
    metered = Metered(work, NvmlMeter(sensors))
    metered.start(3)
    assert metered.stop() == Reading(2.0, energy_j=4.5) and metered.variant == "v"


@pytest.mark.parametrize(("before", "after"), [(None, 1.0), (1.0, None), (2.0, 1.0), (1.0, 1.0)])
def test_a_counter_that_stands_still_or_starts_anew_is_unknown(before: float | None, after: float | None) -> None:
    """Energy is the difference of two readings that grew; a device without sensors says why it has none."""
    assert NvmlMeter(None).joules(before, after) is None and "NVML" in str(NvmlMeter(None).reason)
