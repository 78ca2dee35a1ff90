"""Shapes of language models, and the parameters and cache that follow from them.

Parameters are counted from the weight matrices of the architecture. Norms count as two vectors per layer. Biases are
left out: they are below 0.1 % in every model of the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from bandmark.errors import unknown_name
from bandmark.tables import read_table

_CONVOLUTION = 4
"""Taps of the convolution before linear attention, for each of its queries, keys and values."""


class Product(NamedTuple):
    """A matrix-vector product of a decode step: a weight matrix of m rows and n columns."""

    name: str
    m: int
    n: int
    uses: int
    """How many matrices of this name a step multiplies by, in all layers."""
    part: Literal["body", "expert", "head"] = "body"
    """What the matrix belongs to: weight formats store these parts with different numbers of bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The shape of a decoder-only transformer: dense or mixture of experts, with any mix of kinds of attention."""

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    """Width of a dense feed-forward block (gate, up and down matrices)."""
    vocab: int
    tied: bool = False
    """Whether the output matrix is the embedding matrix."""
    experts: int = 0
    """Routed experts of a layer; 0: dense."""
    experts_per_token: int = 0
    expert_intermediate: int = 0
    shared_intermediate: int = 0
    """Width of the experts that every token uses, together."""
    dense_layers: int = 0
    """Layers of a mixture of experts whose feed-forward block is dense."""
    window: int | None = None
    """Tokens that a sliding-window layer attends to."""
    full_layers: int | None = None
    """Layers that attend to the whole context; None: all that attend, or none where there is a window."""
    q_rank: int = 0
    kv_rank: int = 0
    """Rank of the compressed cache of multi-head latent attention (MLA); 0: keys and values are cached as they are."""
    nope_dim: int = 0
    rope_dim: int = 0
    v_dim: int = 0
    linear_layers: int = 0
    """Layers of linear attention (gated delta rule), whose state does not grow."""
    linear_k_heads: int = 0
    linear_v_heads: int = 0
    linear_dim: int = 0
    output_gate: bool = False
    """Whether attention has a gate as wide as its queries."""

    @property
    def attention_layers(self) -> int:
        """Layers that have a cache of keys and values."""
        return self.layers - self.linear_layers

    @property
    def moe_layers(self) -> int:
        """Layers with routed experts."""
        return self.layers - self.dense_layers if self.experts else 0

    @property
    def whole_context_layers(self) -> int:
        """Layers whose cache grows with the context."""
        if self.full_layers is not None:
            return self.full_layers
        return 0 if self.window else self.attention_layers

    def products(self) -> Iterator[Product]:
        """Yield the matrix-vector products of a decode step of one sequence, in the order of a layer."""
        yield from _latent_attention(self) if self.kv_rank else _attention(self)
        yield from _linear_attention(self)
        yield from _feed_forward(self)
        yield Product("lm_head", self.vocab, self.hidden, 1, "head")

    def _parameters_of(self, part: str) -> int:
        return sum(p.m * p.n * p.uses for p in self.products() if p.part == part)

    @property
    def body_parameters(self) -> int:
        """Parameters that every token reads, without the output matrix."""
        keys, values = self.linear_k_heads * self.linear_dim, self.linear_v_heads * self.linear_dim
        convolutions = self.linear_layers * _CONVOLUTION * (2 * keys + values)
        return self._parameters_of("body") + convolutions + (2 * self.layers + 1) * self.hidden

    @property
    def head_parameters(self) -> int:
        """Parameters of the output matrix."""
        return self._parameters_of("head")

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the embedding where it is a matrix of its own; a token reads one row of it."""
        return 0 if self.tied else self.vocab * self.hidden

    @property
    def expert_parameters(self) -> int:
        """Parameters of one routed expert."""
        return 3 * self.hidden * self.expert_intermediate

    @property
    def routed_parameters(self) -> int:
        """Parameters of all routed experts."""
        return self.moe_layers * self.experts * self.expert_parameters

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.body_parameters + self.routed_parameters + self.head_parameters + self.embedding_parameters

    @property
    def active_parameters(self) -> int:
        """Parameters that one token reads: body, its experts and the output matrix, not the embedding's other rows."""
        return self.body_parameters + self._parameters_of("expert") + self.head_parameters

    def experts_read(self, batch: int) -> float:
        """Return how many experts of a layer a batch reads on average, if each token chooses evenly and alone."""
        return self.experts * (1 - (1 - self.experts_per_token / max(1, self.experts)) ** batch)

    def _kv_values_per_layer(self) -> int:
        """Return the cached values of a token in one layer: keys and values, or the latent vector of MLA."""
        return self.kv_rank + self.rope_dim if self.kv_rank else 2 * self.kv_heads * self.head_dim

    def kv_bytes_per_token(self, kv_bits: float = 16) -> float:
        """Return the bytes that the cache of a sequence grows by with a token, in all layers that attend."""
        return self.attention_layers * self._kv_values_per_layer() * kv_bits / 8

    def kv_bytes(self, context: int, kv_bits: float = 16) -> float:
        """Return the bytes of cache that a token reads after a context: all of it, or the window's part."""
        sliding = self.attention_layers - self.whole_context_layers
        tokens = self.whole_context_layers * context + sliding * min(context, self.window or context)
        return tokens * self._kv_values_per_layer() * kv_bits / 8

    def state_bytes(self) -> int:
        """Return the bytes that linear attention moves for a token: its float32 state, read and written."""
        return 2 * 4 * self.linear_layers * self.linear_v_heads * self.linear_dim**2


