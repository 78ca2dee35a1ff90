"""Read a result CSV line by line and cell by cell, before any of it is interpreted.

The one way into a CSV: bandmark.results.files reads rows from it, bandmark.validation looks at every cell of it.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from bandmark.results.reading import AS_WRITTEN, decode, read_bytes
from bandmark.results.row import columns
from bandmark.results.violations import InvalidFile, Violation
from bandmark.units import quote

FORMULAS = "=+-@\t\r"
"""Characters with which a spreadsheet lets a formula begin; no text in a result begins with one of them (OWASP, CSV
Injection)."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A CSV as text: its header, and its lines with their numbers."""

    path: Path
    text: str
    header: list[str]
    lines: list[tuple[int, list[str]]]
    """Line of the file on which each row begins, and its cells."""


def read_sheet(path: Path, data: bytes | None = None) -> Sheet:
    """Read a CSV that has the columns that every bandmark result has; its cells are not looked at.

    Args:
        path: the file.
        data: its contents, if they were read already.

    Raises:
        FileError: the file can't be read.
        InvalidFile: it is not text, is no bandmark result, or is truncated.
    """
    text = decode(path, read_bytes(path) if data is None else data)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[tuple[int, list[str]]] = []
    try:
        begin = 1
        for cells in reader:
            lines.append((begin, cells))
            begin = reader.line_num + 1
    except csv.Error as error:
        found = "a quoted cell that never ends" if "unexpected end" in str(error) else str(error)
        raise _violation(
            path, found, "a result has RFC 4180 quoting; is the file truncated?", reader.line_num
        ) from error
    header = lines[0][1] if lines else []
    required = [c.name for c in columns() if c.required]
    if missing := [name for name in required if name not in header]:
        raise _violation(path, *_not_a_header(text, header, missing), 1)
    if not text.endswith("\n"):
        raise _violation(path, "its last line has no end", "the file is truncated: copy it again", lines[-1][0])
    return Sheet(path, text, header, lines[1:])


def _not_a_header(text: str, header: list[str], missing: list[str]) -> tuple[str, str]:
    """Return what the first line is, and what it should be."""
    first = text.split("\n", 1)[0]
    if len(header) <= 2 and max(map(first.count, ";\t|")) >= 10:
        return "cells that are not separated by commas", AS_WRITTEN
    if text.startswith("<<<<<<<"):
        return "the marks of a merge conflict", "a run is never edited: take one side whole"
    lacks = ", ".join(missing[:4]) + (" and others" if len(missing) > 4 else "")
    return f"{quote(','.join(header))} is not a bandmark result", f"its first line lacks the columns {lacks}"


def _violation(path: Path, found: str, wanted: str, line: int | None = None) -> InvalidFile:
    return InvalidFile(Violation(file=path, line=line, found=found, wanted=wanted))
