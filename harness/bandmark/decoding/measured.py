"""Choose the measured rows that tell how fast a machine reads weights, reads a cache and runs an optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from bandmark.device.catalog import rows_named
from bandmark.errors import FileError, UsageError
from bandmark.models.weights import FORMATS, WeightFormat
from bandmark.results.case import matrix_of, model_of
from bandmark.results.files import read_record_beside, read_rows
from bandmark.results.row import MEASURED, Row
from bandmark.suites.model_layers import adds_up, setting, total
from bandmark_kernels import DTYPES

KERNELS_FOR: dict[str, tuple[tuple[str, ...], ...]] = {
    "weights": (("gemv",),),
    "cache": (("kv",), ("read",)),
    "optimizer": (("adamw", "adamw_master"), ("nstream",), ("triad",)),
}
"""Kernels whose rows tell the bandwidth of each, the nearest in reads and writes first."""

_PLAIN_FORMATS = {"float16": "fp16", "bfloat16": "bf16"}
"""Weight formats that are dtypes."""

_CLASSES = {"LPDDR": "unified", "GDDR": "card", "HBM": "hbm"}
"""Classes of device by the start of their kind of memory."""


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """A measured bandwidth in GB/s, and in words what was measured."""

    gbs: float
    words: str


@dataclass(frozen=True, slots=True)
class MeasuredSystem:
    """The rows of one device, and how much memory it has, where its record tells."""

    system: str
    device: str
    rows: tuple[Row, ...]
    memory_bytes: int | None

    @property
    def device_class(self) -> str:
        """unified, card, hbm, cpu or unknown; from the rows and the catalog's kind of memory."""
        # Rows of a GPU have no host threads.
        if any(row.threads is not None for row in self.rows):
            return "cpu"
        kinds = {row.memory_type for row in rows_named(self.device)}
        return memory_class(kinds.pop()) if len(kinds) == 1 else "unknown"


def memory_class(memory_type: str) -> str:
    """Return the class of a device by its kind of memory."""
    return next((name for start, name in _CLASSES.items() if memory_type.startswith(start)), "unknown")


def read_systems(files: Sequence[str | Path]) -> list[MeasuredSystem]:
    """Return the devices of some result files; raises FileError for one that is missing, damaged or empty."""
    rows: dict[tuple[str, str], list[Row]] = {}
    sizes: dict[tuple[str, str], set[int]] = {}
    for file in map(Path, files):
        size = _memory(file)
        if not (run := read_rows(file)):
            raise FileError(f"{file} holds no row. Name the CSV of a finished run.")
        for row in run:
            rows.setdefault((row.system, row.device), []).append(row)
            sizes.setdefault((row.system, row.device), set()).update([size] if size else [])
    return [MeasuredSystem(*names, tuple(rows[names]), min(sizes[names], default=None)) for names in sorted(rows)]


def _memory(csv: Path) -> int | None:
    """Return the device's memory from the JSON beside a CSV, None where it says none; raises FileError if damaged."""
    device = read_record_beside(csv).get("device")
    size = device.get("memory_bytes") if isinstance(device, dict) else None
    return size if isinstance(size, int) and size > 0 else None


def usable_rows(system: MeasuredSystem, kernels: Sequence[str]) -> list[Row]:
    """Return the measured rows of some kernels: those from memory and plainly ok where there are such."""
    rows = [row for row in system.rows if row.kernel in kernels and _is_measured(row)]
    rows = [row for row in rows if row.regime == "dram"] or rows
    return [row for row in rows if row.status == "ok"] or rows


def _is_measured(row: Row) -> bool:
    # A row of one of a model's matrices says little on its own.
    return row.status in MEASURED and row.verified is True and bool(row.bandwidth_gbs) and row.layer is None


def fastest(rows: Iterable[Row], words: str = "") -> Bandwidth | None:
    """Return the highest bandwidth of some rows, described after the given words; None if there is no row."""
    best = max(rows, key=lambda row: row.bandwidth_gbs or 0.0, default=None)
    if best is None or best.bandwidth_gbs is None:
        return None
    caveats = "" if best.regime == "dram" else ", which is not in the dram regime"
    caveats += "" if best.status == "ok" else f", {best.status}: {best.reason}"
    return Bandwidth(best.bandwidth_gbs, f"{words}{best.kernel} {best.number_format} ({best.backend}){caveats}")


