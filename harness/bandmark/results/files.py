"""Write runs to files and read them back: one CSV and one JSON of the same stem per run, or many runs in one CSV."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import escape as glob_escape
from pathlib import Path

from bandmark.errors import FileError
from bandmark.results.case import CaseId
from bandmark.results.reading import FORMULAS, JsonObject, parse_json, read_bytes, read_sheet
from bandmark.results.row import SCHEMA, Row, columns, from_cells, to_cells
from bandmark.units import json_text, quote

_TEMPORARY = ".tmp"


def to_csv(rows: Iterable[Row]) -> str:
    """Write rows as CSV text (RFC 4180 quoting, LF line ends), in the order given."""
    lines = [[c.name for c in columns()], *(list(to_cells(row).values()) for row in rows)]
    return "".join(",".join(map(_quoted, cells)) + "\n" for cells in lines)


def _quoted(cell: str) -> str:
    """Quote a cell where it must be; Python's csv.writer leaves a lone carriage return as it is."""
    return '"' + cell.replace('"', '""') + '"' if any(c in cell for c in ',"\r\n') else cell


class RunFiles:
    """The CSV and the JSON of one run, rewritten together as the run goes."""

    def __init__(self, path: Path, *, force: bool = False) -> None:
        """Find out, before anything is measured, that the files can be written.

        Raises:
            FileError: one of them exists (without force), or they can't be written.
        """
        require_csv(path)
        self.csv = path
        self.json = path.with_suffix(".json")
        self._may_replace = force
        for file in (self.csv, self.json):
            refuse_existing(file, force=force)
            _remove_stale(file)
        _write_temporary(self.csv, to_csv([])).unlink()

    def save(self, rows: Sequence[Row], record: JsonObject) -> None:
        """Replace both files, so that a kill or a full disk at any moment leaves a pair of the same state.

        Both are written beside their places first; then the JSON is put in place, then the CSV, with signals held. A
        power failure between the two leaves a JSON that is one group ahead.

        Raises:
            FileError: they can't be written, or another program has made one of them meanwhile; what was there before
                is left as it was.
        """
        contents = ((self.json, json_text(record) + "\n"), (self.csv, to_csv(rows)))
        temporaries: list[Path] = []
        try:
            for file, text in contents:
                temporaries.append(_write_temporary(file, text))
            with _signals_held():
                if not self._may_replace:
                    refuse_existing(self.json, force=False)
                    refuse_existing(self.csv, force=False)
                for temporary, (file, _) in zip(temporaries, contents, strict=True):
                    _put_in_place(temporary, file)
                self._may_replace = True
        finally:
            for temporary in temporaries:
                temporary.unlink(missing_ok=True)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Deliver Ctrl-C and SIGTERM after a few steps that belong together, where the system can hold them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _remove_stale(file: Path) -> None:
    """Remove what a run of the same name left behind when it was killed while writing."""
    try:
        for temporary in file.parent.glob(f".{glob_escape(file.name)}.*{_TEMPORARY}"):
            temporary.unlink(missing_ok=True)
    except OSError:
        return  # a folder that can't be listed or changed is reported when the file is written


def require_csv(file: Path) -> None:
    """Raise FileError for an output whose name is not that of a CSV: another file of the name may be a run's JSON."""
    if file.suffix != ".csv":
        raise FileError(f"--output {file} must end in .csv (the JSON gets the same name), or be - for stdout.")


def refuse_existing(file: Path, *, force: bool) -> None:
    """Raise FileError if a file exists that may not be replaced, or is none, such as a folder or a pipe."""
    if file.exists() and not file.is_file():
        raise FileError(f"{file} is no regular file. Choose another --output.")
    if file.exists() and not force:
        raise FileError(f"{file} exists. Choose another --output, or add --force to replace it.")


def read_record_beside(csv: Path) -> JsonObject:
    """Return the record in the JSON beside a CSV; empty where there is no such file, or it holds no object.

    What is in it is not looked at: validation.record does that.

    Raises:
        FileError: the file can't be read as JSON.
    """
    file = csv.with_suffix(".json")
    if not file.exists():
        return {}
    try:
        record = parse_json(file, read_bytes(file))
    except FileError as error:
        raise FileError(f"{error} Remove the JSON or restore it.") from error
    return record if isinstance(record, dict) else {}


