"""Charts as SVG: rows with a bar or dots each, on one axis.

A row is a name, a track and a figure. A track is a small SVG whose coordinates are percentages of its width, so that
a page can place it beside its name on a screen and below it on a phone, and a picture where it likes. Tracks hold no
words except the numbers of the axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Literal

from bandmark.suites.base import Curve
from bandmark.units import format_bytes, printable

THEME, CHART = (
    files("bandmark.reports").joinpath(name).read_text(encoding="utf-8") for name in ("theme.css", "chart.css")
)
"""The colours of light and dark screens, and the rules of charts."""

SERIES = 4
"""Series that have a colour each; the series with this number stands for all others."""

TRACK = 22
"""Pixels: the height of a track."""

_BAR = 11
"""Pixels: the height of the bar in the middle of a track."""

_LANES = 4
"""Dots of neighbouring samples are drawn at so many heights, so that equal ones do not hide each other."""

_STEPS = 5
"""Approximate number of steps of an axis."""

_LINEAR_BELOW = 0.5
"""Distance from the middle of a stretched axis up to which it is nearly linear; beyond, it is logarithmic."""

_MIN_LABEL_GAP = 0.16
"""Smallest distance between the labels of a stretched axis, as a share of it: 40 of the 250 pixels on paper."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from low at the left to high at the right."""

    low: float
    high: float
    scale: Literal["linear", "log", "stretched"] = "linear"
    """A stretched axis gives small distances from 0 more room than large ones, so that both are visible."""

    def share(self, value: float) -> float:
        """Return the position of a value: 0 is the left end, 1 the right one."""
        low, high, scaled = map(self._scaled, (self.low, self.high, value))
        return (scaled - low) / (high - low)

    def _scaled(self, value: float) -> float:
        if self.scale == "log":
            return math.log10(value)
        return math.asinh(value / _LINEAR_BELOW) if self.scale == "stretched" else value

    def x(self, value: float) -> str:
        """Return the position of a value as a percentage of the width."""
        return f"{100 * self.share(value):.2f}%"

    def ticks(self) -> list[tuple[float, str]]:
        """Return the values that are marked, in order, and their labels."""
        if self.scale == "log":
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            step = math.ceil((last - first + 1) / (2 * _STEPS))
            return [(10.0**power, f"{10.0**power:g}") for power in range(first, last + 1, step)]
        if self.scale == "stretched":
            return [(value, f"{value:+g} %" if value else "0") for value in self._spread_ticks()]
        return [(value, f"{value:.5g}") for value in self._even_ticks()]

    def _even_ticks(self) -> list[float]:
        """Return values in steps of 1, 2 or 5 times a power of ten."""
        raw = (self.high - self.low) / _STEPS
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        values = [n * step for n in range(first, first + 2 * _STEPS + 2)]
        return [value for value in values if self.low <= value <= self.high + 1e-9 * step]

    def _spread_ticks(self) -> list[float]:
        """Return round values in both directions from 0, the roundest first, with room for their labels."""
        marked = [0.0]
        sizes = [digit * 10.0**power for digit in (1, 5, 2) for power in (0, 1, 2, 3, 4, 5, -1)]
        for value in (sign * size for size in sizes for sign in (-1, 1)):
            clear = all(abs(self.share(value) - self.share(other)) >= _MIN_LABEL_GAP for other in marked)
            if self.low <= value <= self.high and clear:
                marked.append(value)
        return sorted(marked)


