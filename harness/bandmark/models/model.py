"""Shapes of language models, and the matrices, parameters and cache that follow from them.

Parameters are counted from the weight matrices of the architecture. Norms count as two vectors per layer. Biases are
left out: they are below 0.1 % in every model of the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from bandmark.errors import unknown_name
from bandmark.tables import read_table

Products = Iterator[tuple[str, int, int, int]]
"""Matrix-vector products of a decode step: name, rows, columns, and how often in all layers."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A weight matrix of m rows and n columns: a step multiplies it by a vector of n.

    Matrices of one input are one product, as vLLM, SGLang and llama.cpp's CUDA backend run them: query, key and value
    ("qkv"), gate and up ("gate_up"), and DeepSeek's two projections down to a rank ("qkv_a"). A mixture of experts has
    one expert's matrices, of which a token reads several.
    """

    model: str
    name: str
    m: int
    n: int
    uses: int
    """How many matrices of this shape a step multiplies by, in all layers."""

    @property
    def label(self) -> str:
        """The cell of a result file's column layer: the model, a space, and the matrix."""
        return f"{self.model} {self.name}"


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
    gated: bool = True
    """Whether feed-forward blocks and experts have a gate matrix beside up and down."""
    linear_k_dim: int = 0
    """Width of a key head of linear attention; 0: as its values'."""
    ssm_layers: int = 0  # Mamba-2, whose state does not grow
    ssm_inner: int = 0
    ssm_heads: int = 0
    ssm_groups: int = 0
    ssm_state: int = 0
    index_layers: int = 0
    """Layers of sparse attention that have an indexer of their own."""
    index_heads: int = 0
    index_dim: int = 0
    index_topk: int = 0
    """Tokens that sparse attention reads, chosen by an indexer that reads a key of every token; 0: all are read."""
    cache_bits: int = 16  # of a value of the KV cache

    @property
    def attention_layers(self) -> int:
        """Layers that have a cache of keys and values."""
        return self.layers - self.linear_layers - self.ssm_layers

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

    def matrices(self) -> list[Matrix]:
        """Return the matrices of a decode step of one sequence, in the order of a layer; those of one shape once."""
        matrices: dict[tuple[int, int], Matrix] = {}
        for name, m, n, uses in self._products():
            if same := matrices.get((m, n)):
                matrices[m, n] = replace(same, name=_joined(same.name, name), uses=same.uses + uses)
            elif m * n * uses:
                matrices[m, n] = Matrix(plain_name(self.name), name, m, n, uses)
        return list(matrices.values())

    def _products(self) -> Products:
        yield from _latent_attention(self) if self.kv_rank else _attention(self)
        yield from _linear_attention(self)
        yield from _mamba(self)
        yield from _feed_forward(self)
        yield ("lm_head", self.vocab, self.hidden, 1)

    @property
    def active_parameters(self) -> int:
        """Parameters that one token reads: body, its experts and the output matrix, not the embedding's other rows."""
        products = sum(m * n * uses for _, m, n, uses in self._products())
        return products + self._vector_parameters()

    def _vector_parameters(self) -> int:
        # Two norms a layer and one at the end; what enters a recurrence passes a convolution of four taps.
        linear = (
            2 * self.linear_k_heads * (self.linear_k_dim or self.linear_dim) + self.linear_v_heads * self.linear_dim
        )
        mamba = self.ssm_inner + 2 * self.ssm_groups * self.ssm_state
        convolutions = 4 * (self.linear_layers * linear + self.ssm_layers * mamba)
        return convolutions + (2 * self.layers + 1) * self.hidden

    @property
    def body_parameters(self) -> int:
        """Parameters that every token reads, without the output matrix."""
        chosen = self.moe_layers * self.experts_per_token * self.expert_parameters
        return self.active_parameters - chosen - self.head_parameters

    @property
    def head_parameters(self) -> int:
        """Parameters of the output matrix."""
        return self.vocab * self.hidden

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the embedding where it is a matrix of its own; a token reads one row of it."""
        return 0 if self.tied else self.head_parameters

    @property
    def expert_parameters(self) -> int:
        """Parameters of one routed expert."""
        return (2 + self.gated) * self.hidden * self.expert_intermediate

    @property
    def routed_parameters(self) -> int:
        """Parameters of all routed experts."""
        return self.moe_layers * self.experts * self.expert_parameters

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.body_parameters + self.routed_parameters + self.head_parameters + self.embedding_parameters

    def experts_read(self, batch: int) -> float:
        """Return how many experts of a layer a batch reads on average, if each token chooses evenly and alone."""
        return self.experts * (1 - (1 - self.experts_per_token / max(1, self.experts)) ** batch)

    def _kv_values_per_layer(self) -> int:
        # Keys and values, or the latent vector of MLA.
        return self.kv_rank + self.rope_dim if self.kv_rank else 2 * self.kv_heads * self.head_dim

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes that the cache of a sequence grows by with a token, in all layers that attend."""
        return self.kv_stored(1)

    def kv_bytes(self, context: int) -> int:
        """Return the bytes of cache that a token reads after a context: all, a window's part, or what an index chooses.

        Keys of an index are in FP8 (DeepSeek-V3.2-Exp, arXiv 2512.02556, section 2.1): a byte a value.
        """
        chosen = min(context, self.index_topk or context)
        return self._cached(chosen) + self.index_layers * self.index_dim * context

    def kv_stored(self, context: int) -> int:
        """Return the bytes of cache in memory after a context."""
        return self._cached(context) + self.index_layers * self.index_dim * context

    def _cached(self, tokens: int) -> int:
        sliding = self.attention_layers - self.whole_context_layers
        tokens = self.whole_context_layers * tokens + sliding * min(tokens, self.window or tokens)
        return tokens * self._kv_values_per_layer() * self.cache_bits // 8

    def state_bytes(self) -> int:
        """Return the bytes that recurrent layers move for a token: their float32 state, read and written."""
        linear = self.linear_layers * self.linear_v_heads * self.linear_dim * (self.linear_k_dim or self.linear_dim)
        return 2 * 4 * (linear + self.ssm_layers * self.ssm_inner * self.ssm_state)


