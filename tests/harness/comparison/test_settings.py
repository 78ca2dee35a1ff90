"""Settings that must be equal, settings that follow from the device, and differences that are only worth a note."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bandmark.comparison.figures import Figure, Run, Side
from bandmark.comparison.pairing import Pair, alike, dtype_differences, setting_differences, version_notes
from bandmark.comparison.sides import runs_of
from fakes import make_result


def figure(**changes: Any) -> Figure:
    """Return the figure of a plain row with changes."""
    return runs_of([make_result(**changes)])[0].figures[0]


def pair(one: Figure, other: Figure) -> Pair:
    """Return a case with one run a side."""
    return Pair(one, (one,), (other,))


def make_side(*rows: Any, **changes: Any) -> Side:
    """Return a side of one run with these rows."""
    return Side(label="x", runs=tuple(runs_of(rows or [make_result(**changes)])))


DIFFERENCES = {
    "data": ("zeros", "data: random against zeros (numpy triad float64)"),
    "regime": ("cache", "regime: dram against cache (numpy triad float64)"),
    "n": (2000, "size: 1000 elements against 2000 elements (numpy triad float64)"),
    "threads": (4, "threads: 2 against 4 (numpy triad float64)"),
    "copies": (3, "copies: 1 against 3 (numpy triad float64)"),
}
PLAIN = {"threads": 2, "variant": "plain"}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_unlike_settings_are_named(name: str) -> None:
    """Each setting that differs is refused on one device, with both values and the case."""
    other, text = DIFFERENCES[name]
    one, two = figure(**PLAIN), figure(**{**PLAIN, name: other})
    assert setting_differences([pair(one, two)], across=False) == ([text], [])
    assert not alike(one, two) and alike(one, one)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_between_devices(name: str) -> None:
    """Between devices, sizes, threads and copies differ by right and are noted; data and regime never."""
    other, text = DIFFERENCES[name]
    refused, noted = setting_differences([pair(figure(**PLAIN), figure(**{**PLAIN, name: other}))], across=True)
    assert (refused, noted) == (([text], []) if name in ("data", "regime") else ([], [text]))


def test_a_variant_is_only_noted() -> None:
    """Which form of a kernel is fastest a run finds out for itself: another choice is a note, and no other setting."""
    one, two = figure(**PLAIN), figure(**{**PLAIN, "variant": "blocked"})
    text = "variant: plain against blocked (numpy triad float64)"
    for across in (True, False):
        assert setting_differences([pair(one, two)], across=across) == ([], [text])
    assert alike(one, two)


def test_schema_and_matrix_size() -> None:
    """Another schema is unlike; the size of a matrix is m x n."""
    one = figure(m=20, n=30)
    assert setting_differences([pair(one, figure(m=30, n=20))], across=False)[0] == [
        "size: 20 x 30 against 30 x 20 (numpy triad float64)"
    ]
    assert one.row is not None
    newer = replace(one, row=replace(one.row, schema=2))
    assert setting_differences([pair(one, newer)], across=False)[0][0].startswith("schema: 1 against 2")


def test_heads_of_an_attention() -> None:
    """As many columns can be few large heads or many small ones: those are other cases."""
    attention = {"kernel": "kv", "m": 10, "n": 1024, "dtype": "float16"}
    one, other = figure(heads=32, head_dim=128, **attention), figure(heads=64, head_dim=64, **attention)
    assert setting_differences([pair(one, other)], across=True)[0] == [
        "heads: 32 of 128 against 64 of 64 (numpy kv float16)"
    ]


def test_replicates_must_be_alike_too() -> None:
    """A difference within one side is found like one between the sides."""
    one, two = figure(), figure(n=2000)
    assert setting_differences([Pair(one, (one, two), (one,))], across=False)[0]


def test_unknown_settings_do_not_matter() -> None:
    """What a row or another tool does not say is no difference."""
    foreign = Figure(case={"kernel": "triad", "dtype": "float64"}, best=1.0)
    assert setting_differences([pair(figure(), foreign)], across=False) == ([], [])
    assert alike(figure(threads=None), figure(threads=3))


def test_many_cases_make_one_line() -> None:
    """A setting that differs in many cases is told once, with how many."""
    pairs = [pair(figure(kernel=k), figure(kernel=k, n=2000)) for k in ("copy", "add", "triad")]
    assert setting_differences(pairs, across=False)[0] == [
        "size: 1000 elements against 2000 elements (numpy copy float64 and 2 more)"
    ]


def test_sets_of_dtypes() -> None:
    """Sides of ours with other dtypes are told; another tool's dtypes do not matter."""
    both = make_side(make_result(), make_result(dtype="float32"))
    assert dtype_differences(both, make_side()) == ["dtypes: float32, float64 against float64"]
    assert dtype_differences(both, both) == []
    foreign = Side(label="y", runs=(Run(name="1", figures=(), tool="STREAM"),))
    assert dtype_differences(both, foreign) == []


def test_what_is_only_noted() -> None:
    """Versions, drivers and systems may be what is compared: they are noted, and so is how figures were converted."""
    notes = version_notes(make_side(driver="1"), make_side(driver="2", backend_version="2.5", system="fake-2"))
    assert notes == [
        "backend_version: numpy 2.4.6 against numpy 2.5",
        "driver: 1 against 2",
        "system: fake-1 against fake-2",
    ]
    assert version_notes(make_side(), make_side()) == []
    foreign = Side(label="y", runs=(Run(name="1", figures=(), tool="STREAM", notes=("converted",)),))
    assert version_notes(make_side(), foreign) == [
        "converted",
        "one side does not name its device: it is taken to be the other's",
    ]
