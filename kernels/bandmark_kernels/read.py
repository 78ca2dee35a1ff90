"""read: r = fold(a). One word read, none written: the purest read, and the ceiling of a decode step."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.reasons import NUMPY_HALF
from bandmark_kernels.spec import Body, Kernel, Launch, Operand


def reference(a: Any) -> Any:
    """Return the terms of the fold for float64 a."""
    return a


def bind_numpy(a: Any, r: Any) -> Launch:
    """NumPy's pairwise sum, its fastest reduction that reads each element once."""
    import numpy as np

    return partial(np.add.reduce, a, out=r)


def bind_torch(a: Any, r: Any) -> Launch:
    """Torch's sum into an existing tensor."""
    import torch

    return partial(torch.sum, a, dim=0, out=r)


KERNEL = Kernel(
    name="read",
    formula="r = sum(a[i])",
    operands=(Operand("a", "in"), Operand("r", "result", "1")),
    flops=1,
    reference=reference,
    numpy=Body(bind_numpy, ("float64", "float32"), NUMPY_HALF),
    torch=Body(bind_torch, ("float64", "float32", "float16", "bfloat16")),
    rounding=8.0,
)
