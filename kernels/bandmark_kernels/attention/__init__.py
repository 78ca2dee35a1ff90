"""The geometry of attention, its reference, and its check: the exact output and what rounding may do to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bandmark_kernels.core import np
from bandmark_kernels.core.checks import draw, encode, expectations
from bandmark_kernels.core.dtypes import FLOAT32, DType
from bandmark_kernels.core.kernel import Expectation, Inputs, Kernel, Pattern
from bandmark_kernels.core.operand import Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FAR = 64.0
"""Factor on a query by which scores of one sign, some 5 in size, are some hundreds."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """The heads of an attention: its matrices have a row per token, with the KV heads side by side."""

    heads: int  # query heads
    kv_heads: int
    head_dim: int
    cache_format: str | None = None
    """"fp8" for e4m3 codes; None where the cache has the operands' dtype."""

    @property
    def group(self) -> int:
        """Query heads that share a KV head."""
        return self.heads // self.kv_heads

    @property
    def columns(self) -> int:
        """Elements of K, and of V, per token."""
        return self.kv_heads * self.head_dim


def reference(
    geometry: Geometry, *, q: Any, K: Any, V: Any, k_scale: Any = 1.0, v_scale: Any = 1.0, times: Any = 1.0
) -> Any:
    """Return out, and take q, of shape (heads * head_dim,); K and V are of shape (m, kv_heads * head_dim).

    Of an fp8 cache K and V are the decoded codes, which the scales multiply. `times` is how often each row stands in
    the cache.
    """
    weights, values = _weights(geometry, q, K * k_scale, times), _by_head(geometry, V * v_scale)
    return (weights @ values).reshape(-1)


def _by_head(geometry: Geometry, rows: Any) -> Any:
    """Return rows of shape (m, columns) as (kv_heads, m, head_dim)."""
    return rows.reshape(-1, geometry.kv_heads, geometry.head_dim).transpose(1, 0, 2)


def _queries(geometry: Geometry, q: Any) -> Any:
    return q.reshape(geometry.kv_heads, geometry.group, geometry.head_dim)


def _scores(geometry: Geometry, q: Any, K: Any) -> Any:
    """Return q K^T / sqrt(d) of shape (kv_heads, group, m)."""
    return _queries(geometry, q) @ _by_head(geometry, K).transpose(0, 2, 1) / math.sqrt(geometry.head_dim)


def _weights(geometry: Geometry, q: Any, K: Any, times: Any) -> Any:
    """Return the weight of all copies of each row, by KV head and query head of its group; they add up to 1."""
    scores = _scores(geometry, q, K)
    weights = times * np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


@dataclass(frozen=True, slots=True)
class Attention:
    """The check of attention: all rows of the cache share an output.

    Rows repeat, so half a cache would give nearly what the whole one gives. The last token therefore has a key of its
    own, and weighs as much as all other tokens together.
    """

    geometry: Geometry
    scalars: Mapping[str, float] = field(default_factory=dict)

    def inputs(self, kernel: Kernel, dtype: DType, shape: Shape, *, seed: int, pattern: Pattern) -> Inputs:
        """Return tiles of random values, and the key of the last token."""
        return self._stored(kernel, dtype, shape, draw(kernel, dtype, shape, seed=seed, pattern=pattern))

    def below_zero(self, inputs: Inputs) -> Inputs:
        """Return inputs like these whose scores are all some hundreds below zero, so that the highest one counts."""
        values = inputs.values()
        values["q"], values["K"] = _FAR * abs(values["q"]), -abs(values["K"])
        return self._stored(inputs.kernel, inputs.dtype, inputs.shape, values)

    def _stored(self, kernel: Kernel, dtype: DType, shape: Shape, values: dict[str, NDArray[np.float64]]) -> Inputs:
        ends = {"K": self._last_key(m=shape.count("m"), **values)}
        return Inputs(kernel, dtype, shape, encode(kernel, dtype, values), encode(kernel, dtype, ends))

    def _last_key(self, *, m: int, q: Any, K: Any, V: Any, k_scale: Any = 1.0, v_scale: Any = 1.0) -> Any:
        """Return the shortest key with the scores wanted; q of a group are fewer than its elements, so there is one."""
        scores = _scores(self.geometry, q, K * k_scale)
        highest = scores.max(axis=-1, keepdims=True)
        total = np.log(np.exp(scores - highest).mean(axis=-1)) + highest[..., 0] + math.log(max(m - 1, 1))
        wanted = total * math.sqrt(self.geometry.head_dim)
        queries = _queries(self.geometry, q)
        keys = [np.linalg.lstsq(rows, values)[0] for rows, values in zip(queries, wanted, strict=True)]
        return np.concatenate(keys) / np.where(k_scale == 0, 1.0, k_scale)

    def expected(self, inputs: Inputs, result: DType | None = None) -> list[Expectation]:
        """Return the whole of out, and how far rounding may take it from there.

        With the weights w of the softmax, out = sum w v. A weight is off by what rounding it to the operands' dtype
        does, as FlashAttention does before the second product (half an epsilon), by the error of its score (a sum of
        d products in float32: 8 half-epsilons of the sum of their magnitudes, as for a GEMV) and of exp2 (2 ** -22,
        CUDA C++ Programming Guide, section on mathematical functions; with what is rounded beside it 16
        half-epsilons). An error e of a weight moves out by at most e w (|v| + |out|). Sums of m terms are off by
        2 sqrt(m) half-epsilons of their magnitudes with a probability near 1, in any order (N. J. Higham and T. Mary,
        SIAM J. Sci. Comput. 41, 2019, A2815); there are two, of w v and of w. Storing out rounds once more, by half a
        step where it is subnormal.
        """
        geometry, values, m = self.geometry, inputs.values(), inputs.shape.count("m")
        rows = len(values["K"])
        # each row of the tile as often as it stands in the cache, and the last token once
        times = np.append(np.bincount(np.arange(m - 1) % rows, minlength=rows), 1)
        values["K"] = np.concatenate([values["K"], inputs.last_values()["K"][None]])
        values["V"] = np.concatenate([values["V"], values["V"][[(m - 1) % rows]]])
        out = reference(geometry, **values, times=times)
        keys = values["K"] * values.get("k_scale", 1.0)
        unit, half = FLOAT32.eps / 2, inputs.dtype.eps / 2
        off = half + unit * (8 * _scores(geometry, abs(values["q"]), abs(keys)) + 16 + 2 * math.sqrt(m))
        spread = off * _weights(geometry, values["q"], keys, times)
        size = _by_head(geometry, abs(values["V"] * values.get("v_scale", 1.0)))
        by_weights = (spread @ size).reshape(-1)
        by_their_sum = np.repeat(spread.sum(axis=-1).reshape(-1), geometry.head_dim) * abs(out)
        allowed = by_weights + by_their_sum + half * np.maximum(abs(out), inputs.dtype.smallest)
        return expectations(inputs, {"out": out}, {"out": allowed})
