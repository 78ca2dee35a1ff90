"""add: c[i] = a[i] + b[i]. STREAM's third kernel: two words read, one written."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core.kernel import Body, Kernel, Launch, Operand
from bandmark_kernels.core.reasons import NUMPY_HALF


def reference(a: Any, b: Any) -> Any:
    """Return c for float64 a and b."""
    return a + b


def bind_numpy(a: Any, b: Any, c: Any) -> Launch:
    """One ufunc call that writes into c."""
    import numpy as np

    return partial(np.add, a, b, c)


def bind_torch(a: Any, b: Any, c: Any) -> Launch:
    """One element-wise kernel that writes into c."""
    import torch

    return partial(torch.add, a, b, out=c)


KERNEL = Kernel(
    name="add",
    formula="c[i] = a[i] + b[i]",
    operands=(Operand("a", "in"), Operand("b", "in"), Operand("c", "out")),
    flops=1,
    reference=reference,
    numpy=Body(bind_numpy, ("float64", "float32"), NUMPY_HALF),
    torch=Body(bind_torch, ("float64", "float32", "float16", "bfloat16")),
)
