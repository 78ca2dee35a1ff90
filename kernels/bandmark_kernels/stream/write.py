"""write: a[i] = s. No word read, one written: what does a fill reach?"""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core.kernel import Body, Kernel, Launch, Operand

BLOCK_BYTES = 64 * 1024
"""Bytes that are copied over and over: they stay in the first or second level of the cache."""


def reference(s: float) -> Any:
    """Return the value of every element of a."""
    return s


def bind_numpy(a: Any, s: Any) -> Launch:
    """Copies of one cached block: libc's memcpy writes memory faster than NumPy's fill loop does."""
    import numpy as np

    width = BLOCK_BYTES // a.itemsize
    if len(a) < width:
        return partial(a.fill, s)
    block = np.full(width, s, a.dtype)
    whole = len(a) - len(a) % width
    rows, rest, start = a[:whole].reshape(-1, width), a[whole:], block[: len(a) - whole]
    copyto = np.copyto

    def launch() -> None:
        copyto(rows, block)
        copyto(rest, start)

    return launch


def bind_torch(a: Any, s: float) -> Launch:
    """One fill of the tensor."""
    return partial(a.fill_, s)


KERNEL = Kernel(
    name="write",
    formula="a[i] = s",
    operands=(Operand("a", "out"),),
    flops=0,
    scalars={"s": 0.5},
    reference=reference,
    numpy=Body(bind_numpy, ("float64", "float32", "float16", "bfloat16")),
    torch=Body(bind_torch, ("float64", "float32", "float16", "bfloat16")),
    rounding=0.0,
)
