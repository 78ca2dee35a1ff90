"""Matrix-vector products: their check, and their launches on CUDA."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bandmark_kernels.core import np
from bandmark_kernels.core.checks import Elementwise, expectations, sum_error
from bandmark_kernels.core.cuda import Cuda, Layout, Program, blocks_for
from bandmark_kernels.core.dtypes import DType
from bandmark_kernels.core.kernel import Expectation, Inputs
from bandmark_kernels.core.launch import Launches, count
from bandmark_kernels.core.operand import Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class MatrixVector(Elementwise):
    """The check of matrix-vector products, whose outputs are sums: `sum_error` says what is allowed.

    Rows of the matrix repeat. Where x has an element per row, rows that are alike are multiplied by the sum of theirs.
    """

    rounding: float = 8.0

    def matrix(self, inputs: Inputs) -> NDArray[np.float64]:
        """Return the exact values of the matrix's tile."""
        return inputs.values("A")["A"]

    def expected(self, inputs: Inputs, result: DType | None = None) -> list[Expectation]:
        """Return one period of y."""
        kernel, y = inputs.kernel, inputs.kernel.output
        A, x = self.matrix(inputs), inputs.values("x")["x"]
        whole = partial(_whole_vector, inputs.shape, rows=len(A), by_row=y.extent == "n")
        values, sizes = kernel.reference(A, whole(x)), kernel.reference(abs(A), whole(abs(x)))
        allowed = sum_error(inputs.dtype, y.number(inputs.dtype), self.rounding * sizes, values)
        return expectations(inputs, {y.name: values}, {y.name: allowed})


def _whole_vector(shape: Shape, tile: Any, *, rows: int, by_row: bool) -> Any:
    """Return the whole of x, or where it has an element per row the sums over the rows that share a row of the tile."""
    m = shape.count("m")
    if not by_row:
        return np.resize(tile, shape.n)
    return np.bincount(np.arange(m) % rows, weights=np.resize(tile, m), minlength=rows)


_Grid = Callable[[Program, Shape, int], tuple[int, int]]
"""Program, size and number of multiprocessors -> blocks, and parts that each block's work is split into."""


def matrix_cuda(name: str, layout: Callable[[Program], Layout], grid: _Grid) -> Cuda:
    """Return the CUDA implementation of a matrix-vector product.

    "ragged" takes matrices whose rows do not start at multiples of a load. Where the work is split, the parts' sums go
    to the workspace, and "finish" adds those up.
    """
    return Cuda(name=name, parts=("ragged", "finish"), layout=layout, launches=partial(_launches, grid))


def _launches(grid: _Grid, program: Program, shape: Shape, sm_count: int) -> Launches:
    kernel, m, n = program.kernel, shape.count("m"), shape.n
    blocks, splits = grid(program, shape, sm_count)
    part = "" if n % program.lanes == 0 else "ragged"
    args = (*program.arrays(*kernel.operands), program.workspace, count("m", m), count("n", n))
    first = program.step(part, blocks, args, splits)
    length = shape.count(kernel.output.extent)
    y, words = program.arrays(kernel.output), max(1, 4 // program.dtype.itemsize)
    args = (program.workspace, *y, count("count", length), count("splits", splits))
    second = program.step("finish", blocks_for(length, program.layout.threads * words), args)
    return program.plan_split(first, second, sums=length)
