"""copy: b[i] = a[i]. The plainest transfer: one word read, one written."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core import np
from bandmark_kernels.core.checks import Elementwise
from bandmark_kernels.core.compiled import mapped
from bandmark_kernels.core.cuda import VARIANTS
from bandmark_kernels.core.kernel import Implementation, Kernel
from bandmark_kernels.core.operand import Operand
from bandmark_kernels.stream import elementwise


def _element(i: Any, operands: Any) -> Any:
    (a,) = operands
    return a[i]  # as it is: half precision is not made a number and rounded again


KERNEL = Kernel(
    name="copy",
    formula="b[i] = a[i]",
    operands=(Operand("a", "in"), Operand("b", "out")),
    flops=0,
    reference=lambda a: a,
    check=Elementwise(rounding=0.0),
    implementations={
        # libc's memcpy, which streams past the cache when the slice is large
        "numpy": Implementation(lambda a, b: partial(np.copyto, b, a)),
        "numba": mapped(_element, "b", "a"),
        # on CUDA a device-to-device memcpy
        "torch": Implementation(lambda a, b: partial(b.copy_, a)),
        "cupy": elementwise(
            "copy", blocks_per_sm=6, loads=(*VARIANTS, "v16-bulk"), helpers=("bulk",), macros={"STAGES": 4}
        ),
    },
)
