"""Read the results of STREAM, BabelStream, nvbandwidth and NVBench.

STREAM 5.10 (stream.c) prints `1.0E-06 * bytes / mintime`: MB are 10^6 bytes, and the time is the shortest, as it is in
BabelStream 5.0 (src/main.cpp): both are compared with the best. nvbandwidth 0.8 (json_output.cpp, memcpy.cpp) prints,
for device_local_copy, the size of the buffer over the median time: a copy counts once, so it is doubled. NVBench
(json_printer.cu and measure_cold.cu, file version 1) declares its own bytes per second of the *mean* time; where the
file has the median, that is taken.
"""

from __future__ import annotations

import codecs
import csv
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from bandmark.comparison import Figure, Run
from bandmark.errors import FileError
from bandmark.results.reading import parse_json, read_bytes
from bandmark.units import quote
from bandmark_kernels import DTYPES, KERNELS, Shape

_KERNEL_NAMES = {name: name for name in KERNELS} | {"mul": "scale", "fill": "write"}
"""Names of kernels in other tools, in lower case, and what bandmark calls them."""

_DTYPES_BY_SIZE = {8: "float64", 4: "float32", 2: "float16"}
_DTYPE_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"} | {
    "double": "float64",
    "float": "float32",
    "__half": "float16",
    "__nv_bfloat16": "bfloat16",
}
"""Values of NVBench's type axes."""

_SIZE_AXES = ("Elements", "NumElements", "elements", "n")  # of NVBench, that hold the number of elements
_SUMMARIES = (
    "bw/global/bytes_per_second",
    "sample_size",
    *[f"time/gpu/{name}" for name in ("mean", "median", "min", "stdev/relative")],
)
"""NVBench's summaries that are read, without the nv/cold before."""

_AGREEMENT = 0.01  # relative difference up to which the bytes that NVBench declares are those of the kernel

_MAX_GBS = 1e6
"""Above every bandwidth of a device, of its caches as well; registers of an H100 move less than 500,000 GB/s."""

_STREAM_KERNELS = ("Copy", "Scale", "Add", "Triad")
_OTHER_FORMS = {
    r"^Function\s+M?i?Bytes/sec": "BabelStream's table; run it with --csv, whose output has the sizes.",
    r"^nvbandwidth Version": "nvbandwidth's text; run it with --json.",
}
"""Outputs of tools that lack what a comparison needs, and what to do."""

_STREAM_HEADER = re.compile(r"^Function\s+(?:Best )?Rate \(?MB/s", re.MULTILINE)
_STREAM_LINE = re.compile(rf"^({'|'.join(_STREAM_KERNELS)}):(.*)$", re.MULTILINE)
_BABEL_HEADER = re.compile(r"^function,num_times,n_elements,sizeof,max_\w+_per_sec,min_runtime\b", re.MULTILINE)
_DEVICE = re.compile(r'^(?:CUDA Device \d+: "([^"]+)".*|Using (?:\w+ )?device:? (.+))$', re.MULTILINE)
_OUTPUT_START = re.compile(r"^(?:STREAM version|BabelStream$|CUDA Driver:|Using |function,num_times)", re.MULTILINE)
_FAILURE = re.compile(r"Failed Validation|Validation failed")


def read_foreign(file: Path) -> list[Run]:
    """Read another tool's result; empty where the file is none that is known.

    Several outputs in one file, one after the other, are several runs. Text before JSON is skipped.

    Raises:
        FileError: the file can't be read, or is such a tool's result and damaged.
    """
    text = _text(read_bytes(file))
    if '"nvbandwidth"' in text and (start := re.search(r"^[ \t]*\{", text, re.MULTILINE)):
        text = text[start.start() :]
    if text.lstrip()[:1] == "{":
        return [_read_json(file, text)]
    for tool, header, read in (("STREAM", _STREAM_HEADER, _stream), ("BabelStream", _BABEL_HEADER, _babelstream)):
        if outputs := _outputs(header, text):
            names = [file.name, *[f"{file.name}#{number}" for number in range(2, len(outputs) + 1)]]
            return [_read(file, tool, read, name, output) for name, output in zip(names, outputs, strict=True)]
    for form, remedy in _OTHER_FORMS.items():
        if re.search(form, text, re.MULTILINE):
            raise FileError(f"{file} is {remedy}")
    return []


