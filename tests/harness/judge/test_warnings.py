"""Each warning about a figure, below, at and above its threshold; and silence where nothing could be read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.judge import warnings as judge
from bandmark.judge.warnings import (
    bandwidth_warnings,
    notes,
    percent,
    regime,
    sample_warnings,
    stability_warnings,
)
from bandmark.measure.measurement import Measurement

STEADY = [1.0] * 30


def measured(**changes: Any) -> Measurement:
    """A plainly sound measurement, with changes."""
    plain: dict[str, Any] = {"seconds_per_launch": STEADY, "launches_per_sample": 1, "max_error": 0.5}
    return Measurement(**(plain | changes))


def judged(device: str | None = None, **changes: Any) -> list[str]:
    """The warnings about a plainly sound measurement, with changes."""
    return sample_warnings(measured(**changes), device=device)


def judged_gbs(gbs: float = 80.0, **changes: Any) -> list[str]:
    """The warnings about a plainly sound bandwidth, with changes."""
    plain: dict[str, Any] = {"peak_gbs": 100.0, "regime": "dram", "data": "random"}
    return bandwidth_warnings(gbs, **(plain | changes))


def test_a_sound_case_has_no_warning() -> None:
    """Nothing speaks against a steady, plausible figure."""
    assert judged(clocks_mhz=[1900.0] * 3, max_clock_mhz=2000.0, others_share=0.01) == judged_gbs() == []


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


@pytest.mark.parametrize(("bandwidth", "warned"), [(100.0, False), (102.0, False), (102.1, True), (200.0, True)])
def test_above_the_peak(bandwidth: float, warned: bool) -> None:
    """More than 102 % of the peak can't be true; the clause has both numbers and the percentage."""
    found = judged_gbs(bandwidth)
    assert bool(found) is warned
    if warned:
        assert f"{bandwidth:.4g} GB/s" in found[0]
        assert "the peak of 100 GB/s" in found[0] and f"{bandwidth:.0f} %" in found[0]


@pytest.mark.parametrize("where", ["cache", "mixed", None])
def test_a_cache_may_be_faster_than_memory(where: str | None) -> None:
    """The memory's peak bounds nothing outside the dram regime."""
    assert judged_gbs(500.0, regime=where) == []


def test_no_peak_bounds_nothing() -> None:
    """Without a peak no figure is implausible."""
    assert judged_gbs(1e6, peak_gbs=None) == []


@pytest.mark.parametrize(("slow", "warned"), [(1.04, False), (1.06, True), (1.5, True)])
def test_two_speeds(slow: float, warned: bool) -> None:
    """Samples that fall into two speeds more than 5 % apart are named, with the distance."""
    found = judged(seconds_per_launch=[1.0, slow] * 15)
    assert found == ([f"the samples fall into two speeds, {100 * (slow - 1):.0f} % apart"] if warned else [])


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
    """From a change of 5 % on, drift is warned, with its size and direction (a ramp, so that it is not two speeds)."""
    found = judged(seconds_per_launch=[1.0] * 10 + [1 + (last - 1) * i / 10 for i in range(1, 10)] + [last] * 10)
    assert found == ([clause] if clause else [])


@pytest.mark.parametrize(("clock", "warned"), [(2000.0, False), (1500.0, False), (1499.0, True), (300.0, True)])
def test_throttled(clock: float, warned: bool) -> None:
    """Below three quarters of its highest clock a device is held back."""
    found = judged(clocks_mhz=[clock] * 5, max_clock_mhz=2000.0)
    assert bool(found) is warned
    if warned:
        assert found == [f"the processors ran at {clock:.0f} MHz, {clock / 20:.0f} % of 2000 MHz"]


@pytest.mark.parametrize(
    ("clocks", "highest"),
    [([0.0], 2000.0), ([19.0], 2000.0), ([3001.0], 2000.0), ([1e9], 2000.0), ([], 2000.0), ([300.0], None)],
    ids=["stopped", "a hundredth", "above any clock", "nonsense", "no clock", "no highest clock"],
)
def test_a_clock_that_makes_no_sense_is_no_verdict(clocks: list[float], highest: float | None) -> None:
    """What could not be read, or can't be a clock of this device, gives no warning."""
    assert judged(clocks_mhz=clocks, max_clock_mhz=highest) == []


def test_the_typical_clock_counts() -> None:
    """One window at a low clock (the device wakes up) does not throttle the others."""
    assert judged(clocks_mhz=[200.0, 1950.0, 1960.0], max_clock_mhz=2000.0) == []


@pytest.mark.parametrize(("share", "warned"), [(None, False), (0.0, False), (0.099, False), (0.1, True), (0.9, True)])
def test_contended(share: float | None, warned: bool) -> None:
    """From a tenth of the processors on, other programs are named."""
    found = judged(others_share=share)
    assert bool(found) is warned
    if warned:
        assert found == [f"other programs used {100 * (share or 0):.0f} % of the processors while sampling"]


def test_zeros_are_named() -> None:
    """Constant data can be compressed, which flatters."""
    assert judged_gbs(data="zeros") == ["the inputs are zeros, which compressible memory moves faster"]


def test_all_warnings_are_given() -> None:
    """Several warnings stand side by side, none hides another."""
    found = judged(
        max_error=None,
        warmed_up=False,
        seconds_per_launch=[1.0] * 15 + [1.2] * 15,
        clocks_mhz=[1000.0],
        max_clock_mhz=2000.0,
        others_share=0.5,
        warnings=["heat held its clocks down"],
    )
    assert len(found) == 7 and found[0] == "the output was not verified" and found[-1] == "heat held its clocks down"
    assert len(judged_gbs(150.0, data="zeros")) == 2


