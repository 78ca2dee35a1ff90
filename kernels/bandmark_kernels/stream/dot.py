"""dot: r = sum of a[i] * b[i]. Two words read, none written: the speed of reading two streams."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core import torch
from bandmark_kernels.core.checks import Reduction
from bandmark_kernels.core.compiled import compiled
from bandmark_kernels.core.elements import load, zero
from bandmark_kernels.core.kernel import TORCH_HALF_CPU, Implementation, Kernel, numpy_arithmetic
from bandmark_kernels.core.operand import Operand
from bandmark_kernels.stream import einsum_to, reduction


def _numba(r: Any, a: Any, b: Any) -> None:
    total = zero(a)
    for i in range(len(a)):
        total += load(a, i) * load(b, i)
    r[()] = total


KERNEL = Kernel(
    name="dot",
    formula="r = sum(a[i] * b[i])",
    operands=(Operand("a", "in"), Operand("b", "in"), Operand("r", "result", "1")),
    flops=2,
    reference=lambda a, b: a * b,
    check=Reduction(),
    implementations={
        # one pass, and faster than BLAS dot on pages of 2 MiB
        "numpy": numpy_arithmetic(lambda a, b, r: einsum_to("i,i->", a, b, out=r)),
        # BLAS on a CPU, cuBLAS on CUDA
        "torch": Implementation(
            lambda a, b, r: partial(torch.dot, a, b, out=r),
            unsupported=TORCH_HALF_CPU,
            cpu_dtypes=("float64", "float32"),
        ),
        "numba": compiled(_numba),
        "cupy": reduction("dot", blocks_per_sm=4),
    },
)
