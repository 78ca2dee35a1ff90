"""Reports of runs, as a page, as Markdown or as a picture: a part for each run, device and suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bandmark.errors import UsageError
from bandmark.results.case import CaseId, in_order
from bandmark.results.files import read_runs
from bandmark.results.reading import read_bytes
from bandmark.results.record import Entries
from bandmark.results.row import MEASURED, Row
from bandmark.show.summary import best_of_kernels, has_peak, positive, ranked
from bandmark.suites import Metric, Suite, by_suite, metric_of, suite_of
from bandmark.validation.record import read_record

FORMS = ("html", "md", "png", "svg")
"""What a report can be written as; also the suffixes of the files."""


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
        return has_peak(self.first) and not self.suite.is_curve

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
        """The rows that stand for the device, the best first."""
        return ranked(self.suite.representatives(self.rows))

    @cached_property
    def best(self) -> Mapping[str, Row]:
        """The best row of each kernel that has one, those that answer for the suite first."""
        return best_of_kernels(self.suite.representatives(self.rows))

    @property
    def headlines(self) -> tuple[str, ...]:
        """The kernels that answer for the suite, the most important first."""
        return self.suite.headline_kernels or self.suite.kernel_names

    @property
    def completeness(self) -> tuple[int, str]:
        """Which of several runs stands for a system: the one with most of the kernels that answer, then the newest."""
        return sum(name in self.best for name in self.headlines), self.first.run_id

    def block(self, name: str) -> Mapping[str, Any]:
        """Return a part of the record; empty where there is none."""
        block = self.record.get(name)
        return block if isinstance(block, dict) else {}


def replicates(runs: Sequence[ReportRun]) -> list[list[ReportRun]]:
    """Return the runs of the same cases on one system and device together, in their order, the newest first."""
    groups: dict[tuple[str, str, frozenset[str]], list[ReportRun]] = {}
    for run in runs:
        cases = frozenset(CaseId.of(row).label for row in run.rows)  # sizes may differ from run to run
        groups.setdefault((run.first.system, run.first.device, cases), []).append(run)
    return [sorted(group, key=lambda run: run.first.run_id, reverse=True) for group in groups.values()]


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


def form_and_file(kind: str | None, output: str | None) -> tuple[str, Path | None]:
    """Return what to write and where, None being stdout; raises UsageError if the two do not fit."""
    if output == "-":
        return kind or "html", None
    path = Path(output or f"report.{kind or 'html'}")
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in FORMS or (kind is not None and kind != suffix):
        wanted = f".{kind}" if kind else ", ".join(f".{name}" for name in FORMS)
        raise UsageError(f"--output {path} must end in {wanted}, or be - for stdout.")
    return suffix, path


def render(runs: Sequence[ReportRun], kind: str) -> bytes:
    """Return a report in one of the formats; raises BackendUnavailable where a PNG can't be drawn here."""
    if kind == "png":
        from bandmark.reports.image import png

        return png(runs)
    if kind == "svg":
        from bandmark.reports.image import svg as write
    elif kind == "md":
        from bandmark.reports.markdown import page as write
    else:
        from bandmark.reports.page import page as write
    return write(runs).encode()
