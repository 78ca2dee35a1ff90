"""The runs of a report: one per device and suite, with the raw samples that belong to them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

from bandmark.errors import UsageError
from bandmark.results.case import in_order, matrix_of
from bandmark.results.merge import read_runs
from bandmark.results.reading import read_bytes
from bandmark.results.row import MEASURED, Row
from bandmark.results.samples import Entries
from bandmark.suites import by_suite, suite_of
from bandmark.suites.base import Metric, Suite
from bandmark.suites.table import SHORT_DTYPES
from bandmark.validation.record import read_record

Samples = dict[int, tuple[float, ...]]
"""Seconds per launch of each sample, by the position of the row in the run."""


@dataclass(frozen=True)
class ReportRun:
    """The rows of one run that one device and one suite have."""

    rows: tuple[Row, ...]
    """In the order of result files; at least one."""
    record: dict[str, Any] = field(default_factory=dict)
    """The JSON of the run; empty where there is none."""
    samples: Samples = field(default_factory=dict)
    why_no_samples: str = ""
    """One sentence; empty where the raw samples are there."""

    @property
    def first(self) -> Row:
        """Any row: what the rows of a run have in common is in each."""
        return self.rows[0]

    @cached_property
    def suite(self) -> Suite:
        """The suite of the rows."""
        return suite_of(self.first)

    @property
    def metric(self) -> Metric:
        """What the rows are compared by."""
        return self.suite.metric

    @property
    def has_peak(self) -> bool:
        """Whether the metric is one that published peaks are given for."""
        return self.metric.unit == "GB/s"

    @property
    def peak_gbs(self) -> float | None:
        """The peak of the device, if it is known."""
        return next((row.peak_gbs for row in self.rows if self.has_peak and positive(row.peak_gbs)), None)

    def value(self, row: Row) -> float:
        """Return the figure of a row; 0 where it has none that can be drawn."""
        value = self.metric.value(row)
        return value if positive(value) else 0.0

    @cached_property
    def measured(self) -> list[Row]:
        """The rows that have a figure to draw."""
        return [row for row in self.rows if row.status in MEASURED and self.value(row)]

    @property
    def ranked(self) -> list[Row]:
        """The rows that stand for the device, the best first: those that are ok; bandwidths, from memory alone."""
        counted = [r for r in self.measured if r.status == "ok" and (r.regime == "dram" or not self.has_peak)]
        return sorted(counted, key=self.value, reverse=self.metric.higher_is_better)

    def block(self, name: str) -> dict[str, Any]:
        """Return a part of the record; empty where there is none."""
        block = self.record.get(name)
        return block if isinstance(block, dict) else {}


def positive(value: float | None) -> TypeGuard[float]:
    """Return whether a figure can be drawn."""
    return value is not None and math.isfinite(value) and value > 0


def case_name(row: Row) -> str:
    """Return a case in words: copy numpy f64, gemv cupy nvfp4 weights, kv cupy fp8 cache."""
    packed = f"{row.weight_format} {'weights' if row.head_dim is None else 'cache'}" if row.weight_format else ""
    number_format = packed or SHORT_DTYPES.get(row.dtype, row.dtype)
    parts = (row.kernel, matrix_of(row), row.backend, number_format, row.variant)
    return " ".join(part for part in parts if part)


def split_run(file: Path, rows: Iterable[Row], record: dict[str, Any], why: str = "") -> list[ReportRun]:
    """Return the rows of one run as a run for each device and suite; raises FileError for samples that are none."""
    everything = list(rows)
    runs = []
    for device in sorted({row.device for row in everything}):
        for _, part in by_suite([row for row in everything if row.device == device]):
            samples = find_samples(part, record.get("samples") or (), file)
            runs.append(ReportRun(tuple(part), record, samples, why))
    return runs


def read_report(files: Sequence[Path]) -> tuple[list[ReportRun], list[str]]:
    """Return the runs of some CSVs in order, each once, and a sentence for each copy that was left out.

    Raises:
        FileError: a file is damaged, or two files disagree about a run.
        UsageError: the files hold no row.
    """
    # Of two copies of a run, the one that has its JSON beside it tells more.
    parts, duplicates = read_runs(sorted(files, key=lambda file: not file.with_suffix(".json").exists()))
    runs = []
    for part in parts:
        rows = in_order(part.rows())
        file = part.path.with_suffix(".json")
        runs += split_run(file, rows, *_record(file, rows[0].run_id))
    if not runs:
        raise UsageError("these files hold no row: nothing was measured in their runs.")
    return runs, duplicates


def _record(file: Path, run_id: str) -> tuple[dict[str, Any], str]:
    """Return the record of a run, or why there are no samples; raises FileError if it is damaged."""
    if not file.exists():
        return {}, "The raw samples are missing: there is no JSON beside the CSV."
    record = read_record(file, read_bytes(file))
    if record.get("run_id") != run_id:
        return {}, "The raw samples are missing: the JSON beside the CSV is of another run."
    if not isinstance(record.get("samples"), list):
        return record, "The raw samples are missing: the JSON beside the CSV holds none."
    return record, ""


def find_samples(rows: Iterable[Row], entries: Sequence[Any], file: Path) -> Samples:
    """Return the samples of each row that has exactly one entry; raises FileError for an entry that holds no times."""
    known = Entries(entries, file)
    return {place: seconds for place, row in enumerate(rows) if (seconds := known.seconds(row))}
