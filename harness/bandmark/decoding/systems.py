"""On which systems is decoding predicted? The measured ones, and the three named ones from their published peaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bandmark.decoding.measured import Bandwidth, MeasuredSystem, cache_bandwidth, memory_class, weight_bandwidth
from bandmark.decoding.predict import System
from bandmark.device.catalog import CatalogRow, load_catalog
from bandmark.errors import unknown_name
from bandmark.judge.references import REFERENCES
from bandmark.models.matrices import plain_name
from bandmark.models.weights import WeightFormat


@dataclass(frozen=True, slots=True)
class Named:
    """One of the three systems: its names, its row of the catalog, and a peak other than the catalog's."""

    name: str
    label: str
    catalog_id: str
    peak_gbs: float | None = None
    note: str = ""


_ANNOUNCED = next(r.published_gbs for r in REFERENCES if r.key == "dgx_station")

NAMED = (
    Named("dgx-spark", "DGX Spark", "dgx-spark-gb10", note="the memory is shared with the operating system"),
    Named(
        "rtx-pro-5000",
        "RTX PRO 5000",
        "rtx-pro-5000-blackwell-48",
        note="the card with 72 GB has the same bandwidth",
    ),
    Named("dgx-station", "Station (7100)", "dgx-station-gb300", note="7100 is the shipping datasheet's figure"),
    Named(
        "dgx-station-announced",
        "Station (8000)",
        "dgx-station-gb300",
        _ANNOUNCED,
        note=f"{_ANNOUNCED:g} is the announced figure",
    ),
)
"""The named systems in the order of the tables."""


def _catalog(named: Named) -> CatalogRow:
    return next(row for row in load_catalog() if row.id == named.catalog_id)


def published_system(named: Named) -> System:
    """Return a named system at its published peak, with the source of peak and memory."""
    row = _catalog(named)
    peak = named.peak_gbs or row.published_gbs
    assert peak is not None
    return System(
        name=named.label,
        weight_gbs=peak,
        cache_gbs=peak,
        measured=False,
        memory_bytes=float(row.capacity_gb) * 1e9,
        device_class=memory_class(row.memory_type),
        source=row.source,
        notes=(f"{peak:g} GB/s published, {row.capacity_gb} GB {row.memory_type}; {named.note}",),
    )


def measured_system(measured: MeasuredSystem, weights: WeightFormat, model: str = "") -> System:
    """Return a measured system as it reads a model's weights of a format; raises UsageError without a GEMV row."""
    weight = weight_bandwidth(measured, weights, plain_name(model) if model else "")
    cache = cache_bandwidth(measured, weight)
    return as_measured(
        measured,
        weight,
        cache,
        f"{weights.name} weights at {weight.gbs:.4g} GB/s: {weight.words}",
        f"cache at {cache.gbs:.4g} GB/s: {cache.words}",
    )


def as_measured(measured: MeasuredSystem, weight: Bandwidth, cache: Bandwidth, *notes: str) -> System:
    """Return a measured system at these bandwidths, with what is to be said of them."""
    return System(
        name=measured.system,
        weight_gbs=weight.gbs,
        cache_gbs=cache.gbs,
        measured=True,
        memory_bytes=measured.memory_bytes,
        device_class=measured.device_class,
        source="these results",
        notes=notes,
    )


def choose(measured: Sequence[MeasuredSystem], name: str | None) -> tuple[list[MeasuredSystem], list[Named]]:
    """Return the systems that are asked for: all, or the one of that name; raises UsageError if there is none."""
    if name is None:
        return list(measured), list(NAMED)
    names = {n.name for n in NAMED} | {m.system for m in measured}
    if name not in names:
        raise unknown_name("system", name, sorted(names))
    return [m for m in measured if m.system == name], [n for n in NAMED if n.name == name]
