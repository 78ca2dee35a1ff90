"""How do the published systems look beside each other? The leaderboard as an SVG, written by hand: no plot library.

A logarithmic axis, because a laptop and a data-centre GPU lie a factor of a thousand apart; hence marks and no bars.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from bandmark.judge.references import REFERENCES
from bandmark.publishing.leaderboard import HEADLINES, Run

WIDTH, LABELS, RIGHT, ROW, TOP, BOTTOM = 960, 310, 60, 50, 92, 46
"""Pixels: the whole width, the part for names, the right margin, a row, and what is above and below the rows."""

# Okabe and Ito's colours, which colour-blind readers tell apart; each kernel also has a shape of its own.
_MARKS = {
    "read": ("#0072b2", '<circle cx="{x}" cy="{y}" r="5"/>'),
    "copy": ("#d55e00", '<rect x="{x4}" y="{y4}" width="9" height="9"/>'),
    "triad": ("#009e73", '<path d="M{x} {y6}l6 11h-12z"/>'),
    "gemv": ("#cc79a7", '<path d="M{x} {y6}l6 6l-6 6l-6 -6z"/>'),
}

_STYLE = """\
<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}
.small{font-size:11px;fill:#59636e}
.grid{stroke:#d1d9e0}
.peak{stroke:#1f2328;stroke-width:2.5}
.named{stroke:#59636e;stroke-dasharray:4 4}
.back{fill:#fff}
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.small{fill:#9198a1}.grid{stroke:#3d444d}.peak{stroke:#f0f6fc}
.named{stroke:#9198a1}.back{fill:#0d1117}}
</style>"""


def plot(board: Sequence[Run]) -> str:
    """Return the SVG of a leaderboard: a row per system, a mark per kernel, a bar at the peak."""
    values = [row.bandwidth_gbs for run in board for row in run.best.values() if row.bandwidth_gbs]
    peaks = [run.first.peak_gbs for run in board if run.first.peak_gbs]
    low, high = _limits([*values, *peaks, *(r.published_gbs for r in REFERENCES)])
    height = TOP + ROW * len(board) + BOTTOM
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'role="img" aria-label="Bandwidth of the published systems beside their peaks">',
        _STYLE,
        f'<rect class="back" width="{WIDTH}" height="{height}"/>',
        *_legend(),
        *_axis(low, high, height),
    ]
    for i, run in enumerate(board):
        body += _row(run, TOP + ROW * i + ROW // 2, low, high)
    return "\n".join([*body, "</svg>"]) + "\n"


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Return the decades that hold all values, as logarithms."""
    return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))


def _x(gbs: float, low: float, high: float) -> float:
    return round(LABELS + (WIDTH - LABELS - RIGHT) * (math.log10(gbs) - low) / (high - low), 1)


def _legend() -> list[str]:
    parts = [f'<text x="{LABELS}" y="20">Median bandwidth, GB/s (10^9 bytes per second), logarithmic</text>']
    for i, name in enumerate(HEADLINES):
        x = LABELS + 90 * i
        parts += [_mark(name, x + 6, 38), f'<text x="{x + 18}" y="42">{name}</text>']
    x = LABELS + 90 * len(HEADLINES)
    parts.append(f'<line class="peak" x1="{x + 6}" x2="{x + 6}" y1="29" y2="47"/>')
    return [*parts, f'<text x="{x + 18}" y="42">peak of the device</text>']


def _axis(low: float, high: float, height: int) -> list[str]:
    """Return the grid, its numbers, and the lines of the three named systems."""
    parts = []
    for decade in range(int(low), int(high) + 1):
        x = _x(10.0**decade, low, high)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP}" y2="{height - BOTTOM}"/>')
        parts.append(f'<text class="small" x="{x}" y="{height - 26}" text-anchor="middle">{10.0**decade:g}</text>')
    for i, reference in enumerate(REFERENCES):
        x, y = _x(reference.published_gbs, low, high), TOP - 6 - 14 * (i % 2)
        parts.append(f'<line class="named" x1="{x}" x2="{x}" y1="{y + 3}" y2="{height - BOTTOM}"/>')
        name = f"{reference.label} {reference.published_gbs:g}"
        parts.append(f'<text class="small" x="{x}" y="{y}" text-anchor="middle">{name}</text>')
    note = "Dashed: published for the three named systems (DGX Station as announced; it ships with 7100)."
    return [*parts, f'<text class="small" x="{LABELS}" y="{height - 8}">{note}</text>']


def _row(run: Run, y: int, low: float, high: float) -> list[str]:
    first = run.first
    name, device = _short(first.system, 44), _short(first.device, 52)
    parts = [
        f'<line class="grid" x1="8" x2="{WIDTH - RIGHT}" y1="{y + ROW // 2}" y2="{y + ROW // 2}"/>',
        f'<text x="8" y="{y - 2}">{name}</text><text class="small" x="8" y="{y + 12}">{device}</text>',
    ]
    if first.peak_gbs:
        x = _x(first.peak_gbs, low, high)
        parts.append(f'<line class="peak" x1="{x}" x2="{x}" y1="{y - 23}" y2="{y + 23}"/>')
    for i, kernel in enumerate(HEADLINES):
        row = run.best.get(kernel)
        if row and row.bandwidth_gbs:
            title = f"{kernel} {row.bandwidth_gbs:.4g} GB/s, {row.backend} {row.number_format}"
            parts.append(_mark(kernel, _x(row.bandwidth_gbs, low, high), y + 12 * i - 18, title))
    return parts


def _mark(kernel: str, x: float, y: float, title: str = "") -> str:
    colour, shape = _MARKS[kernel]
    drawn = shape.format(x=x, y=y, x4=x - 4.5, y4=y - 4.5, y6=y - 6)
    return (
        f'<g fill="{colour}">{drawn}<title>{escape(title)}</title></g>' if title else f'<g fill="{colour}">{drawn}</g>'
    )


def _short(text: str, most: int) -> str:
    return escape(text if len(text) <= most else text[: most - 1] + "\u2026")
