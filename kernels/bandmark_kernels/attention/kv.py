"""kv: attention of one query token over a KV cache, out = softmax(q K^T / sqrt(d)) V. All of K and V is read once.

The other half of a decode step. K and V have a row per token, with the KV heads side by side (the layout NHD); a group
of query heads shares a KV head. q and out have the operands' dtype, and so has the cache, or else it is fp8: e4m3
codes and one float32 scale for K and one for V, by which a code is multiplied, as vLLM's cache with a scale per tensor
(https://docs.vllm.ai/en/latest/features/quantization/quantized_kvcache/).
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from bandmark_kernels.attention import Attention, Geometry, reference
from bandmark_kernels.core.cuda import Cuda, Layout, Program, blocks_for
from bandmark_kernels.core.dtypes import FLOAT8, FLOAT32
from bandmark_kernels.core.kernel import Implementation, Kernel, Launch, unsupported
from bandmark_kernels.core.launch import MAX_SPLITS, Launches, count
from bandmark_kernels.core.operand import Operand, Shape

_MAX_GROUP = {64: 16, 128: 16, 192: 8, 256: 8}
"""Query heads that may share a KV head, by the size of a head: as many as a thread has registers for."""

_TILE_TOKENS = 16
"""Tokens of a tile of kv.cu."""

_MIN_SPLIT_ROUNDS = 4
"""Rounds of the warps of a split, so that its query and its partial sums are few beside its tokens."""

_CODE_SCALE = 2.0**-5
"""Codes of every size have a root mean square of 97: with such scales, one of 1.6 to 3."""

_CACHE_ITEMSIZE = 2
"""Bytes of a number of the cache that is no code: of float16 and of bfloat16."""

_PREFETCH_REGISTERS = 192
"""Up to so many, of what `_registers` counts, the rest of two rounds fits the 255 of a thread (docs/sass.md)."""

_FP8_CAPABILITY = (8, 9)
"""The first compute capability that converts e4m3 by an instruction (PTX ISA, cvt: .e4m3x2 needs sm_89)."""


def _torch(geometry: Geometry, q: Any, K: Any, V: Any, out: Any) -> Launch:
    """Call the library's attention on strided views, with the query heads of a group as queries of one head.

    So a group's heads share one pass over K and V, which is how FlashAttention treats a single query, too
    (seqlenq_ngroups_swapped, github.com/Dao-AILab/flash-attention, csrc/flash_attn/flash_api.cpp); enable_gqa leaves
    that to the library, whose plain path repeats K and V in memory. The op takes no `out`: its result, a thousandth of
    a percent of the cache, is copied.
    """
    from torch.nn.functional import scaled_dot_product_attention

    queries = q.view(1, geometry.kv_heads, geometry.group, geometry.head_dim)
    keys, values = (x.view(1, -1, geometry.kv_heads, geometry.head_dim).transpose(1, 2) for x in (K, V))
    result = out.view_as(queries)

    def launch() -> None:
        result.copy_(scaled_dot_product_attention(queries, keys, values))

    try:
        with _fused():
            launch()
    except RuntimeError as error:
        # what torch 2.13 says where none of its fused attentions supports the operands or the device
        if not any(words in str(error) for words in ("No available kernel", "No viable backend")):
            raise
        raise NotImplementedError("no fused SDPA backend of torch supports these heads on this device") from error
    return launch


def _fused() -> AbstractContextManager[object]:
    """Let torch choose among the attentions that read the cache once. Entering it costs 12 us of a processor."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION])


def _cuda(geometry: Geometry) -> Cuda:
    """Return the CUDA implementation: 16 bytes a load, since a lane must load what the tensor cores need it to hold."""
    return Cuda(
        name="kv",
        helpers=("tensor",),
        parts=("finish",),
        layout=partial(_layout, geometry),
        launches=partial(_launches, geometry),
        loads=("v16", "v16-prefetch") if _registers(geometry, rounds=2) <= _PREFETCH_REGISTERS else ("v16",),
        macros={
            "HEAD_DIM": geometry.head_dim,
            "KV_HEADS": geometry.kv_heads,
            "GROUP": geometry.group,
            "FP8": int(geometry.cache_format is not None),
            "SCORE_UNIT": f"{math.log2(math.e) / math.sqrt(geometry.head_dim):.9g}f",
        },
    )


def _tile_bytes(geometry: Geometry) -> int:
    """Return what a thread loads of a tile: its part of 16 tokens of K and of V."""
    return geometry.head_dim * (FLOAT8.itemsize if geometry.cache_format else _CACHE_ITEMSIZE)


