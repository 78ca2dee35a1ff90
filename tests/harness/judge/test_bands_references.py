"""The three named systems stand for what their makers published."""

from __future__ import annotations

from bandmark.device.peaks import load_catalog
from bandmark.judge.bands import DGX_STATION_SHIPPING_GBS, REFERENCES
from bandmark.results.row import columns


def test_the_figures_are_the_published_ones() -> None:
    """273, 1344 and 8000 GB/s, in the order of the columns."""
    assert [(r.label, r.published_gbs) for r in REFERENCES] == [
        ("DGX Spark", 273.0),
        ("RTX PRO 5000", 1344.0),
        ("DGX Station", 8000.0),
    ]


def test_each_has_a_column() -> None:
    """Every reference is a column of the result files, whose meaning names the figure."""
    by_name = {c.name: c for c in columns()}
    for reference in REFERENCES:
        assert f"{reference.published_gbs:g} GB/s" in by_name[reference.column].doc


def test_the_catalogue_agrees() -> None:
    """The two that ship with that figure have it in the data file too; the Station ships with another."""
    published = {row.id: row.published_gbs for row in load_catalog()}
    assert published["dgx-spark-gb10"] == 273.0
    assert 1344.0 in published.values()
    assert published["dgx-station-gb300"] == DGX_STATION_SHIPPING_GBS == 7100.0