def _text(data: bytes) -> str:
    """Return a file's text; Windows' shells write UTF-16 and a byte order mark."""
    is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if is_wide else "utf-8-sig", errors="replace").replace("\r\n", "\n")


def _outputs(header: re.Pattern[str], text: str) -> list[str]:
    """Return the outputs in a text, each with what stands before its header: sizes, the device."""
    starts = [*[match.start() for match in _OUTPUT_START.finditer(text)], len(text)]
    ends = [starts[bisect_right(starts, match.start())] for match in header.finditer(text)]
    return [text[a:b] for a, b in pairwise([0, *ends])]


def _read_json(file: Path, text: str) -> Run:
    root = parse_json(file, text.encode())
    if "nvbandwidth" in root:
        return _read(file, "nvbandwidth", _nvbandwidth, file.name, root["nvbandwidth"])
    if "benchmarks" in root:
        return _read(file, "NVBench", _nvbench, file.name, root)
    if "run_id" in root:
        raise FileError(f"{file} is the record of a run; name its table, {file.with_suffix('.csv').name}, instead.")
    raise FileError(f"{file} is neither nvbandwidth's nor NVBench's JSON.")


def _read(file: Path, tool: str, read: Callable[[str, Any], Run], name: str, output: Any) -> Run:
    try:
        return read(name, output)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, csv.Error) as error:
        text = str(error) if isinstance(error, ValueError) else f"it lacks a part ({type(error).__name__}: {error})"
        raise FileError(f"{file}: the output of {tool} can't be read: {text}.") from error


def _stream(name: str, text: str) -> Run:
    size = re.search(r"uses (\d+) bytes per (?:array element|DOUBLE PRECISION word)", text)
    elements = re.search(r"Array size = (\d+)", text)
    dtype = _DTYPES_BY_SIZE.get(_count(size[1])) if size else "float64"
    n = _count(elements[1]) if elements else None
    notes = ["STREAM's best rate (bytes / shortest time, MB of 10^6 bytes) is compared with our best"]
    if size is None:
        notes.append("the size of its elements is not stated: 8 bytes, STREAM's default, are assumed")
    figures = []
    lines = _STREAM_LINE.findall(text)
    for kernel, line in lines:
        fields = line.split()
        if len(fields) != 4:
            raise ValueError(f"{kernel} has {len(fields)} figures where a rate and three times should be")
        case = {"kernel": _KERNEL_NAMES[kernel.lower()], "dtype": dtype, "n": n}
        figures.append(Figure(case=case, best=_rate(_positive(fields[0]) / 1e3)))
    run = _text_run("STREAM", name, text, figures, notes)
    if missing := [kernel for kernel in _STREAM_KERNELS if kernel not in dict(lines)]:
        raise ValueError(f"it has no line of {' and '.join(missing)}, so it is truncated")
    return run


def _babelstream(name: str, text: str) -> Run:
    figures = []
    for row in csv.DictReader(text[text.index("function,num_times") :].splitlines()):
        kernel = _KERNEL_NAMES.get((row["function"] or "").lower())
        if kernel is None or KERNELS[kernel].is_matrix:
            continue
        n, size, shortest = _count(row["n_elements"]), _count(row["sizeof"]), _positive(row["min_runtime"])
        if size not in _DTYPES_BY_SIZE:
            raise ValueError(f"{row['function']} has elements of {size} bytes where 8, 4 or 2 should be")
        dtype = _DTYPES_BY_SIZE[size]
        case = {"kernel": kernel, "dtype": dtype, "n": n}
        figures.append(Figure(case=case, best=_rate(_bytes_moved(kernel, dtype, n) / shortest / 1e9)))
    notes = ["BabelStream's figures (bytes / shortest time) are compared with our best"]
    return _text_run("BabelStream", name, text, figures, notes)