def _joined(first: str, second: str) -> str:
    """Return the name of two matrices of one shape: o+linear o, expert+shared gate_up."""
    kind, _, matrix = first.rpartition(" ")
    other_kind, _, other_matrix = second.rpartition(" ")
    if kind and other_kind and matrix == other_matrix:
        return f"{kind}+{other_kind} {matrix}"
    return f"{first}+{second}"


def plain_name(text: str) -> str:
    """Return a model's name in letters, digits, dots, hyphens and underscores, as a cell of a result file takes it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "model"


def _attention(model: Model) -> Products:
    width = model.heads * model.head_dim
    gate = width if model.output_gate else 0
    qkv = width + gate + 2 * model.kv_heads * model.head_dim
    yield ("qkv", qkv, model.hidden, model.attention_layers)
    yield ("o", model.hidden, width, model.attention_layers)


def _latent_attention(model: Model) -> Products:
    """Yield the products of multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1).

    "kv_b" stands for the products by which each head moves its query and its result between the cache's rank and its
    own width: as many weights, read once.
    """
    layers, heads, compressed = model.attention_layers, model.heads, model.kv_rank + model.rope_dim
    queries = heads * (model.nope_dim + model.rope_dim)
    if model.q_rank:
        yield ("qkv_a", model.q_rank + compressed, model.hidden, layers)
        yield ("q_b", queries, model.q_rank, layers)
    else:
        yield ("q", queries, model.hidden, layers)
        yield ("kv_a", compressed, model.hidden, layers)
    yield ("kv_b", heads * (model.nope_dim + model.v_dim), model.kv_rank, layers)
    yield ("o", model.hidden, heads * model.v_dim, layers)
    yield ("index q", model.index_heads * model.index_dim, model.q_rank, model.index_layers)
    yield ("index kw", model.index_dim + model.index_heads, model.hidden, model.index_layers)


def _linear_attention(model: Model) -> Products:
    """Yield the products of a gated delta rule: query, key, value and gate; beta and decay; output."""
    keys, values = (
        model.linear_k_heads * (model.linear_k_dim or model.linear_dim),
        model.linear_v_heads * model.linear_dim,
    )
    yield ("linear qkvz", 2 * keys + 2 * values, model.hidden, model.linear_layers)
    yield ("linear ba", 2 * model.linear_v_heads, model.hidden, model.linear_layers)
    yield ("linear o", model.hidden, values, model.linear_layers)


def _mamba(model: Model) -> Products:
    """Yield the products of Mamba-2 (Dao and Gu, arXiv 2405.21060): gate, values, B, C and step in one; output."""
    rows = 2 * model.ssm_inner + 2 * model.ssm_groups * model.ssm_state + model.ssm_heads
    yield ("mamba in", rows, model.hidden, model.ssm_layers)
    yield ("mamba out", model.hidden, model.ssm_inner, model.ssm_layers)


def _feed_forward(model: Model) -> Products:
    hidden, routed = model.hidden, model.moe_layers
    dense, wide, up = model.layers - routed, 1 + model.gated, "gate_up" if model.gated else "up"
    yield (up, wide * model.intermediate, hidden, dense)
    yield ("down", hidden, model.intermediate, dense)
    yield ("router", model.experts, hidden, routed)
    chosen = routed * model.experts_per_token
    yield (f"expert {up}", wide * model.expert_intermediate, hidden, chosen)
    yield ("expert down", hidden, model.expert_intermediate, chosen)
    yield (f"shared {up}", wide * model.shared_intermediate, hidden, routed)
    yield ("shared down", hidden, model.shared_intermediate, routed)


@cache
def load_models() -> dict[str, Model]:
    """Return the models of data/models.csv by name, in file order."""
    return {model.name: model for model in read_table("models.csv", Model)}


def find_model(name: str) -> Model:
    """Return a model of the table; raises UsageError with the nearest name and all of them."""
    models = load_models()
    if name.lower() not in models:
        raise unknown_name("model", name, models)
    return models[name.lower()]
