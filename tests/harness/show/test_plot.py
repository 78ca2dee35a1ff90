"""Curves as text: every mark is where its value is, whatever the width."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.show.plot import draw
from bandmark.suites.base import Curve

FIGURES = st.floats(1e-3, 1e6)


@given(st.dictionaries(st.text("ab", min_size=1, max_size=4), st.lists(st.tuples(FIGURES, FIGURES), min_size=1)))
def test_any_curve_fits_any_width(points: dict[str, list[tuple[float, float]]]) -> None:
    """No line is wider than asked for, above the least that a plot needs."""
    if points:
        for width in (30, 78, 200):
            lines = draw(Curve("t", "ns", "x", points), width).splitlines()
            assert all(len(line) <= width for line in lines[1:-1])


@pytest.mark.parametrize("width", [40, 78, 200])
def test_marks_rise_with_their_values(width: int) -> None:
    """On two logarithmic axes a power is a straight line from corner to corner, with its ends numbered."""
    curve = Curve("latency by working set", "ns", "working set", {"one": [(2.0**k, 2.0**k) for k in range(12, 21)]})
    lines = draw(curve, width).splitlines()
    marked = [(row, line.index("o")) for row, line in enumerate(lines[1:-3]) if "o" in line]
    assert marked == sorted(marked, key=lambda place: -place[1]) and len(marked) == 9
    assert "4KiB" in lines[-2] and lines[-1].endswith("working set   o one")
