"""How do runs get into files and back? One CSV and one JSON of the same stem per run."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bandmark.errors import FileError
from bandmark.record import SCHEMA, Result, columns, from_cells, to_cells
from bandmark_kernels import DTYPES, KERNELS


def to_csv(rows: Iterable[Result]) -> str:
    """Write rows as CSV text (RFC 4180 quoting, LF line ends), in the order given."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [c.name for c in columns()], lineterminator="\n")
    writer.writeheader()
    writer.writerows(to_cells(row) for row in rows)
    return text.getvalue()


def in_order(rows: Iterable[Result]) -> list[Result]:
    """Sort rows by the kernel table, then by dtype, backend, variant and size."""
    kernels, dtypes = list(KERNELS), list(DTYPES)

    def place(row: Result) -> tuple[Any, ...]:
        kernel = kernels.index(row.kernel) if row.kernel in kernels else len(kernels)
        dtype = dtypes.index(row.dtype) if row.dtype in dtypes else len(dtypes)
        return (row.run_id, kernel, row.kernel, dtype, row.backend, row.variant or "", row.n_elements or 0)

    return sorted(rows, key=place)


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
            if file.exists() and not force:
                raise FileError(f"{file} exists. Choose another --output, or add --force to replace it.")
        self._write(self.csv, to_csv([]))

    def save(self, rows: Sequence[Result], record: dict[str, Any]) -> None:
        """Replace both files by these contents, each in one step; raises FileError, leaving the old contents."""
        self._write(self.csv, to_csv(rows))
        self._write(self.json, json.dumps(record, indent=1, allow_nan=False) + "\n")

    def discard_if_empty(self) -> None:
        """Remove the claimed files of a run that never measured anything."""
        if not self.json.exists():
            self.csv.unlink(missing_ok=True)

    def _write(self, file: Path, text: str) -> None:
        temporary = ""
        try:
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", newline="", dir=file.parent, prefix=f".{file.stem}.", delete=False
            ) as out:
                temporary = out.name
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, file)
        except OSError as error:
            if temporary:
                Path(temporary).unlink(missing_ok=True)
            raise FileError(
                f"can't write {file}: {error.strerror}. Free some space or choose another --output."
            ) from error


def _umask() -> int:
    """Return the process's umask: temporary files are made private, results need not be."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_rows(path: Path) -> list[Result]:
    """Read the rows of a result CSV.

    Raises:
        FileError: the file is missing, is not a bandmark result, is truncated or comes from a newer version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not UTF-8 text (byte {error.start}); it is no bandmark result.") from error
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}.") from error
    rows = list(csv.reader(io.StringIO(text)))
    header = rows[0] if rows else []
    required = [c.name for c in columns() if c.required]
    if missing := [name for name in required if name not in header]:
        raise FileError(f"{path} is not a bandmark result: its first line lacks the columns {', '.join(missing[:4])}.")
    if not text.endswith("\n"):
        raise FileError(f"{path} is truncated: its last line has no end.")
    return [_row(path, number, header, cells) for number, cells in enumerate(rows[1:], start=2)]


def _row(path: Path, number: int, header: list[str], cells: list[str]) -> Result:
    if len(cells) != len(header):
        raise FileError(f"{path}, line {number}: {len(cells)} cells, but the header has {len(header)}.")
    named = dict(zip(header, cells, strict=True))
    if named["schema"].isdigit() and int(named["schema"]) > SCHEMA:
        raise FileError(
            f"{path}, line {number}: schema {named['schema']} is newer than this version's {SCHEMA}; update bandmark."
        )
    try:
        return from_cells(named)
    except ValueError as error:
        raise FileError(f"{path}, line {number}: {error}.") from error
