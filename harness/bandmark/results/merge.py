"""How do the rows of many runs become one tidy table? Each run once, whatever number of copies of it there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import IO

from bandmark.errors import FileError
from bandmark.results.case import CaseId
from bandmark.results.faults import quote
from bandmark.results.files import read_rows, to_csv
from bandmark.results.reading import read_bytes
from bandmark.results.row import Row, columns
from bandmark.results.sheet import FORMULAS

_MAY_BE_FORMULA = re.compile(rf'(?:^|[,"\n])[{re.escape(FORMULAS)}]')
"""Occurs wherever a cell begins like a formula, and seldom elsewhere."""


@dataclass(slots=True)
class Merged:
    """What a merge has written, and what it left out."""

    runs: int = 0
    rows: int = 0
    duplicates: list[str] = field(default_factory=list)
    """A sentence for each run that another file holds too."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of one run in one file."""

    run_id: str
    path: Path
    rows: int
    digest: bytes
    text: str | None = None
    """The rows as CSV, where the file holds other runs too; else they are read again when they are written."""

    def lines(self) -> str:
        """Return the rows as CSV, with every column and without a header."""
        return _body(self.path) if self.text is None else self.text

    def results(self) -> list[Row]:
        """Return the rows."""
        return [row for row in read_rows(self.path) if row.run_id == self.run_id]


def plan_merge(files: Iterable[Path]) -> tuple[list[_Part], list[str]]:
    """Return the parts of the table in order of run, and what is left out because another file has it too.

    Every row is read, one file at a time, so that memory stays small however many runs there are.

    Raises:
        FileError: a file is damaged or of a newer version, or two files have the same case of the same run with
            different figures; the message names them.
    """
    kept: dict[str, _Part] = {}
    duplicates: list[str] = []
    for part in (part for path in files for part in _parts(path)):
        first = kept.setdefault(part.run_id, part)
        if first is not part:
            _refuse_clash(first, part)
            duplicates.append(f"{part.path} holds run {part.run_id} of {first.path} again: left out")
    return [kept[run_id] for run_id in sorted(kept)], duplicates


def merge(files: Sequence[Path], out: IO[str]) -> Merged:
    """Write the rows of all runs as one CSV, sorted by run, and return what there was; raises as plan_merge does."""
    parts, duplicates = plan_merge(files)
    out.write(",".join(c.name for c in columns()) + "\n")
    for part in parts:
        out.write(part.lines())
    return Merged(runs=len(parts), rows=sum(part.rows for part in parts), duplicates=duplicates)


def _parts(path: Path) -> Iterator[_Part]:
    """Yield the runs of a file; raises FileError if a case stands in it twice, or a formula."""
    rows = read_rows(path)
    seen: dict[tuple[object, ...], Row] = {}
    for row in rows:
        before = seen.setdefault((row.run_id, *CaseId.of(row).key), row)
        if before is not row:
            raise FileError(f"{path} holds {_label(row)} twice; `bandmark validate` names the lines.")
    runs = {run_id: list(own) for run_id, own in groupby(sorted(rows, key=_run_id), key=_run_id)}
    if len(runs) == 1:
        text = _body(path)
        _refuse_formulas(path, rows, text)
        yield _Part(rows[0].run_id, path, len(rows), _digest(text))
        return
    for run_id, own in runs.items():
        text = _without_header(to_csv(own))
        _refuse_formulas(path, own, text)
        yield _Part(run_id, path, len(own), _digest(text), text)


def _refuse_formulas(path: Path, rows: Sequence[Row], text: str) -> None:
    """Raise FileError if a cell would run as a formula in the spreadsheet that opens the merged table."""
    if not _MAY_BE_FORMULA.search(text):
        return
    for row in rows:
        for name in (c.name for c in columns() if c.type == "str"):
            value = row.get(name)
            if value and value[0] in FORMULAS:
                raise FileError(
                    f"{path}: {name} of {_label(row)} is {quote(value)}, which a spreadsheet takes for a formula. "
                    "Leave the file out."
                )


def _run_id(row: Row) -> str:
    return row.run_id


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def _refuse_clash(first: _Part, other: _Part) -> None:
    """Raise FileError unless two parts of the same run hold the same rows, in whatever order."""
    if first.digest == other.digest:
        return
    mine, theirs = ({CaseId.of(row).key: row for row in part.results()} for part in (first, other))
    for key in mine.keys() | theirs.keys():
        a, b = mine.get(key), theirs.get(key)
        if a is None or b is None:
            whole, part = (first, other) if a else (other, first)
            row = a or b
            assert row is not None
            raise FileError(f"{whole.path} has {_label(row)} and {part.path} has not. Leave one of the files out.")
        if a != b:
            name = next(c.name for c in columns() if a.get(c.name) != b.get(c.name))
            raise FileError(
                f"{first.path} and {other.path} clash: {name} of {_label(a)} is {a.get(name)} in the one and "
                f"{b.get(name)} in the other. Leave one of the files out."
            )


def _body(path: Path) -> str:
    """Return the lines of a CSV below its header, with every column of this version in order."""
    header, _, body = read_bytes(path).decode("utf-8").partition("\n")
    if header == ",".join(c.name for c in columns()) and "\r" not in body:
        return body
    return _without_header(to_csv(read_rows(path)))


def _without_header(text: str) -> str:
    return text.partition("\n")[2]


def _label(row: Row) -> str:
    return f"{CaseId.of(row).label} of run {row.run_id}"
