"""Read the runs of many files, each run once, whatever number of copies of it there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bandmark.errors import FileError
from bandmark.results.case import CaseId
from bandmark.results.files import read_rows, to_csv
from bandmark.results.reading import FORMULAS, read_bytes
from bandmark.results.row import Row, columns
from bandmark.units import quote

_MAY_BE_FORMULA = re.compile(rf'(?:^|[,"\n])[{re.escape(FORMULAS)}]')
"""Occurs wherever a cell begins like a formula, and seldom elsewhere."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """The rows of one run in one file, as text: as objects, a million rows would take more memory than many have."""

    run_id: str
    path: Path
    count: int
    lines: str
    """The rows as CSV with every column of this version, without a header."""

    def rows(self) -> list[Row]:
        """Return the rows."""
        return read_rows(self.path, f"{_header()}{self.lines}".encode())


def read_runs(files: Iterable[Path]) -> tuple[list[StoredRun], list[str]]:
    """Return the runs of some files in order of their ids, and a sentence for each copy that is left out.

    Raises:
        FileError: a file is damaged or of a newer version, or two files have the same case of the same run with
            different figures; the message names them.
    """
    runs: dict[str, StoredRun] = {}
    duplicates: list[str] = []
    for run in (run for path in files for run in _runs_in(path)):
        first = runs.setdefault(run.run_id, run)
        if first is not run:
            _refuse_clash(first, run)
            duplicates.append(f"{run.path} holds run {run.run_id} of {first.path} again: left out")
    return [runs[run_id] for run_id in sorted(runs)], duplicates


def merged_csv(runs: Iterable[StoredRun]) -> str:
    """Return the rows of some runs as one CSV."""
    return _header() + "".join(run.lines for run in runs)


def _header() -> str:
    return to_csv([])


def _runs_in(path: Path) -> Iterator[StoredRun]:
    """Yield the runs of a file; raises FileError if a case is in it twice, or a formula."""
    data = read_bytes(path)
    by_id: dict[str, dict[CaseId, Row]] = {}
    for row in read_rows(path, data):
        if by_id.setdefault(row.run_id, {}).setdefault(CaseId.of(row), row) is not row:
            raise FileError(f"{path} holds {_label(row)} twice; `bandmark validate` names the lines.")
    text = data.decode()
    as_written = len(by_id) == 1 and text.startswith(_header()) and "\r" not in text
    for run_id, cases in by_id.items():
        lines = (text if as_written else to_csv(cases.values())).removeprefix(_header())
        if _MAY_BE_FORMULA.search(lines):
            _refuse_formulas(path, cases.values())
        yield StoredRun(run_id, path, len(cases), lines)


def _refuse_formulas(path: Path, rows: Iterable[Row]) -> None:
    """Raise FileError if a cell would run as a formula in the spreadsheet that opens the merged table."""
    names = [column.name for column in columns() if column.type == "str"]
    for row, name in ((row, name) for row in rows for name in names):
        value = row.get(name)
        if value and value[0] in FORMULAS:
            raise FileError(
                f"{path}: {name} of {_label(row)} is {quote(value)}, which a spreadsheet takes for a formula. "
                "Leave the file out."
            )


def _refuse_clash(first: StoredRun, other: StoredRun) -> None:
    """Raise FileError unless two files have the same rows of a run, in whatever order."""
    if first.lines == other.lines:
        return
    mine, theirs = ({CaseId.of(row): row for row in run.rows()} for run in (first, other))
    _refuse_missing(first, mine, other, theirs)
    _refuse_missing(other, theirs, first, mine)
    for case, name in ((case, column.name) for case in mine for column in columns()):
        a, b = mine[case].get(name), theirs[case].get(name)
        if a != b:
            raise FileError(
                f"{first.path} and {other.path} clash: {name} of {_label(mine[case])} is {a} in the one and {b} in the "
                "other. Leave one of the files out."
            )


def _refuse_missing(run: StoredRun, rows: Mapping[CaseId, Row], other: StoredRun, others: Mapping[CaseId, Row]) -> None:
    for case, row in rows.items():
        if case not in others:
            raise FileError(f"{run.path} has {_label(row)} and {other.path} has not. Leave one of the files out.")


def _label(row: Row) -> str:
    return f"{CaseId.of(row).label} of run {row.run_id}"