@pytest.mark.parametrize(("count", "warned"), [(1, True), (4, True), (5, False)])
def test_few_samples(count: int, warned: bool) -> None:
    """Fewer than five samples are too few for a figure."""
    words = f"only {count} samples were taken before the time limit; --time-limit S gives more"
    assert judged(seconds_per_launch=[1.0] * count) == ([words] if warned else [])


def test_a_warm_up_that_was_cut_short() -> None:
    """A device that had not left idle is named, but only once where the samples are few as well."""
    words = "the time limit cut the warm-up short; --time-limit S gives more"
    assert judged(warmed_up=False) == [words]
    assert len(judged(warmed_up=False, seconds_per_launch=[1.0])) == 1


@pytest.mark.parametrize(
    ("mhz", "device", "warned"),
    [(850.0, "NVIDIA GB10", True), (1000.0, "NVIDIA GB10", False), (850.0, "NVIDIA H100", False), (850.0, None, False)],
)
def test_the_slow_state_of_a_gb10(mhz: float, device: str | None, warned: bool) -> None:
    """Clocks below 1000 MHz are a known state of one device, with its cure, and nothing elsewhere."""
    found = judged(device, sensor_clocks_mhz=[mhz] * 3)
    assert found == ([f"{mhz:.0f} MHz is {judge._SLOW_STATE}"] if warned else [])


def test_stability_alone() -> None:
    """Two speeds and drift are told by the samples alone, for whoever has nothing else."""
    assert stability_warnings(STEADY) == []
    assert stability_warnings([1.0, 1.5] * 15) == ["the samples fall into two speeds, 50 % apart"]
    assert stability_warnings([2e-3, 8e-3] * 15) == ["the samples fall into two speeds, 300 % apart"]


def test_notes_are_no_warnings() -> None:
    """Rotation over buffer sets and a halved size are said of a figure that is sound."""
    assert notes(measured()) == notes(measured(copies=1)) == []
    assert notes(measured(copies=2)) == ["launches rotate over 2 sets of the arrays"]
    both = measured(copies=5, note="the size was halved once for want of device memory")
    assert notes(both) == [
        "launches rotate over 5 sets of the arrays",
        "the size was halved once for want of device memory",
    ]
    assert sample_warnings(both) == []


def test_thresholds_are_those_of_the_documentation() -> None:
    """The numbers that results/README.md and the design name."""
    assert (judge.CACHE_BELOW, judge.DRAM_FROM, judge.PLAUSIBLE) == (1.0, 4.0, 1.02)


@pytest.mark.parametrize(
    ("gbs", "device", "warned"), [(69.9, "NVIDIA GB10", True), (70, "NVIDIA GB10", False), (1, None, False)]
)
def test_reads_beside_copies(gbs: float, device: str | None, warned: bool) -> None:
    """Reads below 70 % of copy are named on the device that has such a state, and nowhere else."""
    text = f"{gbs:g} GB/s is {gbs:.0f} % of what copy moves: {judge._SLOW_READ_STATE}"
    assert judge.slow_reads(gbs, 100.0, device) == (text if warned else None)


def test_a_large_drift_is_told_to_the_percent() -> None:
    """The size of a drift is the change over the median."""
    ramp = [1.0 + i / 10 for i in range(30)]
    assert stability_warnings(ramp) == ["launches became 82 % slower while sampling"]


def test_a_figure_above_the_peak_says_what_may_be_wrong() -> None:
    """The warning gives figure, percentage and peak, and the two causes there are."""
    assert judged_gbs(150.0) == [
        "150 GB/s is 150 % of the peak of 100 GB/s: the peak is not this device's, or a cache served part of it"
    ]


@pytest.mark.parametrize(
    ("lost", "warned"), [(None, None), (0.2, None), (0.21, "for 21 % of the sampling time"), (0.5, "for 50 % of the")]
)
def test_lost_processors(lost: float | None, warned: str | None) -> None:
    """Above a fifth of the sampling time the row says what share of it a thread lacked a processor."""
    found = judged(preempted_s=None if lost is None else [lost * len(STEADY)])
    assert warned in found[0] if warned else not found, found


@pytest.mark.parametrize(
    ("slow", "fast", "clock", "device", "state"),
    [
        (150.0, 230.0, None, "NVIDIA GB10", judge._SLOW_READ_STATE),
        (220.0, 230.0, None, "NVIDIA GB10", None),
        (0.5 * judge._SLOW_READS_BELOW, 0.5, 2400.0, "NVIDIA GB10", None),  # at the limit
        (150.0, 230.0, 800.0, "NVIDIA GB10", judge._SLOW_STATE),
        (150.0, 230.0, judge._SLOW_STATE_BELOW_MHZ, "NVIDIA GB10", judge._SLOW_READ_STATE),
        (150.0, 230.0, 800.0, "NVIDIA H100", None),
    ],
)
def test_a_slow_spell_has_a_name(slow: float, fast: float, clock: float | None, device: str, state: str | None) -> None:
    """On a GB10 a low clock is one state, and reads far below what they were are the other; elsewhere there is none."""
    assert judge.slow_spell(slow, fast, clock, device) == state
