"""nstream: a[i] += b[i] + s * c[i]. The Parallel Research Kernels' stream: three words read, one written."""

from __future__ import annotations

from typing import Any

from bandmark_kernels.core import np
from bandmark_kernels.core.checks import Elementwise
from bandmark_kernels.core.compiled import compiled
from bandmark_kernels.core.elements import load, store
from bandmark_kernels.core.kernel import Kernel, Launch, numpy_arithmetic, unsupported
from bandmark_kernels.core.operand import Operand
from bandmark_kernels.stream import cache_blocks, elementwise


def _numpy(a: Any, b: Any, c: Any, s: Any) -> Launch:
    """Call three ufuncs per block, with one block of scratch that never leaves the cache."""
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


def _numba(a: Any, b: Any, c: Any, s: Any) -> None:
    for i in range(len(a)):
        store(a, i, load(a, i) + (load(b, i) + s * load(c, i)))


KERNEL = Kernel(
    name="nstream",
    formula="a[i] += b[i] + s * c[i]",
    operands=(Operand("a", "inout"), Operand("b", "in"), Operand("c", "in")),
    flops=3,
    scalars={"s": 0.5},
    reference=lambda a, b, c, s: a + (b + s * c),
    # b is the exact opposite of s * c: the timed launches then leave a as it is, however many there are
    check=Elementwise(rounding=3.0, scalars={"s": 2.0}, stable_inputs=lambda c, s, **_: {"b": -s * c}),
    implementations={
        "numpy": numpy_arithmetic(_numpy),
        "torch": unsupported("torch has no one-pass op for a += b + s * c: two ops would move 6 words, not 4"),
        "numba": compiled(_numba),
        "cupy": elementwise("nstream"),
    },
)