def _unroll(geometry: Geometry) -> int:
    """Keep 256 bytes of a thread in flight, or a tile where that is more."""
    return max(1, 256 // _tile_bytes(geometry))


def _registers(geometry: Geometry, rounds: int = 1) -> int:
    """Return how many hold what is loaded of so many rounds; sums and query, and scores, for each eight query heads."""
    unroll, columns = _unroll(geometry), 2 if geometry.group > 8 else 1
    loaded = rounds * unroll * _tile_bytes(geometry) // 4
    return loaded + columns * (3 * geometry.head_dim // 8 + 4 * unroll)


def _layout(geometry: Geometry, program: Program) -> Layout:
    registers = _registers(geometry)
    # without an instruction that converts e4m3, the conversion needs registers, too
    crowded = geometry.cache_format is not None and program.capability < _FP8_CAPABILITY
    few = registers > 128 or crowded or program.variant.endswith("-prefetch")
    blocks = 2 if few else 4 if registers <= 96 else 3
    return Layout(threads=128, unroll=_unroll(geometry), blocks_per_sm=blocks)


def _launches(geometry: Geometry, program: Program, shape: Shape, sm_count: int) -> Launches:
    """Return one launch with a block per KV head, or two where the tokens are split, so that blocks fill the device."""
    layout, m = program.layout, shape.count("m")
    round_tokens = _TILE_TOKENS * layout.unroll * layout.threads // 32
    wanted = program.resident(sm_count) // geometry.kv_heads
    splits = max(1, min(wanted, m // (_MIN_SPLIT_ROUNDS * round_tokens), MAX_SPLITS))
    arrays = program.optional_arrays("K", "V", "k_scale", "v_scale", "q", "out")
    first = program.step("", geometry.kv_heads, (*arrays, program.workspace, count("m", m)), splits)
    elements, words = geometry.heads * geometry.head_dim, layout.threads * max(1, 4 // program.dtype.itemsize)
    args = (program.workspace, arrays[-1], count("heads", geometry.heads), count("ranges", splits))
    second = program.step("finish", blocks_for(elements, words), args)
    return program.plan_split(first, second, sums=geometry.heads * (geometry.head_dim + 2))


def kv_kernel(heads: int = 32, kv_heads: int = 8, head_dim: int = 128, cache_format: str | None = None) -> Kernel:
    """Return the kernel for a model's heads, by default those of Llama 3.1 8B, and a cache in fp8 or the dtype.

    Raises:
        ValueError: the heads are not shared evenly, or there is no kernel for so many of a size, or for the format.
    """
    if head_dim not in _MAX_GROUP:
        raise ValueError(f"heads of {head_dim} elements: there are kernels for {', '.join(map(str, _MAX_GROUP))}")
    if min(heads, kv_heads) < 1 or heads % kv_heads or heads // kv_heads > _MAX_GROUP[head_dim]:
        raise ValueError(
            f"{heads} query heads over {kv_heads} KV heads: each KV head must be shared by equally many, "
            f"1 to {_MAX_GROUP[head_dim]} where a head has {head_dim} elements"
        )
    if cache_format not in (None, "fp8"):
        raise ValueError(f"a cache in {cache_format!r}: take 'fp8', or None for the operands' dtype")
    geometry = Geometry(heads, kv_heads, head_dim, cache_format)
    codes, scales = (FLOAT8, ("k_scale", "v_scale")) if cache_format else (None, ())
    return Kernel(
        name="kv",
        formula="out = softmax(q K^T/sqrt(d)) V",
        operands=(
            Operand("K", "in", "mn", codes),
            Operand("V", "in", "mn", codes),
            *(Operand(name, "scale", "1", FLOAT32, amplitude=_CODE_SCALE) for name in scales),
            Operand("q", "in", repeat=geometry.group),
            Operand("out", "out", repeat=geometry.group),
        ),
        flops=4 * geometry.group,
        suite="attention",
        default=False,
        dtypes=("float16",) if cache_format else ("float16", "bfloat16"),
        split="m",
        reference=partial(reference, geometry),
        check=Attention(geometry),
        implementations=_implementations(geometry),
        weight_format=cache_format,
        columns=geometry.columns,
        column_multiple=geometry.columns,
        identity={"heads": heads, "head_dim": head_dim},
    )


def _implementations(geometry: Geometry) -> dict[str, Implementation]:
    on_numpy = unsupported(
        "NumPy computes half precision in software, and even from a float32 cache its products of a few rows read "
        "less than half as fast as a dot product"
    )
    on_torch = Implementation(
        partial(_torch, geometry),
        cpu_dtypes=(),
        window=_fused,
        unsupported=(
            "torch's attention on a CPU computes longer than it reads: in half precision it was measured at a quarter "
            "of a dot product's speed, where the heads of a group share one pass over the cache"
        ),
    )
    if geometry.cache_format:
        on_torch = unsupported("torch's attention takes no cache of float8 codes")
    on_numba = unsupported("attention has no compiled loop yet")
    return {"numpy": on_numpy, "numba": on_numba, "torch": on_torch, "cupy": _cuda(geometry)}


KERNEL = kv_kernel()
