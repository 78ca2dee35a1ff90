"""scale: b[i] = s * a[i]. STREAM's second kernel (BabelStream's mul): one word read, one written."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core import np
from bandmark_kernels.core.checks import Elementwise
from bandmark_kernels.core.kernel import NUMPY_DTYPES, NUMPY_HALF, Implementation, Kernel, Launch
from bandmark_kernels.core.operand import Operand
from bandmark_kernels.stream import elementwise


def _torch(a: Any, b: Any, s: float) -> Launch:
    """Launch one element-wise kernel that writes into b."""
    import torch

    return partial(torch.mul, a, s, out=b)


KERNEL = Kernel(
    name="scale",
    formula="b[i] = s * a[i]",
    operands=(Operand("a", "in"), Operand("b", "out")),
    flops=1,
    scalars={"s": 0.5},
    reference=lambda a, s: s * a,
    check=Elementwise(),
    implementations={
        "numpy": Implementation(lambda a, b, s: partial(np.multiply, a, s, b), NUMPY_DTYPES, NUMPY_HALF),
        "torch": Implementation(_torch),
        "cupy": elementwise("scale", blocks_per_sm=6),
    },
)
