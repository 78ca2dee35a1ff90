"""Draw curves as text, both axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bandmark.suites.base import Curve
from bandmark.units import format_bytes

_HEIGHT = 14
_MARKS = "ox+*#@%&"
_MARGIN = 8
"""Columns of the numbers at the left."""


def draw(curve: Curve, width: int) -> str:
    """Return the lines of a plot: a grid with a mark for each point, the numbers of both axes, and the marks' names."""
    points = [point for line in curve.points.values() for point in line]
    columns = max(20, width - _MARGIN - 1)
    across = _Scale([x for x, _ in points], columns - 1)
    upward = _Scale([y for _, y in points], _HEIGHT - 1)
    grid = [[" "] * columns for _ in range(_HEIGHT)]
    for mark, line in zip(_MARKS * len(curve.points), curve.points.values(), strict=False):
        for x, y in line:
            grid[_HEIGHT - 1 - upward.place(y)][across.place(x)] = mark
    lines = [f"{curve.title}, {curve.unit}; both axes are logarithmic"]
    for row, cells in enumerate(grid):
        number = _short(upward.value(_HEIGHT - 1 - row)) if row % 3 == 1 or row == _HEIGHT - 1 else ""
        lines.append(f"{number:>{_MARGIN - 1}} |{''.join(cells)}".rstrip())
    lines += [" " * _MARGIN + "+" + "-" * columns, " " * (_MARGIN + 1) + _labels(across, columns, curve.over)]
    names = "   ".join(f"{mark} {name}" for mark, name in zip(_MARKS * len(curve.points), curve.points, strict=False))
    return "\n".join([*lines, f"{'':{_MARGIN + 1}}{curve.over}   {names}"])


class _Scale:
    """A logarithmic axis with whole places from 0 to the last."""

    def __init__(self, values: Sequence[float], last: int) -> None:
        self._low, high = math.log(min(values)), math.log(max(values))
        self._step = (high - self._low) / last or 1.0
        self.last = last

    def place(self, value: float) -> int:
        """Return the place of a value."""
        return min(self.last, max(0, round((math.log(value) - self._low) / self._step)))

    def value(self, place: int) -> float:
        """Return the value at a place."""
        return math.exp(self._low + place * self._step)


def _short(value: float) -> str:
    return f"{value:.0f}" if 1000 <= value < 1e6 else f"{value:.2g}" if value >= 1e6 or value < 1e-3 else f"{value:.3g}"


def _labels(across: _Scale, columns: int, over: str) -> str:
    """Return the numbers below the grid, each where its value begins, with room between them."""
    text = ""
    for power in range(-30, 60):
        value = 2.0**power
        if not across.value(0) * 0.99 <= value <= across.value(across.last) * 1.01:
            continue
        label = format_bytes(int(value)).replace(" ", "") if over == "working set" else f"{value:g}"
        place = across.place(value)
        if (not text or place >= len(text) + 2) and place + len(label) <= columns:
            text = text.ljust(place) + label
    return text
