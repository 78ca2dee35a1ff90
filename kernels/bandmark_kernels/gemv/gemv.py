"""gemv: y = A x, A row-major. What a decode step does with every weight matrix: m n + n words read, m written."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core import np, torch
from bandmark_kernels.core.compiled import compiled
from bandmark_kernels.core.cuda import Layout, Program, blocks_for
from bandmark_kernels.core.elements import load, store, zero
from bandmark_kernels.core.kernel import TORCH_HALF_CPU, Implementation, Kernel, numpy_arithmetic
from bandmark_kernels.core.launch import MAX_SPLITS
from bandmark_kernels.core.operand import Operand, Shape
from bandmark_kernels.gemv import MatrixVector, matrix_cuda

_MIN_SPLIT_BYTES = 4096
"""Bytes of a row that a split has at least: one round of its block's loads."""


def _grid(program: Program, shape: Shape, sm_count: int) -> tuple[int, int]:
    """Split rows only where they are too few to occupy half the device."""
    resident = program.resident(sm_count)
    blocks = blocks_for(shape.count("m"), program.layout.rows)
    wanted = 1 if 2 * blocks >= resident else blocks_for(resident, blocks)
    return blocks, max(1, min(wanted, shape.n * program.dtype.itemsize // _MIN_SPLIT_BYTES, MAX_SPLITS))


def product(y: Any, A: Any, x: Any) -> None:
    """Multiply a matrix by a vector, eight rows at once: x is loaded once for them, and more loads are under way."""
    m, n = A.shape
    whole = m // 8 * 8
    for i in range(0, whole, 8):
        a, b, c, d, e, f, g, h = A[i], A[i + 1], A[i + 2], A[i + 3], A[i + 4], A[i + 5], A[i + 6], A[i + 7]
        ta = tb = tc = td = te = tf = tg = th = zero(x)
        for j in range(n):
            factor = load(x, j)
            ta += load(a, j) * factor
            tb += load(b, j) * factor
            tc += load(c, j) * factor
            td += load(d, j) * factor
            te += load(e, j) * factor
            tf += load(f, j) * factor
            tg += load(g, j) * factor
            th += load(h, j) * factor
        for k, total in enumerate((ta, tb, tc, td, te, tf, tg, th)):
            store(y, i + k, total)
    for i in range(whole, m):
        row, total = A[i], zero(x)
        for j in range(n):
            total += load(row, j) * load(x, j)
        store(y, i, total)


KERNEL = Kernel(
    name="gemv",
    formula="y[i] = sum_j A[i,j] * x[j]",
    operands=(Operand("A", "in", "mn"), Operand("x", "in", "n"), Operand("y", "out", "m")),
    flops=2,
    suite="gemv",
    split="m",
    reference=lambda A, x: A @ x,
    check=MatrixVector(),
    implementations={
        "numpy": numpy_arithmetic(lambda A, x, y: partial(np.dot, A, x, out=y)),
        "torch": Implementation(
            lambda A, x, y: partial(torch.mv, A, x, out=y),
            unsupported=TORCH_HALF_CPU,
            cpu_dtypes=("float64", "float32", "bfloat16"),  # processors with bfloat16 products read it at full speed
        ),
        "numba": compiled(product),
        "cupy": matrix_cuda(
            "gemv", lambda p: Layout(threads=128, unroll=32 // p.pack_bytes, blocks_per_sm=6, rows=4), _grid
        ),
    },
)
