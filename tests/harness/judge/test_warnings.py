"""Each reason to doubt a figure, below, at and above its threshold; and silence where nothing could be read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.judge import warnings as judge
from bandmark.judge.warnings import doubts, percent, regime

STEADY = [1.0] * 30


def judged(**changes: Any) -> list[str]:
    """The doubts about a plainly sound case, with changes."""
    plain: dict[str, Any] = {"bandwidth_gbs": 80.0, "peak_gbs": 100.0, "regime": "dram", "data": "random"}
    seconds = changes.pop("seconds", STEADY)
    return doubts(seconds, **(plain | changes))


def test_a_sound_case_is_not_doubted() -> None:
    """Nothing speaks against a steady, plausible figure."""
    assert judged(clocks_mhz=[1900.0] * 3, max_clock_mhz=2000.0, others_share=0.01) == []


@pytest.mark.parametrize(
    ("ratio", "expected"), [(0.0, "cache"), (0.999, "cache"), (1.0, "mixed"), (3.999, "mixed"), (4.0, "dram")]
)
def test_regimes_by_working_set_over_cache(ratio: float, expected: str) -> None:
    """Below one last-level cache is cache, from four on memory, between them mixed."""
    assert regime(int(ratio * 100_000), 100_000) == expected


@pytest.mark.parametrize("llc", [None, 0])
def test_no_regime_without_a_cache_size(llc: int | None) -> None:
    """Where the cache's size is unknown, so is the regime."""
    assert regime(10**9, llc) is None


@given(st.floats(0.001, 1e4), st.floats(0.001, 1e4))
def test_percent_of_a_peak(bandwidth: float, peak: float) -> None:
    """The percentage is 100 x bandwidth / peak."""
    value = percent(bandwidth, peak)
    assert value is not None
    assert value / 100 * peak == pytest.approx(bandwidth)


def test_no_percent_without_a_peak() -> None:
    """An unknown peak gives an unknown percentage."""
    assert percent(100.0, None) is None


@pytest.mark.parametrize(("bandwidth", "doubted"), [(100.0, False), (102.0, False), (102.1, True), (200.0, True)])
def test_above_the_peak(bandwidth: float, doubted: bool) -> None:
    """More than 102 % of the peak can't be true; the clause has both numbers and the percentage."""
    found = judged(bandwidth_gbs=bandwidth)
    assert bool(found) is doubted
    if doubted:
        assert f"{bandwidth:.4g} GB/s" in found[0]
        assert "the peak of 100 GB/s" in found[0] and f"{bandwidth:.0f} %" in found[0]


@pytest.mark.parametrize("where", ["cache", "mixed", None])
def test_a_cache_may_be_faster_than_memory(where: str | None) -> None:
    """The memory's peak bounds nothing outside the dram regime."""
    assert judged(bandwidth_gbs=500.0, regime=where) == []


def test_no_peak_bounds_nothing() -> None:
    """Without a peak no figure is implausible."""
    assert judged(bandwidth_gbs=1e6, peak_gbs=None) == []


@pytest.mark.parametrize(("slow", "doubted"), [(1.04, False), (1.06, True), (1.5, True)])
def test_two_speeds(slow: float, doubted: bool) -> None:
    """Samples that fall into two speeds more than 5 % apart are doubted, with the distance."""
    found = judged(seconds=[1.0, slow] * 15)
    assert found == ([f"the samples fall into two speeds, {100 * (slow - 1):.0f} % apart"] if doubted else [])


@pytest.mark.parametrize(
    ("last", "clause"),
    [
        (1.049, None),
        (1.052, "launches became 5 % slower while sampling"),
        (1.2, "launches became 18 % slower while sampling"),
        (0.9, "launches became 11 % faster while sampling"),
    ],
)
def test_drift(last: float, clause: str | None) -> None:
    """From a change of 5 % on, drift is doubted, with its size and direction (a ramp, so that it is not two speeds)."""
    found = judged(seconds=[1.0] * 10 + [1 + (last - 1) * i / 10 for i in range(1, 10)] + [last] * 10)
    assert found == ([clause] if clause else [])


@pytest.mark.parametrize(("clock", "doubted"), [(2000.0, False), (1500.0, False), (1499.0, True), (300.0, True)])
def test_throttled(clock: float, doubted: bool) -> None:
    """Below three quarters of its highest clock a device is held back."""
    found = judged(clocks_mhz=[clock] * 5, max_clock_mhz=2000.0)
    assert bool(found) is doubted
    if doubted:
        assert found == [f"the processors ran at {clock:.0f} MHz, {clock / 20:.0f} % of 2000 MHz"]


@pytest.mark.parametrize(
    ("clocks", "highest"),
    [([0.0], 2000.0), ([19.0], 2000.0), ([3001.0], 2000.0), ([1e9], 2000.0), ([], 2000.0), ([300.0], None)],
    ids=["stopped", "a hundredth", "above any clock", "nonsense", "no clock", "no highest clock"],
)
def test_a_clock_that_makes_no_sense_is_no_verdict(clocks: list[float], highest: float | None) -> None:
    """What could not be read, or can't be a clock of this device, gives no doubt."""
    assert judged(clocks_mhz=clocks, max_clock_mhz=highest) == []


def test_the_typical_clock_counts() -> None:
    """One window at a low clock (the device wakes up) does not throttle the others."""
    assert judged(clocks_mhz=[200.0, 1950.0, 1960.0], max_clock_mhz=2000.0) == []


@pytest.mark.parametrize(("share", "doubted"), [(None, False), (0.0, False), (0.099, False), (0.1, True), (0.9, True)])
def test_contended(share: float | None, doubted: bool) -> None:
    """From a tenth of the processors on, other programs are a reason to doubt."""
    found = judged(others_share=share)
    assert bool(found) is doubted
    if doubted:
        assert found == [f"other programs used {100 * (share or 0):.0f} % of the processors while sampling"]


def test_zeros_are_doubted() -> None:
    """Constant data can be compressed, which flatters."""
    assert judged(data="zeros") == ["the inputs are zeros, which compressible memory moves faster"]


def test_all_reasons_are_given() -> None:
    """Several reasons stand side by side, none hides another."""
    found = judged(
        seconds=[1.0] * 15 + [1.2] * 15,
        bandwidth_gbs=150.0,
        data="zeros",
        clocks_mhz=[1000.0],
        max_clock_mhz=2000.0,
        others_share=0.5,
    )
    assert len(found) == 6


def test_thresholds_are_those_of_the_documentation() -> None:
    """The numbers that results/README.md and the design name."""
    assert (judge.CACHE_BELOW, judge.DRAM_FROM, judge.PLAUSIBLE) == (1.0, 4.0, 1.02)


@pytest.mark.parametrize(
    ("gbs", "device", "doubted"), [(69.9, "NVIDIA GB10", True), (70, "NVIDIA GB10", False), (1, None, False)]
)
def test_reads_beside_copies(gbs: float, device: str | None, doubted: bool) -> None:
    """Reads below 70 % of copy are named on the device that has such a state, and nowhere else."""
    assert (judge.slow_reads(gbs, 100.0, device) is not None) is doubted
