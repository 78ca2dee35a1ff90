"""Bytes of one decode step, and the time that engines need for it.

A step takes  bytes / (share x bandwidth) + layers x cost of a layer + (batch - 1) x parameters x cost of a sequence.
The share is that of the published peak. A layer's cost (kernels too small to fill the memory, launches, gaps) does not
shrink with bandwidth, so small models on fast cards stay far below their bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from bandmark.errors import UsageError
from bandmark.models.model import Model
from bandmark.models.weights import WeightFormat

_MAX_CONTEXT = 10**8
_MAX_BATCH = 1024

_READ_SHARE = 0.85
"""What a plain read measures of the peak where most published rows come from: 231-234 of 273 GB/s, antirez/ds4#773."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: each sequence of the batch gets one token."""

    weight_bytes: float
    cache_bytes: float
    """KV cache read and recurrent state moved, of all sequences."""
    needed_bytes: float
    """What must fit in memory: all weights and the cache of all sequences, without working space."""
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


def step_of(model: Model, weights: WeightFormat, *, context: int, batch: int = 1) -> Step:
    """Return the step of a model after so many tokens in each sequence; raises UsageError for what can't be."""
    if not 0 <= context <= _MAX_CONTEXT:
        raise UsageError(f"--context {context} is not a number of tokens: take 0 to {_MAX_CONTEXT}.")
    if not 1 <= batch <= _MAX_BATCH:
        raise UsageError(f"--batch {batch} is not a number of sequences: take 1 to {_MAX_BATCH}.")
    if reason := weights.refusal(model):
        raise UsageError(reason)
    cache, state = model.kv_bytes(context), model.state_bytes()
    return Step(
        weight_bytes=weights.bytes_read(model, batch),
        cache_bytes=batch * (cache + state),
        # The state is read and written, and in memory once.
        needed_bytes=weights.bytes_stored(model) + batch * (cache + state / 2),
        layers=model.layers,
        routed=model.experts > 0 or model.linear_layers > 0,
        batch=batch,
        active_parameters=model.active_parameters,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """What engines get of the bandwidth, and what a step costs beside its bytes."""

    share: float
    """Of the published peak."""
    dense_layer_s: float
    routed_layer_s: float
    """Of a layer that is a mixture of experts or recurrent."""
    sequence_cost: float
    """Time of a further sequence of the batch, as bytes of reading for each active parameter."""

    def seconds(self, step: Step, roof_s: float, *, measured: bool = False) -> float:
        """Return the expected seconds of a step, at least roof_s: what its bytes take at the peak or as measured."""
        share = min(1.0, self.share / _READ_SHARE) if measured else self.share
        layer = self.routed_layer_s if step.routed else self.dense_layer_s
        sequences = (step.batch - 1) * step.active_parameters * self.sequence_cost * roof_s / step.bytes
        return roof_s / share + step.layers * layer + sequences


# Written by `make decode-fit` from the rates of tools/published_decode.csv, each with its source.
FITTED = Efficiency(share=0.76, dense_layer_s=2e-05, routed_layer_s=8e-05, sequence_cost=0.015)
"""The parameters of least error for 39 published rates."""

UNCERTAINTY = 1.1360462807967482
"""Four of five published rates lie within this factor of what a fit without them expects."""
