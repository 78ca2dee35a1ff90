"""What does one decode step move? The bytes of weights, cache and state that the next token of a batch needs."""

from __future__ import annotations

from dataclasses import dataclass

from bandmark.errors import UsageError
from bandmark.models.model import Model
from bandmark.models.weights import WeightFormat, stored_bytes, weight_bytes

MAX_CONTEXT = 10**8
MAX_BATCH = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: each sequence of the batch gets one token."""

    weight_bytes: float
    cache_bytes: float
    """KV cache read and recurrent state moved, of all sequences."""
    layers: int
    routed: bool
    """Whether layers are mixtures of experts or recurrent: more and smaller kernels than a dense layer."""
    batch: int
    active_parameters: float

    @property
    def bytes(self) -> float:
        """All bytes of the step."""
        return self.weight_bytes + self.cache_bytes

    def roof_s(self, weight_gbs: float, cache_gbs: float | None = None) -> float:
        """Return the least seconds of the step: its bytes over these bandwidths, in GB/s."""
        return (self.weight_bytes / weight_gbs + self.cache_bytes / (cache_gbs or weight_gbs)) / 1e9

    def bound(self, weight_gbs: float, cache_gbs: float | None = None) -> float:
        """Return the upper bound of tokens per second, of all sequences together."""
        return self.batch / self.roof_s(weight_gbs, cache_gbs)


def step_of(model: Model, weights: WeightFormat, *, context: int, batch: int = 1, kv_bits: float = 16) -> Step:
    """Return the step of a model after a context of so many tokens in each sequence of the batch.

    Raises:
        UsageError: context or batch is no number that a step can have.
    """
    if not 0 <= context <= MAX_CONTEXT:
        raise UsageError(f"--context {context} is not a number of tokens: take 0 to {MAX_CONTEXT}.")
    if not 1 <= batch <= MAX_BATCH:
        raise UsageError(f"--batch {batch} is not a number of sequences: take 1 to {MAX_BATCH}.")
    return Step(
        weight_bytes=weight_bytes(model, weights, batch),
        cache_bytes=batch * (model.kv_bytes(context, kv_bits) + model.state_bytes()),
        layers=model.layers,
        routed=model.is_moe or model.linear_layers > 0,
        batch=batch,
        active_parameters=model.active_parameters,
    )


def memory_bytes(model: Model, weights: WeightFormat, *, context: int, batch: int = 1, kv_bits: float = 16) -> float:
    """Return the bytes that must fit in memory: all weights and the cache of all sequences, without working space."""
    cache = model.kv_bytes(context, kv_bits) + model.state_bytes() / 2
    return stored_bytes(model, weights) + batch * cache
