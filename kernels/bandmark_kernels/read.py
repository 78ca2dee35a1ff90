"""read: r = fold(a). One word read, none written: the purest read, and the ceiling of a decode step."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.reasons import NUMPY_HALF
from bandmark_kernels.spec import Body, Kernel, Launch, Operand

ROW_BYTES = 16 * 1024
"""Bytes per row on NumPy: a few rows and the ones fit the first-level cache."""

TORCH_ROW_ELEMENTS = 16 * 1024
"""Elements per row on torch, whose threads share the rows among them."""


def reference(a: Any) -> Any:
    """Return the terms of the fold for float64 a."""
    return a


def bind_numpy(a: Any, r: Any) -> Launch:
    """Sum rows by BLAS, as their product with a vector of ones that stays in cache, then the rows' sums.

    BLAS reads several rows at a time; NumPy's own reductions read a single stream, and slower.
    """
    import numpy as np

    width = ROW_BYTES // a.itemsize
    whole = len(a) - len(a) % width
    if not whole:
        return partial(np.add.reduce, a, out=r)
    rows, rest, ones = a[:whole].reshape(-1, width), a[whole:], np.ones(width, a.dtype)
    sums = np.empty(len(rows) + 1, a.dtype)
    row_sums, rest_sum = sums[:-1], sums[-1:].reshape(())
    dot, add = np.dot, np.add.reduce

    def launch() -> None:
        dot(rows, ones, row_sums)
        add(rest, out=rest_sum)
        add(sums, out=r)

    return launch


def bind_torch(a: Any, r: Any) -> Launch:
    """Torch's sum into an existing tensor; on a CPU, where that is slower, rows times ones as in NumPy."""
    import torch

    width = TORCH_ROW_ELEMENTS
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
