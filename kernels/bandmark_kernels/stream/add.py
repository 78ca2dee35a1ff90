"""add: c[i] = a[i] + b[i]. STREAM's third kernel: two words read, one written."""

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
    a, b = operands
    return load(a, i) + load(b, i)


KERNEL = Kernel(
    name="add",
    formula="c[i] = a[i] + b[i]",
    operands=(Operand("a", "in"), Operand("b", "in"), Operand("c", "out")),
    flops=1,
    reference=lambda a, b: a + b,
    check=Elementwise(),
    implementations={
        "numpy": numpy_arithmetic(lambda a, b, c: partial(np.add, a, b, c)),
        "torch": Implementation(lambda a, b, c: partial(torch.add, a, b, out=c)),
        "numba": mapped(_element, "c", "a", "b"),
        "cupy": elementwise("add"),
    },
)
