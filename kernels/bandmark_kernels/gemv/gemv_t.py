"""gemv_t: y = A^T x, A row-major. The same bytes as gemv in the other direction: m n + m words read, n written."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core.kernel import Body, Kernel, Launch, Operand
from bandmark_kernels.core.reasons import NUMPY_HALF, TORCH_HALF_CPU


def reference(A: Any, x: Any) -> Any:
    """Return y of shape (n,) for float64 A of shape (m, n) and x of shape (m,)."""
    return A.T @ x


def bind_numpy(A: Any, x: Any, y: Any) -> Launch:
    """BLAS transposed GEMV on this thread's columns: matmul hands them on as they lie, np.dot would copy them first."""
    import numpy as np

    return partial(np.matmul, x, A, out=y)


def bind_torch(A: Any, x: Any, y: Any) -> Launch:
    """The library's transposed GEMV."""
    import torch

    return partial(torch.mv, A.t(), x, out=y)


KERNEL = Kernel(
    name="gemv_t",
    formula="y[j] = sum_i A[i,j] * x[i]",
    operands=(Operand("A", "in", "mn"), Operand("x", "in", "m"), Operand("y", "out", "n")),
    flops=2,
    suite="gemv",
    split="n",
    reference=reference,
    numpy=Body(bind_numpy, ("float64", "float32"), NUMPY_HALF),
    torch=Body(
        bind_torch,
        ("float64", "float32", "float16", "bfloat16"),
        TORCH_HALF_CPU,
        cpu_dtypes=("float64", "float32"),
    ),
    rounding=8.0,
)
