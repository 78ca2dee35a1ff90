"""gemv_t: y = A^T x, A row-major. The same bytes as gemv in the other direction: m n + m words read, n written."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core import np, torch
from bandmark_kernels.core.compiled import bind
from bandmark_kernels.core.cuda import Layout, Program, blocks_for
from bandmark_kernels.core.elements import load, store
from bandmark_kernels.core.kernel import TORCH_HALF_CPU, Implementation, Kernel, Launch, numpy_arithmetic
from bandmark_kernels.core.launch import MAX_SPLITS
from bandmark_kernels.core.operand import Operand, Shape
from bandmark_kernels.gemv import MatrixVector, matrix_cuda

_MIN_SPLIT_ROWS = 128
"""Rows that a split has at least: a few rounds of its block's loads."""

_MIN_ROWS_OF_MANY = 512
"""Rows that a split has at least where there are blocks enough, so that partial sums stay below 1 % of the bytes."""


def _layout(program: Program) -> Layout:
    pack_bytes = program.pack_bytes
    return Layout(threads=256, unroll=128 // pack_bytes, blocks_per_sm=3 if pack_bytes == 16 else 2, groups=4)


def _grid(program: Program, shape: Shape, sm_count: int) -> tuple[int, int]:
    """Take as many blocks as fill the device, and four times as many where there are rows enough."""
    layout, m, resident = program.layout, shape.count("m"), program.resident(sm_count)
    strip = layout.threads // layout.groups * (program.lanes if shape.n % program.lanes == 0 else 1)
    blocks = blocks_for(shape.n, strip)
    few = min(resident // blocks, m // _MIN_SPLIT_ROWS)
    many = min(blocks_for(4 * resident, blocks), m // _MIN_ROWS_OF_MANY)
    return blocks, max(1, min(max(few, many), MAX_SPLITS))


def _numba(y: Any, sums: Any, A: Any, x: Any, pitch: Any) -> None:
    """Add eight rows at once to sums, which stay in the cache. A is one vector with a row every `pitch` elements."""
    n, m = len(sums), len(x)
    whole = m // 8 * 8
    sums[:] = 0
    for i in range(0, whole, 8):
        a, b, c, d = A[i * pitch :][:n], A[(i + 1) * pitch :][:n], A[(i + 2) * pitch :][:n], A[(i + 3) * pitch :][:n]
        e, f, g, h = A[(i + 4) * pitch :][:n], A[(i + 5) * pitch :][:n], A[(i + 6) * pitch :][:n], A[(i + 7) * pitch :]
        xa, xb, xc, xd = load(x, i), load(x, i + 1), load(x, i + 2), load(x, i + 3)
        xe, xf, xg, xh = load(x, i + 4), load(x, i + 5), load(x, i + 6), load(x, i + 7)
        for j in range(n):
            first = load(a, j) * xa + load(b, j) * xb + load(c, j) * xc + load(d, j) * xd
            sums[j] += first + (load(e, j) * xe + load(f, j) * xf + load(g, j) * xg + load(h, j) * xh)
    for i in range(whole, m):
        row, factor = A[i * pitch :], load(x, i)
        for j in range(n):
            sums[j] += load(row, j) * factor
    for j in range(n):
        store(y, j, sums[j])


def _bind_numba(A: Any, x: Any, y: Any) -> Launch:
    """Take the columns of a thread, whose rows lie apart, for one vector: Numba then knows that elements are adjacent.

    Sums are in y itself where it has the precision.
    """
    pitch = A.strides[0] // A.itemsize
    flat = np.lib.stride_tricks.as_strided(A, ((len(A) - 1) * pitch + len(y),), (A.itemsize,))
    sums = y if y.itemsize >= 4 else np.empty(len(y), np.float32)
    return bind(_numba, y=y, sums=sums, A=flat, x=x, pitch=np.int64(pitch))


KERNEL = Kernel(
    name="gemv_t",
    formula="y[j] = sum_i A[i,j] * x[i]",
    operands=(Operand("A", "in", "mn"), Operand("x", "in", "m"), Operand("y", "out", "n")),
    flops=2,
    suite="gemv",
    split="n",
    reference=lambda A, x: A.T @ x,
    check=MatrixVector(),
    implementations={
        # matmul passes a thread's columns on to BLAS as strided, np.dot would copy them
        "numpy": numpy_arithmetic(lambda A, x, y: partial(np.matmul, x, A, out=y)),
        "torch": Implementation(
            lambda A, x, y: partial(torch.mv, A.t(), x, out=y),
            unsupported=TORCH_HALF_CPU,
            cpu_dtypes=("float64", "float32"),
        ),
        "numba": Implementation(_bind_numba),
        "cupy": matrix_cuda("gemv_t", _layout, _grid),
    },
)
