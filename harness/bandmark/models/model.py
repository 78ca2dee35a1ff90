"""How many parameters and how much cache does a language model read for each token that it generates?

Matrices are counted from the shapes of the architecture; norms are counted as two vectors a layer, biases are left out
(they are below 0.1 % in every model of the table). A sequence's cache is what one new token must read of it.
"""

from __future__ import annotations

from dataclasses import dataclass


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

    @property
    def attention_parameters(self) -> int:
        """Parameters of one attention layer's matrices."""
        if self.kv_rank:
            return self._latent_parameters()
        width = self.heads * self.head_dim
        return self.hidden * (width * (3 if self.output_gate else 2) + 2 * self.kv_heads * self.head_dim)

    def _latent_parameters(self) -> int:
        """Return the parameters of an MLA layer, as in DeepSeek-V2, arXiv 2405.04434, section 2.1."""
        queries = self.heads * (self.nope_dim + self.rope_dim)
        q = self.q_rank * (self.hidden + queries) if self.q_rank else self.hidden * queries
        compress = self.hidden * (self.kv_rank + self.rope_dim)
        expand = self.kv_rank * self.heads * (self.nope_dim + self.v_dim)
        return q + compress + expand + self.heads * self.v_dim * self.hidden

    @property
    def linear_parameters(self) -> int:
        """Parameters of one linear-attention layer: q, k, v, gate, beta, decay, convolution of 4, and output."""
        keys, values = self.linear_k_heads * self.linear_dim, self.linear_v_heads * self.linear_dim
        return self.hidden * (2 * keys + 3 * values + 2 * self.linear_v_heads) + 4 * (2 * keys + values)

    @property
    def expert_parameters(self) -> int:
        """Parameters of one routed expert."""
        return 3 * self.hidden * self.expert_intermediate

    @property
    def body_parameters(self) -> int:
        """Parameters that every token reads, without the output matrix."""
        attention = self.attention_layers * self.attention_parameters + self.linear_layers * self.linear_parameters
        dense = (self.layers - self.moe_layers) * 3 * self.hidden * self.intermediate
        moe = self.moe_layers * self.hidden * (3 * self.shared_intermediate + self.experts)
        return attention + dense + moe + (2 * self.layers + 1) * self.hidden

    @property
    def head_parameters(self) -> int:
        """Parameters of the output matrix."""
        return self.vocab * self.hidden

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the embedding where it is a matrix of its own; a token reads one row of it."""
        return 0 if self.tied else self.vocab * self.hidden

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
        chosen = self.moe_layers * self.experts_per_token * self.expert_parameters
        return self.body_parameters + chosen + self.head_parameters

    @property
    def is_moe(self) -> bool:
        """Whether it has routed experts."""
        return self.experts > 0

    def experts_read(self, batch: int) -> float:
        """Return how many experts of a layer a batch reads on average, if each token chooses evenly and alone."""
        if not self.experts:
            return 0.0
        return self.experts * (1 - (1 - self.experts_per_token / self.experts) ** batch)

    def _kv_values_per_layer(self) -> int:
        """Return the cached values of a token in one layer: keys and values, or the latent vector of MLA."""
        return self.kv_rank + self.rope_dim if self.kv_rank else 2 * self.kv_heads * self.head_dim

    def kv_bytes_per_token(self, kv_bits: float = 16) -> float:
        """Return the bytes that the cache of a sequence grows by with a token, in all layers that attend."""
        return self.attention_layers * self._kv_values_per_layer() * kv_bits / 8

    def kv_bytes(self, context: int, kv_bits: float = 16) -> float:
        """Return the bytes of cache that a token reads after a context: all of it, or the window's part."""
        sliding = self.attention_layers - self.whole_context_layers
        seen = self.whole_context_layers * context + sliding * min(context, self.window or context)
        return seen * self._kv_values_per_layer() * kv_bits / 8

    def state_bytes(self) -> int:
        """Return the bytes that linear attention moves for a token: its float32 state, read and written."""
        return 2 * 4 * self.linear_layers * self.linear_v_heads * self.linear_dim**2