def _text_run(tool: str, name: str, text: str, figures: Sequence[Figure], notes: Sequence[str]) -> Run:
    """Return the run of an output; where the tool found its own results to be wrong, all figures are in doubt."""
    if not figures:
        raise ValueError("it has no line of a kernel after its header, so it is truncated")
    [(case, count)] = Counter(tuple(figure.case.values()) for figure in figures).most_common(1)
    if count > 1:
        raise ValueError(f"{case[0]} stands there {count} times; give each output a file")
    if failure := _FAILURE.search(text):
        doubts = (f"{tool} says `{failure[0]}`: its result is wrong",)
        figures = [replace(figure, doubts=doubts) for figure in figures]
    match = _DEVICE.search(text)
    device, kind = (match[1] or match[2], "gpu" if "CUDA" in match[0] else None) if match else (None, None)
    return Run(name=name, figures=tuple(figures), tool=tool, device=device, kind=kind, notes=tuple(notes))


def _nvbandwidth(name: str, output: Any) -> Run:
    tests = {test["name"]: test for test in output.get("testcases", [])}
    if "device_local_copy" not in tests:
        raise ValueError("it has no device_local_copy; run `nvbandwidth -t device_local_copy --json`")
    test, case = tests["device_local_copy"], {"kernel": "copy"}
    rates = [_positive(cell) for row in test.get("bandwidth_matrix", []) for cell in row if cell != "N/A"]
    if test.get("status") != "Passed":
        figure = Figure(case=case, doubts=(f"nvbandwidth's status is {test.get('status')}",))
    elif rates:
        figure = Figure(case=case, value=_rate(2 * rates[0]))
    else:
        raise ValueError("device_local_copy passed, but has no figure")
    match = re.match(r"\d+: (.+?) \([\w:.]+\)", (output.get("GPU Device list") or [""])[0])
    device = match[1] if match else None
    notes = ("nvbandwidth counts a copy once: the first GPU's figure is doubled; its median is compared with ours",)
    return Run(name=name, figures=(figure,), tool="nvbandwidth", device=device, kind="gpu", notes=notes)


def _nvbench(name: str, root: Any) -> Run:
    notes = ["NVBench's figures by the median time are compared with ours"]
    states = _states(root, notes)
    figures = [figure for kernel, state in states if (figure := _nvbench_figure(kernel, state, notes))]
    if not figures:
        raise ValueError(f"it holds no result of our kernels with a byte count: {'; '.join(notes[1:])}")
    fastest: dict[tuple[Any, ...], Figure] = {}
    for figure in figures:
        case = (figure.key, figure.get("n"))
        fastest[case] = max(fastest.get(case, figure), figure, key=lambda figure: figure.value or 0)
    if len(fastest) < len(figures):
        notes.append("of several states of one case the fastest counts")
    names = {device["id"]: str(device["name"]) for device in root.get("devices") or []}
    device = names.get(states[0][1]["device"])
    unique = tuple(dict.fromkeys(notes))
    return Run(name=name, figures=tuple(fastest.values()), tool="NVBench", device=device, kind="gpu", notes=unique)


def _states(root: Any, notes: list[str]) -> list[tuple[str, Any]]:
    """Return the states that ran on the first device, each with bandmark's name of its kernel."""
    states: list[tuple[str, Any]] = []
    for bench in root["benchmarks"]:
        words = re.split(r"[^a-z0-9]+", bench["name"].lower())
        kernels = {_KERNEL_NAMES[word] for word in words if word in _KERNEL_NAMES}
        if len(kernels) == 1:
            states += [(*kernels, state) for state in bench["states"] if not state.get("is_skipped")]
        else:
            notes.append(f"benchmark {bench['name']!r} is left out: its name is not that of one of our kernels")
    on_first = [(kernel, state) for kernel, state in states if state["device"] == states[0][1]["device"]]
    if len(on_first) < len(states):
        notes.append(f"of its devices only number {states[0][1]['device']} is taken")
    return on_first


