"""triad: a[i] = b[i] + s * c[i]. STREAM's headline kernel: two words read, one written."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core import np, torch
from bandmark_kernels.core.checks import Elementwise
from bandmark_kernels.core.compiled import mapped
from bandmark_kernels.core.elements import load
from bandmark_kernels.core.kernel import Implementation, Kernel, Launch, numpy_arithmetic
from bandmark_kernels.core.operand import Operand
from bandmark_kernels.stream import cache_blocks, elementwise

_ROW_BYTES = 48 * 1024
"""Bytes per row of a block of a stack: long enough to hide what a BLAS call costs, short enough for all rows of a block
to stay in cache, and below the size up to which OpenBLAS multiplies in place, without packing its operands first."""

_ROW_COUNTS = (3, 4)
"""Rows per array in a stack, the better first. With one or two the product is slower; with more it only multiplies
more zeros."""

_MIN_BLOCKS = 16
"""Blocks per thread below which a stack is not worth its uneven ends."""


def _numpy(a: Any, b: Any, c: Any, s: Any) -> Launch:
    """Call two ufuncs per block: the block of a is still in cache when b is added, so DRAM sees one pass."""
    blocks = cache_blocks(a, b, c)
    multiply, add = np.multiply, np.add

    def launch() -> None:
        for a_block, b_block, c_block in blocks:
            multiply(c_block, s, a_block)
            add(a_block, b_block, a_block)

    return launch


def _pitch(x: Any, y: Any) -> tuple[int, int] | None:
    """Return how vectors, contiguous and of one dtype, stack up: the rows of each, and the elements from row to row.

    y must lie behind x, at a distance that is a multiple of a row count and at most a block longer than x. Row r of x
    then starts at x[r * pitch], and the next row after x's last is y's first: BLAS can take all rows for one matrix.
    """
    distance, offset = divmod(y.ctypes.data - x.ctypes.data, x.itemsize)
    rows = next((r for r in _ROW_COUNTS if distance % r == 0), 0)
    if offset or not rows or not len(x) <= distance <= len(x) + _ROW_BYTES // x.itemsize:
        return None
    return rows, distance // rows


def _bind_matmul(parts: int, a: Any, b: Any, c: Any, s: Any) -> list[Launch] | None:
    """Compute one batched product per thread, [I | s I] times the rows of b above those of c, in a single pass.

    NumPy has no ufunc for b + s * c, but BLAS computes it as part of a matrix product, in registers. The zeros of the
    left factor add 0 * x, which changes nothing as long as the operands are finite. BLAS must run one thread per call.
    Blocks of columns cover the rows but for the end of each row.
    """
    stack = _pitch(b, c)
    if stack is None:
        return None
    (rows, pitch), width = stack, _ROW_BYTES // b.itemsize
    blocks = (len(b) - (rows - 1) * pitch) // width
    if blocks < _MIN_BLOCKS * parts:
        return None

    def view(x: Any, row_count: int, first: int, last: int) -> Any:
        strides = (width * x.itemsize, pitch * x.itemsize, x.itemsize)
        return np.lib.stride_tricks.as_strided(x[first * width :], (last - first, row_count, width), strides)

    identity = np.eye(rows, dtype=a.dtype)
    weights = np.concatenate([identity, s * identity], axis=1)
    launches: list[Launch] = []
    for part in range(parts):
        share = blocks * part // parts, blocks * (part + 1) // parts
        launches.append(partial(np.matmul, weights, view(b, 2 * rows, *share), view(a, rows, *share)))
    product = launches[-1]
    ends = [slice(k + blocks * width, k + pitch) for k in range(0, len(b), pitch)]
    rests = [_numpy(a[end], b[end], c[end], s) for end in ends if len(b[end])]

    def last() -> None:
        product()
        for rest in rests:
            rest()

    return [*launches[:-1], last]


def _element(i: Any, operands: Any) -> Any:
    b, c, s = operands
    return load(b, i) + s * load(c, i)


KERNEL = Kernel(
    name="triad",
    formula="a[i] = b[i] + s * c[i]",
    operands=(Operand("a", "out"), Operand("b", "in"), Operand("c", "in")),
    flops=2,
    scalars={"s": 0.5},
    reference=lambda b, c, s: b + s * c,
    check=Elementwise(rounding=2.0),
    implementations={
        "numpy": numpy_arithmetic(_numpy, variant="blocked", variants={"matmul": _bind_matmul}),
        # one fused kernel: `b + s * c` would be two passes and a temporary
        "torch": Implementation(lambda a, b, c, s: partial(torch.add, b, c, alpha=s, out=a)),
        "numba": mapped(_element, "a", "b", "c", "s"),
        "cupy": elementwise("triad"),
    },
)
