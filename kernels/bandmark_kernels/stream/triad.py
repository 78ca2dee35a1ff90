"""triad: a[i] = b[i] + s * c[i]. STREAM's headline kernel: two words read, one written."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core.kernel import Body, Kernel, Launch, Operand
from bandmark_kernels.core.numpy_blocks import cache_blocks, stack
from bandmark_kernels.core.reasons import NUMPY_HALF


def reference(b: Any, c: Any, s: float) -> Any:
    """Return a for float64 b and c."""
    return b + s * c


def bind_numpy(a: Any, b: Any, c: Any, s: Any) -> Launch:
    """Two ufunc calls per block: the block of a is still in cache when b is added, so DRAM sees one pass."""
    import numpy as np

    blocks = cache_blocks(a, b, c)
    multiply, add = np.multiply, np.add

    def launch() -> None:
        for a_block, b_block, c_block in blocks:
            multiply(c_block, s, a_block)
            add(a_block, b_block, a_block)

    return launch


def bind_numpy_matmul(parts: int, a: Any, b: Any, c: Any, s: Any) -> list[Launch] | None:
    """One batched product per thread, [I | s I] times the rows of b above those of c: a single pass and a single call.

    NumPy has no ufunc for b + s * c, but BLAS computes it as part of a matrix product, in registers. The zeros of the
    left factor add 0 * x, which changes nothing as long as the operands are finite. BLAS must run one thread per call.
    """
    import numpy as np

    rows = stack(b, c, parts)
    if rows is None:
        return None
    identity = np.eye(rows.rows, dtype=a.dtype)
    weights = np.concatenate([identity, s * identity], axis=1)
    launches: list[Launch] = []
    for part in range(parts):
        blocks = rows.share(part, parts)
        read, written = rows.view(b, 2 * rows.rows, blocks), rows.view(a, rows.rows, blocks)
        launches.append(partial(np.matmul, weights, read, written))
    product = launches[-1]
    ends = [bind_numpy(a[end], b[end], c[end], s) for end in rows.rest()]

    def last() -> None:
        product()
        for end in ends:
            end()

    return [*launches[:-1], last]


def bind_torch(a: Any, b: Any, c: Any, s: float) -> Launch:
    """One fused kernel: `b + s * c` would be two passes and a temporary."""
    import torch

    return partial(torch.add, b, c, alpha=s, out=a)


KERNEL = Kernel(
    name="triad",
    formula="a[i] = b[i] + s * c[i]",
    operands=(Operand("a", "out"), Operand("b", "in"), Operand("c", "in")),
    flops=2,
    scalars={"s": 0.5},
    reference=reference,
    numpy=Body(
        bind_numpy,
        ("float64", "float32"),
        NUMPY_HALF,
        variant="blocked",
        variants={"matmul": bind_numpy_matmul},
    ),
    torch=Body(bind_torch, ("float64", "float32", "float16", "bfloat16")),
    rounding=2.0,
)
