"""Errors of result files, each with its place, what is there and what is expected."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from bandmark.errors import FileError
from bandmark.units import printable


@dataclass(frozen=True, slots=True)
class Violation:
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
        if not what:
            return f"{place} {self.found}; {self.wanted}"
        return f"{place} {what}: {self.found}, expected {self.wanted}"

    def as_json(self) -> dict[str, object]:
        """Return the violation for programs."""
        return {**asdict(self), "file": str(self.file)}


class InvalidFile(FileError):
    """A file whose very form is wrong, so that nothing in it can be read."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(str(violation))
        self.violation = violation
