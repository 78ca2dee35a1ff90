"""Tracks are sound SVG: every value at its place, nothing outside, nothing told by colour alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.reports.charts import (
    APART,
    Axis,
    Chart,
    Mark,
    axis_track,
    line_swatch,
    patterns,
    short,
    swatch,
    text,
    ticks,
    track,
)

KINDS = ("numpy", "torch", "cupy", "other")


PERCENT = Axis(0.0, 100.0)


def mark(kind: str, *values: float, doubtful: bool = False, group: str = "") -> Mark:
    """A mark of a backend."""
    return Mark(f"copy {kind}", "said", kind, values, doubtful, group)


def chart(*marks: Mark, axis: Axis = PERCENT, **options: Any) -> Chart:
    """A chart of some marks with a line in the middle."""
    return Chart("A title", marks, axis, "GB/s", [((axis.low + axis.high) / 2, "own", "the middle")], **options)


def drawn(made: Chart, row: int = 0) -> ElementTree.Element:
    """The track of one of its rows."""
    return ElementTree.fromstring(track(made, made.marks[row]))


def test_bars_are_as_long_as_their_values() -> None:
    """A bar begins at zero and ends at its share of the axis; lines and the grid stand at theirs."""
    made = chart(mark("numpy", 25.0), mark("numpy", 100.0))
    bars = [drawn(made, row).find("rect") for row in (0, 1)]
    assert [(bar.get("x"), bar.get("width")) for bar in bars if bar is not None] == [("0", "25.00%"), ("0", "100.00%")]
    places = {(line.get("class"), line.get("x1")) for line in drawn(made).iter("line")}
    assert ("own", "50.00%") in places and ("grid", "20.00%") in places


def test_a_track_holds_no_words() -> None:
    """What a row says stands outside, so that it can wrap; screen readers pass over the track."""
    made = drawn(chart(mark("numpy", 25.0)))
    assert made.get("aria-hidden") == "true" and made.get("width") == "100%"
    assert not list(made.iter("text"))


def test_backends_differ_without_colour() -> None:
    """Bars of different backends have different patterns; dots different shapes; legends show the same."""
    drawings = {ElementTree.tostring(p)[20:] for p in ElementTree.fromstring(patterns()).iter("pattern")}
    assert len(drawings) == 3, "numpy is plain"
    bars = chart(*[mark(kind, 50.0) for kind in KINDS])
    fills = [drawn(bars, row).find("rect") for row in range(4)]
    assert len({fill.get("style") for fill in fills if fill is not None}) == 4
    dots = chart(*[mark(kind, 50.0) for kind in KINDS], dots=True)
    groups = [drawn(dots, row).find("g") for row in range(3)]
    assert len({(g[0].tag, g.get("style")) for g in groups if g is not None}) == 3
    for made in (bars, dots):
        assert len({swatch(made, kind).replace(f'class="{kind}"', "") for kind in KINDS[:3]}) == 3
    assert swatch(bars, "torch") != swatch(dots, "torch") and "own" in line_swatch("own")


def test_every_value_has_a_dot() -> None:
    """No sample is left out, each stands at its value, and neighbours stand at different heights."""
    made = drawn(chart(mark("numpy", 90.0, 100.0, 110.0, 100.0), axis=Axis(90.0, 110.0), dots=True))
    dots = [(c.get("cx"), c.get("cy")) for c in made.iter("circle")]
    assert [x for x, _ in dots] == ["0.00%", "50.00%", "100.00%", "50.00%"]
    assert len({y for _, y in dots}) == 4


def test_doubtful_bars_have_an_outline() -> None:
    """A row that is not ok is outlined with dashes."""
    made = chart(mark("numpy", 5.0, doubtful=True), mark("numpy", 6.0))
    assert [track(made, m).count('class="doubt"') for m in made.marks] == [1, 0]


def test_kinds_and_groups() -> None:
    """The legend has what occurs, in order, and calls the rest as it is told to; a group begins where it changes."""
    made = chart(mark("other", 1.0, group="a"), mark("numpy", 2.0, group="a"), mark("numpy", 2.0, group="b"), other="p")
    assert made.kinds == ["numpy", "other"] and [made.says(kind) for kind in made.kinds] == ["numpy", "p"]
    assert [made.begins_group(row) for row in range(3)] == [False, False, True]


def test_texts_are_escaped() -> None:
    """What a screen would obey is written out; long names are cut where there is no room."""
    assert text("a\u202eb\x00\n<\"'") == "a\\u202eb\\x00\\n&lt;&quot;&#x27;"
    assert len(short("x" * 100, 46)) == 46 and short("copy", 46) == "copy"


@given(
    st.floats(1e-6, 1e6, allow_nan=False),
    st.floats(1e-6, 1e6, allow_nan=False),
)
def test_ticks_are_round_and_within(low: float, size: float) -> None:
    """Between three and eight of them from zero, evenly spaced, none outside the axis."""
    found = ticks(0.0, size)
    assert 3 <= len(found) <= 8 and found[0] == 0 and found[-1] <= size * (1 + 1e-9)
    assert all(low <= value <= (low + size) * (1 + 1e-9) for value in ticks(low, low + size))


@given(st.floats(-99.9, -1.1), st.floats(1.1, 1e4), st.floats(0, 1))
def test_a_stretched_axis_keeps_order_and_room(low: float, high: float, share: float) -> None:
    """It runs from low to high, never turns back, has 0 among its ticks, and room between their labels."""
    axis = Axis(low, high, stretched=True)
    assert axis.place(low) == 0 and axis.place(high) == 1
    value = min(high, low + share * (high - low))
    assert 0 <= axis.place(value) <= axis.place(value + 1e-3 * (high - value)) <= 1 + 1e-12
    found = [tick for tick, _ in axis.ticks()]
    assert 0.0 in found and len(found) >= 2
    assert all(axis.place(b) - axis.place(a) >= APART for a, b in pairwise(found))


@pytest.mark.parametrize("low", [-25.0, -90.0])
def test_a_stretched_axis_shows_small_and_large_spread(low: float) -> None:
    """With one sample far away, a hundredth of the median still has a twentieth of the width."""
    axis = Axis(low, 1.1, stretched=True)
    assert axis.place(1.0) - axis.place(0.0) > 0.05 and axis.place(0.0) - axis.place(-1.0) > 0.05
    assert {"-10 %", "-1 %", "0"} <= {said for _, said in axis.ticks()}


def test_the_numbers_of_the_axis_stay_inside() -> None:
    """The first begins at the left end, the last ends at the right one."""
    made = ElementTree.fromstring(axis_track(chart(mark("numpy", 1.0))))
    assert [t.text for t in made.iter("text")] == ["0", "20", "40", "60", "80", "100"]
    assert [t.get("text-anchor") for t in made.iter("text")] == ["start", *["middle"] * 4, "end"]
