"""How do bandwidths and samples look? Bars and dots as SVG that keeps its letters' size whatever its width.

Places along the axis are percentages of the width, so that a phone shows the same letters as a wide screen. Names
stand above their bars for the same reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from bandmark.faults import printable
from bandmark.report.style import BACKENDS

ROW, BAR, TOP, FOOT = 36, 11, 26, 40
"""Pixels: a row, the bar in it, what is above the rows for the legend, and below for the axis."""

LONGEST = 46
"""Characters that fit beside each other on a phone; longer names are cut."""

LINE = 16
"""Pixels of a line of text."""

LANES = 4
"""Dots of neighbouring samples stand at so many heights, so that equal ones don't hide each other."""

TICKS = 5
"""About so many steps has an axis."""


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


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn: rows on an axis from low to high, and lines across them."""

    ident: str
    """Prefix of the ids, unique in its page."""
    title: str
    desc: str
    marks: Sequence[Mark]
    high: float
    unit: str
    low: float = 0.0
    lines: Sequence[tuple[float, str, str]] = field(default_factory=list)
    """Value, class and words of each line."""
    other: str = "other"
    """What the legend calls the marks that are of no backend."""

    @property
    def more(self) -> int:
        """Pixels that each row needs in addition, because a name and its figure don't fit on one line of a phone."""
        wide = any(len(short(mark.name)) + len(mark.figure) > LONGEST for mark in self.marks)
        return LINE if wide else 0

    @property
    def bottom(self) -> int:
        """Where the rows end, in pixels from the top."""
        return self.y(len(self.marks))

    @property
    def height(self) -> int:
        """Pixels."""
        return self.bottom + FOOT + LINE * len(self.lines)

    def y(self, row: int) -> int:
        """Return where a row begins, in pixels from the top."""
        return TOP + (ROW + self.more) * row

    def x(self, value: float) -> str:
        """Return the place of a value, as a percentage of the width."""
        return f"{(value - self.low) / (self.high - self.low) * 100:.2f}%"


def text(words: str) -> str:
    """Return words as they stand in HTML and SVG, whatever they hold."""
    return escape(printable(words))


def short(words: str) -> str:
    """Return a name cut to the room that it has, not yet escaped."""
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "\u2026"


def bars(chart: Chart, attributes: str = 'width="100%"') -> str:
    """Return a chart of horizontal bars as an SVG element."""
    return _drawn(chart, attributes, (part for i, mark in enumerate(chart.marks) for part in _bar(chart, mark, i)))


def dots(chart: Chart, attributes: str = 'width="100%"') -> str:
    """Return a chart of one dot per value as an SVG element."""
    return _drawn(chart, attributes, (part for i, mark in enumerate(chart.marks) for part in _dots(chart, mark, i)))


def _drawn(chart: Chart, attributes: str, rows: Iterable[str]) -> str:
    title, desc = f"{chart.ident}-title", f"{chart.ident}-desc"
    return "\n".join(
        [
            f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" {attributes} height="{chart.height}" role="img" '
            f'aria-labelledby="{title} {desc}">',
            f'<title id="{title}">{text(chart.title)}</title><desc id="{desc}">{text(chart.desc)}</desc>',
            _patterns(chart),
            *_legend(chart),
            *_axis(chart),
            *rows,
            "</svg>",
        ]
    )


def _patterns(chart: Chart) -> str:
    """Return the patterns of the backends that occur: numpy is plain, the others are told apart without colour."""
    shapes = {
        "torch": '<path d="M-2 2l4 -4M0 8l8 -8M6 10l4 -4" style="stroke:var(--back)" stroke-width="2"/>',
        "cupy": '<circle cx="4" cy="4" r="1.8" style="fill:var(--back)" stroke="none"/>',
        "other": '<path d="M2 0v8M6 0v8" style="stroke:var(--back)" stroke-width="1.5"/>',
    }
    used = [name for name in shapes if any(mark.kind == name for mark in chart.marks)]
    drawn = "".join(
        f'<pattern id="{chart.ident}-{name}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect class="{name}" width="8" height="8" stroke="none"/>{shapes[name]}</pattern>'
        for name in used
    )
    return f"<defs>{drawn}</defs>"


