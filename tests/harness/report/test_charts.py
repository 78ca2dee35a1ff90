"""Charts are sound SVG: every value at its place, nothing outside, nothing told by colour alone."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.report.charts import Chart, Mark, bars, dots, short, text, ticks
from report_runs import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"


def chart(*marks: Mark, high: float = 100.0, low: float = 0.0) -> Chart:
    """A chart of some marks with a line in the middle."""
    return Chart("c", "A title", "A description", marks, high, "GB/s", low, [((low + high) / 2, "own", "the middle")])


def mark(kind: str, *values: float, doubtful: bool = False) -> Mark:
    """A mark of a backend."""
    return Mark(f"copy {kind}", "said", kind, values, doubtful)


def test_bars_are_as_long_as_their_values() -> None:
    """A bar begins at zero and ends at its share of the axis."""
    drawn = ElementTree.fromstring(bars(chart(mark("numpy", 25.0), mark("numpy", 100.0))))
    found = [r.get("width") for r in drawn.findall(f"{SVG}rect") if r.get("x") == "0" and r.get("height") == "11"]
    assert found == ["25.00%", "100.00%"]
    line = next(x for x in drawn.iter(f"{SVG}line") if x.get("class") == "own")
    assert line.get("x1") == "50.00%"


@pytest.mark.parametrize("draw", [bars, dots])
def test_a_chart_has_a_title_and_a_description(draw: object) -> None:
    """Each SVG says what it shows, and is labelled by that."""
    drawn = ElementTree.fromstring(draw(chart(mark("numpy", 25.0))))  # type: ignore[operator]
    title, desc = drawn.find(f"{SVG}title"), drawn.find(f"{SVG}desc")
    assert title is not None and desc is not None and (title.text, desc.text) == ("A title", "A description")
    assert drawn.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"


def test_backends_differ_without_colour() -> None:
    """Bars of different backends have different patterns; dots different shapes."""
    marks = [mark(kind, 50.0) for kind in ("numpy", "torch", "cupy", "other")]
    drawn = ElementTree.fromstring(bars(chart(*marks)))
    patterns = [ElementTree.tostring(p)[40:] for p in drawn.iter(f"{SVG}pattern")]
    assert len(set(patterns)) == 3, "numpy is plain"
    fills = [r.get("style") for r in drawn.findall(f"{SVG}rect") if r.get("height") == "11"]
    assert len(set(fills)) == 4
    groups = ElementTree.fromstring(dots(chart(*marks))).findall(f"{SVG}g")
    looks = [(g[0].tag, g.get("style")) for g in groups[:3]]
    assert len(set(looks)) == 3


def test_every_value_has_a_dot() -> None:
    """No sample is left out, and each stands at its value."""
    drawn = ElementTree.fromstring(dots(chart(mark("numpy", 90.0, 100.0, 110.0, 100.0), low=90.0, high=110.0)))
    assert [c.get("cx") for c in drawn.iter(f"{SVG}circle")] == ["0.00%", "50.00%", "100.00%", "50.00%"]


def test_doubtful_bars_have_an_outline() -> None:
    """A row that is not ok is outlined with dashes."""
    drawn = bars(chart(mark("numpy", 5.0, doubtful=True), mark("numpy", 6.0)))
    assert drawn.count('class="doubt"') == 1 and drawn.count('class="warn"') == 2


def test_texts_are_escaped() -> None:
    """Markup in names is shown as it is; what a screen would obey is written out; long names are cut."""
    drawn = bars(chart(Mark(HOSTILE, HOSTILE, "numpy", (5.0,))))
    assert "<script" not in drawn and "<img" not in drawn
    ElementTree.fromstring(drawn)
    assert text("a\u202eb\x00\n<") == "a\\u202eb\\x00\\n&lt;"
    assert len(short("x" * 100)) == 46 and short("copy") == "copy"


@given(
    st.floats(1e-6, 1e6, allow_nan=False),
    st.floats(1e-6, 1e6, allow_nan=False),
)
def test_ticks_are_round_and_within(low: float, size: float) -> None:
    """Between three and eight of them from zero, evenly spaced, none outside the axis."""
    found = ticks(0.0, size)
    assert 3 <= len(found) <= 8 and found[0] == 0 and found[-1] <= size * (1 + 1e-9)
    assert all(low <= value <= (low + size) * (1 + 1e-9) for value in ticks(low, low + size))
