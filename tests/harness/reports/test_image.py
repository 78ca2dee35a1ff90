"""Pictures of a report: an SVG that stands alone, and a PNG where matplotlib is installed."""

from __future__ import annotations

import struct
import sys
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from bandmark.errors import BackendUnavailable, UsageError
from bandmark.reports.image import png, svg
from bandmark.reports.runs import ReportRun
from fakes import make_result
from report_runs import hostile, rows

SVG = "{http://www.w3.org/2000/svg}"
EMPTY = ReportRun((make_result(status="error", reason="it broke", bandwidth_gbs=None),))


def test_the_svg_stands_alone() -> None:
    """It is sound XML with a title, a style for both themes, unique ids, and a bar for every figure of every run."""
    drawn = ElementTree.fromstring(svg([ReportRun(tuple(rows())), EMPTY, hostile()]))
    ids = [e.get("id") for e in drawn.iter() if e.get("id")]
    assert len(set(ids)) == len(ids)
    assert drawn.get("aria-labelledby") == "title desc" and {"title", "desc", "of-torch"} <= set(ids)
    bars = [r for r in drawn.iter(f"{SVG}rect") if r.get("height") == "11" and r.get("class") != "doubt"]
    assert len(bars) == 6 + 2
    assert "prefers-color-scheme:dark" in (drawn.findtext(f"{SVG}style") or "")
    assert not {e.tag for e in drawn.iter()} & {f"{SVG}script", f"{SVG}image", f"{SVG}foreignObject"}


def test_nothing_lies_on_anything_else() -> None:
    """Tracks of two runs follow each other downwards within the picture, and so do the lines of words beside them."""
    drawn = ElementTree.fromstring(svg([ReportRun(tuple(rows(peak_gbs=30.0))), ReportRun(tuple(rows(system="b")))]))
    wide = [s for s in drawn.findall(f"{SVG}svg") if float(s.get("width") or 0) > 100]
    places = [(float(s.get("y") or 0), float(s.get("height") or 0)) for s in wide]
    assert len(places) == 2 * (6 + 1), "six bars and an axis each"
    assert all(y + height <= below for (y, height), (below, _) in pairwise(places))
    assert places[-1][0] + places[-1][1] < float(drawn.get("height") or 0)
    for end in (None, "end"):
        lines = [float(t.get("y") or 0) for t in drawn.findall(f"{SVG}text") if t.get("text-anchor") == end]
        assert lines == sorted(lines)
        assert all(below - y >= 15 or below == y for y, below in pairwise(lines))


@pytest.mark.parametrize("draw", [svg, png])
def test_nothing_to_draw_is_said(draw: object) -> None:
    """Runs without any figure are refused in words."""
    with pytest.raises(UsageError, match="no row"):
        draw([EMPTY])  # type: ignore[operator]


def test_without_matplotlib_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PNG needs an extra; the message names it, and the form that needs nothing."""
    for name in ("matplotlib", "matplotlib.backends.backend_agg", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendUnavailable, match=r"bandmark\[plot\].*--as svg"):
        png([ReportRun(tuple(rows()))])


def test_the_png_grows_with_its_rows() -> None:
    """It is a PNG of a fixed width; hostile names, formulas among them, do not stop it."""
    pytest.importorskip("matplotlib", reason="matplotlib (extra plot) is not installed: no PNG was drawn")
    sizes = [
        struct.unpack(">II", png(runs)[16:24])
        for runs in ([hostile()], [ReportRun(tuple(rows()))], [ReportRun(tuple(rows()))] * 2)
    ]
    assert {width for width, _ in sizes} == {1152}
    assert sizes[0][1] < sizes[1][1] < sizes[2][1]


def test_a_png_of_too_many_runs_is_refused() -> None:
    """What no image can hold is told before it is drawn."""
    pytest.importorskip("matplotlib", reason="matplotlib (extra plot) is not installed: no PNG was drawn")
    with pytest.raises(UsageError, match="too many for one PNG"):
        png([ReportRun(tuple(rows()))] * 1000)
