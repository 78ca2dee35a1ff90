"""Cells as bandmark writes them pass; what other programs make of them is told from what they hold."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark import __version__
from bandmark.results.files import to_csv
from bandmark.results.reading import read_sheet
from bandmark.results.row import Column, columns
from bandmark.validation.cells import _FIRST_LAYOUT, check_cells, newer
from corpus import good_run
from fakes import make_result

COLUMNS = {column.name: column for column in columns()}


def violations(text: str) -> list[str]:
    """What is wrong with the form of a CSV."""
    return [str(violation) for violation in check_cells(read_sheet(Path("run.csv"), text.encode()))[1]]


def with_cell(name: str, cell: str) -> str:
    """A CSV of one good row with another cell."""
    head, row = to_csv([make_result()]).splitlines()
    cells = row.split(",")
    cells[head.split(",").index(name)] = cell
    return f"{head}\n{','.join(cells)}\n"


@given(st.floats(1e-12, 1e15), st.integers(1, 2**62))
def test_numbers_as_written_pass(number: float, whole: int) -> None:
    """Whatever number the harness writes, the validator takes."""
    assert violations(to_csv([make_result(time_median_s=number, n_elements=whole, temperature_c=-3.5)])) == []


def test_errors_may_have_no_bound() -> None:
    """max_error is infinite or no number where an output is; other columns never are."""
    assert violations(with_cell("max_error", "inf")) == violations(with_cell("max_error", "nan")) == []
    assert violations(with_cell("power_w", "nan"))


JUNK = ("N/A", "-1", "1,5", "=1", "#REF!", "1 000", "x", "0x10", "--", "1e5000")
NUMBERS = [c.name for c in columns() if c.type != "str"]


@pytest.mark.parametrize(("name", "junk"), [(n, j) for n in NUMBERS for j in JUNK if (n, j) != ("temperature_c", "-1")])
def test_no_column_takes_junk(name: str, junk: str) -> None:
    """Each column of numbers or truth values refuses what is none; only a temperature may be negative."""
    cell = f'"{junk}"' if "," in junk else junk
    found = violations(with_cell(name, cell))
    assert len(found) == 1 and f"run.csv:2: {name} of numpy triad float64: '{junk}'" in found[0]


@pytest.mark.parametrize("column", [c for c in columns() if c.type == "str"], ids=lambda c: c.name)
@pytest.mark.parametrize("junk", ["=1+1", "@x", "-1", "+1", " x", "x\t", "x" * 3000, "\u200bx"])
def test_no_text_is_a_formula(column: Column, junk: str) -> None:
    """No column of text takes what a spreadsheet would compute, hidden characters or endless text."""
    assert len(violations(with_cell(column.name, junk))) == 1


def test_older_files_lack_the_newest_columns() -> None:
    """Columns that were appended after the first layout may be missing; those of the first layout may not."""
    names = [f.name for f in fields(make_result())]
    cut = names.index(_FIRST_LAYOUT) + 1
    lines = [line.split(",") for line in to_csv([make_result()]).splitlines()]
    assert violations("".join(",".join(cells[:cut]) + "\n" for cells in lines)) == []
    assert violations("".join(",".join(cells[: cut - 1]) + "\n" for cells in lines)) == [
        f"run.csv:1: {_FIRST_LAYOUT}: another order, or a missing column, expected {_FIRST_LAYOUT}: columns are "
        "those of results/README.md"
    ]


def test_newer_versions_are_named() -> None:
    """Something unknown in a file of a newer version is answered with an update; else it is just unknown."""
    assert "update bandmark" in newer("99.0.0") and "99.0.0" in newer("99.0.0")
    assert newer(__version__) == newer("0.0.1") == newer(None) == newer("junk") == ""
    assert newer("9" * 5000) != "" and len(newer("9" * 5000)) < 120


def test_a_file_of_errors_is_not_read_to_its_end() -> None:
    """After ten thousand errors the rest of a file is not read, however long it is, and the last message says so."""
    found = violations(to_csv([make_result()]) + "x\n" * 100_000)
    assert len(found) == 10_001 and found[-1] == "run.csv:10002: 10000 errors so far; the rest was not read"


def test_rows_are_read_where_they_can_be() -> None:
    """A row with a violation is not believed; the others are read."""
    text = good_run(kernels=("copy",))[0].replace(",numpy,", ",nump,")
    rows, found = check_cells(read_sheet(Path("run.csv"), text.encode()))
    assert [(line, row is None) for line, row in rows] == [(2, True), (3, False)]
    assert "did you mean 'numpy'" in str(found[0])
