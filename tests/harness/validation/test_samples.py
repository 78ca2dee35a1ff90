"""Raw samples give the statistics of the rows, and look like what a clock shows."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandmark.device.device import Device
from bandmark.device.peaks import find_peak
from bandmark.measure.sampling import StopRule
from bandmark.validation.samples import _repeats
from bandmark.validation.validate import check_run
from corpus import GB10, Pair, good_run, pair, remade

GOOD = pair(good_run())


def faults(pair: Pair, folder: Path) -> list[str]:
    """All faults of a pair, as text."""
    return [str(fault) for fault in check_run(pair.write(folder)).faults]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.sampled_from([1, 32, 500, 1024, 2000]), st.floats(0.0005, 0.02))
def test_clocks_that_tick_are_clocks(tmp_path: Path, seed: int, tick_ns: int, noise: float) -> None:
    """Windows on a grid of up to 2 us, as device events have, are taken, whatever their noise."""
    rng = random.Random(seed)

    def seconds(before: list[float]) -> list[float]:
        windows = [max(1, round(8e6 * rng.gauss(1, noise) / tick_ns)) * tick_ns for _ in before]
        return [window / 2e9 for window in windows]  # two launches in each

    found = faults(remade(seconds)(GOOD), tmp_path)
    assert [fault for fault in found if "simulated" in fault or "by the samples" in fault] == []


@pytest.mark.parametrize("tick_ms", [0.01, 0.1, 1.0, 15.625])
def test_clocks_that_are_too_coarse(tmp_path: Path, tick_ms: float) -> None:
    """Windows that are all multiples of 10 us or more are of no real clock."""
    rng = random.Random(1)
    made = remade(lambda before: [rng.randint(9, 99) * tick_ms / 1e3 / 2 for _ in before])(GOOD)
    assert any(f"all windows are multiples of {tick_ms * 1e3:g} us" in fault for fault in faults(made, tmp_path))


def test_few_samples_may_be_alike(tmp_path: Path) -> None:
    """Below ten samples a pattern may be chance."""
    made = remade(lambda before: [0.004, 0.00401, 0.00402])(GOOD)
    assert [fault for fault in faults(made, tmp_path) if "simulated" in fault] == []


@pytest.mark.parametrize(
    ("seconds", "repeats"),
    [
        ([1, 2, 3] * 2, True),
        ([1, 2, 3, 4, 1, 2, 3, 4, 1], True),
        ([1, 2, 3, 4, 5, 1, 2], False),
        (list(range(99)), False),
    ],
)
def test_repetition(seconds: list[float], repeats: bool) -> None:
    """A block of samples counts as repeated if at least two of it fit in the samples."""
    assert _repeats(seconds) is repeats


def test_repetition_is_found_fast() -> None:
    """A million samples that nearly repeat are searched in one pass."""
    assert not _repeats([0.0] * 999_999 + [1.0])


def test_a_figure_above_the_published_peak(tmp_path: Path) -> None:
    """A peak set too high by hand does not make more of a known device than its memory can."""
    by_hand = replace(find_peak(GB10), gbs=1000.0, source="set by hand (--peak 1000)")
    brief = StopRule(min_time_s=1e-3, warmup_s=1e-4, max_warmup_s=1e-3, max_launches=10)
    run = good_run(device=GB10, peak=by_hand, gbs=400.0, rule=brief)
    assert any("less: 273 GB/s is published for NVIDIA GB10" in fault for fault in faults(pair(run), tmp_path))


def test_a_published_peak_is_that_of_the_catalogue(tmp_path: Path) -> None:
    """A row that names a publication as the source of its peak has the catalogue's figure."""
    run = good_run(device=GB10, peak=replace(find_peak(GB10), gbs=300.0), gbs=0.2)
    assert any("peak_gbs" in f and "273, which is published for NVIDIA GB10" in f for f in faults(pair(run), tmp_path))
    other: Any = Device(kind="gpu", name="NVIDIA Nothing", llc_bytes=1000)
    run = good_run(device=other, peak=replace(find_peak(GB10)), gbs=0.2)
    assert any("wanted nothing, which is published for NVIDIA Nothing" in f for f in faults(pair(run), tmp_path))


def test_runs_of_the_future(tmp_path: Path) -> None:
    """A run that began after now was not measured."""
    run = good_run(run_id="22991231T235959Z-0000")
    assert any("a time that has come" in fault for fault in faults(pair(run), tmp_path))


def test_rows_begin_during_the_run(tmp_path: Path) -> None:
    """A row's start lies within the run, a day of grace for clocks that were set meanwhile."""
    text = GOOD.csv.decode().replace("2026-11-23T10:15:00Z", "2026-03-12T10:15:00Z", 1)
    assert any("a time during the run" in fault for fault in faults(Pair(text.encode(), GOOD.json), tmp_path))
    text = GOOD.csv.decode().replace("2026-11-23T10:15:00Z", "2026-11-22T12:15:00Z", 1)
    assert faults(Pair(text.encode(), GOOD.json), tmp_path) == []
