"""scale: b[i] = s * a[i]. STREAM's second kernel (BabelStream's mul): one word read, one written."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core import np, torch
from bandmark_kernels.core.checks import Elementwise
from bandmark_kernels.core.compiled import mapped
from bandmark_kernels.core.elements import load
from bandmark_kernels.core.kernel import Implementation, Kernel, numpy_arithmetic
from bandmark_kernels.core.operand import Operand
from bandmark_kernels.stream import elementwise


def _element(i: Any, operands: Any) -> Any:
    a, s = operands
    return s * load(a, i)


KERNEL = Kernel(
    name="scale",
    formula="b[i] = s * a[i]",
    operands=(Operand("a", "in"), Operand("b", "out")),
    flops=1,
    scalars={"s": 0.5},
    reference=lambda a, s: s * a,
    check=Elementwise(),
    implementations={
        "numpy": numpy_arithmetic(lambda a, b, s: partial(np.multiply, a, s, b)),
        "torch": Implementation(lambda a, b, s: partial(torch.mul, a, s, out=b)),
        "numba": mapped(_element, "b", "a", "s"),
        "cupy": elementwise("scale", blocks_per_sm=6),
    },
)
