"""read: r = sum of a[i]. One word read, none written: the purest read, and the upper limit of a decode step."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core import torch
from bandmark_kernels.core.checks import Reduction
from bandmark_kernels.core.compiled import compiled
from bandmark_kernels.core.elements import load, zero
from bandmark_kernels.core.kernel import Implementation, Kernel, Launch, numpy_arithmetic
from bandmark_kernels.core.operand import Operand
from bandmark_kernels.stream import einsum_to, reduction

_ROW_ELEMENTS = 255 * 64
"""Elements per row of torch's product on a CPU. The ones stay in cache; the rows start on cache lines, but not a power
of two apart: BLAS reads several rows at a time, and those would compete for the same sets of the cache."""


def _torch(a: Any, r: Any) -> Launch:
    """Sum into an existing tensor. On a CPU BLAS is faster: it sums rows, as their product with ones."""
    width = _ROW_ELEMENTS
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


def _numba(r: Any, a: Any) -> None:
    total = zero(a)
    for i in range(len(a)):
        total += load(a, i)
    r[()] = total


KERNEL = Kernel(
    name="read",
    formula="r = sum(a[i])",
    operands=(Operand("a", "in"), Operand("r", "result", "1")),
    flops=1,
    reference=lambda a: a,
    check=Reduction(),
    implementations={
        # reads a contiguous vector faster than add.reduce and maximum.reduce do
        "numpy": numpy_arithmetic(lambda a, r: einsum_to("i->", a, out=r)),
        "torch": Implementation(_torch),
        "numba": compiled(_numba),
        "cupy": reduction("read", bytes_per_thread=128),
    },
)
