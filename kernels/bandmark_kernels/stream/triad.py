"""triad: a[i] = b[i] + s * c[i]. STREAM's headline kernel: two words read, one written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from bandmark_kernels.core import np
from bandmark_kernels.core.checks import Elementwise
from bandmark_kernels.core.kernel import NUMPY_DTYPES, NUMPY_HALF, Implementation, Kernel, Launch
from bandmark_kernels.core.operand import Operand
from bandmark_kernels.stream import cache_blocks, elementwise

ROW_BYTES = 48 * 1024
"""Bytes per row of a block of a stack: long enough to hide what a BLAS call costs, short enough for all rows of a block
to stay in cache, and below the size up to which OpenBLAS multiplies in place, without packing its operands first."""

ROW_COUNTS = (3, 4)
"""Rows per array in a stack, the better first. With one or two the product is slower; with more it only multiplies
more zeros."""

MIN_BLOCKS = 16
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


@dataclass(frozen=True, slots=True)
class Stack:
    """Two vectors x and y that lie one behind the other, as `rows` rows each, all of them `pitch` elements apart.

    Row r of x starts at x[r * pitch] and the next row after x's last is y's first, so that BLAS can take all rows for
    one matrix. Blocks of `width` columns cover the vectors but for a rest at the end of each row.
    """

    length: int
    rows: int
    pitch: int
    width: int
    blocks: int

    def share(self, part: int, parts: int) -> range:
        """Return the blocks of one of several threads."""
        return range(self.blocks * part // parts, self.blocks * (part + 1) // parts)

    def view(self, x: Any, rows: int, blocks: range) -> Any:
        """Return (blocks, rows, width) elements of memory from x on, without a copy."""
        strides = (self.width * x.itemsize, self.pitch * x.itemsize, x.itemsize)
        return np.lib.stride_tricks.as_strided(x[blocks.start * self.width :], (len(blocks), rows, self.width), strides)

    def rest(self) -> list[slice]:
        """Return what the blocks leave of each row."""
        starts = range(0, self.length, self.pitch)
        ends = [slice(k + self.blocks * self.width, min(k + self.pitch, self.length)) for k in starts]
        return [end for end in ends if end.start < end.stop]


def stack(x: Any, y: Any, parts: int) -> Stack | None:
    """Return how x and y, contiguous and of one dtype, stack up; None if they are too short or not laid out so.

    The distance from x to y must be a multiple of a row count and at most a block longer than x.
    """
    distance, offset = divmod(y.ctypes.data - x.ctypes.data, x.itemsize)
    rows = next((r for r in ROW_COUNTS if distance % r == 0), 0)
    width = ROW_BYTES // x.itemsize
    if offset or not rows or not len(x) <= distance <= len(x) + width:
        return None
    pitch = distance // rows
    blocks = (len(x) - (rows - 1) * pitch) // width
    return Stack(len(x), rows, pitch, width, blocks) if blocks >= MIN_BLOCKS * parts else None


def bind_matmul(parts: int, a: Any, b: Any, c: Any, s: Any) -> list[Launch] | None:
    """Compute one batched product per thread, [I | s I] times the rows of b above those of c, in a single pass.

    NumPy has no ufunc for b + s * c, but BLAS computes it as part of a matrix product, in registers. The zeros of the
    left factor add 0 * x, which changes nothing as long as the operands are finite. BLAS must run one thread per call.
    """
    rows = stack(b, c, parts)
    if rows is None:
        return None
    identity = np.eye(rows.rows, dtype=a.dtype)
    weights = np.concatenate([identity, s * identity], axis=1)
    launches: list[Launch] = []
    for part in range(parts):
        blocks = rows.share(part, parts)
        read, written = rows.view(b, 2 * rows.rows, blocks), rows.view(a, rows.rows, blocks)
        launches.append(partial(np.matmul, weights, read, written))
    product = launches[-1]
    ends = [_numpy(a[end], b[end], c[end], s) for end in rows.rest()]

    def last() -> None:
        product()
        for end in ends:
            end()

    return [*launches[:-1], last]


def _torch(a: Any, b: Any, c: Any, s: float) -> Launch:
    """Launch one fused kernel: `b + s * c` would be two passes and a temporary."""
    import torch

    return partial(torch.add, b, c, alpha=s, out=a)


KERNEL = Kernel(
    name="triad",
    formula="a[i] = b[i] + s * c[i]",
    operands=(Operand("a", "out"), Operand("b", "in"), Operand("c", "in")),
    flops=2,
    scalars={"s": 0.5},
    reference=lambda b, c, s: b + s * c,
    check=Elementwise(rounding=2.0),
    implementations={
        "numpy": Implementation(_numpy, NUMPY_DTYPES, NUMPY_HALF, variant="blocked", variants={"matmul": bind_matmul}),
        "torch": Implementation(_torch),
        "cupy": elementwise("triad"),
    },
)
