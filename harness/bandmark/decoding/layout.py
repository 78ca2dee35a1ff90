"""How is a table of models and systems laid out? In 80 columns: a model heads its lines, each system has a column."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH = 80
"""Columns of tables and notes: what a pipe, a mail and half a screen hold."""

LEAST = 9
"""Columns that a system's cells take at least, so that the parts of its name are words."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table."""

    model: str
    """What heads the lines of a model: its name, and what holds for all of them."""
    middle: str
    """What stands before the systems, already as wide as its heading."""
    cells: Sequence[str]
    """A cell per system."""


def lay_out(middle: str, systems: Sequence[str], lines: Sequence[Line]) -> list[str]:
    """Return the lines of a table; systems that WIDTH has no room for come in a further table below.

    Args:
        middle: headings of what stands before the systems.
        systems: their names, which take as many lines as they need.
        lines: in order; those of a model stand together.

    Raises:
        ValueError: a line has not a cell for each system.
    """
    if any(len(line.cells) != len(systems) for line in lines):
        raise ValueError(f"each line must have {len(systems)} cells")
    widths = [max([LEAST, *(len(line.cells[i]) for line in lines)]) for i in range(len(systems))]
    shown: list[str] = []
    for places in _tables(len(middle), widths):
        head = [textwrap.wrap(systems[i], widths[i]) for i in places]
        shown += [] if not shown else [""]
        shown += _heading(middle, head, [widths[i] for i in places])
        before = None
        for line in lines:
            if line.model != before:
                shown.append(line.model)
            before = line.model
            shown.append(line.middle + _row([line.cells[i] for i in places], [widths[i] for i in places]))
    return shown


def _tables(left: int, widths: Sequence[int]) -> list[list[int]]:
    """Return the places of the systems of each table: as many as have room, at least one."""
    tables: list[list[int]] = []
    for place, width in enumerate(widths):
        taken = left + sum(2 + widths[i] for i in tables[-1]) if tables else WIDTH
        if taken + 2 + width > WIDTH:
            tables.append([])
        tables[-1].append(place)
    return tables


def _heading(middle: str, names: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    """Return the lines of the heading: names end at the bottom."""
    height = max(map(len, names))
    padded = [[""] * (height - len(name)) + list(name) for name in names]
    lefts = [" " * len(middle)] * (height - 1) + [middle]
    rows = zip(*padded, strict=True)
    return [(left + _row(row, widths)).rstrip() for left, row in zip(lefts, rows, strict=True)]


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def paragraphs(notes: Iterable[str]) -> list[str]:
    """Return notes in lines of WIDTH, each note once."""
    return [line for note in dict.fromkeys(notes) for line in textwrap.wrap(note, WIDTH)]
