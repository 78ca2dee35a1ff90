"""add: c[i] = a[i] + b[i]. STREAM's third kernel: two words read, one written."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core import np
from bandmark_kernels.core.checks import Elementwise
from bandmark_kernels.core.kernel import NUMPY_DTYPES, NUMPY_HALF, Implementation, Kernel, Launch
from bandmark_kernels.core.operand import Operand
from bandmark_kernels.stream import elementwise


def _torch(a: Any, b: Any, c: Any) -> Launch:
    """Launch one element-wise kernel that writes into c."""
    import torch

    return partial(torch.add, a, b, out=c)


KERNEL = Kernel(
    name="add",
    formula="c[i] = a[i] + b[i]",
    operands=(Operand("a", "in"), Operand("b", "in"), Operand("c", "out")),
    flops=1,
    reference=lambda a, b: a + b,
    check=Elementwise(),
    implementations={
        "numpy": Implementation(lambda a, b, c: partial(np.add, a, b, c), NUMPY_DTYPES, NUMPY_HALF),
        "torch": Implementation(_torch),
        "cupy": elementwise("add"),
    },
)