@dataclass(frozen=True, slots=True)
class Mark:
    """One row of a chart."""

    name: str
    figure: str
    """The words at the right end."""
    series: int
    """Number of the series, which decides on the colour; the name tells it, too."""
    values: tuple[float, ...]
    """One for a bar, any number for dots."""
    is_ok: bool = True
    group: str = ""
    """Rows of one group are drawn together."""
    peak: float | None = None
    """Value of a line that belongs to this row alone."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Rows on an axis, and lines across them."""

    title: str
    marks: Sequence[Mark]
    axis: Axis
    unit: str
    names: Sequence[str]
    """Names of the series, in order; the last series is called other."""
    lines: Sequence[tuple[float, str, str]] = ()
    """Value, class and words of each line."""
    other: str = "other"
    dots: bool = False
    """Whether each value is a dot; else a row has one value, which is a bar."""

    def legend(self) -> list[tuple[int, str]]:
        """Return number and name of the series that occur."""
        numbers = sorted({mark.series for mark in self.marks})
        return [(n, self.other if n == SERIES else self.names[n]) for n in numbers]

    def begins_group(self, row: int) -> bool:
        """Return whether a row is the first of its group, and not of the chart."""
        return row > 0 and self.marks[row].group != self.marks[row - 1].group

    def track(self, mark: Mark, box: str = 'width="100%"') -> str:
        """Return the bar or dots of a row, with the grid behind and the lines across it."""
        grid = [_line("grid", self.axis.x(value)) for value, _ in self.axis.ticks()]
        lines = [_line(look, self.axis.x(value)) for value, look, _ in self.lines]
        peak = [] if mark.peak is None else [_line("own", self.axis.x(mark.peak))]
        return _svg(box, [*grid, *(self._dots(mark) if self.dots else self._bar(mark)), *lines, *peak])

    def axis_track(self, box: str = 'width="100%"') -> str:
        """Return the numbers below the rows."""
        parts = []
        for value, label in self.axis.ticks():
            share = self.axis.share(value)
            anchor = "start" if share < 0.05 else "end" if share > 0.95 else "middle"
            parts.append(f'<text class="soft" x="{self.axis.x(value)}" y="14" text-anchor="{anchor}">{label}</text>')
        return _svg(box, parts)

    def swatch(self, series: int, box: str = 'width="16"') -> str:
        """Return a sample of a series for the legend: a piece of its bars, or one of its dots."""
        shape = '<circle cx="50%" cy="11" r="4"/>' if self.dots else '<rect width="16" y="5" height="12"/>'
        return _svg(box, [f'<g class="s{series}">{shape}</g>'])

    def _bar(self, mark: Mark) -> list[str]:
        box = f'x="0" y="{(TRACK - _BAR) / 2:g}" width="{self.axis.x(mark.values[0])}" height="{_BAR}"'
        outline = [] if mark.is_ok else [f'<rect {box} class="doubt" fill="none"/>']
        return [f'<rect {box} class="s{mark.series}"/>', *outline]

    def _dots(self, mark: Mark) -> list[str]:
        lanes, first = (_LANES, 5) if len(mark.values) > 1 else (1, TRACK // 2)
        places = [(self.axis.x(value), first + 4 * (i % lanes)) for i, value in enumerate(mark.values)]
        circles = [f'<circle cx="{x}" cy="{y}" r="2.5"/>' for x, y in places]
        return [f'<g class="s{mark.series}" fill-opacity=".75">', *circles, "</g>"]


def curve_picture(curve: Curve) -> str:
    """Return the lines of a curve on two logarithmic axes, as an SVG as wide as its place."""
    xs, ys = ([point[k] for line in curve.points.values() for point in line] for k in (0, 1))
    across, upward = _around(xs), _around(ys)
    parts = [f'<rect width="{_WIDE}" height="{_HIGH}" fill="none" class="grid"/>']
    for value in _powers(across, 2.0 ** (1 if across.high / across.low < 64 else 3)):
        name, x = format_bytes(value) if curve.over == "working set" else f"{value:g}", _WIDE * across.share(value)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_HIGH}"/>')
        parts.append(f'<text class="soft" x="{x:.1f}" y="{_HIGH + 16}" text-anchor="middle">{name}</text>')
    for value in _powers(upward, 2.0):
        y = _HIGH * (1 - upward.share(value))
        parts.append(f'<line class="grid" x1="0" x2="{_WIDE}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="soft" x="-6" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for number, line in enumerate(curve.points.values()):
        places = [(_WIDE * across.share(x), _HIGH * (1 - upward.share(y))) for x, y in line]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places)
        parts.append(f'<polyline fill="none" stroke="currentColor" stroke-opacity=".35" points="{drawn}"/>')
        parts.append(f'<g class="s{min(number, SERIES)}">{dots}</g>')
    box = f"-50 -8 {_WIDE + 70} {_HIGH + 30}"
    return f'<svg viewBox="{box}" width="100%" role="img" aria-label="{text(curve.title)}">{"".join(parts)}</svg>'


_WIDE, _HIGH = 640, 260
"""Units of a curve's picture, without its numbers."""


def _around(values: Sequence[float]) -> Axis:
    return Axis(min(values) / 1.1, max(values) * 1.1, "log")


def _powers(axis: Axis, base: float) -> list[float]:
    """Return the powers of a base on an axis."""
    first, last = math.ceil(math.log(axis.low, base)), math.floor(math.log(axis.high, base))
    return [base**power for power in range(first, last + 1)]


def dot_swatch(series: int) -> str:
    """Return a sample of a line's dots for the legend."""
    return _svg('width="16"', [f'<g class="s{min(series, SERIES)}"><circle cx="50%" cy="11" r="4"/></g>'])


def line_swatch(look: str, box: str = 'width="26"') -> str:
    """Return a sample of a line for the legend."""
    return _svg(box, [f'<line class="{look}" x1="0" x2="26" y1="11" y2="11"/>'])


def text(words: str) -> str:
    """Return words as HTML and SVG show them, whatever they hold."""
    return escape(printable(words))


def _svg(box: str, parts: Sequence[str]) -> str:
    return f'<svg class="track" {box} height="{TRACK}" aria-hidden="true">{"".join(parts)}</svg>'


def _line(look: str, x: str) -> str:
    return f'<line class="{look}" x1="{x}" x2="{x}" y1="0" y2="{TRACK}"/>'
