"""Weight formats: bits per weight, and the bytes that a step reads."""

from __future__ import annotations

import pytest

from bandmark.errors import UsageError
from bandmark.models.model import find_model
from bandmark.models.weights import FORMATS, find_format


@pytest.mark.parametrize(
    ("name", "bits"),
    [("fp16", 16), ("bf16", 16), ("fp8", 8), ("int8", 8), ("int4", 4 + 16 / 32), ("nvfp4", 4 + 8 / 16),
     ("mxfp4", 4 + 8 / 32), ("q8_0", 34 * 8 / 32), ("q4_0", 18 * 8 / 32), ("q6_k", 210 * 8 / 256)],
)  # fmt: skip
def test_bits_with_scales(name: str, bits: float) -> None:
    """The bits of a weight are its code's and its share of the block's scale."""
    assert FORMATS[name].body_bits == bits


@pytest.mark.parametrize(
    ("model", "weights", "file_gb"),
    [("llama-3.1-8b", "q4_k_m", 4.92), ("llama-3.1-8b", "q8_0", 8.54), ("gpt-oss-20b", "mxfp4-gguf", 12.1),
     ("gemma-3-4b", "q4_0-qat", 2.523), ("llama-3.1-8b", "bf16", 16.06)],
)  # fmt: skip
def test_stored_bytes_are_those_of_the_files(model: str, weights: str, file_gb: float) -> None:
    """All weights together have the size of the file that people download, within 4 %."""
    assert FORMATS[weights].bytes_stored(find_model(model)) / 1e9 == pytest.approx(file_gb, rel=0.04)


def test_every_format_has_its_source() -> None:
    """Each row of the table says where its bits come from, and its parts have between 4 and 16 bits."""
    for weights in FORMATS.values():
        assert weights.source
        assert all(4 <= bits <= 16 for bits in (weights.body_bits, weights.expert_bits, weights.head_bits))


def test_bytes_read_by_hand() -> None:
    """A step reads the active parameters once; an output matrix in 16 bits counts so."""
    model = find_model("llama-3.1-8b")
    assert FORMATS["bf16"].bytes_read(model) == 2 * model.active_parameters
    head = model.head_parameters
    assert FORMATS["nvfp4"].bytes_read(model) == (model.active_parameters - head) * 4.5 / 8 + head * 2
    assert FORMATS["bf16"].bytes_read(model, batch=8) == 2 * model.active_parameters


def test_a_batch_reads_more_experts() -> None:
    """The weights of a mixture's step grow with the batch, towards all of them."""
    model, weights = find_model("gpt-oss-120b"), FORMATS["mxfp4-moe"]
    one, eight, many = (weights.bytes_read(model, batch) for batch in (1, 8, 1000))
    assert one < eight < many < weights.bytes_stored(model)


def test_formats_that_a_model_cannot_have() -> None:
    """Experts in a dense model and rows that blocks do not divide are refused, with what to take instead."""
    assert "is dense. Take --weights mxfp4" in (FORMATS["mxfp4-moe"].refusal(find_model("llama-3.1-8b")) or "")
    assert "2880. Take another of --weights" in (FORMATS["q4_k_m"].refusal(find_model("gpt-oss-20b")) or "")
    assert FORMATS["mxfp4-moe"].refusal(find_model("gpt-oss-20b")) is None
    with pytest.raises(UsageError, match="Did you mean 'nvfp4'"):
        find_format("nvfp")
