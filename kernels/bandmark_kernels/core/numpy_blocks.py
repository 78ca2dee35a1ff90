"""How do NumPy bodies place their data: blocks that stay in cache, rows that form a matrix, results far apart?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bandmark_kernels.core.kernel import Launch

BLOCK_BYTES = 512 * 1024
"""Bytes per array and block: three such blocks fit the 2 MiB of second-level cache of current server cores, and a
call on one lasts long enough that Python's own cost, and its global lock, stay small."""

ROW_BYTES = 48 * 1024
"""Bytes per row of a block of a stack: long enough to hide what a BLAS call costs, short enough for all rows of a block
to stay in cache, and below the size up to which OpenBLAS multiplies in place, without packing its operands first."""

ROW_COUNTS = (3, 4)
"""Rows per array in a stack, the better first. With one or two the product is slower; with more it only multiplies
more zeros."""

LINE_BYTES = 256
"""Bytes beside a number that no other thread may write: two lines of the longest cache lines in use, 128 bytes."""

MIN_BLOCKS = 16
"""Blocks per thread below which a stack is not worth its uneven ends."""


def cache_blocks(*arrays: Any, block_bytes: int | None = None) -> list[tuple[Any, ...]]:
    """Cut equally long vectors into blocks, made once so that a launch allocates nothing.

    Args:
        arrays: vectors of equal length.
        block_bytes: bytes of a block of the vector with the widest elements; None for BLOCK_BYTES.
    """
    step = max(1, (block_bytes or BLOCK_BYTES) // max(x.itemsize for x in arrays))
    return [tuple(x[k : k + step] for x in arrays) for k in range(0, len(arrays[0]), step)]


def einsum_alone(subscripts: str, *arrays: Any, out: Any) -> Launch:
    """Return a launch that folds arrays by an einsum into a number of its own, and then puts that into out."""
    import numpy as np

    total = private_number(arrays[0].dtype)
    einsum, copyto = np.einsum, np.copyto

    def launch() -> None:
        einsum(subscripts, *arrays, out=total)
        copyto(out, total)

    return launch


def private_number(dtype: Any) -> Any:
    """Return a number (an array without axes) that shares its cache lines with nothing else.

    Einsum stores its running sum again and again; two threads whose results are neighbours would slow each other down.
    """
    import numpy as np

    around = LINE_BYTES // dtype.itemsize
    return np.empty(2 * around + 1, dtype)[around : around + 1].reshape(())


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
        from numpy.lib.stride_tricks import as_strided

        strides = (self.width * x.itemsize, self.pitch * x.itemsize, x.itemsize)
        return as_strided(x[blocks.start * self.width :], (len(blocks), rows, self.width), strides)

    def rest(self) -> list[slice]:
        """Return what the blocks leave of each row."""
        starts = range(0, self.length, self.pitch)
        ends = [slice(k + self.blocks * self.width, min(k + self.pitch, self.length)) for k in starts]
        return [end for end in ends if end.start < end.stop]


def stack(x: Any, y: Any, parts: int) -> Stack | None:
    """Return how x and y, contiguous and of one dtype, stack up; None if they are too short or do not lie so.

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
