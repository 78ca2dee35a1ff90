"""scale: b[i] = s * a[i]. STREAM's second kernel (BabelStream's mul): one word read, one written."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core import np, torch
from bandmark_kernels.core.checks import Elementwise
from bandmark_kernels.core.compiled import compiled
from bandmark_kernels.core.elements import load, store
from bandmark_kernels.core.kernel import Implementation, Kernel, numpy_arithmetic
from bandmark_kernels.core.operand import Operand
from bandmark_kernels.stream import elementwise


def _numba(b: Any, a: Any, s: Any) -> None:
    for i in range(len(b)):
        store(b, i, s * load(a, i))


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
        "numba": compiled(_numba, streams=True),
        "cupy": elementwise("scale", blocks_per_sm=6),
    },
)
