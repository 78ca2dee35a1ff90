"""Do the columns of each row agree with each other, with the kernel table, and with what memory can do?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from bandmark.judge import warnings as judge
from bandmark.judge.references import REFERENCES
from bandmark.results.faults import quote
from bandmark.results.row import MEASURED, Row
from bandmark_kernels import DTYPES, KERNELS, MATRIX_FORMATS, Kernel, Shape, find_kernel

PRECISION = 1e-8
"""Relative difference that nine significant figures in several columns can make."""

NO_MEMORY_GBS = 50_000.0
"""Above any memory of one device; the fastest announced has 22 000 GB/s."""

MANY_SAMPLES = 10
"""From so many samples on, a spread of exactly zero is no measurement."""

Found = tuple[str, Any, str]
"""A column, what stands there, and what should."""

_TIMES = ("time_min_s", "time_q1_s", "time_median_s", "time_q3_s", "time_max_s")
_MEASURED = ("samples", "launches_per_sample", *_TIMES, "stop_reason", "started_utc")
_BANDWIDTHS = ("bandwidth_gbs", "bandwidth_best_gbs")
_PERCENTS = ("percent_of_peak", *(r.column for r in REFERENCES))


def near(a: float, b: float, precision: float = PRECISION) -> bool:
    """Return whether two numbers are equal as far as the file's figures go."""
    return math.isclose(a, b, rel_tol=precision)


def said(found: Any) -> str:
    """Write a value as it stands in the file."""
    if found is None or isinstance(found, bool):
        return {None: "nothing", True: "true", False: "false"}[found]
    return f"{found:.9g}" if isinstance(found, float) else quote(found)


def check_row(row: Row) -> Iterator[Found]:
    """Yield each column that disagrees with another, with what stands there and what should."""
    yield from _status(row)
    yield from _case(row)
    yield from _peak(row)
    if row.status in (*MEASURED, "failed_verification") and row.time_median_s is not None:
        yield from _times(row)
    if row.status in MEASURED:
        yield from _bandwidth(row)
        yield from _percentages(row)
        yield from _plausible(row)


def _status(row: Row) -> Iterator[Found]:
    """Status, verification, reason, and which columns are filled."""
    if row.status != "ok" and row.reason is None:
        yield "reason", None, f"a sentence: rows that are {row.status} say why"
    wanted = {"ok": (True,), "suspect": (True, None), "failed_verification": (False,)}.get(row.status, (None,))
    if row.verified not in wanted:
        words = {True: "true", False: "false", None: "nothing"}
        right = " or ".join(words[w] for w in wanted)
        yield "verified", row.verified, f"{right}, as rows that are {row.status} have"
    if row.verified is True and (row.max_error is None or not row.max_error <= 1):
        yield "max_error", row.max_error, "at most 1 tolerance, for the row says verified"
    if row.verified is False and row.max_error is not None and row.max_error <= 1:
        yield "max_error", row.max_error, "above 1 tolerance, for the row says that verification failed"
    if row.verified is None and row.max_error is not None:
        yield "max_error", row.max_error, "nothing, for the row was not verified"
    yield from _filled(row)


def _filled(row: Row) -> Iterator[Found]:
    """Which columns a status fills, and which it leaves empty."""
    measured = row.status in MEASURED
    timed = measured or (row.status == "failed_verification" and row.time_median_s is not None)
    for name in _MEASURED:
        value = getattr(row, name)
        if timed and value is None:
            yield name, None, f"a value: rows that are {row.status} were timed"
        if not timed and name != "started_utc" and value is not None:
            yield name, value, f"nothing: rows that are {row.status} were not timed"
    for name in _BANDWIDTHS:
        if measured and getattr(row, name) is None:
            yield name, None, f"a value: rows that are {row.status} have one"
    for name in (*_BANDWIDTHS, *_PERCENTS, "percent_of_ceiling", "weights_per_s", "verdict"):
        if not measured and getattr(row, name) is not None:
            yield name, getattr(row, name), f"nothing: rows that are {row.status} have no bandwidth"


