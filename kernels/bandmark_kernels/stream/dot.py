"""dot: r = sum of a[i] * b[i]. Two words read, none written: how fast can two streams be read?"""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core.kernel import Body, Kernel, Launch, Operand
from bandmark_kernels.core.numpy_blocks import einsum_alone
from bandmark_kernels.core.reasons import NUMPY_HALF, TORCH_HALF_CPU


def reference(a: Any, b: Any) -> Any:
    """Return the terms of the sum for float64 a and b."""
    return a * b


def bind_numpy(a: Any, b: Any, r: Any) -> Launch:
    """The sum-of-products loop of einsum, one pass; faster than BLAS dot on pages of 2 MiB."""
    return einsum_alone("i,i->", a, b, out=r)


def bind_torch(a: Any, b: Any, r: Any) -> Launch:
    """The library's dot (BLAS on a CPU, cuBLAS on CUDA)."""
    import torch

    return partial(torch.dot, a, b, out=r)


KERNEL = Kernel(
    name="dot",
    formula="r = sum(a[i] * b[i])",
    operands=(Operand("a", "in"), Operand("b", "in"), Operand("r", "result", "1")),
    flops=2,
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
