"""Vector kernels, element-wise ones and reductions: their launches on CUDA, and their blocks in NumPy.

A tile is `unroll` packs for each thread of a block. Elements that fill no pack are taken one by one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core import np
from bandmark_kernels.core.cuda import VARIANTS, Cuda, Layout, Program, blocks_for
from bandmark_kernels.core.kernel import Launch
from bandmark_kernels.core.launch import Arg, Launches, count
from bandmark_kernels.core.operand import Shape

_BLOCK_BYTES = 512 * 1024
"""Bytes per array and block: three fit the 2 MiB of second-level cache of current server cores, and a call on one
lasts long enough that Python's own cost, and its global lock, stay small."""


def elementwise(
    name: str, *, blocks_per_sm: int = 3, bytes_per_thread: int = 64, loads: tuple[str, ...] = VARIANTS, **options: Any
) -> Cuda:
    """Return the CUDA implementation of an element-wise kernel, whose blocks take a tile each.

    `blocks_per_sm` blocks must fit a multiprocessor; a thread has `bytes_per_thread` of each array in flight.
    """
    layout = partial(_layout, blocks_per_sm, bytes_per_thread)
    return Cuda(name=name, layout=layout, launches=_launch_tiles, loads=loads, **options)


def reduction(name: str, *, blocks_per_sm: int = 3, bytes_per_thread: int = 64) -> Cuda:
    """Return the CUDA implementation of a reduction, whose blocks walk over tiles."""
    layout = partial(_layout, blocks_per_sm, bytes_per_thread)
    return Cuda(name=name, parts=("finish",), layout=layout, launches=_launch_reduction, macros={"GRID_STRIDE": 1})


def _layout(blocks_per_sm: int, bytes_per_thread: int, program: Program) -> Layout:
    if program.is_bulk:
        # as many of its stages of 8 KiB as the shared memory of a multiprocessor holds: 228 KiB, or 100
        return Layout(threads=32, unroll=16, blocks_per_sm=6 if program.capability < (12, 0) else 2)
    return Layout(threads=256, unroll=bytes_per_thread // program.pack_bytes, blocks_per_sm=blocks_per_sm)


def _tiles(program: Program, shape: Shape) -> int:
    # at least one, for the elements that fill no pack
    return max(1, blocks_for(shape.n // program.lanes, program.layout.threads * program.layout.unroll))


def _launch_tiles(program: Program, shape: Shape, sm_count: int) -> Launches:
    kernel, accumulator = program.kernel, program.dtype.accumulator
    blocks = _tiles(program, shape)
    if program.walks:
        blocks = min(blocks, program.resident(sm_count))
    scalars = (Arg(name, accumulator) for name in program.cuda.constants_for(kernel.scalars))
    args = (*program.arrays(*kernel.operands), *scalars, count("n", shape.n))
    return program.plan(program.step("", blocks, args), workspace=0)


def _launch_reduction(program: Program, shape: Shape, sm_count: int) -> Launches:
    """Return a launch that leaves a partial sum per block, and one that adds those up."""
    kernel = program.kernel
    blocks = min(_tiles(program, shape), program.resident(sm_count))
    result = Arg(kernel.output.name, program.dtype.accumulator, is_array=True)
    return program.plan(
        program.step("", blocks, (*program.arrays(*kernel.inputs), program.workspace, count("n", shape.n))),
        program.step("finish", 1, (program.workspace, result, count("count", blocks))),
        workspace=blocks,
    )


def cache_blocks(*arrays: Any, block_bytes: int = _BLOCK_BYTES) -> list[tuple[Any, ...]]:
    """Cut vectors into blocks, of `block_bytes` where elements are widest, so that a launch allocates nothing."""
    step = max(1, block_bytes // max(x.itemsize for x in arrays))
    return [tuple(x[k : k + step] for x in arrays) for k in range(0, len(arrays[0]), step)]


def einsum_to(subscripts: str, *arrays: Any, out: Any) -> Launch:
    """Return a launch that folds arrays by an einsum into a number of its own, and then puts that into out."""
    total = _padded_number(arrays[0].dtype)
    einsum, copyto = np.einsum, np.copyto

    def launch() -> None:
        einsum(subscripts, *arrays, out=total)
        copyto(out, total)

    return launch


def _padded_number(dtype: Any) -> Any:
    """Return a number (an array without axes) that shares its cache lines with nothing else.

    Einsum stores its running sum again and again; two threads whose results are neighbours would slow each other down.
    """
    around = 256 // dtype.itemsize  # two lines of the longest cache lines in use, 128 bytes
    return np.empty(2 * around + 1, dtype)[around : around + 1].reshape(())
