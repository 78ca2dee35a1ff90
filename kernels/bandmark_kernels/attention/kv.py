"""kv: attention of one query token over a KV cache, out = softmax(q K^T / sqrt(d)) V. All of K and V is read once.

The other half of a decode step. K and V have a row per token, with the KV heads side by side (the layout NHD); a group
of query heads shares a KV head. q and out have the operands' dtype, and so has the cache, or else it is fp8: e4m3
codes and one float32 scale for K and one for V, by which a code is multiplied, as vLLM's cache with a scale per tensor
(https://docs.vllm.ai/en/latest/features/quantization/quantized_kvcache/).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from bandmark_kernels.core.dtypes import DTYPES, FLOAT8, FLOAT32
from bandmark_kernels.core.inputs import Inputs
from bandmark_kernels.core.kernel import Attention, Body, Kernel, Launch, Operand
from bandmark_kernels.core.reasons import NUMPY_ATTENTION, TORCH_ATTENTION_CPU, TORCH_ATTENTION_FP8, TORCH_NO_ATTENTION

MOST_GROUPED = {64: 16, 128: 16, 192: 8, 256: 8}
"""Query heads that may share a KV head, by the size of a head: as many as a thread has registers for."""

HALVES = ("float16", "bfloat16")

NO_ATTENTION = ("No available kernel", "No viable backend")
"""What torch 2.13 says where none of the forms that it may take goes with the operands or the device."""

CODE_SCALE = 2.0**-5
"""Codes of every size have a root mean square of 97: with such scales, one of 1.6 to 3."""


def reference(
    form: Attention, *, q: Any, K: Any, V: Any, k_scale: Any = 1.0, v_scale: Any = 1.0, times: Any = 1.0
) -> Any:
    """Return out of shape (heads * head_dim,), in float64.

    Args:
        form: the geometry.
        q: the query of shape (heads * head_dim,).
        K: keys of shape (m, kv_heads * head_dim), or an fp8 cache's decoded codes.
        V: values of the same shape.
        k_scale: what decoded codes of K are multiplied by.
        v_scale: that of V.
        times: how often each row stands in the cache.
    """
    weights, values = _weights(form, q, K * k_scale, times), _by_head(form, V * v_scale)
    return (weights @ values).reshape(-1)


def _by_head(form: Attention, rows: Any) -> Any:
    """Return rows of shape (m, columns) as (kv_heads, m, head_dim)."""
    return rows.reshape(-1, form.kv_heads, form.head_dim).transpose(1, 0, 2)


def _scores(form: Attention, q: Any, K: Any) -> Any:
    """Return q K^T / sqrt(d) of shape (kv_heads, group, m)."""
    queries = q.reshape(form.kv_heads, form.group, form.head_dim)
    return queries @ _by_head(form, K).transpose(0, 2, 1) / math.sqrt(form.head_dim)


def _weights(form: Attention, q: Any, K: Any, times: Any) -> Any:
    """Return the weight of all copies of each row, by KV head and query head of its group; they add up to 1."""
    import numpy as np

    scores = _scores(form, q, K)
    weights = times * np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def last_key(
    form: Attention, *, m: int, q: Any, K: Any, V: Any, k_scale: Any = 1.0, v_scale: Any = 1.0
) -> Mapping[str, Any]:
    """Return the key of the last token, such that it weighs as much as all other tokens together.

    Rows repeat, so without it half a cache would give what the whole one gives. It is the shortest key with the
    scores wanted; q of a group are fewer than its elements, so there is one.
    """
    import numpy as np

    scores = _scores(form, q, K * k_scale)
    highest = scores.max(axis=-1, keepdims=True)
    total = np.log(np.exp(scores - highest).mean(axis=-1)) + highest[..., 0] + math.log(max(m - 1, 1))
    queries = q.reshape(form.kv_heads, form.group, form.head_dim)
    wanted = total * math.sqrt(form.head_dim)
    keys = [np.linalg.lstsq(rows, values)[0] for rows, values in zip(queries, wanted, strict=True)]
    scale = np.where(k_scale == 0, 1.0, k_scale)
    return {"K": np.concatenate(keys) / scale}


def expect(form: Attention, inputs: Inputs) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the whole of out, and how far rounding may take it from there.

    With the weights w of the softmax, out = sum w v. A weight is off by what rounding it to the operands' dtype does,
    as FlashAttention does before the second product (half an epsilon), by the error of its score (a sum of d products
    in float32: 8 half-epsilons of the sum of their magnitudes, as for a GEMV) and of exp2 (2 ** -22, CUDA C++
    Programming Guide, section on mathematical functions; with what is rounded beside it 16 half-epsilons). An error e
    of a weight moves out by at most e w (|v| + |out|). Sums of m terms are off by 2 sqrt(m) half-epsilons of their
    magnitudes with a probability near 1, in any order (N. J. Higham and T. Mary, SIAM J. Sci. Comput. 41, 2019,
    A2815); there are two, of w v and of w. Storing out rounds once more, by half a step where it is subnormal.
    """
    import numpy as np

    values, times, m = inputs.values(), *_repetitions(inputs)
    for name, last in inputs.last_values().items():
        values[name] = np.concatenate([values[name], last[None]])
    values["V"] = np.concatenate([values["V"], values["V"][[(m - 1) % len(values["V"])]]])
    out = reference(form, **values, times=times)
    keys = values["K"] * values.get("k_scale", 1.0)
    unit, half = FLOAT32.eps / 2, inputs.dtype.eps / 2
    off = half + unit * (8 * _scores(form, abs(values["q"]), abs(keys)) + 16 + 2 * math.sqrt(m))
    spread = off * _weights(form, values["q"], keys, times)
    size = _by_head(form, abs(values["V"] * values.get("v_scale", 1.0)))
    allowed = (spread @ size).reshape(-1) + np.repeat(spread.sum(axis=-1).reshape(-1), form.head_dim) * abs(out)
    return {"out": out}, {"out": allowed + half * np.maximum(abs(out), inputs.dtype.smallest)}


