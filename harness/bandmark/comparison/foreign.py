"""Read the text of STREAM and the CSV of BabelStream.

STREAM 5.10 (stream.c) prints `1.0E-06 * bytes / mintime`: MB are 10^6 bytes, and the time is the shortest. BabelStream
5.0 (src/main.cpp, src/benchmark.h, src/Unit.h) prints max_<unit>_per_sec, weight * sizeof * n_elements over
min_runtime, with the unit in the column's name. Both count each element read or written once, as bandmark does, so
their figures are compared with its best. The first iteration is left out by both.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bandmark.comparison.figures import Figure, Run
from bandmark.errors import FileError
from bandmark.results.faults import quote
from bandmark_kernels import DTYPES, KERNELS, Shape

_KERNEL_NAMES = {"copy": "copy", "mul": "scale", "scale": "scale", "add": "add", "triad": "triad", "dot": "dot"} | {
    "nstream": "nstream"
}
"""Kernels of STREAM and BabelStream, in lower case, and what bandmark calls them."""

_DTYPES_BY_SIZE = {8: "float64", 4: "float32", 2: "float16"}

_UNITS = {"mbytes": 1e6, "mb": 1e6, "gb": 1e9, "tb": 1e12, "mib": 2**20, "mibytes": 2**20, "gib": 2**30, "tib": 2**40}
"""Bytes of the units in BabelStream's column max_..._per_sec, in lower case."""

AGREEMENT = 0.01
"""Relative difference up to which a printed bandwidth, or declared bytes, agree with those that are computed."""

_STREAM_HEADER = re.compile(r"^Function\s+(?:Best )?Rate \(?MB/s", re.MULTILINE)
_STREAM_LINE = re.compile(r"^(Copy|Scale|Add|Triad):(.*)$", re.MULTILINE)
_BABEL_HEADER = re.compile(r"^function,num_times,n_elements,sizeof,max_(\w+)_per_sec,min_runtime\b.*$", re.MULTILINE)
_BABEL_DEVICE = re.compile(r'^(?:CUDA Device \d+: "([^"]+)".*|Using (?:\w+ )?device:? (.+))$', re.MULTILINE)
_OUTPUT_START = re.compile(r"^(?:STREAM version|BabelStream$|CUDA Driver:|Using |function,num_times)", re.MULTILINE)


def positive_number(value: object) -> float:
    """Return a value of another tool as a finite number above zero; raises ValueError that says what stands there."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"{quote(value)} where a number above zero should be")
    return number


def positive_count(value: object) -> int:
    """Return a value of another tool as a whole number above zero; raises ValueError that says what stands there."""
    number = positive_number(value)
    if number != int(number) or number >= 2**63:
        raise ValueError(f"{quote(value)} where a number of elements or bytes should be")
    return int(number)


def bytes_moved(kernel: str, dtype: str, n: int) -> int:
    """Return the bytes that a launch of a vector kernel reads and writes, by bandmark's count."""
    shape, number = Shape(n), DTYPES[dtype]
    return KERNELS[kernel].bytes_read(shape, number) + KERNELS[kernel].bytes_written(shape, number)


def read_text(file: Path, text: str) -> list[Run]:
    """Return the runs in the text of STREAM or BabelStream; empty where it is neither's.

    Raises:
        FileError: it is such a tool's result and damaged.
    """
    for tool in _TOOLS:
        starts = [match.start() for match in tool.header.finditer(text)]
        # What stands before a header (sizes, the device) belongs to it, so a run reaches from header to header.
        edges = [0, *[_end_of_output(text, start) for start in starts]]
        parts = [text[a:b] for a, b in pairwise(edges)]
        if parts:
            return [_read(tool, file, part, i) for i, part in enumerate(parts, 1)]
    return []


def _end_of_output(text: str, header: int) -> int:
    """Return where the lines that belong to a header end: the next start of an output, or the end of the text."""
    match = _OUTPUT_START.search(text, header + 1)
    return match.start() if match else len(text)


