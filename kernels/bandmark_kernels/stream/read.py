"""read: r = fold(a). One word read, none written: the purest read, and the ceiling of a decode step."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core.kernel import Body, Kernel, Launch, Operand
from bandmark_kernels.core.numpy_blocks import einsum_alone
from bandmark_kernels.core.reasons import NUMPY_HALF

ROW_ELEMENTS = 255 * 64
"""Elements per row of torch's product on a CPU. The ones stay in cache; the rows start on cache lines, but not a power
of two apart: BLAS reads several rows at a time, and those would compete for the same places in the cache."""


def reference(a: Any) -> Any:
    """Return the terms of the fold for float64 a."""
    return a


def bind_numpy(a: Any, r: Any) -> Launch:
    """The sum loop of einsum, which reads a contiguous vector faster than add.reduce and maximum.reduce do."""
    return einsum_alone("i->", a, out=r)


def bind_torch(a: Any, r: Any) -> Launch:
    """Torch's sum into an existing tensor. On a CPU BLAS is faster: it sums rows, as their product with ones."""
    import torch

    width = ROW_ELEMENTS
    whole = len(a) - len(a) % width
    if a.device.type != "cpu" or a.dtype.itemsize < 4 or not whole:
        return partial(torch.sum, a, dim=0, out=r)
    rows, rest, ones = a[:whole].view(-1, width), a[whole:], torch.ones(width, dtype=a.dtype)
    sums = torch.empty(len(rows) + 1, dtype=a.dtype)
    row_sums, rest_sum = sums[:-1], sums[-1]

    def launch() -> None:
        torch.mv(rows, ones, out=row_sums)
        torch.sum(rest, dim=0, out=rest_sum)
        torch.sum(sums, dim=0, out=r)

    return launch


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
