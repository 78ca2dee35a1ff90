"""Weight formats: bits per weight, scales included, and the bytes of a model's weights.

Engines do not store all matrices of a model alike: the output matrix often stays in 16 bits, and in some files only
the experts are narrow. So a format gives the bits of the body, of the experts and of the output matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

from bandmark.errors import unknown_name
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

    def refusal(self, model: Model) -> str | None:
        """Return why a model can't have this format: it has no experts, or its rows are no whole blocks; else None."""
        if self.needs_experts and not model.experts:
            return f"{self.name} is for a mixture of experts, and {model.name} is dense. Take --weights mxfp4 or nvfp4."
        if model.hidden % self.block:
            return (
                f"{self.name} packs {self.block} weights of a row together, and rows of {model.name} have "
                f"{model.hidden}. Take another of --weights."
            )
        return None

    def bytes_read(self, model: Model, batch: int = 1) -> float:
        """Return the bytes that one step of a batch reads: every matrix once, of the experts those chosen."""
        experts = model.moe_layers * model.experts_read(batch) * model.expert_parameters
        return self._bytes(model.body_parameters, experts, model.head_parameters)

    def bytes_stored(self, model: Model) -> float:
        """Return the bytes of all weights in memory."""
        matrices = model.head_parameters + model.embedding_parameters
        return self._bytes(model.body_parameters, model.routed_parameters, matrices)

    def _bytes(self, body: float, experts: float, head: float) -> float:
        return (body * self.body_bits + experts * self.expert_bits + head * self.head_bits) / 8


FORMATS = {weights.name: weights for weights in read_table("weight_formats.csv", WeightFormat)}
"""The formats of data/weight_formats.csv by name, in the order of bits where they are one family."""


def find_format(name: str) -> WeightFormat:
    """Return a format; raises UsageError with the nearest name and all of them."""
    if name.lower() not in FORMATS:
        raise unknown_name("weight format", name, FORMATS)
    return FORMATS[name.lower()]
