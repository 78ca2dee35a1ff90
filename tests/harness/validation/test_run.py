"""The rows of one file are those of one run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bandmark.results.row import Row
from bandmark.results.sheet import read_sheet
from bandmark.validation.cells import Line, check_cells
from bandmark.validation.run import check_rows
from corpus import good_run
from fakes import make_result

FILE = Path("run.csv")


def rows(**options: Any) -> list[Line]:
    """The rows of a good run."""
    return check_cells(read_sheet(FILE, good_run(**options)[0].encode()))[0]


def change(row: Line, **changes: Any) -> Line:
    """A row with other values."""
    assert row.result is not None
    return Line(row.line, replace(row.result, **changes))


def test_a_good_run() -> None:
    """Nothing is wrong with the rows of a run, nor with none."""
    assert check_rows(FILE, rows()) == check_rows(FILE, []) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"run_id": "20261123T101500Z-0000"},
        {"system": "b"},
        {"bandmark_version": "0.2.0"},
        {"schema": 0},
        {"data": None},
    ],
    ids=str,
)
def test_rows_agree(changes: dict[str, Any]) -> None:
    """Run, system, version, schema and data are one for all rows; the first row that differs is named."""
    first, *others = rows()
    found = check_rows(FILE, [first, *(change(row, **changes) for row in others)])
    assert [(fault.line, fault.column) for fault in found] == [(3, *changes)]


def test_no_case_stands_in_two_rows() -> None:
    """The second row of a case is named with the line of the first."""
    first, *others = rows()
    (fault,) = check_rows(FILE, [first, *others, Line(99, first.result)])
    assert (fault.line, fault.column) == (99, None) and "the case of line 2 again" in str(fault)


def test_ceilings() -> None:
    """All measured dram rows have a share of the best verified read, or none where the run was cut short."""
    whole = rows()
    without = [change(row, percent_of_ceiling=None) for row in whole]
    assert check_rows(FILE, without) == []
    assert [fault.column for fault in check_rows(FILE, [without[0], *whole[1:]])] == ["percent_of_ceiling"]
    no_reads = [row for row in whole if row.result and row.result.kernel != "read"]
    assert {fault.column for fault in check_rows(FILE, no_reads)} == {"percent_of_ceiling"}
    unread = [row for row in rows(errors={"read": 2.0}) if row.result]
    assert check_rows(FILE, unread) == []


def test_a_row_that_was_not_read_is_left_out() -> None:
    """Rows with faults in their cells are not judged again."""
    result: Row | None = None
    assert check_rows(FILE, [Line(2, result)]) == []
    (fault,) = check_rows(
        FILE,
        [
            Line(
                5,
                make_result(
                    llc_bytes=6000,
                    started_utc="x",
                    bandwidth_best_gbs=24e-6 / 0.9e-3,
                    percent_of_dgx_spark=2.4 / 273,
                    percent_of_rtx_pro_5000=2.4 / 1344,
                    percent_of_dgx_station=1.0,
                ),
            )
        ],
    )
    assert (fault.line, fault.column, fault.case) == (5, "percent_of_dgx_station", "numpy triad float64")
