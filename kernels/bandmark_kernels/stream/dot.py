"""dot: r = sum of a[i] * b[i]. Two words read, none written: the speed of reading two streams."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core.checks import Reduction
from bandmark_kernels.core.kernel import NUMPY_DTYPES, NUMPY_HALF, TORCH_HALF_CPU, Implementation, Kernel, Launch
from bandmark_kernels.core.operand import Operand
from bandmark_kernels.stream import einsum_to, reduction


def _torch(a: Any, b: Any, r: Any) -> Launch:
    """Call the library's dot (BLAS on a CPU, cuBLAS on CUDA)."""
    import torch

    return partial(torch.dot, a, b, out=r)


KERNEL = Kernel(
    name="dot",
    formula="r = sum(a[i] * b[i])",
    operands=(Operand("a", "in"), Operand("b", "in"), Operand("r", "result", "1")),
    flops=2,
    reference=lambda a, b: a * b,
    check=Reduction(),
    implementations={
        # one pass, and faster than BLAS dot on pages of 2 MiB
        "numpy": Implementation(lambda a, b, r: einsum_to("i,i->", a, b, out=r), NUMPY_DTYPES, NUMPY_HALF),
        "torch": Implementation(_torch, unsupported=TORCH_HALF_CPU, cpu_dtypes=("float64", "float32")),
        "cupy": reduction("dot", blocks_per_sm=4),
    },
)
