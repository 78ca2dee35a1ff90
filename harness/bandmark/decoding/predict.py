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
    catalog_class,
    measure_here,
    read_systems,
    weight_bandwidth,
)
from bandmark.decoding.step import FITTED, Efficiency, Step, step_of
from bandmark.device.device import Device
from bandmark.device.peaks import CatalogRow, Peak, load_catalog, parse_peak, peak_warning
from bandmark.errors import UsageError, unknown_name
from bandmark.models.model import Model, plain_name
from bandmark.models.weights import WeightFormat
from bandmark.tables import read_table

_RESERVED = 0.10
"""Part of the memory that the operating system, the engine and its working space take."""

HERE = "here"
"""The name of the machine that the command runs on."""

_MAX_MEMORY_GB = 1e5

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
        names = {
            "system": self.name,
            "measured": self.measured,
            "bound_gbs": self.bound_gbs,
            "covered": self.is_covered,
        }
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
    """Return the systems that are shown where none is asked for, at their published peaks, in the table's order."""
    catalog = {row.id: row for row in load_catalog()}
    return {
        named.name: _at_peak(catalog[named.catalog_id], named.label, named.peak_gbs, f"; {named.note}")
        for named in read_table("named_systems.csv", _NamedSystem)
    }


@cache
def known_systems() -> dict[str, System]:
    """Return all systems that are known by name: those named, and every device of the catalogue that has a peak."""
    rows = {row.id: row for row in load_catalog() if row.published_gbs is not None and row.confidence != "low"}
    return {**named_systems(), **{name: _at_peak(row, name) for name, row in rows.items()}}


def _at_peak(row: CatalogRow, name: str, peak_gbs: float | None = None, note: str = "") -> System:
    """Return a device of the catalogue at its published peak, or at another."""
    peak = peak_gbs or row.published_gbs
    assert peak is not None
    sizes = row.capacity_gb.split("|")
    return System(
        name=name,
        weight_gbs=peak,
        cache_gbs=peak,
        bound_gbs=peak,
        measured=False,
        memory_bytes=float(sizes[0]) * 1e9 if len(sizes) == 1 and sizes[0] else None,
        device_class=catalog_class(row),
        source=row.source,
        notes=(f"{peak:g} GB/s published, {' or '.join(sizes) or '?'} GB {row.memory_type}{note}",),
    )


def described_system(peak: str, memory_gb: float | None) -> System:
    """Return a system by the text of --peak and its memory in GB; raises UsageError for what is neither."""
    gbs, words = parse_peak(peak)
    if memory_gb is not None and not 0 < memory_gb <= _MAX_MEMORY_GB:
        raise UsageError(
            f"--memory {memory_gb:g} is not a size in GB: take more than 0 and at most {_MAX_MEMORY_GB:g}."
        )
    warning = peak_warning(Peak(gbs=gbs, source=words, explanation=words), Device(kind="gpu", name="unknown"))
    return System(
        name=f"{gbs:g} GB/s",
        weight_gbs=gbs,
        cache_gbs=gbs,
        bound_gbs=gbs,
        measured=False,
        memory_bytes=None if memory_gb is None else memory_gb * 1e9,
        device_class="unknown",
        source=words,
        notes=(words, warning) if warning else (words,),
    )


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
    results: Sequence[str] | None, names: Sequence[str], kernels: Sequence[str], weights: Sequence[str] = ()
) -> tuple[list[MeasuredSystem], list[System]]:
    """Return the devices of result files, or else this one after a quick run, and the systems known by name.

    With names it is those alone, "here" being this machine; raises UsageError for an unknown one, before measuring.
    """
    measured, known = read_systems(results) if results else [], known_systems()
    own = [system.system for system in measured] if results else [HERE]
    if unknown := [name for name in names if name not in (*known, *own)]:
        raise unknown_name("system", unknown[0], [*own, *known], see="bandmark decode --list shows all.")
    if not names:
        return measured or [measure_here(kernels, weights)], list(named_systems().values())
    if results:
        measured = [system for system in measured if system.system in names]
    elif HERE in names:
        measured = [measure_here(kernels, weights)]
    return measured, [known[name] for name in names if name in known]


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
