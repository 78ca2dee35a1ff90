"""gemv: y = A x, A row-major. What a decode step does with every weight matrix: m n + n words read, m written."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core.kernel import Body, Kernel, Launch, Operand
from bandmark_kernels.core.reasons import NUMPY_HALF, TORCH_HALF_CPU


def reference(A: Any, x: Any) -> Any:
    """Return y of shape (m,) for float64 A of shape (m, n) and x of shape (n,)."""
    return A @ x


def bind_numpy(A: Any, x: Any, y: Any) -> Launch:
    """BLAS GEMV on this thread's rows."""
    import numpy as np

    return partial(np.dot, A, x, out=y)


def bind_torch(A: Any, x: Any, y: Any) -> Launch:
    """The library's GEMV."""
    import torch

    return partial(torch.mv, A, x, out=y)


KERNEL = Kernel(
    name="gemv",
    formula="y[i] = sum_j A[i,j] * x[j]",
    operands=(Operand("A", "in", "mn"), Operand("x", "in", "n"), Operand("y", "out", "m")),
    flops=2,
    suite="gemv",
    split="m",
    reference=reference,
    numpy=Body(bind_numpy, ("float64", "float32"), NUMPY_HALF),
    torch=Body(
        bind_torch,
        ("float64", "float32", "float16", "bfloat16"),
        TORCH_HALF_CPU,
        cpu_dtypes=("float64", "float32", "bfloat16"),  # processors with bfloat16 products read it at full speed
    ),
    rounding=8.0,
)