def _read(tool: _Tool, file: Path, text: str, number: int) -> Run:
    try:
        figures, notes = tool.read(text)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise FileError(f"{file}: the output of {tool.name} is damaged: {error}.") from error
    if not figures:
        raise FileError(f"{file} has the header of {tool.name} and no line of a kernel after it; it is truncated.")
    failed = tool.failure in text
    doubts = (f"{tool.name} says `{tool.failure}`: its result is wrong",) if failed else ()
    device = _BABEL_DEVICE.search(text)
    return Run(
        name=f"{file.name}#{number}" if number > 1 else file.name,
        figures=tuple(Figure(case=case, best=best, doubts=doubts) for case, best in figures),
        tool=tool.name,
        device=(device[1] or device[2]) if device else None,
        kind="gpu" if device and "CUDA" in device[0] else None,
        notes=tuple(notes),
    )


_Figures = list[tuple[dict[str, str | int | None], float]]
"""What identifies a case, and its bandwidth by the shortest time in GB/s."""


def _stream(text: str) -> tuple[_Figures, list[str]]:
    size = re.search(r"uses (\d+) bytes per (?:array element|DOUBLE PRECISION word)", text)
    elements = re.search(r"Array size = (\d+)", text)
    dtype = _DTYPES_BY_SIZE.get(positive_count(size[1])) if size else "float64"
    n = positive_count(elements[1]) if elements else None
    notes = ["STREAM's best rate (bytes / shortest time, MB of 10^6 bytes) is compared with our best"]
    if size is None:
        notes.append("the size of its elements is not stated: 8 bytes, STREAM's default, are assumed")
    figures: _Figures = []
    for kernel, line in _STREAM_LINE.findall(text):
        fields = line.split()
        if len(fields) != 4:
            raise ValueError(f"{kernel} has {len(fields)} figures where a rate and three times should be")
        case = {"kernel": _KERNEL_NAMES[kernel.lower()], "dtype": dtype, "n": n}
        figures.append((case, positive_number(fields[0]) * 1e6 / 1e9))
    return figures, notes


def _babelstream(text: str) -> tuple[_Figures, list[str]]:
    header = _BABEL_HEADER.search(text)
    assert header is not None
    unit = _UNITS.get(header[1].lower())
    if unit is None:
        raise ValueError(f"the column max_{header[1]}_per_sec has a unit that is not known")
    rows = csv.DictReader(text[header.start() :].splitlines())
    figures = [_babelstream_figure(row, unit) for row in rows if (row["function"] or "").lower() in _KERNEL_NAMES]
    return figures, ["BabelStream's figures (bytes / shortest time) are compared with our best"]


def _babelstream_figure(row: dict[str, str], unit: float) -> tuple[dict[str, str | int | None], float]:
    """Return the figure of a line, computed from its time, which has more digits than its bandwidth."""
    name = row["function"]
    try:
        n, size = positive_count(row["n_elements"]), positive_count(row["sizeof"])
        shortest = positive_number(row["min_runtime"])
        printed = positive_number(next(text for column, text in row.items() if column.startswith("max_")))
        if size not in _DTYPES_BY_SIZE:
            raise ValueError(f"elements of {size} bytes where 8, 4 or 2 should be")
    except ValueError as error:
        raise ValueError(f"{name} has {error}") from None
    kernel, dtype = _KERNEL_NAMES[name.lower()], _DTYPES_BY_SIZE[size]
    moved = bytes_moved(kernel, dtype, n)
    gbs, printed_gbs = moved / shortest / 1e9, printed * unit / 1e9
    if abs(gbs / printed_gbs - 1) > AGREEMENT:
        raise ValueError(f"{name} says {printed_gbs:.6g} GB/s, but {moved} bytes in {shortest} s are {gbs:.6g} GB/s")
    return {"kernel": kernel, "dtype": dtype, "n": n}, gbs


@dataclass(frozen=True, slots=True)
class _Tool:
    """A tool whose results are text."""

    name: str
    header: re.Pattern[str]
    """The heading of its table."""
    failure: str
    """What it prints if its results are wrong."""
    read: Callable[[str], tuple[_Figures, list[str]]]
    """Reads one output: its figures, and notes on how they were converted."""


_TOOLS = (
    _Tool("STREAM", _STREAM_HEADER, "Failed Validation", _stream),
    _Tool("BabelStream", _BABEL_HEADER, "Validation failed", _babelstream),
)
