"""Read files that people give: regular files of a sensible size, as text, as JSON and as CSV.

Whatever is wrong with a file as such is a FileError; what is wrong in it is a Violation, which names place, value and
expected value.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bandmark.errors import FileError, UsageError
from bandmark.results.row import columns
from bandmark.units import printable, quote

_MAX_BYTES = 256 * 2**20
"""Bytes of a file that is read; 10,000 merged runs have less."""

_MAX_DIGITS = 20
"""Digits of a whole number in JSON: more than any count, time or size has."""

FORMULAS = "=+-@\t\r"
"""Characters with which a spreadsheet lets a formula begin; no text in a result begins with one of them (OWASP, CSV
Injection)."""

JsonObject = dict[str, Any]
"""An object of JSON: texts, numbers, lists and objects by name."""

AS_WRITTEN = "take the file as bandmark wrote it, which is plain UTF-8 text"


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


def read_bytes(path: Path) -> bytes:
    """Return what a regular file holds; raises FileError, also for pipes, devices, folders and huge files."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"can't read {_name(path)}: it is no regular file.")
        if status.st_size > _MAX_BYTES:
            raise FileError(f"can't read {_name(path)}: it has {status.st_size} bytes, and no result has {_MAX_BYTES}.")
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"can't read {_name(path)}: {error.strerror}.") from error
    except ValueError as error:  # a name with a NUL in it
        raise FileError(f"can't read {quote(str(path))}: {error}.") from error


def _name(path: Path) -> str:
    return printable(str(path))


def decode(path: Path, data: bytes) -> str:
    """Return bytes as text; raises InvalidFile."""
    if not data:
        raise InvalidFile(Violation(path, "the file is empty", "copy it again"))
    if data.startswith(codecs.BOM_UTF8):
        raise InvalidFile(Violation(path, "a byte order mark, as Windows programs write it", AS_WRITTEN, line=1))
    if 0 in data:
        raise InvalidFile(Violation(path, f"a byte 0 at {data.index(0)}: binary data, or another encoding", AS_WRITTEN))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidFile(Violation(path, f"byte {error.start} is not UTF-8 text", AS_WRITTEN, line=line)) from error


def parse_json(path: Path, data: bytes) -> Any:
    """Return the value that a JSON file holds; raises InvalidFile, also for what Python's parser takes beyond JSON."""
    text = decode(path, data)
    try:
        return json.loads(text, parse_constant=_constant, parse_int=_whole, object_pairs_hook=_object)
    except RecursionError as error:
        raise InvalidFile(Violation(path, "nested too deeply", "a result has few levels")) from error
    except json.JSONDecodeError as error:
        wanted = "the JSON is truncated or was edited: copy it again"
        raise InvalidFile(Violation(path, error.msg, wanted, line=error.lineno)) from error
    except ValueError as error:
        raise InvalidFile(Violation(path, str(error), "take the JSON as it was written")) from error


def _constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a whole number of {len(text)} digits")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    known: JsonObject = {}
    for name, value in pairs:
        if name in known:
            raise ValueError(f"the key {quote(name)} stands there twice")
        known[name] = value
    return known


def result_files(paths: Iterable[Path], suffixes: tuple[str, ...] = (".csv",)) -> list[Path]:
    """Return the files with these suffixes among paths and below folders, each once; hidden ones are left out.

    Raises:
        UsageError: a path does not exist, or a folder holds no such file.
        FileError: a folder can't be read.
    """
    files: dict[Path, None] = {}
    for path in paths:
        if not os.path.lexists(path):
            raise UsageError(f"{_name(path)} does not exist; name result CSVs, or folders that hold some.")
        below = sorted(p for p in walk(path) if p.suffix in suffixes) if path.is_dir() else [path]
        if not below:
            raise UsageError(f"{_name(path)} holds no result files (*.csv).")
        files |= dict.fromkeys(below)
    return list(files)


def walk(folder: Path, *, hidden: bool = False) -> Iterator[Path]:
    """Yield the files below a folder, and on demand the hidden ones and links to folders.

    Raises:
        FileError: a folder can't be read.
    """

    def refuse(error: OSError) -> None:
        raise FileError(f"can't read the folder {printable(str(error.filename))}: {error.strerror}.") from error

    def is_seen(name: str) -> bool:
        return hidden or not name.startswith(".")

    for place, folders, names in os.walk(folder, onerror=refuse):
        links = [name for name in folders if hidden and Path(place, name).is_symlink()]
        folders[:] = sorted(name for name in folders if name != ".git" and is_seen(name))
        yield from (Path(place, name) for name in sorted(filter(is_seen, [*names, *links])))


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
    lines = _split(path, text)
    header = lines[0][1] if lines else []
    if missing := [c.name for c in columns() if c.required and c.name not in header]:
        lacks = ", ".join(missing[:4]) + (" and others" if len(missing) > 4 else "")
        found = f"{quote(','.join(header))} is not a bandmark result"
        raise _violation(path, found, f"its first line lacks the columns {lacks}", 1)
    if not text.endswith("\n"):
        raise _violation(path, "its last line has no end", "the file is truncated: copy it again", lines[-1][0])
    return Sheet(path, text, header, lines[1:])


def _split(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """Return the cells of each line of a CSV with the line on which they begin; raises InvalidFile."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[tuple[int, list[str]]] = []
    try:
        begin = 1
        for cells in reader:
            if not cells:
                raise _violation(path, "an empty line", AS_WRITTEN, begin)
            lines.append((begin, cells))
            begin = reader.line_num + 1
    except csv.Error as error:
        found = "a quoted cell that never ends" if "unexpected end" in str(error) else str(error)
        raise _violation(
            path, found, "a result has RFC 4180 quoting; is the file truncated?", reader.line_num
        ) from error
    return lines


def _violation(path: Path, found: str, wanted: str, line: int | None = None) -> InvalidFile:
    return InvalidFile(Violation(file=path, line=line, found=found, wanted=wanted))
