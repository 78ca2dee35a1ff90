"""Write runs to files and read them back: one CSV and one JSON of the same stem per run."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bandmark.errors import FileError
from bandmark.results.row import SCHEMA, Row, columns, from_cells, to_cells
from bandmark.results.sheet import read_sheet


def to_csv(rows: Iterable[Row]) -> str:
    """Write rows as CSV text (RFC 4180 quoting, LF line ends), in the order given."""
    lines = [[c.name for c in columns()], *(list(to_cells(row).values()) for row in rows)]
    return "".join(",".join(map(_quoted, cells)) + "\n" for cells in lines)


def _quoted(cell: str) -> str:
    """Quote a cell where it must be; Python's csv.writer leaves a lone carriage return as it is."""
    return '"' + cell.replace('"', '""') + '"' if any(c in cell for c in ',"\r\n') else cell


class RunFiles:
    """The CSV and the JSON of one run, rewritten atomically as the run goes."""

    def __init__(self, path: Path, *, force: bool = False) -> None:
        """Claim the files before anything is measured.

        Raises:
            FileError: one of them exists (without force), or they can't be written.
        """
        if path.suffix != ".csv":
            raise FileError(f"--output {path} must end in .csv (the JSON gets the same name), or be - for stdout.")
        self.csv = path
        self.json = path.with_suffix(".json")
        for file in (self.csv, self.json):
            refuse_existing(file, force=force)
        # Files that --force replaces stay as they are until there is something to replace them with.
        self._claimed = not self.csv.exists()
        write_file(self.csv, to_csv([]), replace=self._claimed)

    def save(self, rows: Sequence[Row], record: dict[str, Any]) -> None:
        """Replace both files by these contents, each in one step; raises FileError, leaving the old contents."""
        write_file(self.csv, to_csv(rows))
        self._claimed = False
        write_file(self.json, json.dumps(record, indent=1, allow_nan=False) + "\n")

    def discard_if_empty(self) -> None:
        """Remove the claimed file of a run that never measured anything."""
        if self._claimed:
            self.csv.unlink(missing_ok=True)


def refuse_existing(file: Path, *, force: bool) -> None:
    """Raise FileError if a file exists that may not be replaced."""
    if file.exists() and not force:
        raise FileError(f"{file} exists. Choose another --output, or add --force to replace it.")


def read_record_beside(csv: Path) -> dict[str, Any]:
    """Return the record in the JSON beside a CSV; empty where there is no such file, or it holds no object.

    What is in it is not looked at: validation.record does that.

    Raises:
        FileError: the file can't be read as JSON.
    """
    file = csv.with_suffix(".json")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"{file} can't be read as the JSON of its run: {error}. Remove it or restore it.") from error
    return record if isinstance(record, dict) else {}


def write_file(file: Path, content: str | bytes, *, replace: bool = True) -> None:
    """Write a file in one step; without replace, only find out that this would work.

    Raises:
        FileError: it can't be written; what was there before is left as it was.
    """
    temporary = ""
    try:
        with tempfile.NamedTemporaryFile("wb", dir=file.parent, prefix=f".{file.stem}.", delete=False) as out:
            temporary = out.name
            out.write(content.encode() if isinstance(content, str) else content)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        if replace:
            os.replace(temporary, file)
    except OSError as error:
        raise FileError(f"can't write {file}: {error.strerror}. Free some space or choose another --output.") from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    """Return the process's umask: temporary files are made private, results need not be."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a result CSV.

    Raises:
        FileError: the file is missing, is not a bandmark result, is truncated or comes from a newer version.
    """
    sheet = read_sheet(path)
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
