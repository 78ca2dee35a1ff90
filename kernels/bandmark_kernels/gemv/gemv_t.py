"""gemv_t: y = A^T x, A row-major. The same bytes as gemv in the other direction: m n + m words read, n written."""

from __future__ import annotations

from functools import partial

from bandmark_kernels.core import np, torch
from bandmark_kernels.core.cuda import Layout, Program, blocks_for
from bandmark_kernels.core.kernel import TORCH_HALF_CPU, Implementation, Kernel, numpy_arithmetic
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
        "cupy": matrix_cuda("gemv_t", _layout, _grid),
    },
)
