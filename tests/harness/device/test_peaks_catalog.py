"""data/devices.csv is consistent: each value has a source, names match whole, and the numbers multiply out."""

from __future__ import annotations

import csv
import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.device.peaks import CatalogRow, _normalise, load_catalog, rows_named

ROWS = load_catalog()
CELLS = {
    cells["id"]: cells
    for cells in csv.DictReader(
        files("bandmark").joinpath("data", "devices.csv").read_text(encoding="utf-8").splitlines()
    )
}
"""All columns, those included that only these checks read: data rate, name source."""

NAMES = sorted({name for row in ROWS for name in row.names})
KNOWN = {_normalise(name) for name in NAMES}
BY_ID = {row.id: row for row in ROWS}

# Clock x bus differs from the published figure by more than rounding; each row's note says why.
EXPLAINED = {"h200-sxm", "h200-nvl", "b200"}


def ids(rows: list[CatalogRow] | tuple[CatalogRow, ...]) -> list[str]:
    return [row.id for row in rows]


def test_ids_are_unique_and_the_file_is_plain_csv() -> None:
    """One row per variant, a stable id each, LF line ends, ASCII and no blank padding."""
    text = files("bandmark").joinpath("data", "devices.csv").read_bytes()
    assert b"\r" not in text and text.isascii() and text.endswith(b"\n")
    assert len(BY_ID) == len(ROWS) > 90
    for cells in csv.DictReader(text.decode().splitlines()):
        assert all(value is not None and value == value.strip() for value in cells.values())


@pytest.mark.parametrize("row", ROWS, ids=ids(ROWS))
def test_every_row_has_source_and_confidence(row: CatalogRow) -> None:
    """No value stands without a source, and nothing rests on somebody's memory."""
    assert row.confidence in {"high", "medium", "low"}
    assert row.source and row.names
    assert not re.search(r"\b(?:from memory|unsourced|guess)\b", f"{row.source} {row.note}", re.I)
    assert (
        CELLS[row.id]["name_source"]
        or row.confidence != "high"
        or row.id.startswith(("v100", "p100", "titan", "jetson"))
    )


@pytest.mark.parametrize("row", ROWS, ids=ids(ROWS))
def test_low_confidence_gives_no_figure(row: CatalogRow) -> None:
    """A row has a published figure, or it is of low confidence, and its note says why it has none."""
    if row.confidence == "low":
        assert row.published_gbs is None
        assert row.note
    else:
        assert row.published_gbs is not None and 0 < row.published_gbs < 1e4


MULTIPLIED = [row for row in ROWS if row.published_gbs and row.bus_width_bits and CELLS[row.id]["data_rate_gbps"]]


def test_few_rows_lack_bus_or_rate() -> None:
    """Only HBM parts whose bus is not settled and devices without CUDA escape the check of bus x rate."""
    rest = {row.id for row in ROWS if row.published_gbs and row.compute_capability} - set(ids(MULTIPLIED))
    assert rest == {"dgx-station-gb300", "gb300", "b300", "h20"}


@pytest.mark.parametrize("row", MULTIPLIED, ids=ids(MULTIPLIED))
def test_published_agrees_with_bus_times_rate(row: CatalogRow) -> None:
    """Published = bus x rate / 8 within 1.5 %, except where the row's note explains the difference."""
    assert row.published_gbs and row.bus_width_bits
    error = abs(row.bus_width_bits * float(CELLS[row.id]["data_rate_gbps"]) / 8 / row.published_gbs - 1)
    assert (error > 0.015) == (row.id in EXPLAINED)
    assert row.note or row.id not in EXPLAINED


@pytest.mark.parametrize("name", NAMES)
def test_every_name_finds_the_rows_that_list_it(name: str) -> None:
    """A name finds exactly the rows that list it, in any case and spacing."""
    expected = [row.id for row in ROWS if name in row.names]
    assert ids(rows_named(name)) == expected
    assert ids(rows_named(f"  {name.upper().replace(' ', '   ')} ")) == expected


def test_only_these_names_are_shared() -> None:
    """Variants under one name are known and separated; a new collision must be dealt with here."""
    shared = {name: ids(rows_named(name)) for name in NAMES if len(rows_named(name)) > 1}
    orin = ["jetson-agx-orin-64", "jetson-orin-nx-16", "jetson-orin-nano-8"]
    assert shared == {
        "NVIDIA GB300": ["dgx-station-gb300", "gb300"],
        "NVIDIA GeForce RTX 3060": ["rtx-3060-12", "rtx-3060-8"],
        "NVIDIA GeForce RTX 3060 Ti": ["rtx-3060-ti-g6", "rtx-3060-ti-g6x"],
        "NVIDIA GeForce RTX 3080": ["rtx-3080-12", "rtx-3080-10"],
        "NVIDIA GeForce RTX 3080 Ti": ["rtx-3080-ti", "rtx-3080-ti-20"],
        "NVIDIA GeForce RTX 4070": ["rtx-4070-g6x", "rtx-4070-g6"],
        "Orin": orin,
        "Orin (nvgpu)": orin,
    }


@given(data=st.data())
def test_no_part_of_a_name_matches(data: st.DataObject) -> None:
    """A proper part of a catalogue name finds nothing unless it is a catalogue name itself."""
    name = data.draw(st.sampled_from(NAMES))
    start = data.draw(st.integers(0, len(name)))
    part = name[start : data.draw(st.integers(start, len(name)))]
    assert bool(rows_named(part)) == (_normalise(part) in KNOWN)


@given(
    name=st.sampled_from(NAMES),
    before=st.sampled_from(["", "N", "NVIDIA ", "GRID ", "G", "ASUS "]),
    after=st.sampled_from(["", "S", "0", " D", " v2", " Ti", " SUPER", " Laptop GPU", " MIG 1g.5gb", "-4Q", "G"]),
)
def test_no_extension_of_a_name_matches(name: str, before: str, after: str) -> None:
    """A catalogue name with something more finds nothing unless the whole is a catalogue name itself."""
    longer = before + name + after
    assert bool(rows_named(longer)) == (_normalise(longer) in KNOWN)


@given(st.text())
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    """Normalising is idempotent, so names can be compared whatever was done to them before."""
    assert _normalise(_normalise(text)) == _normalise(text)
