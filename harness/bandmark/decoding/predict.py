"""Predict the tokens per second of a model on a system: an upper bound, and what is expected with its range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bandmark.decoding.measured import Bandwidth, MeasuredSystem, cache_bandwidth, memory_class, weight_bandwidth
from bandmark.decoding.step import FITTED, KNOWN_CLASSES, UNCERTAINTY, Step, memory_bytes, step_of
from bandmark.device.catalog import load_catalog
from bandmark.errors import unknown_name
from bandmark.models.matrices import plain_name
from bandmark.models.model import Model
from bandmark.models.weights import WeightFormat, check_format
from bandmark.tables import read_table

_RESERVED = 0.10
"""Part of the memory that the operating system, the engine and its working space take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A machine as decoding sees it. Bandwidths in GB/s, memory in bytes; None is not known."""

    name: str
    weight_gbs: float
    cache_gbs: float
    measured: bool
    """Whether the bandwidths were measured; else they are published peaks."""
    memory_bytes: float | None
    device_class: str
    """unified, card, hbm, cpu or unknown."""
    source: str
    notes: tuple[str, ...] = ()

    @property
    def is_covered(self) -> bool:
        """Whether published rates cover this class of device."""
        return self.device_class in KNOWN_CLASSES

    def as_json(self) -> dict[str, object]:
        """Return what tells one system from another, for programs."""
        return {"system": self.name, "measured": self.measured, "notes": list(self.notes), "source": self.source}

    def holds(self, size: float) -> bool | None:
        """Return whether so many bytes leave a tenth of the memory free; None: its size is not known."""
        return None if self.memory_bytes is None else size <= (1 - _RESERVED) * self.memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSystem:
    """A system that is known by name."""

    name: str
    label: str
    catalog_id: str
    """Its row of the device catalog."""
    peak_gbs: float | None
    """A peak other than the catalog's."""
    note: str


NAMED = read_table("named_systems.csv", NamedSystem)
"""The named systems in the order of the tables."""


def published_system(named: NamedSystem) -> System:
    """Return a named system at its published peak, with the source of peak and memory."""
    row = next(row for row in load_catalog() if row.id == named.catalog_id)
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
    return at_bandwidths(
        measured,
        weight,
        cache,
        f"{weights.name} weights at {weight.gbs:.4g} GB/s: {weight.words}",
        f"cache at {cache.gbs:.4g} GB/s: {cache.words}",
    )


def at_bandwidths(measured: MeasuredSystem, weight: Bandwidth, cache: Bandwidth, *notes: str) -> System:
    """Return a measured system at these bandwidths, with notes on them."""
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


def choose(measured: Sequence[MeasuredSystem], name: str | None) -> tuple[list[MeasuredSystem], list[NamedSystem]]:
    """Return all systems, or the one of a name; raises UsageError if there is none."""
    if name is None:
        return list(measured), list(NAMED)
    names = {n.name for n in NAMED} | {m.system for m in measured}
    if name not in names:
        raise unknown_name("system", name, sorted(names))
    return [m for m in measured if m.system == name], [n for n in NAMED if n.name == name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a system gives with a model. Rates in tokens per second, of all sequences of the batch together."""

    system: System
    model: Model
    weights: WeightFormat
    context: int
    step: Step
    needed_bytes: float
    bound: float
    expected: float
    low: float
    high: float

    @property
    def fits(self) -> bool | None:
        """Whether weights and cache leave the system a tenth of its memory; None: its size is not known."""
        return self.system.holds(self.needed_bytes)

    @property
    def weights_s(self) -> float:
        """Least seconds to read the weights of a step once."""
        return self.step.weight_bytes / self.system.weight_gbs / 1e9

    @property
    def cache_share(self) -> float:
        """Part of the least time of a step that goes to the cache."""
        return 1 - self.weights_s / self.step.roof_s(self.system.weight_gbs, self.system.cache_gbs)

    def as_json(self) -> dict[str, object]:
        """Return the prediction for programs, with units in the names."""
        return {
            **self.system.as_json(),
            "weight_gbs": self.system.weight_gbs,
            "cache_gbs": self.system.cache_gbs,
            "memory_bytes": self.system.memory_bytes,
            "model": self.model.name,
            "parameters": self.model.parameters,
            "active_parameters": self.model.active_parameters,
            "weights": self.weights.name,
            "batch": self.step.batch,
            "context": self.context,
            "weight_bytes_per_step": self.step.weight_bytes,
            "cache_bytes_per_step": self.step.cache_bytes,
            "kv_bytes_per_token": self.model.kv_bytes_per_token(),
            "needed_bytes": self.needed_bytes,
            "fits": self.fits,
            "weights_s": self.weights_s,
            "cache_share": self.cache_share,
            "bound_tokens_per_s": self.bound,
            "expected_tokens_per_s": self.expected,
            "low_tokens_per_s": self.low,
            "high_tokens_per_s": self.high,
        }


def predict(system: System, model: Model, weights: WeightFormat, *, context: int, batch: int = 1) -> Prediction:
    """Return the prediction for a system; raises UsageError for a format that the model can't have."""
    check_format(model, weights)
    step = step_of(model, weights, context=context, batch=batch)
    roof_s = step.roof_s(system.weight_gbs, system.cache_gbs)
    expected = batch / FITTED.seconds(step, roof_s, measured=system.measured)
    # Where no published rate is of the device's class, the range is twice as wide.
    spread = UNCERTAINTY if system.is_covered else 1 + 2 * (UNCERTAINTY - 1)
    return Prediction(
        system=system,
        model=model,
        weights=weights,
        context=context,
        step=step,
        needed_bytes=memory_bytes(model, weights, context=context, batch=batch),
        bound=batch / roof_s,
        expected=expected,
        low=expected / spread,
        high=min(batch / roof_s, expected * spread),
    )
