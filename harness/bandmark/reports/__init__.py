"""Reports of runs, as a page, as Markdown or as a picture: a part for each run, device and suite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

from bandmark.errors import UsageError
from bandmark.results.case import in_order
from bandmark.results.merge import read_runs
from bandmark.results.reading import read_bytes
from bandmark.results.record import Entries
from bandmark.results.row import MEASURED, Row
from bandmark.suites import Metric, Suite, by_suite, metric_of, suite_of
from bandmark.validation.record import read_record


@dataclass(frozen=True)
class ReportRun:
    """The rows of one run that one device and one suite have."""

    rows: tuple[Row, ...]
    """In the order of result files; at least one."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """The JSON of the run; empty where there is none."""
    samples: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    """Seconds per launch of each sample, by the position of the row."""

    @property
    def first(self) -> Row:
        """Any row: what the rows of a run have in common is in each."""
        return self.rows[0]

    @property
    def suite(self) -> Suite:
        """The suite of the rows."""
        return suite_of(self.first)

    @property
    def metric(self) -> Metric:
        """What the rows are compared by."""
        return metric_of(self.first)

    @property
    def has_peak(self) -> bool:
        """Whether the metric is one that published peaks are given for."""
        return self.metric.unit == "GB/s" and not self.suite.is_curve

    @property
    def findings(self) -> list[str]:
        """The lines in which a suite of curves says what they show."""
        return (self.suite.headline(self.rows) or "").splitlines() if self.suite.is_curve else []

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

    def block(self, name: str) -> Mapping[str, Any]:
        """Return a part of the record; empty where there is none."""
        block = self.record.get(name)
        return block if isinstance(block, dict) else {}


def positive(value: float | None) -> TypeGuard[float]:
    """Return whether a figure can be drawn."""
    return value is not None and math.isfinite(value) and value > 0


def split_run(file: Path, rows: Sequence[Row], record: Mapping[str, Any]) -> list[ReportRun]:
    """Return the rows of one run as a run for each device and suite; a row has samples if one entry fits it alone.

    Raises:
        FileError: an entry of samples holds no times; the message names the file.
    """
    entries = Entries(record.get("samples") or (), file)
    runs = []
    for device in sorted({row.device for row in rows}):
        for _, part in by_suite([row for row in rows if row.device == device]):
            samples = {place: seconds for place, row in enumerate(part) if (seconds := entries.seconds(row))}
            runs.append(ReportRun(tuple(part), record, samples))
    return runs


def read_report(files: Sequence[Path]) -> tuple[list[ReportRun], list[str]]:
    """Return the runs of some CSVs in order, each once, and a sentence for each copy that was left out.

    Raises:
        FileError: a file is damaged, or two files disagree about a run.
        UsageError: the files hold no row.
    """
    # Of two copies of a run, the one that has its JSON beside it tells more.
    stored, duplicates = read_runs(sorted(files, key=lambda file: not file.with_suffix(".json").exists()))
    runs = []
    for run in stored:
        file = run.path.with_suffix(".json")
        record = read_record(file, read_bytes(file)) if file.exists() else {}
        runs += split_run(file, in_order(run.rows()), record if record.get("run_id") == run.run_id else {})
    if not runs:
        raise UsageError("these files hold no row: nothing was measured in their runs.")
    return runs, duplicates
