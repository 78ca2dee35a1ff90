"""The shape of a model: parameters, experts of a batch, cache, and the matrices that engines multiply by."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.errors import FileError, UsageError
from bandmark.models.config import find_matrices
from bandmark.models.model import Model, find_model, load_models, plain_name
from bandmark.tables import read_table


@dataclass(frozen=True)
class PublishedCount:
    """What the makers of a model of the table publish about it: parameters in 1e9, all and those of a token."""

    name: str
    published_b: float
    published_active_b: float | None
    source: str


COUNTS = read_table("models.csv", PublishedCount)

SMALL = Model(name="small", layers=2, hidden=8, heads=2, kv_heads=1, head_dim=4, intermediate=16, vocab=10)


def test_a_dense_model_by_hand() -> None:
    """Each matrix counts rows x columns, norms two vectors a layer, and a tied embedding once."""
    attention = 8 * 8 + 2 * 8 * 4 + 8 * 8
    body = 2 * (attention + 3 * 8 * 16 + 2 * 8) + 8
    assert SMALL.parameters == body + 2 * 80
    assert replace(SMALL, tied=True).parameters == body + 80
    assert SMALL.active_parameters == body + 80 == replace(SMALL, tied=True).active_parameters


def test_a_mixture_by_hand() -> None:
    """All experts count in the total, those chosen in a token's, and the router in both; a dense layer stays dense."""
    moe = replace(SMALL, experts=4, experts_per_token=2, expert_intermediate=5, shared_intermediate=7, dense_layers=1)
    expert = 3 * 8 * 5
    others = SMALL.active_parameters - 3 * 8 * 16 + 3 * 8 * 7 + 8 * 4
    assert moe.active_parameters == others + 2 * expert
    assert moe.parameters == others + 4 * expert + 80


@pytest.mark.parametrize(
    ("name", "bytes_per_token"),
    [
        ("llama-3.1-8b", 131072),
        ("qwen2.5-7b", 57344),
        ("qwen3-30b-a3b", 98304),
        ("qwen3-235b-a22b", 192512),
        ("gpt-oss-120b", 73728),
        ("deepseek-v3", 70272),
        ("gemma-3-27b", 507904),
    ],
)
def test_cache_bytes_per_token(name: str, bytes_per_token: int) -> None:
    """The 16-bit cache of a token has the bytes that the models' shapes give: grouped heads, MLA, windows."""
    assert find_model(name).kv_bytes_per_token == bytes_per_token


def test_windows_stop_growing() -> None:
    """Beyond the window only the layers that see the whole context read more: half of gpt-oss's."""
    model = find_model("gpt-oss-20b")
    assert model.kv_bytes(100) == 100 * 49152
    assert model.kv_bytes(10128) - model.kv_bytes(128) == 10000 * 24576


@settings(deadline=None)
@given(st.sampled_from(sorted(load_models())), st.integers(0, 10**6), st.integers(1, 10**5))
def test_more_context_is_never_less_cache(name: str, context: int, more: int) -> None:
    """The cache that a token reads never shrinks with the context, and grows by no more than its bytes per token."""
    model = find_model(name)
    grown = model.kv_bytes(context + more) - model.kv_bytes(context)
    assert 0 <= grown <= more * model.kv_bytes_per_token


@settings(deadline=None)
@given(st.sampled_from(["mixtral-8x7b", "gpt-oss-120b", "deepseek-v3"]), st.integers(1, 500))
def test_experts_of_a_batch(name: str, batch: int) -> None:
    """One token reads the experts it chooses; a batch reads more, never more than there are or than it chooses."""
    model = find_model(name)
    assert model.experts_read(1) == pytest.approx(model.experts_per_token)
    assert model.experts_read(batch) <= min(model.experts, batch * model.experts_per_token) * (1 + 1e-9)
    assert model.experts_read(batch + 1) >= model.experts_read(batch)


def test_recurrent_layers_keep_a_state() -> None:
    """Linear attention has no growing cache; its float32 state is read and written."""
    model = find_model("qwen3.5-27b")
    assert model.attention_layers == 16 and model.state_bytes() == 2 * 4 * 48 * 48 * 128 * 128
    assert find_model("llama-3.1-8b").state_bytes() == 0


@pytest.mark.parametrize("count", COUNTS, ids=lambda count: count.name)
def test_parameters_agree_with_the_published_count(count: PublishedCount) -> None:
    """The count from the shape is within 1 % of what the makers publish, for every model of the table."""
    assert find_model(count.name).parameters / 1e9 == pytest.approx(count.published_b, rel=0.01)


@pytest.mark.parametrize("count", [c for c in COUNTS if c.published_active_b], ids=lambda count: count.name)
def test_active_parameters_agree(count: PublishedCount) -> None:
    """A token's parameters are the published ones, with the embedding or without, as the makers count, within 1.5 %."""
    model = find_model(count.name)
    counts = (model.active_parameters / 1e9, (model.active_parameters + model.embedding_parameters) / 1e9)
    assert count.published_active_b in [pytest.approx(n, rel=0.015) for n in counts]


@pytest.mark.parametrize("count", COUNTS, ids=lambda count: count.name)
def test_every_row_has_its_source(count: PublishedCount) -> None:
    """Each row names a page, and its layers of all kinds are no more than its layers."""
    model = find_model(count.name)
    assert count.source.startswith("https://")
    assert model.whole_context_layers + model.linear_layers <= model.layers


def test_names_are_found_in_any_case() -> None:
    """A name is found whatever its case; an unknown one brings the nearest and all others."""
    assert find_model("Llama-3.1-8B").layers == 32
    with pytest.raises(UsageError, match=r"Did you mean 'qwen3-8b'\? Choose from llama-3\.2-1b"):
        find_model("qwen3_8b")


def listed(model: Model) -> dict[str, tuple[int, int, int]]:
    """Rows, columns and uses of each matrix, by name."""
    return {matrix.name: (matrix.m, matrix.n, matrix.uses) for matrix in model.matrices()}


@pytest.mark.parametrize("name", load_models())
def test_together_they_are_what_a_token_reads(name: str) -> None:
    """Rows x columns x uses add up to the active parameters, but for norms and the convolutions of linear attention."""
    model = load_models()[name]
    total = sum(matrix.m * matrix.n * matrix.uses for matrix in model.matrices())
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
    assert find_model("llama-3.1-8b").matrices()[0].label == "llama-3.1-8b qkv"


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
    config = {
        "model_type": "llama",
        "hidden_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 200,
    }
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


@pytest.mark.parametrize("name", ["llama-3.1-8b", "qwen3-30b-a3b", "glm-4.5-air"])
def test_blocks_without_a_gate(name: str) -> None:
    """Without a gate every feed-forward block and expert has two matrices of three, in all and for a token."""
    model = find_model(name)
    plain = replace(model, gated=False)
    blocks = (model.layers - model.moe_layers) * model.intermediate + model.moe_layers * model.shared_intermediate
    routed = model.moe_layers * model.expert_intermediate
    assert model.parameters - plain.parameters == model.hidden * (blocks + routed * model.experts)
    assert model.active_parameters - plain.active_parameters == model.hidden * (
        blocks + routed * model.experts_per_token
    )
    assert not any("gate" in matrix.name for matrix in plain.matrices())
