"""The way into files that people give: regular files of a sensible size, as text and as JSON.

Everything that is wrong with a file as such becomes a FileError or a InvalidFile here, whatever the file is.
"""

from __future__ import annotations

import codecs
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bandmark.errors import FileError, UsageError
from bandmark.results.violations import InvalidFile, Violation
from bandmark.units import printable, quote

_MAX_BYTES = 256 * 2**20
"""Bytes of a file that is read; 10,000 merged runs have less."""

_MAX_DIGITS = 20
"""Digits of a whole number in JSON: more than any count, time or size has."""

AS_WRITTEN = "take the file as bandmark wrote it, which is plain UTF-8 text"


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
        raise InvalidFile(Violation(path, "nested too deeply", "a run record has five levels")) from error
    except json.JSONDecodeError as error:
        wanted = "the JSON is truncated or was edited: copy it again"
        raise InvalidFile(Violation(path, error.msg, wanted, line=error.lineno)) from error
    except ValueError as error:
        raise InvalidFile(Violation(path, str(error), "take the JSON as bandmark wrote it")) from error


def _constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a whole number of {len(text)} digits")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known: dict[str, Any] = {}
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


def walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, hidden ones left out; raises FileError for a folder that can't be read."""

    def refuse(error: OSError) -> None:
        raise FileError(f"can't read the folder {printable(str(error.filename))}: {error.strerror}.") from error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))
