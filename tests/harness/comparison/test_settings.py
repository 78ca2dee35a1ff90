"""Settings that must be equal, settings that follow from the device, and differences that are only worth a note."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bandmark.comparison import Figure, Run, Side
from bandmark.comparison.pairing import Pair, history_figures, setting_notes
from bandmark.comparison.sides import runs_of
from bandmark.errors import UsageError
from fakes import make_result

FORBIDS = "unlike settings: "


def figure(**changes: Any) -> Figure:
    """Return the figure of a plain row with changes."""
    return runs_of([make_result(**changes)])[0].figures[0]


def pair(one: Figure, other: Figure) -> Pair:
    """Return a case with one run a side."""
    return Pair(one, (one,), (other,))


def differences(*pairs: Pair, across: bool = False) -> tuple[list[str], list[str]]:
    """Return the differences between sides that consist of these cases."""
    sides = [
        Side(label="x", runs=(Run(name="1", figures=tuple(figures), device="Fake GPU"),))
        for figures in ([f for p in pairs for f in p.baseline if f], [f for p in pairs for f in p.candidate if f])
    ]
    return of_sides(pairs, *sides, across=across)


def of_sides(pairs: Sequence[Pair], *sides: Side, across: bool = False) -> tuple[list[str], list[str]]:
    """Return the differences that forbid a comparison, and those that are noted."""
    notes = setting_notes(pairs, *sides, across=across, anyway=True)
    refused = [note.removeprefix(FORBIDS) for note in notes if note.startswith(FORBIDS)]
    if refused:
        with pytest.raises(UsageError, match=re.escape(f"unlike settings: {'; '.join(refused)}. Measure both alike")):
            setting_notes(pairs, *sides, across=across)
    else:
        assert setting_notes(pairs, *sides, across=across) == notes
    return refused, [note for note in notes if not note.startswith(FORBIDS)]


def is_replicate(stored: Figure, of: Figure) -> bool:
    """Return whether a figure of a stored run was measured like another."""
    return history_figures([Run(name="h", figures=(stored,))], pair(of, of)) == (stored,)


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
    assert differences(pair(one, two), across=False) == ([text], [])
    assert not is_replicate(two, one) and is_replicate(one, one)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_between_devices(name: str) -> None:
    """Between devices, sizes, threads and copies differ by right and are noted; data and regime never."""
    other, text = DIFFERENCES[name]
    refused, noted = differences(pair(figure(**PLAIN), figure(**{**PLAIN, name: other})), across=True)
    assert (refused, noted) == (([text], []) if name in ("data", "regime") else ([], [text]))


def test_a_variant_is_only_noted() -> None:
    """Which form of a kernel is fastest a run finds out for itself: another choice is a note, and no other setting."""
    one, two = figure(**PLAIN), figure(**{**PLAIN, "variant": "blocked"})
    text = "variant: plain against blocked (numpy triad float64)"
    for across in (True, False):
        assert differences(pair(one, two), across=across) == ([], [text])
    assert is_replicate(two, one)


def test_schema_and_matrix_size() -> None:
    """Another schema is unlike; the size of a matrix is m x n."""
    one = figure(m=20, n=30)
    assert differences(pair(one, figure(m=30, n=20)), across=False)[0] == [
        "size: 20 x 30 against 30 x 20 (numpy triad float64)"
    ]
    assert one.row is not None
    newer = replace(one, row=replace(one.row, schema=2))
    assert differences(pair(one, newer), across=False)[0][0].startswith("schema: 1 against 2")


def test_heads_of_an_attention() -> None:
    """As many columns can be few large heads or many small ones: those are other cases."""
    attention = {"kernel": "kv", "m": 10, "n": 1024, "dtype": "float16"}
    one, other = figure(heads=32, head_dim=128, **attention), figure(heads=64, head_dim=64, **attention)
    assert differences(pair(one, other), across=True)[0] == ["heads: 32 of 128 against 64 of 64 (numpy kv float16)"]


def test_replicates_must_be_alike_too() -> None:
    """A difference within one side is found like one between the sides."""
    one, two = figure(), figure(n=2000)
    assert differences(Pair(one, (one, two), (one,)))[0]


def test_unknown_settings_do_not_matter() -> None:
    """What a row or another tool does not say is no difference."""
    foreign = Figure(case={"kernel": "triad", "dtype": "float64"}, best=1.0)
    assert differences(pair(figure(), foreign), across=False) == ([], [])
    assert is_replicate(figure(threads=None), figure(threads=3))


def test_many_cases_make_one_line() -> None:
    """A setting that differs in many cases is told once, with how many."""
    pairs = [pair(figure(kernel=k), figure(kernel=k, n=2000)) for k in ("copy", "add", "triad")]
    assert differences(*pairs)[0] == ["size: 1000 elements against 2000 elements (numpy copy float64 and 2 more)"]


def test_sets_of_dtypes() -> None:
    """Sides of ours with other dtypes are told; another tool's dtypes do not matter."""
    both = make_side(make_result(), make_result(dtype="float32"))
    refused, _ = of_sides([], both, make_side())
    assert refused == ["dtype: float32, float64 against float64"]
    foreign = Side(label="y", runs=(Run(name="1", figures=(), tool="STREAM"),))
    for other in (both, foreign):
        assert of_sides([], both, other)[0] == []


def test_what_is_only_noted() -> None:
    """Versions, drivers and systems may be what is compared: they are noted, and so is how figures were converted."""
    sides = make_side(driver="1"), make_side(driver="2", backend_version="2.5", system="fake-2")
    assert of_sides([], *sides) == (
        [],
        ["backend_version: numpy 2.4.6 against numpy 2.5", "driver: 1 against 2", "system: fake-1 against fake-2"],
    )
    assert of_sides([], make_side(), make_side()) == ([], [])
    foreign = Side(label="y", runs=(Run(name="1", figures=(), tool="STREAM", notes=("converted",)),))
    assert of_sides([], make_side(), foreign)[1] == [
        "converted",
        "one side does not name its device: it is taken to be the other's",
    ]