def _fill(chart: Chart, name: str) -> str:
    """Return how a bar of a backend is filled."""
    style = "" if name == "numpy" else f' style="fill:url(#{chart.ident}-{name})"'
    return f'class="{name}"{style}'


def _legend(chart: Chart) -> list[str]:
    names = [name for name in (*BACKENDS, "other") if any(mark.kind == name for mark in chart.marks)]
    parts = []
    for i, name in enumerate(names):
        swatch = f'<rect x="{25 * i}%" y="2" width="14" height="12" {_fill(chart, name)}/>'
        parts.append(f'{swatch}<text x="{25 * i}%" dx="20" y="12">{chart.other if name == "other" else name}</text>')
    return parts


def _axis(chart: Chart) -> list[str]:
    bottom = chart.bottom
    parts = []
    for value in ticks(chart.low, chart.high):
        x = chart.x(value)
        share = (value - chart.low) / (chart.high - chart.low)
        anchor = "start" if share < 0.05 else "end" if share > 0.95 else "middle"
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text class="soft" x="{x}" y="{bottom + 16}" text-anchor="{anchor}">{value:.5g}</text>')
    parts.append(f'<text class="soft" x="0" y="{bottom + 33}">{text(chart.unit)}</text>')
    for i, (value, look, words) in enumerate(chart.lines):
        y = bottom + 49 + LINE * i
        x = chart.x(value)
        for row in range(1, len(chart.marks) + 1):  # beside the bars alone, not through the words above them
            end = chart.y(row)
            parts.append(f'<line class="{look}" x1="{x}" x2="{x}" y1="{end - 20}" y2="{end - 4}"/>')
        parts.append(f'<line class="{look}" x1="0" x2="26" y1="{y - 4}" y2="{y - 4}"/>')
        parts.append(f'<text class="soft" x="32" y="{y}">{text(words)}</text>')
    return parts


def ticks(low: float, high: float) -> list[float]:
    """Return round values from low to high: steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    found = [n * step for n in range(first, first + 2 * TICKS + 2)]
    return [value for value in found if low <= value <= high + 1e-9 * step]


def _names(chart: Chart, mark: Mark, y: int) -> str:
    warn = ' class="warn"' if mark.doubtful else ""
    name = f'<text{warn} x="0" y="{y + 13}">{text(short(mark.name))}</text>'
    return f'{name}<text{warn} x="100%" y="{y + 13 + chart.more}" text-anchor="end">{text(mark.figure)}</text>'


def _bar(chart: Chart, mark: Mark, row: int) -> list[str]:
    y = chart.y(row)
    place = f'x="0" y="{y + 18 + chart.more}" width="{chart.x(mark.values[0])}" height="{BAR}"'
    parts = [_names(chart, mark, y), f"<rect {place} {_fill(chart, mark.kind)}/>"]
    if mark.doubtful:
        parts.append(f'<rect {place} class="doubt" fill="none"/>')
    return parts


def _dots(chart: Chart, mark: Mark, row: int) -> list[str]:
    """Return a dot per sample: filled circles for numpy, rings for torch, squares for cupy and any other."""
    y = chart.y(row)
    parts = [_names(chart, mark, y)]
    for i, value in enumerate(mark.values):
        x, cy = chart.x(value), y + 19 + chart.more + 3 * (i % LANES)
        if mark.kind == "numpy":
            parts.append(f'<circle cx="{x}" cy="{cy}" r="2.5"/>')
        elif mark.kind == "torch":
            parts.append(f'<circle cx="{x}" cy="{cy}" r="2.2"/>')
        else:
            parts.append(f'<rect x="{x}" y="{cy - 2}" width="4" height="4" transform="translate(-2)"/>')
    look = ' style="fill:var(--back)" stroke-width="1.4"' if mark.kind == "torch" else ' fill-opacity=".75"'
    return [parts[0], f'<g class="{mark.kind}"{look}>', *parts[1:], "</g>"]
