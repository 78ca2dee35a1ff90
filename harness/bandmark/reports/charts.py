"""How do bandwidths and samples look? Rows with a bar or dots each, on one axis.

A row is a name, a track and a figure. A track is a small SVG whose places are percentages of its width, so that a page
can put it beside its name on a screen and below it on a phone; a picture puts it where it likes. Words are no part of a
track, save the numbers of the axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from bandmark.reports.style import BACKENDS
from bandmark.results.faults import printable

TRACK, BAR = 22, 11
"""Pixels: the height of a track, and of the bar in its middle."""

LANES = 4
"""Dots of neighbouring samples stand at so many heights, so that equal ones don't hide each other."""

TICKS = 5
"""About so many steps has an axis."""

HALF = 0.5
"""Distance from the middle of a stretched axis, in its unit, up to which it is about linear; beyond, logarithmic."""

APART = 0.16
"""Share of the axis that the labels of a stretched one keep from each other: 40 pixels of the 250 that paper has."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Where values stand, from low at the left to high at the right."""

    low: float
    high: float
    stretched: bool = False
    """Whether it gives small distances from 0 more room than large ones, so that both can be seen."""

    def place(self, value: float) -> float:
        """Return where a value stands: 0 is the left end, 1 the right one."""
        low, high, own = (math.asinh(v / HALF) if self.stretched else v for v in (self.low, self.high, value))
        return (own - low) / (high - low)

    def x(self, value: float) -> str:
        """Return the place of a value, as a percentage of the width."""
        return f"{100 * self.place(value):.2f}%"

    def ticks(self) -> list[tuple[float, str]]:
        """Return the values that are marked, in order, and what is written there."""
        if not self.stretched:
            return [(value, f"{value:.5g}") for value in ticks(self.low, self.high)]
        found = [0.0]
        sizes = [digit * 10.0**power for digit in (1, 5, 2) for power in (0, 1, 2, 3, 4, 5, -1)]
        for value in (sign * size for size in sizes for sign in (-1, 1)):
            if self.low <= value <= self.high and all(abs(self.place(value) - self.place(v)) >= APART for v in found):
                found.append(value)
        return [(value, f"{value:+g} %" if value else "0") for value in sorted(found)]


@dataclass(frozen=True, slots=True)
class Mark:
    """One row of a chart."""

    name: str
    figure: str
    """What is said at the right end."""
    kind: str
    """Class of the colour and pattern: a backend, or other."""
    values: tuple[float, ...]
    """One for a bar, any number for dots."""
    doubtful: bool = False
    group: str = ""
    """Rows of one group stand together."""


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn: rows on an axis, and lines across them."""

    title: str
    marks: Sequence[Mark]
    axis: Axis
    unit: str
    lines: Sequence[tuple[float, str, str]] = field(default_factory=list)
    """Value, class and words of each line."""
    other: str = "other"
    """What the legend calls the marks that are of no backend."""
    dots: bool = False
    """Whether each value is a dot; else there is one, and it is a bar."""

    @property
    def kinds(self) -> list[str]:
        """The kinds that occur."""
        return [name for name in (*BACKENDS, "other") if any(mark.kind == name for mark in self.marks)]

    def says(self, name: str) -> str:
        """Return what the legend calls a kind."""
        return self.other if name == "other" else name

    def begins_group(self, row: int) -> bool:
        """Return whether a row is the first of its group, and not of the chart."""
        return row > 0 and self.marks[row].group != self.marks[row - 1].group


def text(words: str) -> str:
    """Return words as they stand in HTML and SVG, whatever they hold."""
    return escape(printable(words))


def short(words: str, longest: int) -> str:
    """Return a name cut to so many characters, not yet escaped."""
    return words if len(words) <= longest else words[: longest - 1] + "\u2026"


def patterns() -> str:
    """Return what bars are filled with: numpy is plain, the others are told apart without colour."""
    shapes = {
        "torch": '<path d="M-2 2l4 -4M0 8l8 -8M6 10l4 -4" style="stroke:var(--back)" stroke-width="2"/>',
        "cupy": '<circle cx="4" cy="4" r="1.8" style="fill:var(--back)" stroke="none"/>',
        "other": '<path d="M2 0v8M6 0v8" style="stroke:var(--back)" stroke-width="1.5"/>',
    }
    drawn = "".join(
        f'<pattern id="of-{name}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect class="{name}" width="8" height="8" stroke="none"/>{shape}</pattern>'
        for name, shape in shapes.items()
    )
    return f"<defs>{drawn}</defs>"


def track(chart: Chart, mark: Mark, place: str = 'width="100%"') -> str:
    """Return a row's bar or dots, with the grid and the lines behind and across it; place is its box."""
    values = _dots(chart, mark) if chart.dots else _bar(chart, mark)
    grid = [_line("grid", chart.axis.x(value)) for value, _ in chart.axis.ticks()]
    lines = [_line(look, chart.axis.x(value)) for value, look, _ in chart.lines]
    return _svg(place, [*grid, *values, *lines])