def _attention(model: Model) -> Iterator[Product]:
    width = model.heads * model.head_dim
    gate = width if model.output_gate else 0
    qkv = width + gate + 2 * model.kv_heads * model.head_dim
    yield Product("qkv", qkv, model.hidden, model.attention_layers)
    yield Product("o", model.hidden, width, model.attention_layers)


def _latent_attention(model: Model) -> Iterator[Product]:
    """Yield the products of multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1).

    "kv_b" stands for the products by which each head moves its query and its result between the cache's rank and its
    own width: as many weights, read once.
    """
    layers, heads, compressed = model.attention_layers, model.heads, model.kv_rank + model.rope_dim
    queries = heads * (model.nope_dim + model.rope_dim)
    if model.q_rank:
        yield Product("qkv_a", model.q_rank + compressed, model.hidden, layers)
        yield Product("q_b", queries, model.q_rank, layers)
    else:
        yield Product("q", queries, model.hidden, layers)
        yield Product("kv_a", compressed, model.hidden, layers)
    yield Product("kv_b", heads * (model.nope_dim + model.v_dim), model.kv_rank, layers)
    yield Product("o", model.hidden, heads * model.v_dim, layers)


def _linear_attention(model: Model) -> Iterator[Product]:
    """Yield the products of a gated delta rule: query, key, value and gate; beta and decay; output."""
    keys, values = model.linear_k_heads * model.linear_dim, model.linear_v_heads * model.linear_dim
    yield Product("linear qkvz", 2 * keys + 2 * values, model.hidden, model.linear_layers)
    yield Product("linear ba", 2 * model.linear_v_heads, model.hidden, model.linear_layers)
    yield Product("linear o", model.hidden, values, model.linear_layers)


def _feed_forward(model: Model) -> Iterator[Product]:
    hidden, routed = model.hidden, model.moe_layers
    dense = model.layers - routed
    yield Product("gate_up", 2 * model.intermediate, hidden, dense)
    yield Product("down", hidden, model.intermediate, dense)
    yield Product("router", model.experts, hidden, routed)
    chosen = routed * model.experts_per_token
    yield Product("expert gate_up", 2 * model.expert_intermediate, hidden, chosen, "expert")
    yield Product("expert down", hidden, model.expert_intermediate, chosen, "expert")
    yield Product("shared gate_up", 2 * model.shared_intermediate, hidden, routed)
    yield Product("shared down", hidden, model.shared_intermediate, routed)


@lru_cache(maxsize=1)
def load_models() -> dict[str, Model]:
    """Return the models of data/models.csv by name, in file order."""
    return {model.name: model for model in read_table("models.csv", Model)}


def find_model(name: str) -> Model:
    """Return a model of the table; raises UsageError with the nearest name and all of them."""
    models = load_models()
    if name.lower() not in models:
        raise unknown_name("model", name, models)
    return models[name.lower()]