def weight_bandwidth(system: MeasuredSystem, weights: WeightFormat, model: str = "") -> Bandwidth:
    """Return the bandwidth at which a model's weights of a format are read; raises UsageError without a GEMV row."""
    rows = _weight_rows(system, model)
    wanted = weights.kernel_format
    if matching := [row for row in rows if wanted and _format(row) == wanted]:
        return _highest(system, matching)
    bits = min(weights.body_bits, weights.expert_bits)
    distances = [abs(math.log(_bits(row) / bits)) for row in rows]
    least = min(distances)
    nearest = [row for row, distance in zip(rows, distances, strict=True) if distance == least]
    return _highest(system, nearest, f"no gemv row in {wanted or weights.name}, so of the nearest, ")


def _weight_rows(system: MeasuredSystem, model: str) -> list[Row]:
    """Return the rows of a model's matrices, else those of one large matrix, else those of other models' matrices."""
    matrices = [row for row in system.rows if adds_up(row) and row.verified]
    of_model = [row for row in matrices if model_of(row) == model]
    (kernels,) = KERNELS_FOR["weights"]
    if rows := of_model or usable_rows(system, kernels) or matrices:
        return rows
    raise UsageError(
        f"the results of {system.system} ({system.device}) have no measured gemv row, and decoding is what a GEMV "
        "does. Measure one: bandmark run --kernel gemv,read."
    )


def _highest(system: MeasuredSystem, rows: Sequence[Row], words: str = "") -> Bandwidth:
    """Return the highest bandwidth of GEMV rows; of a model's matrices that of all together, as a step uses them."""
    if single := fastest((row for row in rows if row.layer is None), words):
        return single
    passes = [list(group) for _, group in groupby(sorted(rows, key=setting), key=setting)]
    # A format with more of the matrices comes before one that has only a fast one.
    most = max(map(len, passes))
    sums = [_sum(system, group, words) for group in passes if len(group) == most]
    return max(sums, key=lambda bandwidth: bandwidth.gbs)


def _sum(system: MeasuredSystem, rows: Sequence[Row], words: str) -> Bandwidth:
    """Return the bandwidth of one pass over the matrices of a model."""
    moved, seconds = total(rows)
    model = model_of(rows[0])
    every = {matrix_of(row) for row in system.rows if model_of(row) == model}
    over = "all matrices" if len(rows) == len(every) else ", ".join(map(matrix_of, rows))
    caveats = "" if all(row.regime == "dram" for row in rows) else ", not all in the dram regime"
    caveats += "".join(dict.fromkeys(f", {row.status}: {row.reason}" for row in rows if row.status != "ok"))
    source = f"gemv {rows[0].number_format} over {over} of {model} ({rows[0].backend})"
    return Bandwidth(moved / seconds / 1e9, f"{words}{source}{caveats}")


def _format(row: Row) -> str | None:
    """Return the weight format of a GEMV row."""
    return row.weight_format or _PLAIN_FORMATS.get(row.dtype)


def _bits(row: Row) -> float:
    """Return the bits of a matrix element, those of float32 where the row's format is not known."""
    if row.weight_format:
        return FORMATS[row.weight_format].body_bits if row.weight_format in FORMATS else 32.0
    return 8.0 * DTYPES[row.dtype].itemsize if row.dtype in DTYPES else 32.0


def cache_bandwidth(system: MeasuredSystem, weights: Bandwidth) -> Bandwidth:
    """Return the bandwidth at which a 16-bit KV cache is read: of kv, or of a plain read, or of the weights."""
    attention, reads = (usable_rows(system, kernels) for kernels in KERNELS_FOR["cache"])
    return (
        fastest(row for row in attention if row.weight_format is None)
        or fastest(attention, "no kv row in 16 bits, so of ")
        or fastest(reads, "no kv row, so of ")
        or Bandwidth(weights.gbs, "no kv or read row, so as the weights")
    )
