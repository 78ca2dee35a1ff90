"""The matrices of a decode step: together they are what a token reads, and they are those that engines multiply by."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bandmark.errors import FileError, UsageError
from bandmark.models.matrices import find_matrices, matrices_of, plain_name
from bandmark.models.model import Model, find_model, load_models


def listed(model: Model) -> dict[str, tuple[int, int, int]]:
    """Rows, columns and uses of each matrix, by name."""
    return {matrix.name: (matrix.m, matrix.n, matrix.uses) for matrix in matrices_of(model)}


@pytest.mark.parametrize("name", load_models())
def test_together_they_are_what_a_token_reads(name: str) -> None:
    """Rows x columns x uses add up to the active parameters, but for norms and the convolutions of linear attention."""
    model = load_models()[name]
    total = sum(matrix.m * matrix.n * matrix.uses for matrix in matrices_of(model))
    norms = (2 * model.layers + 1) * model.hidden
    convolved = model.linear_layers * 4 * (2 * model.linear_k_heads + model.linear_v_heads) * model.linear_dim
    assert total == model.active_parameters - norms - convolved


@pytest.mark.parametrize("name", load_models())
def test_shapes_are_there_once(name: str) -> None:
    """No two matrices have the same rows and columns, and every one is used."""
    found = find_matrices(name)
    assert len({(matrix.m, matrix.n) for matrix in found}) == len({matrix.name for matrix in found}) == len(found)
    assert min(matrix.uses for matrix in found) > 0


def test_a_dense_model() -> None:
    """Query, key and value are one product, gate and up another, as engines fuse them; shapes of the model card."""
    assert listed(find_model("llama-3.1-8b")) == {
        "qkv": (6144, 4096, 32),
        "o": (4096, 4096, 32),
        "gate_up": (28672, 4096, 32),
        "down": (4096, 14336, 32),
        "lm_head": (128256, 4096, 1),
    }
    assert matrices_of(find_model("llama-3.1-8b"))[0].label == "llama-3.1-8b qkv"


def test_a_mixture_has_one_experts_matrices() -> None:
    """A token reads those of eight of 128 experts in each of 48 layers, and the router that chooses them."""
    found = listed(find_model("qwen3-30b-a3b"))
    assert found["router"] == (128, 2048, 48)
    assert found["expert gate_up"] == (2 * 768, 2048, 48 * 8)
    assert found["expert down"] == (2048, 768, 48 * 8)
    assert "gate_up" not in found


def test_latent_attention() -> None:
    """DeepSeek-V3: both projections down are one product; shapes of its config.json; equal shapes are one matrix."""
    found = listed(find_model("deepseek-v3"))
    assert found["qkv_a"] == (1536 + 512 + 64, 7168, 61)
    assert found["q_b"] == (128 * (128 + 64), 1536, 61)
    assert found["kv_b"] == (128 * (128 + 128), 512, 61)
    assert found["o"] == (7168, 128 * 128, 61)
    assert found["gate_up"] == (2 * 18432, 7168, 3)
    assert found["expert+shared gate_up"] == (2 * 2048, 7168, 58 * 8 + 58)
    plain = listed(replace(find_model("deepseek-v3"), q_rank=0))
    assert plain["q"] == (128 * 192, 7168, 61) and plain["kv_a"] == (576, 7168, 61) and "q_b" not in plain


def test_linear_attention_and_a_gate() -> None:
    """Recurrent layers have projections of their own; a gate of attention is as wide as its queries."""
    model = find_model("qwen3-next-80b-a3b")
    found = listed(model)
    keys, values = model.linear_k_heads * model.linear_dim, model.linear_v_heads * model.linear_dim
    assert found["linear qkvz"] == (2 * keys + 2 * values, model.hidden, model.linear_layers)
    assert found["linear ba"] == (2 * model.linear_v_heads, model.hidden, model.linear_layers)
    assert found["o+linear o"][2] == model.layers
    width = model.heads * model.head_dim
    assert found["qkv"][0] == 2 * width + 2 * model.kv_heads * model.head_dim


def test_a_config_file(tmp_path: Path) -> None:
    """A config.json or its folder stands for a model, under the folder's name in plain characters."""
    folder = tmp_path / "my model (v2)"
    folder.mkdir()
    config = {"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 200}
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 1000}))
    for name in (str(folder), str(folder / "config.json")):
        found = find_matrices(name)
        assert {matrix.model for matrix in found} == {"my-model-v2"}
        assert [(m.name, m.m, m.n) for m in found][-1] == ("lm_head", 1000, 96)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(FileError, match="'vocab_size' is missing"):
        find_matrices(str(folder))


def test_an_unknown_model() -> None:
    """The message has the nearest name of the table."""
    with pytest.raises(UsageError, match=r"Did you mean 'llama-3\.1-8b'"):
        find_matrices("llama-3.1-8")


@pytest.mark.parametrize(
    ("text", "name"),
    [("llama-3.1-8b", "llama-3.1-8b"), ("=cmd|' /C calc'!A0", "cmd-C-calc-A0"), ("a b\n", "a-b"), ("模型", "model")],
)
def test_names_are_plain(text: str, name: str) -> None:
    """Whatever a folder is called, a cell has no space in the model's name and begins no formula."""
    assert plain_name(text) == name