def write_file(file: Path, content: str | bytes) -> None:
    """Write a file in one step; raises FileError, and what was there before is left as it was."""
    temporary = _write_temporary(file, content)
    try:
        _put_in_place(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _put_in_place(temporary: Path, file: Path) -> None:
    try:
        os.replace(temporary, file)
    except OSError as error:
        raise _cannot_write(file, error) from error


def _write_temporary(file: Path, content: str | bytes) -> Path:
    """Write a file beside its place and return where; raises FileError."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}{_TEMPORARY}")
    try:
        with temporary.open("xb") as out:
            out.write(content.encode() if isinstance(content, str) else content)
            out.flush()
            os.fsync(out.fileno())
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise _cannot_write(file, error) from error
        raise
    return temporary


def _cannot_write(file: Path, error: OSError) -> FileError:
    if isinstance(error, FileNotFoundError):
        return FileError(f"can't write {file}: there is no folder {file.parent}. Make it, or choose another --output.")
    return FileError(f"can't write {file}: {error.strerror}. Free some space or choose another --output.")


def read_rows(path: Path, data: bytes | None = None) -> list[Row]:
    """Read the rows of a result CSV, or of the bytes that it holds, if they were read already.

    Raises:
        FileError: the file is missing, is not a bandmark result, is truncated or comes from a newer version.
    """
    sheet = read_sheet(path, data)
    return [_row(path, number, sheet.header, cells) for number, cells in sheet.lines]


def _row(path: Path, number: int, header: list[str], cells: list[str]) -> Row:
    if len(cells) != len(header):
        raise FileError(f"{path}, line {number}: {len(cells)} cells, but the header has {len(header)}.")
    named = dict(zip(header, cells, strict=True))
    if named["schema"].isdecimal() and int(named["schema"]) > SCHEMA:
        raise FileError(
            f"{path}, line {number}: schema {named['schema']} is newer than this version's {SCHEMA}; update bandmark."
        )
    try:
        return from_cells(named)
    except ValueError as error:
        raise FileError(f"{path}, line {number}: {error}.") from error


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
        return read_rows(self.path, f"{to_csv([])}{self.lines}".encode())


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
    return to_csv([]) + "".join(run.lines for run in runs)


def _runs_in(path: Path) -> Iterator[StoredRun]:
    """Yield the runs of a file; raises FileError if a case is in it twice, or a formula."""
    by_id: dict[str, dict[CaseId, Row]] = {}
    for row in read_rows(path):
        if by_id.setdefault(row.run_id, {}).setdefault(CaseId.of(row), row) is not row:
            raise FileError(f"{path} holds {_label(row)} twice; `bandmark validate` names the lines.")
        _refuse_formulas(path, row)
    for run_id, cases in by_id.items():
        yield StoredRun(run_id, path, len(cases), to_csv(cases.values()).removeprefix(to_csv([])))


def _refuse_formulas(path: Path, row: Row) -> None:
    """Raise FileError if a cell would run as a formula in the spreadsheet that opens the merged table."""
    for name, value in ((column.name, row.get(column.name)) for column in columns() if column.type == "str"):
        if value and value[0] in FORMULAS:
            raise FileError(
                f"{path}: {name} of {_label(row)} is {quote(value)}, which a spreadsheet takes for a formula. "
                "Leave the file out."
            )


def _refuse_clash(first: StoredRun, other: StoredRun) -> None:
    """Raise FileError unless two files have the same rows of a run, in whatever order."""
    mine, theirs = ({CaseId.of(row): row for row in run.rows()} for run in (first, other))
    for case, row in (mine | theirs).items():
        if case not in mine or case not in theirs:
            has, lacks = (first, other) if case in mine else (other, first)
            raise FileError(f"{has.path} has {_label(row)} and {lacks.path} has not. Leave one of the files out.")
        for name in (column.name for column in columns() if mine[case].get(column.name) != row.get(column.name)):
            raise FileError(
                f"{first.path} and {other.path} clash: {name} of {_label(row)} is {mine[case].get(name)} in the one "
                f"and {row.get(name)} in the other. Leave one of the files out."
            )


def _label(row: Row) -> str:
    return f"{CaseId.of(row).label} of run {row.run_id}"
