"""Do the rows of one file make one run?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bandmark.results.case import CaseId
from bandmark.results.faults import Fault, quote
from bandmark.results.row import MEASURED, Row
from bandmark.validation.cells import Line
from bandmark.validation.rows import check_row, near, said, true_gbs


def check_rows(file: Path, rows: Sequence[Line]) -> list[Fault]:
    """Return what is wrong with the rows of one file, each alone and all together."""
    read = [(row.line, row.result) for row in rows if row.result is not None]
    faults = [
        Fault(file=file, line=line, column=column, case=CaseId.of(row).label, found=said(found), wanted=wanted)
        for line, row in read
        for column, found, wanted in check_row(row)
    ]
    return faults + list(_same_in_all(file, read)) + list(_twice(file, read)) + list(_ceilings(file, read))


def _same_in_all(file: Path, rows: Sequence[tuple[int, Row]]) -> Iterator[Fault]:
    """One file is one run on one system."""
    for name in ("run_id", "system", "schema", "bandmark_version", "data"):
        first = getattr(rows[0][1], name) if rows else None
        for line, row in rows:
            if (value := getattr(row, name)) != first:
                wanted = f"{quote(first)}, as in the first row: a result file holds one run"
                yield Fault(
                    file=file, line=line, column=name, case=CaseId.of(row).label, found=said(value), wanted=wanted
                )
                break


def _twice(file: Path, rows: Sequence[tuple[int, Row]]) -> Iterator[Fault]:
    """Each case stands in one row."""
    seen: dict[tuple[Any, ...], int] = {}
    for line, row in rows:
        if (before := seen.setdefault((row.run_id, *CaseId.of(row).key), line)) != line:
            wanted = "one row for each case of a run"
            yield Fault(
                file=file, line=line, case=CaseId.of(row).label, found=f"the case of line {before} again", wanted=wanted
            )


def _ceilings(file: Path, rows: Sequence[tuple[int, Row]]) -> Iterator[Fault]:
    """percent_of_ceiling divides by the best verified read of the device; runs that were cut short have none."""
    best: dict[str, float] = {}
    for _, row in rows:
        if row.kernel == "read" and row.verified and row.regime == "dram" and (gbs := true_gbs(row)):
            best[row.device] = max(best.get(row.device, 0.0), gbs)
    filled = any(row.percent_of_ceiling is not None for _, row in rows)
    for line, row in rows:
        gbs = true_gbs(row)
        counts = row.status in MEASURED and row.regime == "dram" and row.device in best
        right = 100 * gbs / best[row.device] if counts and gbs else None
        value = row.percent_of_ceiling
        agrees = value is None if right is None else value is not None and near(value, right)
        if filled and not agrees:
            wanted = f"{right:.9g} = 100 x bandwidth_gbs / {best[row.device]:g}" if right else "nothing"
            name = CaseId.of(row).label
            yield Fault(file=file, line=line, column="percent_of_ceiling", case=name, found=said(value), wanted=wanted)
