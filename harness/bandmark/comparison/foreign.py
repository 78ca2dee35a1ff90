"""What do other tools' results say in our terms? STREAM's text and BabelStream's CSV.

The JSON of others is read by bandmark.comparison.foreign_json.

STREAM 5.10 (stream.c) prints `1.0E-06 * bytes / mintime`: MB are 10^6 bytes, and the time is the shortest. BabelStream
5.0 (src/main.cpp, src/benchmark.h, src/Unit.h) prints max_<unit>_per_sec, weight * sizeof * n_elements over
min_runtime, with the unit in the column's name. Both count each element read or written once, as we do, so their
figures are our best_gbs. The first iteration is left out by both.
"""

from __future__ import annotations

import csv
import re
from itertools import pairwise
from pathlib import Path

from bandmark.comparison.figures import Figure, Run
from bandmark.comparison.foreign_json import read_json
from bandmark.errors import FileError
from bandmark_kernels import DTYPES, KERNELS, Shape

OUR_NAMES = {"copy": "copy", "mul": "scale", "scale": "scale", "add": "add", "triad": "triad", "dot": "dot"} | {
    "nstream": "nstream"
}
"""Kernels of STREAM and BabelStream, in lower case, and what they are called here."""

BY_SIZE = {8: "float64", 4: "float32", 2: "float16"}

UNITS = {"mbytes": 1e6, "mb": 1e6, "gb": 1e9, "tb": 1e12, "mib": 2**20, "mibytes": 2**20, "gib": 2**30, "tib": 2**40}
"""Bytes of the units in BabelStream's column max_..._per_sec, in lower case."""

AGREEMENT = 0.01
"""Relative difference up to which a printed bandwidth agrees with its printed time; both have few digits."""

LARGEST = 64 * 2**20
"""Bytes up to which a file may be another tool's result; no such file is larger than a few megabytes."""

_STREAM_HEADER = re.compile(r"^Function\s+(?:Best )?Rate \(?MB/s", re.MULTILINE)
_STREAM_LINE = re.compile(r"^(Copy|Scale|Add|Triad):\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)", re.MULTILINE)
_BABEL_HEADER = re.compile(r"^function,num_times,n_elements,sizeof,max_(\w+)_per_sec,min_runtime\b.*$", re.MULTILINE)
_BABEL_DEVICE = re.compile(r'^(?:CUDA Device \d+: "([^"]+)".*|Using (?:\w+ )?device:? (.+))$', re.MULTILINE)


def read_foreign(file: Path) -> list[Run]:
    """Read another tool's result; empty where the file is none that is known.

    Several outputs in one file, one after the other, are several runs.

    Raises:
        FileError: the file can't be read, or is such a tool's result and damaged.
    """
    try:
        if file.stat().st_size > LARGEST:
            return []
        text = file.read_bytes().decode("utf-8", errors="replace").replace("\r\n", "\n")
    except OSError as error:
        raise FileError(f"can't read {file}: {error.strerror}.") from error
    if text.lstrip()[:1] == "{":
        return [read_json(file, text)]
    for header, read in ((_STREAM_HEADER, _stream), (_BABEL_HEADER, _babelstream)):
        starts = [match.start() for match in header.finditer(text)]
        # What stands before a header (sizes, the device) belongs to it, so a run reaches from header to header.
        edges = [0, *[_end_of_table(text, start) for start in starts]]
        if starts:
            parts = [text[a:b] for a, b in pairwise(edges)]
            return [read(file, part, f"{file.name}#{i}" if i > 1 else file.name) for i, part in enumerate(parts, 1)]
    return []


def _end_of_table(text: str, header: int) -> int:
    """Return where the lines that belong to a header end: the next start of an output, or the end of the text."""
    following = re.compile(r"^(?:STREAM version|BabelStream$|CUDA Driver:|Using |function,num_times)", re.MULTILINE)
    match = following.search(text, header + 1)
    return match.start() if match else len(text)


def _stream(file: Path, text: str, name: str) -> Run:
    lines = _STREAM_LINE.findall(text)
    if not lines:
        raise FileError(f"{file} looks like STREAM's output, but its table has no line such as `Copy: 29330.4 ...`.")
    size = re.search(r"uses (\d+) bytes per (?:array element|DOUBLE PRECISION word)", text)
    elements = re.search(r"Array size = (\d+)", text)
    dtype = BY_SIZE.get(int(size[1])) if size else "float64"
    notes = ["STREAM's best rate (bytes / shortest time, MB of 10^6 bytes) is compared with our best"]
    if size is None:
        notes.append("the size of its elements is not stated: 8 bytes, STREAM's default, are assumed")
    doubts = ("STREAM says `Failed Validation`: its result is wrong",) if "Failed Validation" in text else ()
    figures = tuple(
        Figure(
            backend=None,
            kernel=OUR_NAMES[kernel.lower()],
            dtype=dtype,
            n=int(elements[1]) if elements else None,
            best_gbs=float(rate) * 1e6 / 1e9,
            doubts=doubts,
        )
        for kernel, rate, *_ in lines
    )
    return Run(name=name, figures=figures, tool="STREAM", notes=tuple(notes))


def _babelstream(file: Path, text: str, name: str) -> Run:
    header = _BABEL_HEADER.search(text)
    assert header is not None
    unit = UNITS.get(header[1].lower())
    if unit is None:
        raise FileError(f"{file}: BabelStream's column max_{header[1]}_per_sec has a unit that is not known.")
    device = _BABEL_DEVICE.search(text)
    rows = csv.DictReader(text[header.start() :].splitlines())
    figures = tuple(_babel_figure(file, row, unit) for row in rows if row["function"].lower() in OUR_NAMES)
    if not figures:
        raise FileError(f"{file} has BabelStream's header and no line of a kernel after it; it is truncated.")
    return Run(
        name=name,
        figures=figures,
        tool="BabelStream",
        device=(device[1] or device[2]) if device else None,
        notes=("BabelStream's figures (bytes / shortest time) are compared with our best",),
    )


def _babel_figure(file: Path, row: dict[str, str], unit: float) -> Figure:
    kernel = OUR_NAMES[row["function"].lower()]
    try:
        n, size, shortest = int(row["n_elements"]), int(row["sizeof"]), float(row["min_runtime"])
        printed = float(next(text for name, text in row.items() if name.startswith("max_"))) * unit / 1e9
        dtype = DTYPES[BY_SIZE[size]]
        moved = KERNELS[kernel].bytes_read(Shape(n), dtype) + KERNELS[kernel].bytes_written(Shape(n), dtype)
        gbs = moved / shortest / 1e9
        agrees = abs(gbs / printed - 1) <= AGREEMENT
    except (ValueError, TypeError, KeyError, ZeroDivisionError) as error:
        raise FileError(f"{file}: BabelStream's line for {row['function']} is damaged ({error}).") from error
    if not agrees:
        raise FileError(
            f"{file}: {row['function']} says {printed:.6g} GB/s, but {moved} bytes in {shortest} s are {gbs:.6g} GB/s."
        )
    return Figure(backend=None, kernel=kernel, dtype=dtype.name, n=n, best_gbs=gbs)
