"""The one table of columns: its fixed names and order, its text form and its types."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.results.row import (
    MEASURED,
    SCHEMA,
    STATUSES,
    Column,
    Row,
    add_columns,
    columns,
    from_cells,
    remove_columns,
    to_cells,
)
from fakes import make_result

FIXED = (
    "schema",
    "run_id",
    "system",
    "device",
    "backend",
    "kernel",
    "dtype",
    "n_elements",
    "working_set_bytes",
    "regime",
    "bytes_read",
    "bytes_written",
    "samples",
    "launches_per_sample",
    "time_median_s",
    "time_min_s",
    "time_q1_s",
    "time_q3_s",
    "time_max_s",
    "bandwidth_gbs",
    "bandwidth_best_gbs",
    "ci95_rel",
    "stop_reason",
    "peak_gbs",
    "peak_source",
    "percent_of_peak",
    "percent_of_dgx_spark",
    "percent_of_rtx_pro_5000",
    "percent_of_dgx_station",
    "verified",
    "max_error",
    "status",
    "reason",
    "suite",
    "m",
    "n",
    "weight_format",
    "weights_per_s",
    "variant",
    "started_utc",
    "bandmark_version",
    "backend_version",
    "driver",
)
"""The columns that other tools read, in their order."""

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXT,
    "int": st.integers(-(2**53), 2**53),
    "float": st.floats(allow_nan=False, width=32).map(lambda x: float(f"{x:.9g}")),
    "bool": st.booleans(),
}


def results() -> st.SearchStrategy[Row]:
    """Rows of any contents, with optional columns empty now and then; floats have nine figures."""
    parts = {c.name: VALUES[c.type] if c.required else st.none() | VALUES[c.type] for c in columns()}
    return st.fixed_dictionaries(parts).map(lambda values: Row(**values))


def test_the_fixed_columns_come_first_and_in_order() -> None:
    """Other tools read these columns: they stand first, and new ones are appended."""
    assert tuple(c.name for c in columns())[: len(FIXED)] == FIXED


def test_columns_are_the_fields() -> None:
    """There is one table: the columns are the fields of a row, each with a meaning and a plain type."""
    assert [c.name for c in columns()] == [f.name for f in fields(Row) if f.name != "extra"]
    for column in columns():
        assert column.doc and column.type in ("str", "int", "float", "bool")


UNITS = {"_s": "s", "_bytes": "bytes", "_gbs": "GB/s", "_mhz": "MHz", "_c": "degC", "_w": "W"}


@pytest.mark.parametrize("column", columns(), ids=lambda c: c.name)
def test_names_carry_their_unit(column: Column) -> None:
    """A name that ends in a unit has that unit; a percentage says so."""
    for ending, unit in UNITS.items():
        if column.name.endswith(ending) and not column.name.endswith("_per_s"):
            assert column.unit == unit
    if column.name.startswith("percent_of"):
        assert column.unit == "%"
    if column.unit in UNITS.values() and column.unit != "bytes":
        assert column.name.endswith(tuple(UNITS))


def test_columns_that_every_row_has() -> None:
    """What identifies a row, and its status, is required; everything measured may be unknown."""
    required = {c.name for c in columns() if c.required}
    identity = {"schema", "run_id", "system", "device", "backend", "kernel", "dtype", "suite", "bandmark_version"}
    assert required == identity | {"status"}


@given(results())
def test_rows_survive_text(row: Row) -> None:
    """A row written as text and read back is the same row."""
    assert from_cells(to_cells(row)) == row


@given(st.floats(1e-12, 1e12))
def test_numbers_keep_nine_figures(value: float) -> None:
    """What is lost by writing a number is less than one part in 10^8."""
    cells = to_cells(make_result(time_median_s=value))
    assert from_cells(cells).time_median_s == pytest.approx(value, rel=1e-8)


def test_unknown_is_an_empty_cell() -> None:
    """None is written as nothing, never as 0, -1 or N/A, and nothing is read as None."""
    row = make_result(driver=None, verified=None, temperature_c=None, m=None)
    cells = to_cells(row)
    assert {cells[name] for name in ("driver", "verified", "temperature_c", "m")} == {""}
    assert from_cells(cells) == row


def test_zero_and_false_are_not_unknown() -> None:
    """A measured zero, and a false, are written."""
    cells = to_cells(make_result(max_error=0.0, verified=False, n=0))
    assert (cells["max_error"], cells["verified"], cells["n"]) == ("0", "false", "0")


def test_an_error_without_bound_is_kept() -> None:
    """An output that holds NaN is wrong without bound, and stays so."""
    assert from_cells(to_cells(make_result(max_error=math.inf))).max_error == math.inf


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("samples", "12.5", ("'samples'", "'12.5'", "a whole number")),
        ("time_median_s", "fast", ("'time_median_s'", "'fast'", "a number")),
        ("bandwidth_gbs", "1,5", ("'bandwidth_gbs'", "'1,5'", "decimal point")),
        ("verified", "True", ("'verified'", "'True'", "true, false or nothing")),
        ("kernel", "", ("'kernel'", "empty")),
    ],
)
def test_a_wrong_cell_is_named(name: str, text: str, words: tuple[str, ...]) -> None:
    """The error has the column, the text and what is accepted."""
    with pytest.raises(ValueError, match="column") as wrong:
        from_cells(to_cells(make_result()) | {name: text})
    assert all(word in str(wrong.value) for word in words)


def test_columns_of_later_versions_are_left_out() -> None:
    """An unknown column is no error, and a missing optional one is unknown."""
    cells = to_cells(make_result()) | {"colour": "blue"}
    del cells["copies"]
    assert from_cells(cells) == make_result(copies=None)


def test_derived_properties() -> None:
    """Bytes moved and the spread follow from the columns, and are unknown where those are."""
    row = make_result()
    assert row.bytes_moved == 24000
    assert row.iqr_rel == pytest.approx(0.04)
    assert replace(row, bytes_read=None).bytes_moved is None
    assert replace(row, time_q1_s=None).iqr_rel is None
    assert replace(row, time_median_s=0.0).iqr_rel is None


LATENCY = Column(name="hop_ns", type="float", doc="time of an access", unit="ns")


@pytest.fixture
def _latency() -> Iterator[None]:
    """A column that a suite from outside appends."""
    add_columns([LATENCY])
    yield
    remove_columns(["hop_ns"])


@pytest.mark.usefixtures("_latency")
def test_an_appended_column_is_a_column() -> None:
    """It comes last, is read by its name, and survives text; rows without a value leave its cell empty."""
    assert columns()[-1] == LATENCY
    row = Row.of({f.name: getattr(make_result(), f.name) for f in fields(Row) if f.name != "extra"} | {"hop_ns": 7.5})
    assert row.get("hop_ns") == 7.5 and row.get("kernel") == "triad" and row.extra == {"hop_ns": 7.5}
    cells = to_cells(row)
    assert list(cells)[-1] == "hop_ns" and cells["hop_ns"] == "7.5"
    assert from_cells(cells) == row
    plain = make_result()
    assert plain.get("hop_ns") is None and to_cells(plain)["hop_ns"] == ""
    assert hash(row) == hash(replace(row, extra={}))


@pytest.mark.usefixtures("_latency")
def test_a_column_in_use_is_refused() -> None:
    """No suite appends a column that is there, and where one name is refused none is added."""
    before = columns()
    for name in ("hop_ns", "kernel"):
        with pytest.raises(ValueError, match=f"there is a column '{name}' already"):
            add_columns([replace(LATENCY, name="new"), replace(LATENCY, name=name)])
    assert columns() == before


def test_columns_are_removed_again() -> None:
    """All columns of a suite go, whatever kind of sequence names them, and others stay."""
    before = columns()
    names = ("one", "two", "three")
    add_columns(replace(LATENCY, name=name) for name in names)
    remove_columns(name for name in names if name != "two")
    assert [c.name for c in columns()[len(before) :]] == ["two"]
    remove_columns(names)
    assert columns() == before


def test_a_value_of_no_column() -> None:
    """A row is made of columns alone."""
    with pytest.raises(KeyError, match="no column 'colour'"):
        Row.of({"kernel": "copy", "colour": "blue"})
    assert make_result().get("colour") is None


def test_statuses() -> None:
    """Only ok and suspect rows count as results."""
    assert MEASURED == ("ok", "suspect")
    assert set(STATUSES) == {"ok", "suspect", "failed_verification", "unsupported", "skipped", "error"}
    assert SCHEMA == 1
