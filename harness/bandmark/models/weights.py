"""How many bits does a weight take in each format, its scales included?

Engines do not store all matrices of a model alike: the output matrix often stays in 16 bits, and in some files only
the experts are narrow. So a format says the bits of the body, of the experts and of the output matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

from bandmark.errors import UsageError, unknown_name
from bandmark.models.model import Model

GGUF = "block sizes of ggml-org/llama.cpp, ggml/src/ggml-common.h"
OCP = "OCP Microscaling Formats (MX) v1.0"


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """One way to store a model's weights; bits per weight include the scales."""

    name: str
    body_bits: float
    """Of the matrices that every token reads, but for the output matrix."""
    expert_bits: float
    head_bits: float
    source: str
    kernel_format: str | None = None
    """The weight format of GEMV rows that read such bytes."""
    needs_experts: bool = False


def _plain(name: str, bits: float, source: str, head: float | None = None, kernel: str | None = None) -> WeightFormat:
    return WeightFormat(name, bits, bits, bits if head is None else head, source, kernel)


FORMATS = {
    f.name: f
    for f in (
        _plain("fp16", 16, "IEEE 754", kernel="fp16"),
        _plain("bf16", 16, "bfloat16", kernel="bf16"),
        _plain("fp8", 8, "8 bits and a scale per row; output matrix in 16 bits, as in FP8 checkpoints", 16, "fp8"),
        _plain("int8", 8, "8 bits and a scale per row", 8, "int8"),
        _plain("int4", 4.5, "groups of 32 with a 16-bit scale, like Q4_0", 4.5, "int4"),
        _plain(
            "nvfp4", 4.5, "e2m1, an e4m3 scale per 16; output matrix in 16 bits, as in NVFP4 checkpoints", 16, "nvfp4"
        ),
        _plain("mxfp4", 4.25, f"e2m1, an e8m0 scale per 32: {OCP}", 4.25, "mxfp4"),
        WeightFormat("mxfp4-moe", 16, 4.25, 16, "experts in MXFP4, the rest in bf16: openai/gpt-oss", "mxfp4", True),
        WeightFormat(
            "mxfp4-gguf", 8.5, 4.25, 8.5, "experts in MXFP4, the rest in Q8_0: ggml-org's GGUF", "mxfp4", True
        ),
        _plain("q8_0", 8.5, f"34 bytes per 32: {GGUF}", kernel="int8"),
        _plain("q6_k", 6.5625, f"210 bytes per 256: {GGUF}"),
        _plain("q5_k_m", 5.65, f"Q5_K of 5.5 bits with Q6_K in part: {GGUF}", 6.5625),
        _plain(
            "q4_k_m", 4.8, f"Q4_K of 4.5 bits, half of attention's v and the down matrices Q6_K: {GGUF}", 6.5625, "int4"
        ),
        _plain("q4_0", 4.5, f"18 bytes per 32, output matrix Q6_K: {GGUF}", 6.5625, "int4"),
        _plain("q4_0-qat", 4.5, "18 bytes per 32, tied embedding Q8_0: ggml-org's Gemma QAT GGUF", 8.5, "int4"),
    )
}
"""Formats by name, in the order of bits where they are one family."""

DEFAULT_WEIGHTS = ("fp16", "fp8", "nvfp4")


def find_format(name: str) -> WeightFormat:
    """Return a format; raises UsageError with the nearest name and all of them."""
    if name.lower() not in FORMATS:
        raise unknown_name("weight format", name, FORMATS)
    return FORMATS[name.lower()]


def check_format(model: Model, weights: WeightFormat) -> None:
    """Raise UsageError where a model can't have a format: no experts to pack, or rows that blocks do not divide."""
    if weights.needs_experts and not model.is_moe:
        raise UsageError(
            f"{weights.name} is for a mixture of experts, and {model.name} is dense. Take --weights mxfp4 or nvfp4."
        )
    block = (
        1 if weights.body_bits in (8, 16) else 256 if "_k" in weights.name else 16 if weights.name == "nvfp4" else 32
    )
    if model.hidden % block:
        raise UsageError(
            f"{weights.name} packs {block} weights of a row together, and rows of {model.name} have {model.hidden}. "
            "Take another of --weights."
        )


def can_have(model: Model, weights: WeightFormat) -> bool:
    """Return whether a model can have a format."""
    try:
        check_format(model, weights)
    except UsageError:
        return False
    return True


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
