"""Which bandwidth do results give for decoding? That of the GEMV in the weights' format, or of the nearest measured."""

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
from bandmark.suites.model_layers import adds_up, total
from bandmark_kernels import DTYPES


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
        if any(row.threads is not None or row.backend == "numpy" for row in self.rows):
            return "cpu"
        kinds = {row.memory_type for row in rows_named(self.device)}
        return memory_class(kinds.pop()) if len(kinds) == 1 else "unknown"


def memory_class(memory_type: str) -> str:
    """Return the class of a device by its kind of memory."""
    for start, name in (("LPDDR", "unified"), ("GDDR", "card"), ("HBM", "hbm")):
        if memory_type.startswith(start):
            return name
    return "unknown"


def read_systems(files: Sequence[str | Path]) -> list[MeasuredSystem]:
    """Return the devices of some result files; raises FileError for one that is missing, damaged or empty."""
    found: list[tuple[Row, int | None]] = []
    for file in map(Path, files):
        memory = _memory(file)
        rows = read_rows(file)
        if not rows:
            raise FileError(f"{file} holds no row. Name the CSV of a finished run.")
        found += [(row, memory) for row in rows]
    found.sort(key=lambda pair: (pair[0].system, pair[0].device))
    groups = groupby(found, key=lambda pair: (pair[0].system, pair[0].device))
    return [_system(*names, list(pairs)) for names, pairs in groups]


def _system(system: str, device: str, pairs: list[tuple[Row, int | None]]) -> MeasuredSystem:
    sizes = [memory for _, memory in pairs if memory]
    return MeasuredSystem(system, device, tuple(row for row, _ in pairs), min(sizes, default=None))


def _memory(csv: Path) -> int | None:
    """Return the device's memory from the JSON beside a CSV, None where it says none; raises FileError if damaged."""
    device = read_record_beside(csv).get("device")
    size = device.get("memory_bytes") if isinstance(device, dict) else None
    return size if isinstance(size, int) and size > 0 else None


def usable_rows(system: MeasuredSystem, *kernels: str) -> list[Row]:
    """Return the measured rows of some kernels: of those that are plainly ok and in memory if there are such.

    Rows of a model's matrices are left out: one of them alone says little.
    """
    rows = [
        r
        for r in system.rows
        if r.kernel in kernels and r.status in MEASURED and r.verified is True and r.bandwidth_gbs and r.layer is None
    ]
    rows = [r for r in rows if r.regime == "dram"] or rows
    return [r for r in rows if r.status == "ok"] or rows


def fastest(rows: Iterable[Row], words: str = "") -> Bandwidth | None:
    """Return the highest bandwidth of some rows, with its words; None if there is no row."""
    best = max(rows, key=lambda row: row.bandwidth_gbs or 0.0, default=None)
    if best is None or best.bandwidth_gbs is None:
        return None
    doubts = "" if best.regime == "dram" else ", which is not in the dram regime"
    doubts += "" if best.status == "ok" else f", {best.status}: {best.reason}"
    kind = best.weight_format or best.dtype
    return Bandwidth(best.bandwidth_gbs, f"{words}{best.kernel} {kind} ({best.backend}){doubts}")


def weight_bandwidth(system: MeasuredSystem, weights: WeightFormat, model: str = "") -> Bandwidth:
    """Return the bandwidth at which weights of a format are read: over a model's own matrices if they were measured.

    Raises:
        UsageError: the results have no measured GEMV row.
    """
    layers = [r for r in system.rows if adds_up(r) and r.verified]
    rows = [r for r in layers if model_of(r) == model] or usable_rows(system, "gemv") or layers
    if not rows:
        raise UsageError(
            f"the results of {system.system} ({system.device}) have no measured gemv row, and decoding is what a GEMV "
            "does. Measure one: bandmark run --kernel gemv,read."
        )
    wanted = weights.kernel_format
    own = [r for r in rows if wanted and (r.weight_format == wanted or _plain_dtype(r) == wanted)]
    if own and (found := _gemv(system, own)):
        return found
    bits = min(weights.body_bits, weights.expert_bits)
    nearest = min(abs(math.log(_bits(row) / bits)) for row in rows)
    rows = [row for row in rows if abs(math.log(_bits(row) / bits)) == nearest]
    found = _gemv(system, rows, f"no gemv row in {wanted or weights.name}, so of the nearest, ")
    assert found is not None
    return found


def _gemv(system: MeasuredSystem, rows: Sequence[Row], words: str = "") -> Bandwidth | None:
    """Return the highest bandwidth of GEMV rows; of a model's matrices that of all together, as a step uses them."""
    if any(row.layer is None for row in rows):
        return fastest(rows, words)
    passes = []
    for (model, backend, form, _), group in groupby(sorted(rows, key=_setting), key=_setting):
        own = list(group)
        moved, seconds = total(own)
        every = {matrix_of(row) for row in system.rows if model_of(row) == model}
        names = "all matrices" if len(own) == len(every) else ", ".join(map(matrix_of, own))
        said = f"{words}gemv {form} over {names} of {model} ({backend}){_doubts(own)}"
        passes.append((len(own), Bandwidth(moved / seconds / 1e9, said)))
    return max(passes, key=lambda found: (found[0], found[1].gbs))[1] if passes else None


def _setting(row: Row) -> tuple[str, str, str, str]:
    """Return what is equal among the rows of a model's matrices that add up."""
    return model_of(row), row.backend, row.weight_format or row.dtype, row.variant or ""


def _doubts(rows: Sequence[Row]) -> str:
    """Return what to say of rows that are not plainly ok and from memory."""
    regime = "" if all(row.regime == "dram" for row in rows) else ", not all in the dram regime"
    reasons = dict.fromkeys(f"{row.status}: {row.reason}" for row in rows if row.status != "ok")
    return regime + "".join(f", {reason}" for reason in reasons)


def _plain_dtype(row: Row) -> str | None:
    """Return the weight format that an unpacked row's dtype is."""
    return {"float16": "fp16", "bfloat16": "bf16"}.get(row.dtype) if row.weight_format is None else None


def _bits(row: Row) -> float:
    """Return the bits of a matrix element, those of float32 where the row's format is not known."""
    if row.weight_format:
        return FORMATS[row.weight_format].body_bits if row.weight_format in FORMATS else 32.0
    return 8.0 * DTYPES[row.dtype].itemsize if row.dtype in DTYPES else 32.0


def cache_bandwidth(system: MeasuredSystem, weights: Bandwidth) -> Bandwidth:
    """Return the bandwidth at which a 16-bit KV cache is read: of kv, or of a plain read, or of the weights."""
    attention = usable_rows(system, "kv")
    return (
        fastest(row for row in attention if row.weight_format is None)
        or fastest(attention, "no kv row in 16 bits, so of ")
        or fastest(usable_rows(system, "read"), "no kv row, so of ")
        or Bandwidth(weights.gbs, "no kv or read row, so as the weights")
    )
