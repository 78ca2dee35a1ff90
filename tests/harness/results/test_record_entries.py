"""Raw samples and the rows that they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bandmark.errors import FileError
from bandmark.results.record import Entries, is_entry
from fakes import make_result

ENTRY: dict[str, Any] = {
    "backend": "numpy",
    "kernel": "triad",
    "dtype": "float64",
    "variant": None,
    "launches_per_sample": 3,
    "seconds_per_launch": [0.5, 0.25],
    "clocks_mhz": [],
}
ROW = make_result(backend="numpy", kernel="triad", dtype="float64", variant=None, weight_format=None, m=None, n=1000)


def test_a_row_has_the_samples_that_name_it() -> None:
    """One entry that says nothing else than the row is its own; that of another case is not."""
    known = Entries([ENTRY, ENTRY | {"dtype": "float32", "seconds_per_launch": [1.0]}])
    assert known.seconds(ROW) == (0.5, 0.25)
    assert Entries([]).seconds(ROW) == ()


@pytest.mark.parametrize(
    "other", [{"backend": "torch"}, {"kernel": "add"}, {"dtype": "float32"}, {"variant": "v32"}, {"n": 999}, {"m": 7}]
)
def test_a_value_that_differs_is_another_row(other: dict[str, Any]) -> None:
    """Each value that an entry names must be the row's; a value that it leaves out may be any."""
    assert Entries([ENTRY | other]).of(ROW) == []
    assert Entries([{k: v for k, v in ENTRY.items() if k != "variant"} | {"n": 1000}]).seconds(ROW) == (0.5, 0.25)


def test_two_entries_for_a_row_are_none() -> None:
    """Where it is not sure which samples are the row's, none are, and both are named."""
    known = Entries([ENTRY, ENTRY | {"seconds_per_launch": [1.0]}])
    assert len(known.of(ROW)) == 2
    assert known.seconds(ROW) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"backend": None},
        {"launches_per_sample": 0},
        {"launches_per_sample": "3"},
        {"seconds_per_launch": []},
        {"seconds_per_launch": 0.5},
        {"seconds_per_launch": [0.5, 0.0]},
        {"seconds_per_launch": [0.5, float("nan")]},
        {"seconds_per_launch": [True]},
        {"seconds_per_launch": ["0.5"]},
        {"clocks_mhz": None},
        {"clocks_mhz": [-1.0]},
        {"sensor_clocks_mhz": ["fast"]},
        {"braked_samples": [-1]},
        {"braked_samples": 3},
    ],
)
def test_what_no_clock_has_shown_is_no_entry(change: dict[str, Any]) -> None:
    """Entries have a case, launches, and times above zero; anything else is none."""
    assert is_entry(ENTRY) and is_entry({k: v for k, v in ENTRY.items() if k != "clocks_mhz"})
    assert is_entry(ENTRY | {"sensor_clocks_mhz": [2400, 2410.5], "braked_samples": [0, 7]})
    assert not is_entry(ENTRY | change)
    assert not is_entry([ENTRY])


def test_what_is_no_entry_is_refused() -> None:
    """An entry that can't be used is named with its file, and not passed over."""
    with pytest.raises(FileError, match=r"a\.json: \{'kernel': 'triad'\} is no entry of samples"):
        Entries([ENTRY, {"kernel": "triad"}], Path("a.json"))


def test_an_entry_that_names_more_of_a_row_is_its_own() -> None:
    """Of two suites' rows of one kernel, size and backend, each has the entry that names its pattern, or none."""
    plain, mixed = make_result(n=8), make_result(n=8, suite="mix", pattern="mix", read_fraction=0.5)
    common = {"backend": plain.backend, "kernel": plain.kernel, "dtype": plain.dtype, "n": 8, "launches_per_sample": 1}
    first = {**common, "seconds_per_launch": [1.0]}
    second = {**common, "pattern": "mix", "read_fraction": 0.5, "seconds_per_launch": [2.0]}
    for order in ([first, second], [second, first]):
        entries = Entries(order)
        assert entries.seconds(plain) == (1.0,) and entries.seconds(mixed) == (2.0,)
