"""How is a table of models and systems laid out? A line per model and format, a column per system, notes below."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH = 100
"""Columns of the notes."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table."""

    model: str
    middle: str
    """What stands between the model and the systems, already as wide as its heading."""
    cells: Sequence[str]
    """A cell per system."""


def lay_out(middle: str, systems: Sequence[str], least: int, lines: Iterable[Line]) -> list[str]:
    """Return the lines of a table: a model's name stands in the first of its lines alone.

    Args:
        middle: headings between the model and the systems.
        systems: names of the systems.
        least: columns that a system's cells take at least.
        lines: in order.
    """
    widths = [max(least, len(name)) for name in systems]

    def columns(cells: Sequence[str]) -> str:
        return "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))

    shown = [f"{'model':19}{middle}{columns(systems)}"]
    before = ""
    for line in lines:
        name = "" if line.model == before else line.model
        before = line.model
        shown.append(f"{name[:18]:19}{line.middle}{columns(line.cells)}")
    return shown


def paragraphs(notes: Iterable[str]) -> list[str]:
    """Return notes in lines of WIDTH, each note once."""
    return [line for note in dict.fromkeys(notes) for line in textwrap.wrap(note, WIDTH)]
