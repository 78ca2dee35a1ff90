"""Which matrices does a decode step of a model multiply by? What `bandmark run --layer` measures gemv on.

Matrices of one input are one product, as vLLM, SGLang and llama.cpp's CUDA backend run them: query, key and value
("qkv"), gate and up ("gate_up"), and DeepSeek's two projections down to a rank ("qkv_a"). A mixture of experts has one
expert's matrices, of which a token reads several. With multi-head latent attention (arXiv 2405.04434, section 2.1)
"kv_b" stands for the products by which each head moves its query and its result between the cache's rank and its own
width: as many weights, read once. Norms, biases and convolutions are no matrices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bandmark.models.catalog import find_or_read
from bandmark.models.model import Model

BETWEEN = "+"
"""Between the names of matrices of one shape, which are measured once."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A weight matrix of m rows and n columns: a step multiplies it by a vector of n."""

    model: str
    name: str
    m: int
    n: int
    uses: int
    """How many matrices of this shape a step multiplies by, in all layers."""

    @property
    def label(self) -> str:
        """What a row says that it is: the model, a space, and the matrix."""
        return f"{self.model} {self.name}"


def matrices_of(model: Model) -> list[Matrix]:
    """Return the matrices of a decode step of one sequence, in the order of a layer; those of one shape once."""
    found: dict[tuple[int, int], Matrix] = {}
    head = ("lm_head", model.vocab, model.hidden, 1)
    for name, m, n, uses in (*_attention(model), *_linear(model), *_feed_forward(model), head):
        same = found.get((m, n))
        if same:
            found[m, n] = replace(same, name=_both(same.name, name), uses=same.uses + uses)
        elif uses:
            found[m, n] = Matrix(plain_name(model.name), name, m, n, uses)
    return list(found.values())


def _both(first: str, second: str) -> str:
    """Return the name of two matrices of one shape: o+linear o, expert+shared gate_up."""
    (kind, what), (other, same) = first.rpartition(" ")[::2], second.rpartition(" ")[::2]
    if kind and other and what == same:
        return f"{kind}{BETWEEN}{other} {what}"
    return f"{first}{BETWEEN}{second}"


def plain_name(text: str) -> str:
    """Return a model's name in letters, digits, dots, hyphens and underscores: rows and records hold it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "model"


def find_matrices(name: str) -> list[Matrix]:
    """Return the matrices of a model of the table, or of a config.json; raises UsageError or FileError."""
    return matrices_of(find_or_read(name))


_Found = Iterator[tuple[str, int, int, int]]
"""Name, rows, columns and uses."""


def _attention(model: Model) -> _Found:
    layers, hidden, heads = model.attention_layers, model.hidden, model.heads
    if model.kv_rank:
        queries, compressed = heads * (model.nope_dim + model.rope_dim), model.kv_rank + model.rope_dim
        if model.q_rank:
            yield "qkv_a", model.q_rank + compressed, hidden, layers
            yield "q_b", queries, model.q_rank, layers
        else:
            yield "q", queries, hidden, layers
            yield "kv_a", compressed, hidden, layers
        yield "kv_b", heads * (model.nope_dim + model.v_dim), model.kv_rank, layers
        yield "o", hidden, heads * model.v_dim, layers
        return
    width = heads * model.head_dim
    gate = width if model.output_gate else 0
    yield "qkv", width + gate + 2 * model.kv_heads * model.head_dim, hidden, layers
    yield "o", hidden, width, layers


def _linear(model: Model) -> _Found:
    """Yield those of linear attention (gated delta rule): query, key, value and gate; beta and decay; output."""
    keys, values = model.linear_k_heads * model.linear_dim, model.linear_v_heads * model.linear_dim
    yield "linear qkvz", 2 * keys + 2 * values, model.hidden, model.linear_layers
    yield "linear ba", 2 * model.linear_v_heads, model.hidden, model.linear_layers
    yield "linear o", model.hidden, values, model.linear_layers


def _feed_forward(model: Model) -> _Found:
    dense, routed = model.layers - model.moe_layers, model.moe_layers
    yield from _gated("", model.hidden, model.intermediate, dense)
    yield "router", model.experts, model.hidden, routed
    yield from _gated("expert ", model.hidden, model.expert_intermediate, routed * model.experts_per_token)
    yield from _gated("shared ", model.hidden, model.shared_intermediate, routed if model.shared_intermediate else 0)


def _gated(kind: str, hidden: int, width: int, uses: int) -> _Found:
    yield f"{kind}gate_up", 2 * width, hidden, uses
    yield f"{kind}down", hidden, width, uses
