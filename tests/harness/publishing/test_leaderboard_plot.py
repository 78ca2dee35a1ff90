"""The plot of the leaderboard is a sound SVG that shows each figure where it belongs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bandmark.publishing.leaderboard import HEADLINES, Run
from bandmark.publishing.leaderboard_plot import LABELS, RIGHT, WIDTH, plot
from fakes import make_peak, make_result

SVG = "{http://www.w3.org/2000/svg}"


def run(gbs: float, peak: float | None = None, **changes: Any) -> Run:
    """A run whose headline kernels all have one bandwidth."""
    rows = [make_result(kernel=name, bandwidth_gbs=gbs, peak_gbs=peak, **changes) for name in HEADLINES]
    return Run(Path("a.csv"), tuple(rows), {})


def elements(board: list[Run]) -> ElementTree.Element:
    """The parsed plot."""
    return ElementTree.fromstring(plot(board))


def test_every_figure_has_a_mark() -> None:
    """Each headline kernel of each system has a mark with its figure in words, and each peak a bar."""
    drawn = elements([run(1000.0, 1344.0), run(50.0)])
    titles = [title.text for title in drawn.iter(f"{SVG}title")]
    assert titles == [f"{name} {gbs} GB/s, numpy float64" for gbs in ("1000", "50") for name in HEADLINES]
    bars = [line for line in drawn.iter(f"{SVG}line") if line.get("class") == "peak"]
    assert len(bars) == 2, "the legend's and the first system's"


def test_marks_stand_on_the_axis() -> None:
    """Decades are equally far apart, and a value of a decade stands on its line."""
    drawn = elements([run(10.0, 100.0), run(10.0, 10_000.0)])
    numbers = {t.text: float(t.get("x") or 0) for t in drawn.iter(f"{SVG}text") if t.get("text-anchor")}
    steps = {numbers[b] - numbers[a] for a, b in (("10", "100"), ("100", "1000"), ("1000", "10000"))}
    assert len({round(step) for step in steps}) == 1
    assert numbers["10"] == LABELS and numbers["10000"] == WIDTH - RIGHT
    bars = [float(x.get("x1") or 0) for x in drawn.iter(f"{SVG}line") if x.get("class") == "peak"][1:]
    assert bars == [numbers["100"], numbers["10000"]]
    circles = [float(c.get("cx") or 0) for c in drawn.iter(f"{SVG}circle")][1:]
    assert circles == [numbers["10"]] * 2


def test_the_named_systems_are_always_there() -> None:
    """DGX Spark, RTX PRO 5000 and DGX Station have their lines, whatever was measured."""
    text = plot([run(0.01)])
    assert text.count('class="named"') == 3
    assert all(name in text for name in ("DGX Spark 273", "RTX PRO 5000 1344", "DGX Station 8000"))


@pytest.mark.parametrize("gbs", [1e-4, 0.01, 20.0, 9000.0, 40_000.0])
def test_nothing_stands_outside(gbs: float) -> None:
    """The axis holds whatever was measured."""
    marks = [float(x) for x in re.findall(r'<circle cx="([-\d.]+)"', plot([run(gbs, gbs * 1.3)]))]
    assert all(LABELS <= x <= WIDTH - RIGHT for x in marks)


def test_names_are_text() -> None:
    """Markup in a name is escaped, and a long name is cut."""
    drawn = elements([run(10.0, device="<script>&" + "x" * 200, system="s" * 100)])
    texts = [text.text or "" for text in drawn.iter(f"{SVG}text")]
    assert any(text.startswith("<script>&x") and text.endswith("\u2026") for text in texts)
    assert "<script>" not in plot([run(10.0, device="<script>")])


def test_the_plot_is_stable_and_follows_the_theme() -> None:
    """The same board gives the same text, with colours for light and dark pages."""
    board = [run(10.0, make_peak(20.0).gbs)]
    assert plot(board) == plot(board)
    assert "prefers-color-scheme:dark" in plot(board)
