"""Read the JSON of nvbandwidth and NVBench.

nvbandwidth 0.8 (json_output.cpp, memcpy.cpp) prints, for device_local_copy, the size of the buffer over the median
time of its samples: a copy counts once. bandmark counts what is read and what is written, so the figure is doubled.
Cells of its matrix are text, "N/A" where there is nothing. NVBench (json_printer.cu and measure_cold.cu, file version
1) declares its own bytes; nv/cold/bw/global/bytes_per_second is those over the *mean* time. Where the file has the
median, that is taken. The values of its summaries are text as well.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bandmark.comparison.figures import Figure, Run
from bandmark.comparison.foreign import AGREEMENT, bytes_moved, positive_count, positive_number
from bandmark.errors import FileError
from bandmark_kernels import KERNELS

_COPY_COUNTS = 2
"""Bytes of a copy by bandmark's count over nvbandwidth's, which counts the buffer once."""

_KERNEL_NAMES = {name: name for name in KERNELS} | {"mul": "scale", "fill": "write"}
"""Words in the names of NVBench benchmarks, and the kernels that they stand for."""

_DTYPE_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"} | {
    "double": "float64",
    "float": "float32",
    "__half": "float16",
    "__nv_bfloat16": "bfloat16",
}
"""Values of NVBench's type axes."""

_SIZE_AXES = ("Elements", "NumElements", "elements", "n")
"""Names of NVBench's axes that hold the number of elements."""


_TAGS = (
    "nv/cold/sample_size",
    "nv/cold/bw/global/bytes_per_second",
    *[f"nv/cold/time/gpu/{name}" for name in ("mean", "median", "min", "stdev/relative")],
)
"""NVBench's summaries that are read."""


def read_json(file: Path, text: str) -> Run:
    """Read the JSON of nvbandwidth or NVBench.

    Raises:
        FileError: it is neither, or damaged.
    """
    try:
        root = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{file} is no valid JSON: {error}. It may be truncated.") from error
    try:
        for key, read in _READERS.items():
            if key in root:
                return read(file, root)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise FileError(f"{file} lacks what such a file holds ({type(error).__name__}: {error}).") from error
    if "run_id" in root:
        raise FileError(f"{file} is the record of a run; name its table, {file.with_suffix('.csv').name}, instead.")
    raise FileError(f"{file} is neither nvbandwidth's nor NVBench's JSON.")


def _nvbandwidth(file: Path, root: dict[str, Any]) -> Run:
    output = root["nvbandwidth"]
    cases = [c for c in output.get("testcases", []) if c["name"] == "device_local_copy"]
    if not cases:
        raise FileError(f"{file} has no device_local_copy; run `nvbandwidth -t device_local_copy --json`.")
    matrix = cases[0].get("bandwidth_matrix", [])
    rates = [positive_number(cell) for row in matrix for cell in row if cell != "N/A"]
    status = cases[0].get("status")
    passed = status == "Passed"
    if passed and not rates:
        raise FileError(f"{file}: device_local_copy passed, but has no figure.")
    figure = Figure(
        case={"kernel": "copy"},
        value=_COPY_COUNTS * rates[0] if passed else None,
        doubts=() if passed else (f"nvbandwidth's status is {status}",),
    )
    notes = ["nvbandwidth counts a copy once: its figure is doubled; its median is compared with ours"]
    if len(rates) > 1:
        notes.append(f"of its {len(rates)} GPUs the first is taken")
    devices = output.get("GPU Device list") or []
    name = re.match(r"\d+: (.+?) \([\w:.]+\)", devices[0]) if devices else None
    device = name[1] if name else None
    return Run(name=file.name, figures=(figure,), tool="nvbandwidth", device=device, kind="gpu", notes=tuple(notes))


