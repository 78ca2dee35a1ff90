"""Write runs to files and read them back: one CSV and one JSON of the same stem per run."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from glob import escape as glob_escape
from pathlib import Path

from bandmark.errors import FileError
from bandmark.results.reading import JsonObject, parse_json, read_bytes, read_sheet
from bandmark.results.row import SCHEMA, Row, columns, from_cells, to_cells
from bandmark.units import json_text

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
        if path.suffix != ".csv":
            raise FileError(f"--output {path} must end in .csv (the JSON gets the same name), or be - for stdout.")
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


def refuse_existing(file: Path, *, force: bool) -> None:
    """Raise FileError if a file exists that may not be replaced."""
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
    temporary = ""
    try:
        prefix = f".{file.name}."
        with tempfile.NamedTemporaryFile("wb", dir=file.parent, prefix=prefix, suffix=_TEMPORARY, delete=False) as out:
            temporary = out.name
            out.write(content.encode() if isinstance(content, str) else content)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
    except BaseException as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _cannot_write(file, error) from error
        raise
    return Path(temporary)


def _cannot_write(file: Path, error: OSError) -> FileError:
    if isinstance(error, FileNotFoundError):
        return FileError(f"can't write {file}: there is no folder {file.parent}. Make it, or choose another --output.")
    return FileError(f"can't write {file}: {error.strerror}. Free some space or choose another --output.")


def _umask() -> int:
    """Return the process's umask: temporary files are made private, results need not be."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


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
