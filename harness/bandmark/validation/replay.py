"""Rebuild the rows of a stored run from its record, with the code that made them, and compare."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

from bandmark import __version__
from bandmark.measure.measurement import Measurement
from bandmark.results.case import CaseId
from bandmark.results.reading import JsonObject
from bandmark.results.record import Entries, RunRecord
from bandmark.results.row import MEASURED, Column, Row, columns
from bandmark.session.rows import Outcome, build_rows
from bandmark.suites import metric_of, suite_of
from bandmark.suites.base import RunFacts
from bandmark.units import quote
from bandmark.validation.cells import Finding, version_numbers

_EXACT_FROM = (0, 2)
"""From this version on, samples are rounded when taken, so that the stored ones give the stored statistics exactly."""

PRECISION = 1e-8
"""Relative difference that unrounded samples make in the files of earlier versions; in ci95_rel it is absolute."""

_JUDGED = ("status", "reason", "verdict")
"""Columns that depend on rules that change between versions: compared within the version that wrote them alone."""

_POSSIBLE = {
    "ok": (True,),
    "suspect": (True, None),
    "failed_verification": (False,),
}
"""What the column verified holds, by status; for other statuses it is empty."""

Difference = tuple[int, Row, str, str, str]
"""Line of the CSV, its row, the column, what stands there, and what should."""


def replay(record: RunRecord, rows: Sequence[tuple[int, Row]]) -> Iterator[Difference]:
    """Yield each difference between the rows of a CSV and those that the record gives.

    Args:
        record: the run record.
        rows: the rows, with their lines.
    """
    entries = Entries(record.samples)
    outcomes: list[Outcome] = []
    lines: dict[CaseId, tuple[int, Row]] = {}
    for line, row in rows:
        outcome = _outcome(row, entries)
        if not isinstance(outcome, Outcome):
            yield line, row, *outcome
            continue
        # Device and suite are compared, too.
        case = CaseId.of(replace(row, device=record.device.name, suite=outcome.columns["suite"]))
        if case not in lines:  # a case that stands in two rows is told elsewhere
            outcomes.append(outcome)
            lines[case] = line, row
    for rebuilt in build_rows(outcomes, _facts(record)):
        line, stored = lines.pop(CaseId.of(rebuilt))
        yield from ((line, stored, *difference) for difference in _differences(stored, rebuilt, rows))


def _facts(record: RunRecord) -> RunFacts:
    return RunFacts(
        run_id=record.run_id,
        system=record.system,
        version=record.bandmark_version,
        device=record.device,
        peak=record.peak,
        data=record.settings.get("data", "random"),
        caches=record.machine.core_caches,
        libraries=record.backends,
    )


def _outcome(row: Row, entries: Entries) -> Outcome | Finding:
    """Return what happened to a row's case, or the column that rules the row out, its value, and what should stand."""
    suite = suite_of(row)
    case_columns = suite.case_columns(row)
    if case_columns is None:
        return (
            "kernel",
            quote(CaseId.of(row).label),
            f"a case that the suite {suite.name} has: formats, heads, dtype, n",
        )
    case_columns = {**case_columns, "variant": row.variant}
    if row.time_median_s is None:
        return Outcome(suite=suite, columns=case_columns, status=row.status, reason=row.reason, max_error=row.max_error)
    stored = entries.of(replace(row, suite=case_columns["suite"]))
    if len(stored) != 1:
        wanted = f"samples in the JSON: it has {len(stored)} lists for the row, not 1"
        return "time_median_s", written(row.time_median_s), wanted
    return Outcome(suite=suite, columns=case_columns, measurement=_measurement(stored[0], row))


def _measurement(entry: JsonObject, row: Row) -> Measurement:
    """Return the measurement of an entry; what earlier versions did not store in it is taken from the row."""
    if version_numbers(row.bandmark_version) < _EXACT_FROM:
        known = {f.name for f in fields(Measurement)} & {c.name for c in columns()}
        entry = {name: row.get(name) for name in known if row.get(name) is not None} | entry
        if row.copies is None:
            entry.pop("copies", None)
    return Measurement.from_entry(entry)


def _differences(stored: Row, rebuilt: Row, rows: Sequence[tuple[int, Row]]) -> Iterator[Finding]:
    """Yield column, stored value and right value of each difference between two rows of a case."""
    same_version = stored.bandmark_version == __version__
    skipped = set() if same_version else {*_JUDGED, "threads"}
    if not same_version and all(row.percent_of_ceiling is None for _, row in rows):
        skipped.add("percent_of_ceiling")  # earlier versions filled it at the end of a run, if that was reached
    if not same_version:
        yield from _impossible(stored)
    for column in columns():
        value, right = stored.get(column.name), rebuilt.get(column.name)
        if column.name not in skipped and not _equal(column, value, right, stored.bandmark_version):
            yield column.name, written(value), _explained(column, right)


def _equal(column: Column, value: Any, right: Any, version: str) -> bool:
    if isinstance(value, float) and isinstance(right, float | int):
        if version_numbers(version) < _EXACT_FROM:
            absolute = PRECISION if column.name == "ci95_rel" else 0.0
            return math.isclose(value, right, rel_tol=PRECISION, abs_tol=absolute)
        return f"{value:.9g}" == f"{right:.9g}"
    return bool(value == right)


def _impossible(row: Row) -> Iterator[Finding]:
    """Yield what no version's rules allow."""
    if row.verified not in _POSSIBLE.get(row.status, (None, False)):
        wanted = " or ".join(written(value) for value in _POSSIBLE.get(row.status, (None, False)))
        yield "verified", written(row.verified), f"{wanted}, as rows that are {row.status} have"
    if row.status != "ok" and row.reason is None:
        yield "reason", "nothing", f"a sentence: rows that are {row.status} say why"
    if (metric_of(row).value(row) is not None) != (row.status in MEASURED):
        yield "status", row.status, "a status that goes with the figures"


def _explained(column: Column, right: Any) -> str:
    """Return the right value of a column, with what the column holds."""
    return f"{written(right)} ({column.doc})" if column.type == "float" else written(right)


def written(value: Any) -> str:
    """Write a value as a message shows it."""
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    return f"{value:.9g}" if isinstance(value, float) else quote(value)
