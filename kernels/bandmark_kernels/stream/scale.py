"""scale: b[i] = s * a[i]. STREAM's second kernel (BabelStream's mul): one word read, one written."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core.kernel import Body, Kernel, Launch, Operand
from bandmark_kernels.core.reasons import NUMPY_HALF


def reference(a: Any, s: float) -> Any:
    """Return b for float64 a."""
    return s * a


def bind_numpy(a: Any, b: Any, s: Any) -> Launch:
    """One ufunc call that writes into b."""
    import numpy as np

    return partial(np.multiply, a, s, b)


def bind_torch(a: Any, b: Any, s: float) -> Launch:
    """One element-wise kernel that writes into b."""
    import torch

    return partial(torch.mul, a, s, out=b)


KERNEL = Kernel(
    name="scale",
    formula="b[i] = s * a[i]",
    operands=(Operand("a", "in"), Operand("b", "out")),
    flops=1,
    scalars={"s": 0.5},
    reference=reference,
    numpy=Body(bind_numpy, ("float64", "float32"), NUMPY_HALF),
    torch=Body(bind_torch, ("float64", "float32", "float16", "bfloat16")),
)
