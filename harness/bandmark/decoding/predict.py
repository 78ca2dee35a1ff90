"""Predict the tokens per second of a model on a system: an upper bound, and what is expected with its range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from bandmark.decoding.measured import (
    Bandwidth,
    MeasuredSystem,
    cache_bandwidth,
    measure_here,
    memory_class,
    read_systems,
    weight_bandwidth,
)
from bandmark.decoding.step import FITTED, Efficiency, Step, step_of
from bandmark.device.peaks import load_catalog
from bandmark.errors import unknown_name
from bandmark.models.model import Model, plain_name
from bandmark.models.weights import WeightFormat
from bandmark.tables import read_table

_RESERVED = 0.10
"""Part of the memory that the operating system, the engine and its working space take."""

_LIKE_OTHERS = "unified"
"""The class whose parameters stand in where no published rate is of a device's own."""

_NO_BOUND = "no bound: no row is verified, ok and from memory (bandmark run --kernel read gives one)"


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A machine as decoding sees it. Bandwidths in GB/s, memory in bytes; None is not known."""

    name: str
    weight_gbs: float
    cache_gbs: float
    bound_gbs: float | None
    """What no program exceeds: of the fastest verified kernel of the device, or the published peak."""
    measured: bool
    """Whether the bandwidths were measured; else they are published peaks."""
    memory_bytes: float | None
    device_class: str
    """unified, card, hbm, apple, amd, cpu or unknown."""
    source: str
    notes: tuple[str, ...] = ()

    @property
    def is_covered(self) -> bool:
        """Whether published rates are of this class of device, and of one about as fast or faster."""
        return self.device_class in FITTED and self.weight_gbs <= 1.1 * self.efficiency.fastest_gbs

    @property
    def efficiency(self) -> Efficiency:
        """What engines get of this class of device."""
        return FITTED.get(self.device_class, FITTED[_LIKE_OTHERS])

    @property
    def spread(self) -> float:
        """Factor between what is expected and either end of its range: twice the worst where no published rate is."""
        return self.efficiency.spread if self.is_covered else 2 * max(e.spread for e in FITTED.values()) - 1

    def as_json(self) -> dict[str, object]:
        """Return what tells one system from another, for programs."""
        names = {"system": self.name, "measured": self.measured, "bound_gbs": self.bound_gbs, "covered": self.is_covered}
        return {**names, "notes": list(self.notes), "source": self.source}

    def holds(self, size: float) -> bool | None:
        """Return whether so many bytes leave a tenth of the memory free; None: its size is not known."""
        return None if self.memory_bytes is None else size <= (1 - _RESERVED) * self.memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _NamedSystem:
    name: str
    label: str
    catalog_id: str
    peak_gbs: float | None
    """A peak other than the catalog's."""
    note: str


@cache
def named_systems() -> dict[str, System]:
    """Return the systems that are known by name, at their published peaks, in the order of the tables."""
    catalog = {row.id: row for row in load_catalog()}
    systems = {}
    for named in read_table("named_systems.csv", _NamedSystem):
        row = catalog[named.catalog_id]
        peak = named.peak_gbs or row.published_gbs
        assert peak is not None
        systems[named.name] = System(
            name=named.label,
            weight_gbs=peak,
            cache_gbs=peak,
            bound_gbs=peak,
            measured=False,
            memory_bytes=float(row.capacity_gb) * 1e9,
            device_class=memory_class(row.memory_type),
            source=row.source,
            notes=(f"{peak:g} GB/s published, {row.capacity_gb} GB {row.memory_type}; {named.note}",),
        )
    return systems


def measured_system(measured: MeasuredSystem, weights: WeightFormat, model: str = "") -> System:
    """Return a measured system as it reads a model's weights of a format; raises UsageError without a GEMV row."""
    weight = weight_bandwidth(measured, weights, plain_name(model) if model else "")
    cache = cache_bandwidth(measured, weight)
    words = (f"{weights.name} weights at {weight}", f"cache at {cache}")
    return at_bandwidths(measured, weight, cache, measured.bound("read"), *words)


def at_bandwidths(
    measured: MeasuredSystem, weight: Bandwidth, cache: Bandwidth, bound: Bandwidth | None, *notes: str
) -> System:
    """Return a measured system at these bandwidths, with notes on them."""
    bound_note = f"bound by the fastest verified row, {bound}" if bound else _NO_BOUND
    return System(
        name=measured.system,
        weight_gbs=weight.gbs,
        cache_gbs=cache.gbs,
        bound_gbs=bound.gbs if bound else None,
        measured=True,
        memory_bytes=measured.memory_bytes,
        device_class=measured.device_class,
        source="these results",
        notes=(*notes, bound_note),
    )


def find_systems(
    results: Sequence[str] | None, name: str | None, kernels: Sequence[str], weights: Sequence[str] = ()
) -> tuple[list[MeasuredSystem], list[System]]:
    """Return the devices of result files, or else this one after a quick run, and the systems known by name.

    With a name it is that system alone; raises UsageError if there is none, and measures nothing if it is known.
    """
    named = named_systems()
    measured = read_systems(results) if results else [] if name in named else [measure_here(kernels, weights)]
    if name is None:
        return measured, list(named.values())
    names = {*named, *(m.system for m in measured)}
    if name not in names:
        raise unknown_name("system", name, sorted(names))
    return [m for m in measured if m.system == name], [named[name]] if name in named else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a system gives with a model. Rates in tokens per second, of all sequences of the batch together."""

    system: System
    model: Model
    weights: WeightFormat
    context: int
    step: Step
    bound: float | None
    """The rate that no engine exceeds; None: nothing measured tells."""
    expected: float
    low: float
    high: float

    @property
    def fits(self) -> bool | None:
        """Whether weights and cache leave the system a tenth of its memory; None: its size is not known."""
        return self.system.holds(self.step.needed_bytes)

    @property
    def weights_s(self) -> float:
        """Seconds to read the weights of a step once, at their bandwidth."""
        return self.step.weight_bytes / self.system.weight_gbs / 1e9

    @property
    def cache_share(self) -> float:
        """Part of the time for the bytes of a step that goes to the cache."""
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
            "kv_bytes_per_token": self.model.kv_bytes_per_token,
            "needed_bytes": self.step.needed_bytes,
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
    step = step_of(model, weights, context=context, batch=batch)
    limit = batch / step.roof_s(system.bound_gbs) if system.bound_gbs else math.inf
    roof_s = step.roof_s(system.weight_gbs, system.cache_gbs)
    expected = min(limit, batch / system.efficiency.seconds(step, roof_s, measured=system.measured))
    return Prediction(
        system=system,
        model=model,
        weights=weights,
        context=context,
        step=step,
        bound=None if system.bound_gbs is None else limit,
        expected=expected,
        low=expected / system.spread,
        high=min(limit, expected * system.spread),
    )
