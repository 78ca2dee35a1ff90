"""Check result files: their form, their rows against the record, and the folder that they are in.

Everything that is wrong is found at once, each with file, line, column, what stands there and what should.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bandmark.errors import FileError
from bandmark.results.case import CaseId
from bandmark.results.privacy import check_private
from bandmark.results.reading import InvalidFile, JsonObject, Violation, read_bytes, read_sheet, result_files, walk
from bandmark.results.record import RunRecord
from bandmark.results.row import Row
from bandmark.units import printable, quote
from bandmark.validation.cells import check_cells
from bandmark.validation.plausibility import check_record, check_rows
from bandmark.validation.record import check_shape, read_record, to_record
from bandmark.validation.replay import replay

_DESCRIPTION = "datapackage.json"
"""The file by which a folder of published results is known."""

_BESIDE = ("README.md", "LICENSE", _DESCRIPTION, "index.html", "bandwidth.svg")
"""What lies beside the systems in a folder of published results."""


_Lines = list[tuple[int, Row | None]]
"""Numbers and rows of the lines of a CSV; None where a cell can't be read."""


@dataclass(slots=True)
class Checked:
    """One run as it was found: a CSV, the JSON beside it (None if it holds no object), and their violations."""

    csv: Path
    rows: list[Row] = field(default_factory=list)
    record: JsonObject | None = None
    violations: list[Violation] = field(default_factory=list)

    @property
    def json(self) -> Path:
        """The JSON of the same stem."""
        return self.csv.with_suffix(".json")


def check(paths: Iterable[Path]) -> list[Checked]:
    """Check files, and all files of folders; in a folder of published results also names, places and privacy.

    Raises:
        UsageError: a path does not exist, or a folder holds no results.
    """
    checked: dict[Path, Checked] = {}
    for path in paths:
        for csv, root in _runs(path):
            if csv in checked:
                continue
            checked[csv] = check_run(csv)
            if root is not None:
                checked[csv].violations += _published(checked[csv], root)
        if path.is_dir() and (path / _DESCRIPTION).is_file():
            inside = [one for csv, one in checked.items() if path in csv.parents]
            checked[path] = Checked(path, violations=[*_strays(path), *_again(inside)])
    return list(checked.values())


def _runs(path: Path) -> Iterator[tuple[Path, Path | None]]:
    """Yield the CSV of each run under a path, and the folder of published results that it stands in, if it is one."""
    root = path if path.is_dir() and (path / _DESCRIPTION).is_file() else None
    files = result_files([path], (".csv", ".json")) if path.is_dir() else result_files([path])
    runs = (file.with_suffix(".csv") if file.suffix == ".json" else file for file in files if file.name != _DESCRIPTION)
    yield from ((csv, root) for csv in dict.fromkeys(runs))


def check_run(csv: Path) -> Checked:
    """Check one run: its CSV and the JSON beside it."""
    checked = Checked(csv)
    data, beside = _read(checked, csv), _read(checked, checked.json)
    if data is not None and beside is not None:
        check_pair(checked, data, beside)
    elif data is not None:
        _check_csv(checked, data)
    checked.violations.sort(key=lambda violation: (violation.file == checked.json, violation.line or 0))
    return checked


def check_pair(checked: Checked, csv: bytes, json: bytes) -> None:
    """Check what a run's two files hold, adding to rows, record and violations."""
    lines = _check_csv(checked, csv)
    try:
        record = read_record(checked.json, json)
    except InvalidFile as error:
        checked.violations.append(error.violation)
        return
    checked.record = record
    if violations := check_shape(checked.json, record):
        checked.violations += violations
    elif lines and len(rows := _read_rows(lines)) == len(lines):
        _check_run(checked, to_record(record), rows)


def _check_run(checked: Checked, record: RunRecord, rows: list[tuple[int, Row]]) -> None:
    """Rebuild the rows from the record, and look for what no honest run shows."""
    wrong: dict[tuple[int, str], Violation] = {}
    for line, row, column, found, wanted in (*replay(record, rows), *check_rows(record, rows)):
        case = CaseId.of(row).label
        wrong.setdefault((line, column), Violation(checked.csv, found, wanted, line=line, column=column, case=case))
    checked.violations += wrong.values()
    for place, found, wanted in check_record(record, [row for _, row in rows]):
        checked.violations.append(Violation(checked.json, found, wanted, column=place))


def _read_rows(lines: _Lines) -> list[tuple[int, Row]]:
    return [(line, row) for line, row in lines if row is not None]


def _check_csv(checked: Checked, data: bytes) -> _Lines:
    """Check a CSV alone; return its lines."""
    try:
        sheet = read_sheet(checked.csv, data)
    except InvalidFile as error:
        checked.violations.append(error.violation)
        return []
    lines, violations = check_cells(sheet)
    rows = _read_rows(lines)
    checked.rows = [row for _, row in rows]
    checked.violations += [*violations, *_repeated(checked.csv, rows)]
    return lines


def _repeated(file: Path, rows: Iterable[tuple[int, Row]]) -> Iterator[Violation]:
    """Yield rows whose case another row has, and rows of another run than the first."""
    first: dict[CaseId, int] = {}
    run = None
    for line, row in rows:
        case = CaseId.of(row)
        run = run or row
        if (before := first.setdefault(case, line)) != line:
            found = f"the case of line {before} again"
            yield Violation(file, found, "one row for each case", line=line, case=case.label)
        for name in ("run_id", "system", "schema", "bandmark_version", "data"):
            if row.get(name) != run.get(name):
                wanted = f"{quote(run.get(name))}, as in the first row: a result file holds one run"
                yield Violation(file, quote(row.get(name)), wanted, line=line, column=name, case=case.label)


def _read(checked: Checked, file: Path) -> bytes | None:
    """Return a file's contents, or None with the violation that kept it from being read."""
    found, wanted = "missing", "a run is a CSV and a JSON of the same stem"
    if os.path.lexists(file):
        try:
            return read_bytes(file)
        except FileError as error:
            found, wanted = str(error).rstrip("."), "name a file that can be read"
    checked.violations.append(Violation(file, found, wanted))
    return None


def _published(checked: Checked, root: Path) -> Iterator[Violation]:
    """Yield what keeps a run from being published where it lies: its name, its place, what it gives away."""
    if checked.record is None or not checked.rows:
        return
    first = checked.rows[0]
    place = root / first.system / f"{first.run_id}.csv"
    if checked.csv != place:
        wanted = f"published runs are named by system and run_id: {place}"
        yield Violation(file=checked.csv, found="a file of another name or place", wanted=wanted)
    yield from check_private(checked.csv, checked.json, checked.rows, checked.record)


def _again(published: Iterable[Checked]) -> Iterator[Violation]:
    """Yield runs that are published twice, as two systems say."""
    first: dict[str, Path] = {}
    for one in published:
        run_id = one.rows[0].run_id if one.rows else ""
        if run_id and (before := first.setdefault(run_id, one.csv)) != one.csv:
            wanted = f"a run is published once; {printable(str(before))} holds it, too: take one of them out"
            yield Violation(file=one.csv, found=f"run {quote(run_id)[1:-1]} again", wanted=wanted)


def _strays(root: Path) -> Iterator[Violation]:
    """Yield files that are no part of published results, hidden ones and links to folders among them."""
    for file in walk(root, hidden=True):
        inside = file.relative_to(root)
        if str(inside) not in _BESIDE and not (len(inside.parts) == 2 and file.suffix in (".csv", ".json")):
            yield Violation(file=file, found="no part of published results", wanted="take it out of the folder")