def _case(row: Row) -> Iterator[Found]:
    """Sizes, bytes and regime, by the kernel table."""
    kernel = KERNELS[row.kernel]
    if row.suite != kernel.suite:
        yield "suite", row.suite, f"{kernel.suite}, the suite of {row.kernel}"
    if row.n is None:
        yield "n", None, "a size: every case has one"
        return
    if (row.m is not None) != kernel.is_matrix:
        yield "m", row.m, "the rows of the matrix" if kernel.is_matrix else f"nothing: {row.kernel} has no matrix"
        return
    yield from _identity(row)
    if (found := _kernel_of(row)) is not None:
        kernel = found
        if row.dtype not in kernel.dtypes:
            beside = ", the dtype of the vectors beside packed weights" if kernel.weights else ""
            yield "dtype", row.dtype, " or ".join(kernel.dtypes) + beside
        if row.n % kernel.least_columns and not (row.layer and row.status == "unsupported"):
            yield "n", row.n, f"a multiple of {kernel.least_columns}: packed rows are whole groups"
        shape, dtype = Shape(row.n, m=row.m), DTYPES[row.dtype]
        for name, right in (
            ("n_elements", shape.n_elements),
            ("bytes_read", kernel.bytes_read(shape, dtype)),
            ("bytes_written", kernel.bytes_written(shape, dtype)),
            ("working_set_bytes", kernel.working_set(shape, dtype)),
        ):
            if getattr(row, name) != right:
                size = f"{row.n}" if row.m is None else f"{row.m} x {row.n}"
                yield name, getattr(row, name), f"{right}, by the kernel table for {kernel.label} of {size} {row.dtype}"
    yield from _layer(row)
    if row.working_set_bytes is not None:
        regime = judge.regime(row.working_set_bytes * (row.copies or 1), row.llc_bytes)
        if row.regime != regime:
            wanted = f"{regime or 'nothing'}: {row.working_set_bytes} bytes x {row.copies or 1} over llc_bytes"
            yield "regime", row.regime, f"{wanted} ({row.llc_bytes or 'unknown'})"


def _layer(row: Row) -> Iterator[Found]:
    """A model's matrix: named with how often a step uses one, on gemv alone."""
    if row.layer is not None and row.kernel != "gemv":
        yield "layer", row.layer, f"nothing: {row.kernel} multiplies by no model's matrix"
    if row.layer is not None and " " not in row.layer:
        yield "layer", row.layer, "a model and a matrix: llama-3.1-8b qkv"
    if (row.layer is None) != (row.layer_uses is None):
        wanted = "how many such matrices a decode step uses" if row.layer else "nothing: the row names no layer"
        yield "layer_uses", row.layer_uses, wanted


