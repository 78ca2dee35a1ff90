"""How many tokens per second will a model give on a system? An upper bound, and what is expected with its spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bandmark.decoding.fit import KNOWN_CLASSES, fitted
from bandmark.decoding.spread import uncertainty
from bandmark.decoding.step import Step, memory_bytes, step_of
from bandmark.models.model import Model
from bandmark.models.weights import WeightFormat, check_format

RESERVED = 0.10
"""Part of the memory that the system, the engine and its working space take."""


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
    """unified, card, hbm or cpu."""
    source: str
    notes: tuple[str, ...] = ()

    def holds(self, size: float) -> bool | None:
        """Whether so many bytes leave a tenth of the memory free; None: its size is not known."""
        return None if self.memory_bytes is None else size <= (1 - RESERVED) * self.memory_bytes


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

    def as_json(self) -> dict[str, Any]:
        """Return the prediction for programs, with units in the names."""
        system = self.system
        return {
            "system": system.name,
            "measured": system.measured,
            "weight_gbs": system.weight_gbs,
            "cache_gbs": system.cache_gbs,
            "notes": list(system.notes),
            "source": system.source,
            "memory_bytes": system.memory_bytes,
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

    @property
    def cache_share(self) -> float:
        """Part of the least time of a step that goes to the cache."""
        return 1 - self.weights_s / self.step.roof_s(self.system.weight_gbs, self.system.cache_gbs)


def predict(system: System, model: Model, weights: WeightFormat, *, context: int, batch: int = 1) -> Prediction:
    """Return the prediction for a system; raises UsageError for a format that the model can't have.

    Where no published row is of the device's class, the spread is doubled.
    """
    check_format(model, weights)
    step = step_of(model, weights, context=context, batch=batch)
    roof_s = step.roof_s(system.weight_gbs, system.cache_gbs)
    expected = batch / fitted().seconds(step, roof_s, measured=system.measured)
    spread = uncertainty() if system.device_class in KNOWN_CLASSES else 1 + 2 * (uncertainty() - 1)
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
