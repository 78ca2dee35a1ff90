"""How far is kv off where scores are so large, or so far apart, that a careless softmax loses them?"""

from __future__ import annotations

from typing import Any

import numpy as np
from attention_check import attend, exact, stored
from cuda_check import geometry_of
from cuda_host import Host
from numpy.typing import NDArray

from bandmark_kernels.attention.kv import _TILE_TOKENS
from bandmark_kernels.core.cuda import Program

TOKENS = 2053
"""So many that each warp takes several tiles of each of several ranges."""

SLOPES = (0.02, -0.02, 1.0, -1.0, 20.0, -20.0, 0.0)
"""By how much the score changes from token to token; at 0 it rises to the middle and falls again."""

BELOW = -4096.0
"""A score so far below zero that, with the highest, all of them are, even at the end of a rising slope."""


def _scored(prog: Program, scores: NDArray[np.float64], values: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Return operands of one KV head of 64 elements: the first query head has these scores, the others half of them."""
    form = geometry_of(prog.kernel)
    assert form is not None and (form.kv_heads, form.head_dim) == (1, 64)
    q, K = np.zeros((form.heads, 64)), np.zeros((len(scores), 64))
    q[:, :3], q[0, :3] = 4, 8  # times the key over sqrt(64) = 8
    rest = scores
    for part in range(3):  # a bfloat16 has eight bits, and a float32 what three of them have
        K[:, part] = prog.dtype.decode(prog.dtype.encode(rest))
        rest = rest - K[:, part]
    return stored(prog, q=q.reshape(-1), K=K, V=values)


def _error(host: Host, prog: Program, given: dict[str, NDArray[Any]]) -> float:
    """Return the largest error, in units of two epsilons of the sum of the terms' magnitudes; infinite for NaN."""
    error = np.abs(attend(host, prog, given) - exact(prog, given))
    size = exact(prog, given | stored(prog, V=np.abs(prog.dtype.decode(given["V"]))))
    units = np.max(error / (2 * prog.dtype.eps * size))
    return float("inf") if np.isnan(units) else float(units)


def steep_error(host: Host, prog: Program, slope: float, base: float = 4096.0) -> float:
    """Return the error for scores that change steadily, in units of the allowed one: with values of both signs.

    `base` is the score of a token in the first half, from which the others differ by `slope` for each step.
    """
    token = np.arange(TOKENS)
    scores = slope * (token - TOKENS // 3) if slope else -10.0 * abs(token - TOKENS // 2)
    values = np.random.default_rng(2).uniform(0.5, 1, (TOKENS, 64)) * np.where(token % 2, -1, 1)[:, None]
    return _error(host, prog, _scored(prog, scores + base, values))


def small_weights_error(host: Host, prog: Program) -> float:
    """Return the error where the first token of each tile, of value 0, outweighs the others a million times."""
    heavy = np.arange(TOKENS) % _TILE_TOKENS == 0
    values = np.where(heavy[:, None], 0.0, np.full(64, 64.0))
    return _error(host, prog, _scored(prog, np.where(heavy, 0.0, -13.75), values))