def _kernel_of(row: Row) -> Kernel | None:
    """Return the kernel of a row's format and heads; None if there is no such kernel."""
    if row.weight_format not in (None, *MATRIX_FORMATS.get(row.kernel, {})):
        return None
    if KERNELS[row.kernel].attention is None:
        return find_kernel(row.kernel, row.weight_format)
    if not row.heads or not row.head_dim or not row.n or row.n % row.head_dim:
        return None
    try:
        return find_kernel(row.kernel, row.weight_format, (row.heads, row.n // row.head_dim, row.head_dim))
    except ValueError:
        return None


def _identity(row: Row) -> Iterator[Found]:
    """The format of the matrix and the heads are such as the kernel can have."""
    formats = MATRIX_FORMATS.get(row.kernel, {})
    if row.weight_format not in (None, *formats):
        wanted = f"one of {', '.join(formats)}" if formats else f"nothing: {row.kernel} has no packed weights"
        yield "weight_format", row.weight_format, wanted
    if KERNELS[row.kernel].attention is None:
        for name in ("heads", "head_dim"):
            if getattr(row, name) is not None:
                yield name, getattr(row, name), f"nothing: {row.kernel} has no heads"
    elif _kernel_of(replace(row, weight_format=None)) is None:
        yield "heads", row.heads, f"heads that {row.n} columns of heads of head_dim, {said(row.head_dim)}, can serve"


def _peak(row: Row) -> Iterator[Found]:
    if row.peak_gbs is not None and row.peak_source is None:
        yield "peak_source", None, "where peak_gbs comes from: a peak without a source is none"
    if row.peak_gbs is None and row.peak_source is not None:
        yield "peak_gbs", None, "the peak that peak_source tells of"


def _times(row: Row) -> Iterator[Found]:
    """Quartiles in order."""
    seen = [(name, getattr(row, name)) for name in _TIMES if getattr(row, name) is not None]
    for (before, low), (name, high) in pairwise(seen):
        if low > high:
            yield name, high, f"at least {before}, {low:g}"


def _moved(row: Row) -> int | None:
    """Return the bytes of a launch: by the kernel table, so that one wrong column is not many faults."""
    kernel = _kernel_of(row)
    if row.n is None or kernel is None:
        return row.bytes_moved
    shape, dtype = Shape(row.n, m=row.m), DTYPES[row.dtype]
    return kernel.bytes_read(shape, dtype) + kernel.bytes_written(shape, dtype)


def true_gbs(row: Row) -> float | None:
    """Return what bandwidth_gbs should be."""
    moved = _moved(row)
    return moved / row.time_median_s / 1e9 if moved and row.time_median_s else None


def _bandwidth(row: Row) -> Iterator[Found]:
    """Bandwidth is bytes over time, and weights per second are matrix elements over time."""
    moved = _moved(row)
    for name, time_name in (("bandwidth_gbs", "time_median_s"), ("bandwidth_best_gbs", "time_min_s")):
        value, seconds = getattr(row, name), getattr(row, time_name)
        if moved is None or value is None or seconds is None:
            continue
        if not near(value, right := moved / seconds / 1e9):
            yield name, value, f"{right:.9g} = (bytes_read + bytes_written) / {time_name} / 1e9"
    matrix = KERNELS[row.kernel].suite == "gemv"
    if (row.weights_per_s is not None) != matrix:
        yield "weights_per_s", row.weights_per_s, "n_elements / time_median_s" if matrix else "nothing: no matrix"
    elif matrix and row.weights_per_s and row.n_elements and row.time_median_s:
        right = row.n_elements / row.time_median_s
        if not near(row.weights_per_s, right):
            yield "weights_per_s", row.weights_per_s, f"{right:.9g} = n_elements / time_median_s"


def _percentages(row: Row) -> Iterator[Found]:
    """Percentages are bandwidth over peak, in verified dram rows and nowhere else."""
    counts, gbs = row.verified is True and row.regime == "dram", true_gbs(row)
    peaks = (("percent_of_peak", row.peak_gbs), *((r.column, r.published_gbs) for r in REFERENCES))
    for name, peak in peaks:
        value = getattr(row, name)
        if not counts or peak is None:
            if value is not None:
                why = "there is no peak_gbs" if counts else "percentages are for verified rows in the dram regime"
                yield name, value, f"nothing: {why}"
        elif gbs is not None:
            right = 100 * gbs / peak
            if value is None or not near(value, right):
                yield name, value, f"{right:.9g} = 100 x bandwidth_gbs / {peak:g}"


def _plausible(row: Row) -> Iterator[Found]:
    """What no measurement gives."""
    if row.status == "ok" and row.regime == "dram" and row.bandwidth_gbs is not None:
        if row.peak_gbs is not None and row.bandwidth_gbs > judge.PLAUSIBLE * row.peak_gbs * (1 + PRECISION):
            share = 100 * row.bandwidth_gbs / row.peak_gbs
            yield "status", row.status, f"suspect: {row.bandwidth_gbs:g} GB/s is {share:.0f} % of the peak"
        if row.bandwidth_gbs > NO_MEMORY_GBS:
            yield "bandwidth_gbs", row.bandwidth_gbs, f"less: no memory moves {NO_MEMORY_GBS:g} GB/s"
    if row.status == "ok" and row.data == "zeros":
        yield "status", row.status, "suspect: the inputs are zeros, which compressible memory moves faster"
    if row.time_min_s is not None and row.time_min_s == row.time_max_s and (row.samples or 0) >= MANY_SAMPLES:
        wanted = f"more than time_min_s: {row.samples} samples that are all equal were not measured"
        yield "time_max_s", row.time_max_s, wanted
    if row.ci95_rel is None and (row.samples or 0) >= 6:
        yield "ci95_rel", None, f"a value: {row.samples} samples have a confidence interval"
