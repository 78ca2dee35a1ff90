"""Weight formats: bits per weight, and the bytes that a step reads."""

from __future__ import annotations

from typing import Any

import pytest

from bandmark.errors import UsageError
from bandmark.models.model import find_model
from bandmark.models.weights import FORMATS, find_format, own_format


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


QUANTIZATIONS: dict[str, tuple[dict[str, Any], tuple[str, float, float, float]]] = {
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": 128}, ("awq-int4", 4.15625, 4.15625, 16)),
    "old awq": ({"quant_method": "awq", "w_bit": 4, "q_group_size": 64}, ("awq-int4", 4.3125, 4.3125, 16)),
    "gptq": ({"quant_method": "gptq", "bits": 4, "group_size": 128}, ("gptq-int4", 4.15625, 4.15625, 16)),
    "gptq 8, a row": ({"quant_method": "gptq", "bits": 8, "group_size": -1}, ("gptq-int8", 8, 8, 16)),
    "fp8": ({"quant_method": "fp8", "weight_block_size": [128, 128]}, ("fp8-float8", 8, 8, 16)),
    "mxfp4": ({"quant_method": "mxfp4", "modules_to_not_convert": ["*.self_attn"]}, ("mxfp4", 16, 4.25, 16)),
    "nvfp4": ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, ("modelopt-nvfp4", 4.5, 4.5, 16)),
    "nf4": ({"quant_method": "bitsandbytes", "load_in_4bit": True}, ("bitsandbytes-int4", 4.5, 4.5, 16)),
    "int8": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, ("bitsandbytes-int8", 8, 8, 16)),
    "ct int4": (
        {"quant_method": "compressed-tensors",
         "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 32}}}},
        ("compressed-tensors-int4", 4.5, 4.5, 16),
    ),
    "ct fp8": (
        {"quant_method": "compressed-tensors",
         "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}}},
        ("compressed-tensors-float8", 8, 8, 16),
    ),
    "ct nvfp4": (
        {"quant_method": "compressed-tensors",
         "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "float", "group_size": 16}}}},
        ("compressed-tensors-nvfp4", 4.5, 4.5, 16),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_the_format_of_a_checkpoint(name: str) -> None:
    """The bits of a weight with its scales follow from quantization_config; output matrices stay in 16 bits."""
    config, expected = QUANTIZATIONS[name]
    weights, cache_bits, notes = own_format(config)
    assert weights is not None and (cache_bits, notes) == (16, ())
    assert (weights.name, weights.body_bits, weights.expert_bits, weights.head_bits) == expected


@pytest.mark.parametrize(
    "config",
    [{}, {"quant_method": "aqlm"}, {"quant_method": "awq"}, {"quant_method": "gptq", "bits": "x", "group_size": 1},
     {"quant_method": "compressed-tensors", "config_groups": {}}, {"quant_method": "bitsandbytes"},
     {"quant_method": "compressed-tensors", "config_groups": [1]}, {"quant_method": ["awq"]}],
)  # fmt: skip
def test_an_unknown_format_is_told(config: dict[str, Any]) -> None:
    """A method that is not known, or without its numbers, gives no format and a note."""
    weights, cache_bits, (note,) = own_format(config)
    assert weights is None and cache_bits == 16 and "is not known" in note


@pytest.mark.parametrize("config", [{"kv_cache_scheme": {"num_bits": 8}}, {"kv_cache_quant_algo": "FP8"}])
def test_a_narrow_cache_is_told(config: dict[str, Any]) -> None:
    """A file that says its cache has 8 bits is taken at its word, with a note."""
    weights, cache_bits, notes = own_format({"quant_method": "fp8", **config})
    assert weights is not None and cache_bits == 8 and "8 bits" in notes[0]
