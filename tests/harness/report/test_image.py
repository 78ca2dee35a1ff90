"""Pictures of a report: an SVG that stands alone, and a PNG where matplotlib is installed."""

from __future__ import annotations

import struct
import sys
from xml.etree import ElementTree

import pytest

from bandmark.errors import BackendUnavailable, UsageError
from bandmark.report.image import png, svg
from bandmark.report.runs import ReportRun
from fakes import make_result
from report_runs import hostile, rows

SVG = "{http://www.w3.org/2000/svg}"
EMPTY = ReportRun((make_result(status="error", reason="it broke", bandwidth_gbs=None),))


def test_the_svg_stands_alone() -> None:
    """It is sound XML with a title, a style for both themes, unique ids, and a chart per run that has a figure."""
    drawn = ElementTree.fromstring(svg([ReportRun(tuple(rows())), EMPTY, hostile()]))
    ids = [e.get("id") for e in drawn.iter() if e.get("id")]
    assert len(set(ids)) == len(ids)
    assert len(drawn.findall(f"{SVG}svg")) == 2
    assert all(s.find(f"{SVG}title") is not None and s.find(f"{SVG}desc") is not None for s in drawn.iter(f"{SVG}svg"))
    assert "prefers-color-scheme:dark" in (drawn.findtext(f"{SVG}style") or "")
    assert not {e.tag for e in drawn.iter()} & {f"{SVG}script", f"{SVG}image", f"{SVG}foreignObject"}


def test_charts_lie_below_each_other_within_the_picture() -> None:
    """No chart overlaps the next, and the last one ends inside."""
    drawn = ElementTree.fromstring(svg([ReportRun(tuple(rows())), ReportRun(tuple(rows(system="b")))]))
    places = [(float(s.get("y") or 0), float(s.get("height") or 0)) for s in drawn.findall(f"{SVG}svg")]
    assert places[0][0] + places[0][1] < places[1][0]
    assert places[1][0] + places[1][1] < float(drawn.get("height") or 0)


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
    assert {width for width, _ in sizes} == {1200}
    assert sizes[0][1] < sizes[1][1] < sizes[2][1]


def test_a_png_of_too_many_runs_is_refused() -> None:
    """What no image can hold is told before it is drawn."""
    pytest.importorskip("matplotlib", reason="matplotlib (extra plot) is not installed: no PNG was drawn")
    with pytest.raises(UsageError, match="too many for one PNG"):
        png([ReportRun(tuple(rows()))] * 1000)