def _nvbench(file: Path, root: dict[str, Any]) -> Run:
    notes = ["NVBench's figures by the median time are compared with ours"]
    states = list(_states(root, notes))
    first = states[0][1]["device"] if states else None
    fastest: dict[tuple[Any, ...], Figure] = {}
    for kernel, state in states:
        if state["device"] != first:
            notes.append(f"of its devices only number {first} is taken")
            continue
        figure = _figure(kernel, state, notes)
        if figure is None:
            continue
        case = (figure.key, figure.get("n"))
        if case in fastest:
            notes.append(f"several states are {figure.label}, n {figure.get('n')}: the fastest counts")
        if case not in fastest or (figure.value or 0) > (fastest[case].value or 0):
            fastest[case] = figure
    if not fastest:
        raise FileError(f"{file} holds no NVBench result of our kernels with a byte count: {'; '.join(notes[1:])}.")
    names = {device["id"]: device["name"] for device in root.get("devices") or []}
    return Run(
        name=file.name,
        figures=tuple(fastest.values()),
        tool="NVBench",
        device=str(names[first]) if first in names else None,
        kind="gpu",
        notes=tuple(dict.fromkeys(notes)),
    )


_READERS = {"nvbandwidth": _nvbandwidth, "benchmarks": _nvbench}
"""Key at the top of a tool's JSON, and what reads it."""


def _states(root: dict[str, Any], notes: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the states that ran, each with bandmark's name of its kernel."""
    for bench in root["benchmarks"]:
        words = re.split(r"[^a-z0-9]+", bench["name"].lower())
        kernels = {_KERNEL_NAMES[word] for word in words if word in _KERNEL_NAMES}
        if len(kernels) != 1:
            notes.append(f"benchmark {bench['name']!r} is left out: its name is not that of one of our kernels")
            continue
        yield from ((kernel, state) for kernel in kernels for state in bench["states"] if not state.get("is_skipped"))


def _figure(kernel: str, state: dict[str, Any], notes: list[str]) -> Figure | None:
    """Return a state's figure, or None, with a note, if it lacks a dtype or a byte count."""
    axes = {axis["name"].split("{")[0]: axis["value"] for axis in state.get("axis_values") or []}
    dtypes = [_DTYPE_NAMES[value] for value in axes.values() if value in _DTYPE_NAMES]
    values = {s["tag"]: _value(s) for s in state["summaries"] if s["tag"] in _TAGS}
    mean, rate = values.get("nv/cold/time/gpu/mean"), values.get("nv/cold/bw/global/bytes_per_second")
    if len(dtypes) != 1 or not mean or not rate:
        notes.append(f"{kernel} [{state['name']}] is left out: no type axis with one of our dtypes, or no byte count")
        return None
    n = next((positive_count(axes[name]) for name in _SIZE_AXES if name in axes), None)
    declared = rate * mean
    median, shortest = values.get("nv/cold/time/gpu/median"), values.get("nv/cold/time/gpu/min")
    if not median:
        notes.append("NVBench's file has no median: its mean is compared with our median")
    return Figure(
        case={"kernel": kernel, "dtype": dtypes[0], "n": n},
        value=positive_number(declared / (median or mean) / 1e9),
        best=positive_number(declared / shortest / 1e9) if shortest else None,
        error=_error(values),
        doubts=_byte_doubts(kernel, dtypes[0], n, declared),
    )


def _byte_doubts(kernel: str, dtype: str, n: int | None, declared: float) -> tuple[str, ...]:
    """Return the doubt about declared bytes that are not those of the kernel, where its size is known."""
    if n is None or KERNELS[kernel].is_matrix:
        return ()
    moved = bytes_moved(kernel, dtype, n)
    if abs(declared / moved - 1) <= AGREEMENT:
        return ()
    return (f"NVBench's file declares {declared:.4g} bytes where {kernel} of {n} {dtype} moves {moved}",)


def _value(summary: dict[str, Any]) -> float | None:
    """Return the number of a summary, which stands as text under data/value; None for none, zero and infinity."""
    values = [d["value"] for d in summary.get("data") or [] if d["name"] == "value" and d["type"] != "string"]
    return positive_number(values[0]) if values and str(values[0]) not in ("0", "0.0", "inf") else None


def _error(values: dict[str, float | None]) -> float | None:
    """Return the relative standard error of the median, as for normal noise, from the relative standard deviation."""
    deviation, samples = values.get("nv/cold/time/gpu/stdev/relative"), values.get("nv/cold/sample_size")
    return math.sqrt(math.pi / 2 / samples) * deviation if deviation and samples else None