def _nvbench_figure(kernel: str, state: Any, notes: list[str]) -> Figure | None:
    """Return a state's figure, or None, with a note, if it lacks a dtype or a byte count."""
    dtype, n = _axes(state)
    rate, samples, mean, median, shortest, deviation = _summaries(state)
    if dtype is None or not mean or not rate:
        notes.append(f"{kernel} [{state['name']}] is left out: no type axis with one of our dtypes, or no byte count")
        return None
    if not median:
        notes.append("NVBench's file has no median: its mean is compared with our median")
    return Figure(
        case={"kernel": kernel, "dtype": dtype, "n": n},
        value=_rate(rate * mean / (median or mean) / 1e9),
        best=_rate(rate * mean / shortest / 1e9) if shortest else None,
        # The standard error of a median, as for normal noise.
        error=math.sqrt(math.pi / 2 / samples) * deviation if deviation and samples else None,
        doubts=_byte_doubts(kernel, dtype, n, rate * mean),
    )


def _axes(state: Any) -> tuple[str | None, int | None]:
    """Return the dtype and the number of elements of a state, None where its axes do not tell."""
    axes = {axis["name"].split("{")[0]: axis["value"] for axis in state.get("axis_values") or []}
    dtypes = [_DTYPE_NAMES[value] for value in axes.values() if value in _DTYPE_NAMES]
    n = next((_count(axes[name]) for name in _SIZE_AXES if name in axes), None)
    return dtypes[0] if len(dtypes) == 1 else None, n


def _summaries(state: Any) -> list[float | None]:
    """Return the summaries of a state that are read, which stand as text; None for none, zero and infinity."""
    data = {s["tag"]: d["value"] for s in state["summaries"] for d in s.get("data") or [] if d["name"] == "value"}
    values = [data.get(f"nv/cold/{tag}", 0) for tag in _SUMMARIES]
    return [None if str(value) in ("0", "0.0", "inf") else _positive(value) for value in values]


def _byte_doubts(kernel: str, dtype: str, n: int | None, declared: float) -> tuple[str, ...]:
    """Return the doubt about declared bytes that are not those of the kernel, where its size is known."""
    moved = None if n is None or KERNELS[kernel].is_matrix else _bytes_moved(kernel, dtype, n)
    if moved is None or abs(declared / moved - 1) <= _AGREEMENT:
        return ()
    return (f"NVBench's file declares {declared:.4g} bytes where {kernel} of {n} {dtype} moves {moved}",)


def _bytes_moved(kernel: str, dtype: str, n: int) -> int:
    """Return the bytes that a launch of a vector kernel reads and writes, by bandmark's count."""
    shape, number = Shape(n), DTYPES[dtype]
    return KERNELS[kernel].bytes_read(shape, number) + KERNELS[kernel].bytes_written(shape, number)


def _positive(value: object) -> float:
    """Return a value of another tool as a finite number above zero; raises ValueError that says what stands there."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"{quote(value)} where a number above zero should be")
    return number


def _rate(gbs: float) -> float:
    """Return a bandwidth in GB/s; raises ValueError for one that no memory and no cache of one device has."""
    if not 0 < gbs <= _MAX_GBS:
        raise ValueError(f"{gbs:.4g} GB/s, which no device moves")
    return gbs


def _count(value: object) -> int:
    number = _positive(value)
    if number != int(number) or number >= 2**63:
        raise ValueError(f"{quote(value)} where a number of elements or bytes should be")
    return int(number)
