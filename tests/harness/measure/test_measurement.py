"""What is stored of a measurement, and what is read back of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bandmark.measure.measurement import _STORED_ALWAYS, Measurement
from bandmark.measure.stats import summarize
from bandmark.results.record import is_entry

IDENTITY = {
    "device": "Fake GPU",
    "backend": "cupy",
    "kernel": "gemv",
    "dtype": "float32",
    "m": 50,
    "n": 60,
    "status": "ok",
}


def measurement(**changes: Any) -> Measurement:
    """Three samples, with changes."""
    plain: dict[str, Any] = {"seconds_per_launch": [3e-3, 1e-3, 2e-3], "launches_per_sample": 7}
    return Measurement(**(plain | changes))


def test_an_entry_names_its_case_first() -> None:
    """Identity columns that apply come first, in the order of the columns; other columns of the row are left out."""
    entry = measurement().to_entry(IDENTITY | {"variant": "asked", "layer": None})
    assert list(entry)[:6] == ["device", "backend", "kernel", "dtype", "m", "n"]
    assert "status" not in entry and "layer" not in entry and is_entry(entry)


def test_what_is_unknown_is_left_out() -> None:
    """Unknown, empty and usual values take no room, but for the keys that version 0.1.0 always wrote."""
    entry = measurement().to_entry(IDENTITY)
    assert set(entry) == {*(IDENTITY.keys() - {"status"}), *_STORED_ALWAYS}
    assert (entry["variant"], entry["clocks_mhz"], entry["memory_clock_mhz"]) == (None, [], None)
    short = measurement(warmed_up=False, others_share=0.0, note="halved", warnings=["heat"]).to_entry(IDENTITY)
    assert (short["warmed_up"], short["others_share"], short["note"], short["warnings"]) == (
        False,
        0.0,
        "halved",
        ["heat"],
    )


def test_the_variant_that_ran_is_stored() -> None:
    """The variant of the measurement goes before the one that the case was planned with."""
    assert measurement(variant="wide").to_entry(IDENTITY | {"variant": None})["variant"] == "wide"


@pytest.mark.parametrize("error", [None, 0.0, 0.25, 3.5, float("inf")])
def test_an_entry_gives_the_measurement(error: float | None) -> None:
    """What was stored, as strict JSON, is what is read back."""
    whole = measurement(
        max_error=error, warmed_up=False, clocks_mhz=[1900.0], braked_samples=[0, 2], others_share=0.01, copies=3
    )
    text = json.dumps(whole.to_entry(IDENTITY), allow_nan=False)
    assert Measurement.from_entry(json.loads(text)) == whole


def test_an_entry_of_another_version() -> None:
    """Keys that this version does not know are left out, and keys that it misses have their usual values."""
    entry = {**IDENTITY, "launches_per_sample": 7, "seconds_per_launch": [3e-3, 1e-3, 2e-3], "colour": "blue"}
    assert Measurement.from_entry(entry) == measurement()


def test_the_summary_is_of_the_samples() -> None:
    """Order statistics of the samples, in whatever order they were taken."""
    assert measurement().summary == summarize([1e-3, 2e-3, 3e-3])


def test_the_best_clocks_that_are_there() -> None:
    """The device's counters go before its sensors, and those before the one reading; 0 is no clock."""
    assert measurement().all_clocks_mhz == measurement(clock_mhz=0.0).all_clocks_mhz == []
    assert measurement(clock_mhz=900.0).all_clocks_mhz == [900.0]
    assert measurement(clock_mhz=900.0, sensor_clocks_mhz=[800.0]).all_clocks_mhz == [800.0]
    assert measurement(sensor_clocks_mhz=[800.0], clocks_mhz=[700.0]).all_clocks_mhz == [700.0]


@pytest.mark.parametrize(
    ("seconds", "launches", "preempted_s", "samples", "frac"),
    [
        ([0.001, 0.001], 1, [0.0, 0.0], 0, 0.0),
        ([0.001, 0.001], 1, [0.0, 0.001], 1, 0.5),
        ([0.1, 0.1], 1, [0.0005, 0.02], 1, 0.1025),  # half a percent is lost time, but not a lost sample
        ([0.01, 0.01], 10, [0.02, 0.02], 2, 0.2),  # a sample is all its launches
        ([1.0], 1, None, None, None),
    ],
)
def test_time_lost_to_other_programs(
    seconds: list[float], launches: int, preempted_s: list[float] | None, samples: int | None, frac: float | None
) -> None:
    """Lost time is a share of the sampling time, and a sample counts from 1 % of its own."""
    measured = Measurement(seconds_per_launch=seconds, launches_per_sample=launches, preempted_s=preempted_s)
    assert measured.preempted_samples == samples
    assert measured.preempted_time_frac == (None if frac is None else pytest.approx(frac))
