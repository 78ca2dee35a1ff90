"""Errors of result files, each with its place, what is there and what is expected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bandmark.errors import FileError

MOST_SHOWN = 60
"""Characters of a cell that a message quotes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a result file."""

    file: Path
    found: str
    """What stands there, as quote() writes it, or in words."""
    wanted: str
    """What should stand there; without column and case, a sentence that says what to do."""
    line: int | None = None
    """Line of the file, the first being 1."""
    column: str | None = None
    """Column of the CSV, or place in the JSON: samples[3].seconds_per_launch."""
    case: str | None = None
    """The case of the row, in words: numpy triad float64."""

    def __str__(self) -> str:
        place = f"{printable(str(self.file))}:" + ("" if self.line is None else f"{self.line}:")
        what = " of ".join(filter(None, (self.column, self.case)))
        return (
            f"{place} {what}: {self.found}, expected {self.wanted}" if what else f"{place} {self.found}; {self.wanted}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the fault for programs."""
        names = ("line", "column", "case", "found", "wanted")
        return {"file": str(self.file), **{name: getattr(self, name) for name in names}}


class FaultyFile(FileError):
    """A file whose very form is wrong, so that nothing in it can be read."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def quote(value: Any) -> str:
    """Write a value as a message shows it: short, on one line, and harmless to a terminal."""
    text = repr(value) if isinstance(value, str) else printable(str(value))
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}... ({len(text)} characters)"


def printable(text: str) -> str:
    """Return text with what a terminal would obey, or not show, as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def printable_lines(text: str) -> str:
    """Return lines of text with what a terminal would obey, or not show, as escapes; line ends stay."""
    return "\n".join(map(printable, text.split("\n")))
