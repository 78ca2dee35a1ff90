"""Choose the measured rows that tell how fast a machine reads weights, reads a cache and runs an optimizer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from bandmark.device.peaks import CatalogRow, rows_named
from bandmark.errors import FileError, UsageError
from bandmark.judge.bands import KernelClass, kernel_class
from bandmark.models.weights import FORMATS, WeightFormat
from bandmark.results.case import matrix_of, model_of
from bandmark.results.files import read_record_beside, read_rows
from bandmark.results.row import MEASURED, Row
from bandmark.show.console import LiveProgress, info
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
_MAKERS = {"Apple": "apple", "AMD": "amd", "Intel(R)": "intel"}
"""Classes by the first word of a device's name, where the memory is not HBM: other kernels, other shares of a peak."""


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """A measured bandwidth in GB/s, and in words what was measured."""

    gbs: float
    words: str

    def __str__(self) -> str:
        return f"{self.gbs:.4g} GB/s: {self.words}"


@dataclass(frozen=True, slots=True)
class MeasuredSystem:
    """The rows of one device, and how much memory it has, where its record tells."""

    system: str
    device: str
    rows: tuple[Row, ...]
    memory_bytes: int | None

    @property
    def device_class(self) -> str:
        """unified, card, hbm, apple, amd, intel, cpu or unknown; from the rows and the catalog's kind of memory."""
        # Rows of a GPU have no host threads.
        if any(row.threads is not None for row in self.rows):
            return "cpu"
        kinds = {catalog_class(row) for row in rows_named(self.device)}
        return kinds.pop() if len(kinds) == 1 else "unknown"

    def usable_rows(self, kernels: Sequence[str]) -> list[Row]:
        """Return the measured rows of some kernels: those from memory where there are such, and ok ones of these."""
        # A row of one of a model's matrices says little on its own.
        rows = [row for row in self.rows if row.kernel in kernels and row.layer is None and _is_measured(row)]
        best = max(map(_quality, rows), default=None)
        return [row for row in rows if _quality(row) == best]

    def bound(self, *classes: KernelClass) -> Bandwidth | None:
        """Return the highest bandwidth of the first of these classes of kernels that was measured beyond doubt.

        A slow kernel says nothing of what others can reach, and a cached or suspect one may say too much.
        """
        rows = [row for row in self.rows if _is_measured(row) and all(_quality(row))]
        for wanted in classes:
            if best := fastest(row for row in rows if kernel_class(row.kernel) == wanted):
                return best
        return None


def catalog_class(row: CatalogRow) -> str:
    """Return the class of a device of the catalogue: by its maker and its kind of memory."""
    by_memory = next((name for start, name in _CLASSES.items() if row.memory_type.startswith(start)), "unknown")
    return by_memory if by_memory == "hbm" else _MAKERS.get(row.names[0].split()[0], by_memory)


def read_systems(files: Sequence[str | Path]) -> list[MeasuredSystem]:
    """Return the devices of some result files; raises FileError for one that is missing, damaged or empty."""
    rows: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    sizes: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for file in map(Path, files):
        if not (run := read_rows(file)):
            raise FileError(f"{file} holds no row. Name the CSV of a finished run.")
        size = _memory(file)
        for row in run:
            rows[row.system, row.device].append(row)
            sizes[row.system, row.device].update([size] if size else [])
    return [MeasuredSystem(*names, tuple(rows[names]), min(sizes[names], default=None)) for names in sorted(rows)]


def _memory(csv: Path) -> int | None:
    device = read_record_beside(csv).get("device")
    size = device.get("memory_bytes") if isinstance(device, dict) else None
    return size if isinstance(size, int) and size > 0 else None


def measure_here(kernels: Sequence[str], weights: Sequence[str] = ()) -> MeasuredSystem:
    """Measure some kernels of the table quickly; raises BandmarkError as a run does.

    gemv is measured in these quantized formats of weights, or in the device's usual dtype if no library runs any.
    """
    # Imported here because they load the backends, which stored results do not need.
    from bandmark.options import RunOptions
    from bandmark.session.session import open_session, run_session

    options = RunOptions(kernels=tuple(kernels), quick=True, weights=tuple(weights))
    if weights:
        session = open_session(options)
        session.target.close()
        if not any(case.columns["weight_format"] for group in session.groups for case in group.runnable):
            options = replace(options, weights=())
    info(f"no --results given: a quick run of {', '.join((*kernels, *options.weights))}")
    with LiveProgress() as progress:
        session = run_session(options, progress=progress)
    if session.interrupted:
        raise KeyboardInterrupt
    device = session.target.device
    return MeasuredSystem(session.system, device.name, tuple(session.rows()), device.memory_bytes)