def _repetitions(inputs: Inputs) -> tuple[Any, int]:
    """Return how often each row of the tile stands in the cache, then 1 for the last token; and the tokens."""
    import numpy as np

    m, rows = inputs.shape.count("m"), len(inputs.tiles["K"])
    return np.append(np.bincount(np.arange(m - 1) % rows, minlength=rows), 1), m


def bind_reference(form: Attention, q: Any, K: Any, V: Any, out: Any, **scales: Any) -> Launch:
    """Compute in float64, from decoded NumPy arrays: right in every format, and never timed."""
    number = FLOAT8 if form.cache_format else next(d for d in DTYPES.values() if d.storage == q.dtype)
    operand = next(d for d in DTYPES.values() if d.storage == q.dtype)

    def launch() -> None:
        exact = reference(form, q=operand.decode(q), K=number.decode(K), V=number.decode(V), **scales)
        out[...] = operand.encode(exact)

    return launch


def bind_torch(form: Attention, q: Any, K: Any, V: Any, out: Any) -> Launch:
    """The library's attention on strided views, with the query heads of a group as queries of one head.

    So a group's heads share one pass over K and V, which is how FlashAttention treats a single query, too
    (seqlenq_ngroups_swapped, github.com/Dao-AILab/flash-attention, csrc/flash_attn/flash_api.cpp); enable_gqa leaves
    that to the library, whose plain path repeats K and V in memory. The op takes no `out`: its result, a thousandth of
    a percent of the cache, is copied.

    Raises:
        NotImplementedError: no attention of torch reads a cache of such heads once on this device.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    queries = q.view(1, form.kv_heads, form.group, form.head_dim)
    keys, values = (x.view(1, -1, form.kv_heads, form.head_dim).transpose(1, 2) for x in (K, V))
    result = out.view_as(queries)
    one_pass = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION]

    def launch() -> None:
        with sdpa_kernel(one_pass):
            result.copy_(scaled_dot_product_attention(queries, keys, values))

    try:
        launch()
    except RuntimeError as problem:
        if not any(words in str(problem) for words in NO_ATTENTION):
            raise
        raise NotImplementedError(TORCH_NO_ATTENTION) from problem
    return launch


def kv_kernel(heads: int = 32, kv_heads: int = 8, head_dim: int = 128, cache_format: str | None = None) -> Kernel:
    """Return the kernel for a model's heads; without arguments for those of Llama 3.1 8B.

    Args:
        heads: query heads.
        kv_heads: heads of the cache, which as many query heads each share.
        head_dim: elements of a head.
        cache_format: "fp8", or None for a cache in the operands' dtype.

    Raises:
        ValueError: the heads are not shared evenly, or there is no kernel for so many of a size, or for the format.
    """
    if head_dim not in MOST_GROUPED:
        raise ValueError(f"heads of {head_dim} elements: there are kernels for {', '.join(map(str, MOST_GROUPED))}")
    if min(heads, kv_heads) < 1 or heads % kv_heads or heads // kv_heads > MOST_GROUPED[head_dim]:
        raise ValueError(
            f"{heads} query heads over {kv_heads} KV heads: each KV head must be shared by equally many, "
            f"1 to {MOST_GROUPED[head_dim]} where a head has {head_dim} elements"
        )
    if cache_format not in (None, "fp8"):
        raise ValueError(f"a cache in {cache_format!r}: take 'fp8', or None for the operands' dtype")
    form = Attention(heads, kv_heads, head_dim, cache_format)
    on_torch = Body(partial(bind_torch, form), HALVES, TORCH_ATTENTION_CPU, cpu_dtypes=())
    right = partial(bind_reference, form)
    return Kernel(
        name="kv",
        formula="out = softmax(q K^T/sqrt(d)) V",
        operands=operands_of(form),
        flops=4 * form.group,
        suite="attention",
        dtypes=("float16",) if cache_format else HALVES,
        split="m",
        reference=partial(reference, form),
        numpy=Body(right, (), NUMPY_ATTENTION),
        torch=Body(right, (), TORCH_ATTENTION_FP8) if cache_format else on_torch,
        attention=form,
        last_rows=partial(last_key, form),
        whole=partial(expect, form),
    )


def operands_of(form: Attention) -> tuple[Operand, ...]:
    """Return what a launch moves: the cache, its scales where it has any, q and out."""
    codes = FLOAT8 if form.cache_format else None
    scales = ("k_scale", "v_scale") if form.cache_format else ()
    return (
        Operand("K", "in", "mn", form=codes),
        Operand("V", "in", "mn", form=codes),
        *(Operand(name, "scale", "1", "float32", 4, size=CODE_SCALE) for name in scales),
        Operand("q", "in", multiple=form.group),
        Operand("out", "out", multiple=form.group),
    )


KERNEL = kv_kernel()
FP8 = kv_kernel(cache_format="fp8")
