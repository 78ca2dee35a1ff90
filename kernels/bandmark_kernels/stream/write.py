"""write: a[i] = s. No word read, one written: a fill."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core import np
from bandmark_kernels.core.checks import Elementwise
from bandmark_kernels.core.compiled import mapped
from bandmark_kernels.core.cuda import VARIANTS
from bandmark_kernels.core.kernel import Implementation, Kernel, Launch
from bandmark_kernels.core.operand import Operand
from bandmark_kernels.stream import elementwise

_BLOCK_BYTES = 64 * 1024
"""Bytes that are copied over and over: they stay in the first or second level of the cache."""


def _numpy(a: Any, s: Any) -> Launch:
    """Copy one cached block over and over: libc's memcpy writes memory faster than NumPy's fill loop does."""
    width = _BLOCK_BYTES // a.itemsize
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


def _element(i: Any, operands: Any) -> Any:
    (s,) = operands
    return s


KERNEL = Kernel(
    name="write",
    formula="a[i] = s",
    operands=(Operand("a", "out"),),
    flops=0,
    scalars={"s": 0.5},
    reference=lambda s: s,
    check=Elementwise(rounding=0.0),
    implementations={
        "numpy": Implementation(_numpy),
        "torch": Implementation(lambda a, s: partial(a.fill_, s)),
        "numba": mapped(_element, "a", "s"),
        "cupy": elementwise("write", blocks_per_sm=6, loads=(*VARIANTS, "v8")),
    },
)
