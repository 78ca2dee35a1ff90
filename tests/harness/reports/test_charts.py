"""Tracks are sound SVG: every value at its place, nothing outside, nothing told by colour alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.reports.charts import _MIN_LABEL_GAP, SERIES, Axis, Chart, Mark, line_swatch, text

NAMES = ("first", "second", "third", "fourth", "other")

PERCENT = Axis(0.0, 100.0)


def mark(series: int, *values: float, is_ok: bool = True, group: str = "") -> Mark:
    """A mark of a series."""
    return Mark(f"copy {series}", "the figure", series, values, is_ok, group)


def chart(*marks: Mark, axis: Axis = PERCENT, **options: Any) -> Chart:
    """A chart of some marks with a line in the middle."""
    return Chart("A title", marks, axis, "GB/s", NAMES, [((axis.low + axis.high) / 2, "own", "the middle")], **options)


def drawn(made: Chart, row: int = 0) -> ElementTree.Element:
    """The track of one of its rows."""
    return ElementTree.fromstring(made.track(made.marks[row]))


def test_bars_are_as_long_as_their_values() -> None:
    """A bar begins at zero and ends at its share of the axis; lines and the grid stand at theirs."""
    made = chart(mark(0, 25.0), mark(0, 100.0))
    bars = [drawn(made, row).find("rect") for row in (0, 1)]
    assert [(bar.get("x"), bar.get("width")) for bar in bars if bar is not None] == [("0", "25.00%"), ("0", "100.00%")]
    places = {(line.get("class"), line.get("x1")) for line in drawn(made).iter("line")}
    assert ("own", "50.00%") in places and ("grid", "20.00%") in places


def test_a_track_holds_no_words() -> None:
    """What a row says stands outside, so that it can wrap; screen readers pass over the track."""
    made = drawn(chart(mark(0, 25.0)))
    assert made.get("aria-hidden") == "true" and made.get("width") == "100%"
    assert not list(made.iter("text"))


@pytest.mark.parametrize("dots", [False, True], ids=["bars", "dots"])
def test_the_legend_shows_what_the_rows_show(dots: bool) -> None:
    """Each series has a class of its own, which its sample in the legend has, too; so do lines."""
    made = chart(*[mark(series, 50.0) for series in range(SERIES + 1)], dots=dots)
    for series in range(SERIES + 1):
        assert f'class="s{series}"' in made.track(made.marks[series]) and f'class="s{series}"' in made.swatch(series)
        assert ("<circle" in made.swatch(series)) == ("<circle" in made.track(made.marks[series])) == dots
    assert 'class="own"' in line_swatch("own")


def test_every_value_has_a_dot() -> None:
    """No sample is left out, each stands at its value, and neighbours stand at different heights."""
    made = drawn(chart(mark(0, 90.0, 100.0, 110.0, 100.0), axis=Axis(90.0, 110.0), dots=True))
    dots = [(c.get("cx"), c.get("cy")) for c in made.iter("circle")]
    assert [x for x, _ in dots] == ["0.00%", "50.00%", "100.00%", "50.00%"]
    assert len({y for _, y in dots}) == 4


def test_doubtful_bars_have_an_outline() -> None:
    """A row that is not ok is outlined with dashes."""
    made = chart(mark(0, 5.0, is_ok=False), mark(0, 6.0))
    assert [made.track(m).count('class="doubt"') for m in made.marks] == [1, 0]


def test_the_legend_and_groups() -> None:
    """The legend has the series that occur, in order; a group begins where it changes."""
    made = chart(mark(4, 1.0, group="a"), mark(0, 2.0, group="a"), mark(0, 2.0, group="b"))
    assert made.legend() == [(0, "first"), (4, "other")]
    assert [made.begins_group(row) for row in range(3)] == [False, False, True]


def test_a_row_may_have_a_peak_of_its_own() -> None:
    """A mark's peak is a line in its row alone."""
    made = chart(Mark("a", "", 0, (5.0,), peak=75.0), mark(0, 5.0), axis=PERCENT)
    lines = [[(e.get("class"), e.get("x1")) for e in drawn(made, row).iter("line")] for row in (0, 1)]
    assert ("own", "75.00%") in lines[0] and ("own", "75.00%") not in lines[1]


def test_texts_are_escaped() -> None:
    """What a screen would obey is written out."""
    assert text("a\u202eb\x00\n<\"'") == "a\\u202eb\\x00\\n&lt;&quot;&#x27;"


@given(
    st.floats(1e-6, 1e6, allow_nan=False),
    st.floats(1e-6, 1e6, allow_nan=False),
)
def test_ticks_are_round_and_within(low: float, size: float) -> None:
    """Between three and eight of them from zero, evenly spaced, none outside the axis."""
    ticks = [value for value, _ in Axis(0.0, size).ticks()]
    assert 3 <= len(ticks) <= 8 and ticks[0] == 0 and ticks[-1] <= size * (1 + 1e-9)
    assert all(low <= value <= (low + size) * (1 + 1e-9) for value, _ in Axis(low, low + size).ticks())


@given(st.integers(-6, 3), st.integers(1, 12), st.floats(0, 1))
def test_a_logarithmic_axis_has_equal_decades(first: int, decades: int, share: float) -> None:
    """Powers of ten are marked, at most ten of them, equally far apart; values keep their order."""
    axis = Axis(10.0**first, 10.0 ** (first + decades), "log")
    ticks = [value for value, _ in axis.ticks()]
    assert 2 <= len(ticks) <= 10 and axis.share(ticks[0]) == 0
    steps = {round(axis.share(b) - axis.share(a), 9) for a, b in pairwise(ticks)}
    assert len(steps) == 1
    assert axis.share(10 ** (first + share * decades)) == pytest.approx(share, abs=1e-9)


@given(st.floats(-99.9, -1.1), st.floats(1.1, 1e4), st.floats(0, 1))
def test_a_stretched_axis_keeps_order_and_room(low: float, high: float, share: float) -> None:
    """It runs from low to high, never turns back, has 0 among its ticks, and room between their labels."""
    axis = Axis(low, high, "stretched")
    assert axis.share(low) == 0 and axis.share(high) == 1
    value = min(high, low + share * (high - low))
    assert 0 <= axis.share(value) <= axis.share(value + 1e-3 * (high - value)) <= 1 + 1e-12
    ticks = [tick for tick, _ in axis.ticks()]
    assert 0.0 in ticks and len(ticks) >= 2
    assert all(axis.share(b) - axis.share(a) >= _MIN_LABEL_GAP for a, b in pairwise(ticks))


@pytest.mark.parametrize("low", [-25.0, -90.0])
def test_a_stretched_axis_shows_small_and_large_spread(low: float) -> None:
    """With one sample far away, a hundredth of the median still has a twentieth of the width."""
    axis = Axis(low, 1.1, "stretched")
    assert axis.share(1.0) - axis.share(0.0) > 0.05 and axis.share(0.0) - axis.share(-1.0) > 0.05
    assert {"-10 %", "-1 %", "0"} <= {label for _, label in axis.ticks()}


def test_the_numbers_of_the_axis_stay_inside() -> None:
    """The first begins at the left end, the last ends at the right one."""
    made = ElementTree.fromstring(chart(mark(0, 1.0)).axis_track())
    assert [t.text for t in made.iter("text")] == ["0", "20", "40", "60", "80", "100"]
    assert [t.get("text-anchor") for t in made.iter("text")] == ["start", *["middle"] * 4, "end"]