def axis_track(chart: Chart, place: str = 'width="100%"') -> str:
    """Return the numbers below the rows; place is their box."""
    parts = []
    for value, said in chart.axis.ticks():
        share = chart.axis.place(value)
        anchor = "start" if share < 0.05 else "end" if share > 0.95 else "middle"
        parts.append(f'<text class="soft" x="{chart.axis.x(value)}" y="14" text-anchor="{anchor}">{said}</text>')
    return _svg(place, parts)


def swatch(chart: Chart, name: str, place: str = 'width="16"') -> str:
    """Return a sample of a kind for the legend: a piece of its bars, or one of its dots."""
    if chart.dots:
        return _svg(place, _shapes(name, [("50%", TRACK // 2)]))
    return _svg(place, [f'<rect width="16" y="5" height="12" {_fill(name)}/>'])


def line_swatch(look: str, place: str = 'width="26"') -> str:
    """Return a sample of a line for the legend."""
    return _svg(place, [f'<line class="{look}" x1="0" x2="26" y1="11" y2="11"/>'])


def _svg(place: str, parts: Sequence[str]) -> str:
    return f'<svg class="track" {place} height="{TRACK}" aria-hidden="true">{"".join(parts)}</svg>'


def _line(look: str, x: str) -> str:
    return f'<line class="{look}" x1="{x}" x2="{x}" y1="0" y2="{TRACK}"/>'


def _fill(name: str) -> str:
    """Return how a bar of a kind is filled."""
    style = "" if name == "numpy" else f' style="fill:url(#of-{name})"'
    return f'class="{name}"{style}'


def _bar(chart: Chart, mark: Mark) -> list[str]:
    place = f'x="0" y="{(TRACK - BAR) / 2:g}" width="{chart.axis.x(mark.values[0])}" height="{BAR}"'
    outline = [f'<rect {place} class="doubt" fill="none"/>'] if mark.doubtful else []
    return [f"<rect {place} {_fill(mark.kind)}/>", *outline]


def _dots(chart: Chart, mark: Mark) -> list[str]:
    lanes = (5 + 4 * (i % LANES) for i in range(len(mark.values)))
    return _shapes(mark.kind, [(chart.axis.x(v), y) for v, y in zip(mark.values, lanes, strict=True)])


def _shapes(name: str, places: Sequence[tuple[str, int]]) -> list[str]:
    """Return a dot at each place: discs for numpy, rings for torch, squares for cupy and any other."""
    if name in ("numpy", "torch"):
        drawn = [f'<circle cx="{x}" cy="{y}" r="{2.5 if name == "numpy" else 2.2}"/>' for x, y in places]
    else:
        drawn = [f'<rect x="{x}" y="{y - 2}" width="4" height="4" transform="translate(-2)"/>' for x, y in places]
    look = ' style="fill:var(--back)" stroke-width="1.4"' if name == "torch" else ' fill-opacity=".75"'
    return [f'<g class="{name}"{look}>', *drawn, "</g>"]


def ticks(low: float, high: float) -> list[float]:
    """Return round values from low to high: steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    found = [n * step for n in range(first, first + 2 * TICKS + 2)]
    return [value for value in found if low <= value <= high + 1e-9 * step]
