"""Limits find what is slow and little else, and an expectation file keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.errors import FileError
from bandmark.judge.expectations import (
    Expectation,
    Hardware,
    Spread,
    find_limits,
    margin,
    median_and_mad,
    read_expectations,
    to_toml,
)

DRAWS = 200

FLEETS = {
    "1000 nodes, 5 at -8 %, sd 1 %": (1000, 5, 0.08, 0.01, 100, 0.04),
    "100 of 1000 at -8 %": (1000, 100, 0.08, 0.01, 100, 0.0),
    "5 at -5 %, sd 0.8 %": (1000, 5, 0.05, 0.008, 99, 0.04),
    "none bad, sd 2.5 %": (1000, 0, 0.0, 0.025, None, 0.04),
    "8 ranks, 1 at -8 %": (8, 1, 0.08, 0.01, 95, 0.0),
}
"""Nodes, slow ones, by how much, standard deviation; then per cent found and false alarms a run, as published."""


@pytest.mark.parametrize("name", FLEETS)
def test_simulated_fleets(name: str) -> None:
    """What is found, in per cent, and false alarms, in per cent of a node a run, are within 2 of the expected."""
    nodes, slow, by, sd, found_percent, alarms = FLEETS[name]
    values = 230 * (1 + sd * np.random.default_rng(20261127).standard_normal((DRAWS, nodes)))
    values[:, :slow] *= 1 - by
    median, mad = median_and_mad(values)
    low = values < (median - margin(median, mad))[:, None]
    if found_percent is not None:
        assert abs(100 * low[:, :slow].mean() - found_percent) <= 2
    assert abs(low[:, slow:].sum(axis=1).mean() - alarms) <= 0.02


def test_limits_by_hand() -> None:
    """Four deviations from the median where figures scatter, 3 % where they do not, on the side that is worse."""
    scattered = Spread.of([100.0, 90.0, 110.0, 95.0, 105.0], higher_is_better=True, unit="GB/s")
    assert (scattered.count, scattered.median, scattered.mad) == (5, 100.0, 5.0)
    assert scattered.limit == pytest.approx(100 - 4 * 1.4826 * 5)
    assert Spread.of([100.0] * 5, higher_is_better=True, unit="GB/s").limit == pytest.approx(97)
    assert Spread.of([100.0] * 5, higher_is_better=False, unit="ns").limit == pytest.approx(103)


GPU = Hardware(device="NVIDIA GB10", memory_gib=119, driver="580.95", power_limit_w=None)


def test_an_expectation_covers_what_it_leaves_out() -> None:
    """Keys that are not given may be anything; those given must be equal; the first group that covers counts."""
    assert Expectation(hardware=Hardware(device="NVIDIA GB10"), limits={}).covers(GPU)
    assert not Expectation(hardware=Hardware(device="NVIDIA GB10", driver="1"), limits={}).covers(GPU)
    first, second = (Expectation(hardware=GPU, limits={"a": x}) for x in (1.0, 2.0))
    assert find_limits([first, second], GPU) == {"a": 1.0}
    assert find_limits([first], Hardware(device="other")) == {}


@settings(max_examples=40)
@given(
    device=st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1),
    case=st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1),
    driver=st.none() | st.just("580.95"),
)
def test_a_file_gives_back_what_was_written(device: str, case: str, driver: str | None, tmp_path_factory) -> None:
    """Hardware and limits survive, whatever their names, to the five figures that are written."""
    hardware = Hardware(device=device, driver=driver, power_limit_w=300)
    seen = Spread.of([100.0, 101.0, 102.0, 99.0, 98.0], higher_is_better=True, unit="GB/s")
    file = tmp_path_factory.mktemp("a b") / "expect.toml"
    file.write_text(to_toml({hardware: {case: seen}}), encoding="utf-8")
    (expectation,) = read_expectations(file)
    assert expectation.hardware == hardware
    assert expectation.limits == {case: pytest.approx(seen.limit, rel=1e-4)}


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "[group]", "[[group]]\ndevice = 'x'", "[[group]]\ndevice = 1\n[group.limits]\na = 1"),
        *("[[group]]\n[group.limits]\na = 1", "[[group]]\ndevice = 'x'\nmore = 1\n[group.limits]\na = 1"),
        *("[[group]]\ndevice = 'x'\n[group.limits]\na = -1", "[[group]]\ndevice = 'x'\n[group.limits]\na = 'b'"),
        "[[group]]\ndevice = 'x'\n[group.limits]\na = nan",
    ],
)
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    """What has another form is refused with the form that is accepted."""
    file = tmp_path / "expect.toml"
    file.write_text(text)
    with pytest.raises(FileError, match="fleet --write-expect"):
        read_expectations(file)
    with pytest.raises(FileError, match="No such file"):
        read_expectations(tmp_path / "none.toml")
