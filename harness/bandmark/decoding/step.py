"""Bytes of one decode step, and the time that engines need for it.

A step takes  bytes / (share x bandwidth) + layers x cost of a layer + (batch - 1) x parameters x cost of a sequence.
The share is that of the published peak. A layer's cost (kernels too small to fill the memory, launches, gaps) does not
shrink with bandwidth, so small models on fast cards stay far below their bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bandmark.errors import UsageError
from bandmark.models.model import Model
from bandmark.models.weights import WeightFormat, stored_bytes, weight_bytes

_MAX_CONTEXT = 10**8
_MAX_BATCH = 1024

_READ_SHARE = 0.85
"""What a plain read measures of the peak where most published rows come from: 231-234 of 273 GB/s, antirez/ds4#773."""

KNOWN_CLASSES = ("unified", "card")
"""Classes of device that the published rates cover."""


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


def step_of(model: Model, weights: WeightFormat, *, context: int, batch: int = 1, kv_bits: float = 16) -> Step:
    """Return the step of a model after so many tokens in each sequence; raises UsageError for one out of range."""
    if not 0 <= context <= _MAX_CONTEXT:
        raise UsageError(f"--context {context} is not a number of tokens: take 0 to {_MAX_CONTEXT}.")
    if not 1 <= batch <= _MAX_BATCH:
        raise UsageError(f"--batch {batch} is not a number of sequences: take 1 to {_MAX_BATCH}.")
    return Step(
        weight_bytes=weight_bytes(model, weights, batch),
        cache_bytes=batch * (model.kv_bytes(context, kv_bits) + model.state_bytes()),
        layers=model.layers,
        routed=model.experts > 0 or model.linear_layers > 0,
        batch=batch,
        active_parameters=model.active_parameters,
    )


def memory_bytes(model: Model, weights: WeightFormat, *, context: int, batch: int = 1, kv_bits: float = 16) -> float:
    """Return the bytes that must fit in memory: all weights and the cache of all sequences, without working space."""
    cache = model.kv_bytes(context, kv_bits) + model.state_bytes() / 2
    return stored_bytes(model, weights) + batch * cache


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
    engines: Mapping[str, float] = field(default_factory=dict)
    """Factor on the time of an engine."""

    def seconds(self, step: Step, roof_s: float, engine: str | None = None, *, measured: bool = False) -> float:
        """Return the expected seconds of a step, at least roof_s: what its bytes take at the peak or as measured."""
        share = min(1.0, self.share / _READ_SHARE) if measured else self.share
        layer = self.routed_layer_s if step.routed else self.dense_layer_s
        per_byte = roof_s / step.bytes
        sequences = (step.batch - 1) * step.active_parameters * self.sequence_cost * per_byte
        total = roof_s / share + step.layers * layer + sequences
        return max(roof_s, total * self.engines.get(engine or "", 1.0))

    def full_batch(self, step: Step) -> float:
        """Return the batch from which the sequences' own work takes longer than reading the weights once."""
        if not self.sequence_cost:
            return math.inf
        return 1 + step.weight_bytes / self.share / (self.sequence_cost * step.active_parameters)


# Written by `make decode-fit` from the rates of tools/published_decode.csv, each with its source.
FITTED = Efficiency(
    share=0.76,
    dense_layer_s=2e-05,
    routed_layer_s=8e-05,
    sequence_cost=0.015,
    engines={
        "ApxInf": 1.0021,
        "ds4": 0.9809,
        "llama.cpp": 1.0083,
        "ninfer-3090": 0.9806,
        "ollama": 0.9992,
        "sglang": 1.0628,
        "trt-llm": 0.9994,
        "vllm": 1.0729,
    },
)
"""The parameters of least error for 39 published rates."""

UNCERTAINTY = 1.1360462807967482
"""Four of five published rates lie within this factor of what a fit without them expects."""