def _is_measured(row: Row) -> bool:
    return row.status in MEASURED and row.verified is True and bool(row.bandwidth_gbs)


def _quality(row: Row) -> tuple[bool, bool]:
    return row.regime == "dram", row.status == "ok"


def fastest(rows: Iterable[Row], words: str = "") -> Bandwidth | None:
    """Return the highest bandwidth of some rows, described after the given words; None if there is no row."""
    best = max(rows, key=lambda row: row.bandwidth_gbs or 0.0, default=None)
    if best is None or best.bandwidth_gbs is None:
        return None
    return Bandwidth(best.bandwidth_gbs, f"{words}{best.kernel} {_words([best])}")


def _words(rows: Sequence[Row], over: str = "") -> str:
    """Return number format and backend of rows that differ in neither, and what speaks against them."""
    caveats = [f", {'not all' if len(rows) > 1 else 'not'} in the dram regime" for r in rows if r.regime != "dram"]
    caveats += [f", {row.status}: {row.reason}" for row in rows if row.status != "ok"]
    return f"{rows[0].number_format}{over} ({rows[0].backend}){''.join(dict.fromkeys(caveats))}"


def weight_bandwidth(system: MeasuredSystem, weights: WeightFormat, model: str = "") -> Bandwidth:
    """Return the bandwidth at which a model's weights of a format are read; raises UsageError without a GEMV row."""
    wanted, bits = weights.kernel_format, min(weights.body_bits, weights.expert_bits)

    def rank(rows: list[Row]) -> tuple[bool, float, int]:
        # A format with more of the matrices comes before one that has only a fast one.
        other = wanted is None or _format(rows[0]) != wanted
        return other, abs(math.log(_bits(rows[0]) / bits)), -len(rows)

    passes = _passes(system, model)
    nearest = min(map(rank, passes))
    words = f"no gemv row in {wanted or weights.name}, so of the nearest, " if nearest[0] else ""
    bandwidths = [_pass_bandwidth(system, rows, words) for rows in passes if rank(rows) == nearest]
    return max(bandwidths, key=lambda bandwidth: bandwidth.gbs)


def _passes(system: MeasuredSystem, model: str) -> list[list[Row]]:
    """Return the rows of a model's matrices by setting, else those of one large matrix, else of other models'."""
    matrices = sorted((row for row in filter(adds_up, system.rows) if row.verified), key=setting)
    models = [list(rows) for _, rows in groupby(matrices, key=setting)]
    of_model = [rows for rows in models if model_of(rows[0]) == model]
    if passes := of_model or [[row] for row in system.usable_rows(*KERNELS_FOR["weights"])] or models:
        return passes
    raise UsageError(
        f"the results of {system.system} ({system.device}) have no measured gemv row, and decoding is what a GEMV "
        "does. Measure one: bandmark run --kernel gemv,read."
    )


def _pass_bandwidth(system: MeasuredSystem, rows: list[Row], words: str) -> Bandwidth:
    """Return the bandwidth of one pass over the matrices of a model, or of the one matrix that was measured."""
    model = model_of(rows[0])
    if not model:
        return Bandwidth(rows[0].bandwidth_gbs or 0.0, f"{words}gemv {_words(rows)}")
    moved, seconds = total(rows)
    every = {matrix_of(row) for row in system.rows if model_of(row) == model}
    over = "all matrices" if len(rows) == len(every) else ", ".join(map(matrix_of, rows))
    return Bandwidth(moved / seconds / 1e9, f"{words}gemv {_words(rows, f' over {over} of {model}')}")


def _format(row: Row) -> str | None:
    return row.weight_format or _PLAIN_FORMATS.get(row.dtype)


def _bits(row: Row) -> float:
    """Return the bits of a matrix element, those of float32 where the row's format is not known."""
    if row.weight_format:
        return FORMATS[row.weight_format].body_bits if row.weight_format in FORMATS else 32.0
    return 8.0 * DTYPES[row.dtype].itemsize if row.dtype in DTYPES else 32.0


def cache_bandwidth(system: MeasuredSystem, weights: Bandwidth) -> Bandwidth:
    """Return the bandwidth at which a 16-bit KV cache is read: of kv, or of a plain read, or of the weights."""
    attention, reads = (system.usable_rows(kernels) for kernels in KERNELS_FOR["cache"])
    return (
        fastest(row for row in attention if row.weight_format is None)
        or fastest(attention, "no kv row in 16 bits, so of ")
        or fastest(reads, "no kv row, so of ")
        or Bandwidth(weights.gbs, "no kv or read row, so as the weights")
    )
