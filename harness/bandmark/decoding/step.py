"""Bytes of one decode step, and the time that engines need for it.

A step takes  bytes / bandwidth x (reading + conversion) + layers x (layer + routed + recurrent)
+ (batch - 1) x parameters x cost of a sequence,  each of its own for a class of device: what engines reach of a
published peak, what narrow weights cost to convert (instructions, not bytes), and what a layer costs however small it
is (launches, gaps, kernels too small to fill the memory), with more for experts and for recurrence.
"""

from __future__ import annotations

from dataclasses import dataclass

from bandmark.errors import UsageError
from bandmark.models.model import Model
from bandmark.models.weights import WeightFormat
from bandmark.tables import read_table

_MAX_CONTEXT = 10**8
_MAX_BATCH = 1024
NARROW_BITS = 7

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
    routed_layers: int
    """Layers that are mixtures of experts."""
    recurrent_layers: int
    narrow: bool
    """Whether most weights are of fewer than 7 bits, which engines convert before they multiply."""
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
        needed_bytes=weights.bytes_stored(model) + batch * (model.kv_stored(context) + state / 2),
        layers=model.layers,
        routed_layers=model.moe_layers,
        recurrent_layers=model.linear_layers + model.ssm_layers,
        narrow=weights.body_bits < NARROW_BITS,
        batch=batch,
        active_parameters=model.active_parameters,
    )


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What engines get of the bandwidth of a class of device, and what a step costs beside its bytes."""

    device_class: str
    reading: float
    """Time to read the bytes, over that at the published peak."""
    conversion: float
    """The same for narrow weights, on top."""
    layer_s: float
    routed_layer_s: float
    """Of a layer that is a mixture of experts, on top."""
    recurrent_layer_s: float
    """Of a recurrent layer, on top."""
    sequence_cost: float
    """Time of a further sequence of the batch, as bytes of reading for each active parameter."""
    spread: float
    """Factor within which published rates lie of what a fit without them expects."""
    fastest_gbs: float
    """The highest peak among the devices of the published rates."""

    def seconds(self, step: Step, roof_s: float, *, measured: bool = False) -> float:
        """Return the expected seconds of a step, at least roof_s: what its bytes take at the peak or as measured."""
        reading = max(1.0, self.reading * _READ_SHARE) if measured else self.reading + self.conversion * step.narrow
        layers = step.layers * self.layer_s + step.routed_layers * self.routed_layer_s
        layers += step.recurrent_layers * self.recurrent_layer_s
        sequences = (step.batch - 1) * step.active_parameters * self.sequence_cost * roof_s / step.bytes
        return max(roof_s, roof_s * reading + layers + sequences)


FITTED = {one.device_class: one for one in read_table("decode_efficiency.csv", Efficiency)}
"""By class of device, as `make decode-fit` writes it from the rates of tools/published_decode.csv."""
