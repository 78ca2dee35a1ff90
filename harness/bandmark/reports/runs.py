"""What goes into a report? The runs of some files, each device apart, with the raw samples that lie beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from bandmark.errors import UsageError
from bandmark.judge.references import REFERENCES
from bandmark.results.case import in_order, matrix_of
from bandmark.results.merge import plan_merge
from bandmark.results.reading import read_bytes
from bandmark.results.row import MEASURED, Row
from bandmark.results.samples import Entries
from bandmark.suites.table import SHORT_DTYPES
from bandmark.validation.record import read_record

Samples = dict[int, tuple[float, ...]]
"""Seconds per launch of each sample, by the position of the row in the run."""


@dataclass(frozen=True)
class ReportRun:
    """One run of one device."""

    rows: tuple[Row, ...]
    """In the order of result files; at least one."""
    record: dict[str, Any] = field(default_factory=dict)
    """The JSON of the run; empty where there is none."""
    samples: Samples = field(default_factory=dict)
    why_no_samples: str = ""
    """One sentence; empty where the raw samples are there."""

    @property
    def first(self) -> Row:
        """Any row: what a run's rows have in common stands in each."""
        return self.rows[0]

    @property
    def peak_gbs(self) -> float | None:
        """The device's peak, if it is known."""
        return next((row.peak_gbs for row in self.rows if positive(row.peak_gbs)), None)

    @property
    def measured(self) -> list[Row]:
        """The rows that have a figure to draw."""
        return [row for row in self.rows if row.status in MEASURED and positive(row.bandwidth_gbs)]

    @property
    def best(self) -> Row | None:
        """The row of the highest bandwidth among those that are ok and come from memory, if there is one."""
        counted = [row for row in self.measured if row.status == "ok" and row.regime == "dram"]
        return max(counted, key=lambda row: row.bandwidth_gbs or 0.0, default=None)

    def block(self, name: str) -> dict[str, Any]:
        """Return a part of the record; empty where there is none."""
        found = self.record.get(name)
        return found if isinstance(found, dict) else {}


def positive(value: float | None) -> TypeGuard[float]:
    """Return whether a figure can be drawn."""
    return value is not None and math.isfinite(value) and value > 0


def case_name(row: Row) -> str:
    """Return a case in words: copy numpy f64, gemv cupy nvfp4 weights, kv cupy fp8 cache."""
    packed = f"{row.weight_format} {'weights' if row.head_dim is None else 'cache'}" if row.weight_format else ""
    form = packed or SHORT_DTYPES.get(row.dtype, row.dtype)
    parts = (row.kernel, matrix_of(row), row.backend, form, row.variant)
    return " ".join(part for part in parts if part)


def axis_limit(run: ReportRun) -> float:
    """Return where the axis of a run's bars ends, in GB/s.

    At the device's peak, or where that is unknown at the lowest published peak of the named systems that holds all
    bars: on an axis that reaches 8000 the bars of a laptop could not be told apart.
    """
    longest = max((row.bandwidth_gbs or 0.0 for row in run.measured), default=0.0)
    if run.peak_gbs:
        return max(run.peak_gbs, longest)
    return min((r.published_gbs for r in REFERENCES if r.published_gbs >= longest), default=longest)


def read_report(files: Sequence[Path]) -> tuple[list[ReportRun], list[str]]:
    """Return the runs of some CSVs in order, each once, and a sentence for each copy that was left out.

    Raises:
        FileError: a file is damaged, or two files disagree about a run.
        UsageError: the files hold no row.
    """
    # Of two copies of a run, the one that has its JSON beside it tells more.
    parts, duplicates = plan_merge(sorted(files, key=lambda file: not file.with_suffix(".json").exists()))
    runs = [run for part in parts for run in _devices(in_order(part.results()), part.path.with_suffix(".json"))]
    if not runs:
        raise UsageError("these files hold no row: nothing was measured in their runs.")
    return runs, duplicates


def _devices(rows: list[Row], beside: Path) -> list[ReportRun]:
    """Return the rows of one run as a run for each device."""
    record, why = _record(beside, rows[0].run_id)
    runs = []
    for device in sorted({row.device for row in rows}):
        own = tuple(row for row in rows if row.device == device)
        runs.append(ReportRun(own, record, find_samples(own, record.get("samples") or (), beside), why))
    return runs


def _record(file: Path, run_id: str) -> tuple[dict[str, Any], str]:
    """Return the record of a run, or why there is none; raises FileError if it is damaged."""
    if not file.exists():
        return {}, "The raw samples are missing: there is no JSON beside the CSV."
    record = read_record(file, read_bytes(file))
    if record.get("run_id") != run_id:
        return {}, "The raw samples are missing: the JSON beside the CSV is of another run."
    if not isinstance(record.get("samples"), list):
        return record, "The raw samples are missing: the JSON beside the CSV holds none."
    return record, ""


def find_samples(rows: Iterable[Row], entries: Sequence[Any], file: Path) -> Samples:
    """Return the samples of each row that has exactly one entry.

    Raises:
        FileError: an entry holds something else than times.
    """
    known = Entries(entries, file)
    return {place: seconds for place, row in enumerate(rows) if (seconds := known.seconds(row))}
