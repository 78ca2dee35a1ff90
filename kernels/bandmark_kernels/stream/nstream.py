"""nstream: a[i] += b[i] + s * c[i]. The Parallel Research Kernels' stream: three words read, one written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bandmark_kernels.core.kernel import Body, Kernel, Launch, Operand
from bandmark_kernels.core.numpy_blocks import cache_blocks
from bandmark_kernels.core.reasons import NUMPY_HALF


def reference(a: Any, b: Any, c: Any, s: float) -> Any:
    """Return the new a for float64 a, b and c."""
    return a + (b + s * c)


def steady(c: Any, s: float, **others: Any) -> Mapping[str, Any]:
    """Make b the exact opposite of s * c: the timed launches then leave a as it is, however many there are."""
    return {"b": -s * c}


def bind_numpy(a: Any, b: Any, c: Any, s: Any) -> Launch:
    """Three ufunc calls per block, with one block of scratch that never leaves the cache."""
    import numpy as np

    blocks = cache_blocks(a, b, c)
    scratch = np.empty_like(blocks[0][0])
    multiply, add = np.multiply, np.add
    rows = [(x, y, z, scratch[: len(x)]) for x, y, z in blocks]

    def launch() -> None:
        for a_block, b_block, c_block, t in rows:
            multiply(c_block, s, t)
            add(t, b_block, t)
            add(a_block, t, a_block)

    return launch


KERNEL = Kernel(
    name="nstream",
    formula="a[i] += b[i] + s * c[i]",
    operands=(Operand("a", "inout"), Operand("b", "in"), Operand("c", "in")),
    flops=3,
    scalars={"s": 0.5},
    check_scalars={"s": 2.0},
    reference=reference,
    steady=steady,
    numpy=Body(bind_numpy, ("float64", "float32"), NUMPY_HALF),
    torch=Body(bind_numpy, (), "torch has no one-pass op for a += b + s * c: two ops would move 6 words, not 4"),
    rounding=3.0,
)
