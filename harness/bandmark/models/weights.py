"""Weight formats: bits per weight, scales included, and the bytes of a model's weights.

Engines do not store all matrices of a model alike: the output matrix often stays in 16 bits, and in some files only
the experts are narrow. So a format gives the bits of the body, of the experts and of the output matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

from bandmark.errors import UsageError, unknown_name
from bandmark.models.model import Model
from bandmark.tables import read_table


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFormat:
    """One way to store a model's weights; bits per weight include the scales."""

    name: str
    body_bits: float
    """Of the matrices that every token reads, but for the output matrix."""
    expert_bits: float
    head_bits: float
    block: int
    """Weights of a row that are stored together: they must divide the row."""
    kernel_format: str | None
    """The weight format of GEMV rows that read such bytes."""
    needs_experts: bool
    source: str


FORMATS = {weights.name: weights for weights in read_table("weight_formats.csv", WeightFormat)}
"""The formats of data/weight_formats.csv by name, in the order of bits where they are one family."""


def find_format(name: str) -> WeightFormat:
    """Return a format; raises UsageError with the nearest name and all of them."""
    if name.lower() not in FORMATS:
        raise unknown_name("weight format", name, FORMATS)
    return FORMATS[name.lower()]


def check_format(model: Model, weights: WeightFormat) -> None:
    """Raise UsageError where a model can't have a format: it has no experts, or blocks do not divide its rows."""
    if weights.needs_experts and not model.experts:
        raise UsageError(
            f"{weights.name} is for a mixture of experts, and {model.name} is dense. Take --weights mxfp4 or nvfp4."
        )
    if model.hidden % weights.block:
        raise UsageError(
            f"{weights.name} packs {weights.block} weights of a row together, and rows of {model.name} have "
            f"{model.hidden}. Take another of --weights."
        )


def weight_bytes(model: Model, weights: WeightFormat, batch: int = 1) -> float:
    """Return the bytes of weights that one step of a batch reads: every matrix once, of the experts those chosen."""
    experts = model.moe_layers * model.experts_read(batch) * model.expert_parameters
    head = model.head_parameters * weights.head_bits
    return (model.body_parameters * weights.body_bits + experts * weights.expert_bits + head) / 8


def stored_bytes(model: Model, weights: WeightFormat) -> float:
    """Return the bytes of all weights in memory."""
    others = model.body_parameters * weights.body_bits + model.routed_parameters * weights.expert_bits
    matrices = model.head_parameters + model.embedding_parameters
    return (others + matrices * weights.head_bits) / 8
