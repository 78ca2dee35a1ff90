"""The shape of a model: parameters, experts of a batch, cache."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.errors import UsageError
from bandmark.models.model import Model, find_model, load_models
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
    assert find_model(name).kv_bytes_per_token() == bytes_per_token
    assert find_model(name).kv_bytes_per_token(8) == bytes_per_token / 2


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
    assert 0 <= grown <= more * model.kv_bytes_per_token()


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
