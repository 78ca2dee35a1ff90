"""Did a launch compute what the kernel's formula says?

Expectations come from the float64 reference on the tiles, never from what a device holds, so an input that was
overwritten shows as a wrong output. Errors are given in units of the allowed error: above 1 has failed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from bandmark_kernels.dtypes import DType
from bandmark_kernels.inputs import Inputs
from bandmark_kernels.spec import Fold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Fetch = Callable[[int, int], "NDArray[Any]"]
"""(start, stop) -> those stored elements of the output, as a NumPy array on the host."""

CHUNK_ELEMENTS = 1 << 20


def max_error(
    inputs: Inputs, fetch: Fetch, *, fold: Fold = "sum", result: DType | None = None, workers: int = 1
) -> float:
    """Compare an output with its expectation, element by element.

    Args:
        inputs: what the launch read; the kernel's check scalars, where it has any, are those of the launch.
        fetch: reads the output; of a reduction, its one number.
        fold: how the body folds a reduction.
        result: the dtype of the output where it is not the operands' (reductions that return their accumulator).
        workers: host threads that compare; fetch must then be thread-safe.

    Returns:
        The largest error in units of the allowed error. Infinite for NaN and for a wrong bit where no rounding
        happens (copy, write).
    """
    kernel, shape = inputs.kernel, inputs.shape
    expected, magnitude = _expect_number(inputs, fold) if kernel.is_reduction else _expect_tile(inputs)
    dtype = result or inputs.dtype
    allowed = _allowed(inputs, dtype, expected, magnitude)
    count = shape.count(kernel.output.extent)
    step = len(expected) * max(1, CHUNK_ELEMENTS // len(expected))
    exact = dtype.encode(expected)

    def chunk_error(start: int) -> float:
        stop = min(start + step, count)
        return _compare(fetch(start, stop), dtype, exact, expected, allowed)

    starts = range(0, count, step)
    if workers == 1:
        return max(map(chunk_error, starts))
    with ThreadPoolExecutor(workers) as pool:
        return max(pool.map(chunk_error, starts))


def _compare(
    got: NDArray[Any],
    dtype: DType,
    exact: NDArray[Any],
    expected: NDArray[np.float64],
    allowed: NDArray[np.float64],
) -> float:
    """Return the largest error of a chunk that starts with the tile's first element."""
    import numpy as np

    period = len(exact)
    whole = len(got) - len(got) % period
    if np.array_equal(got[:whole].reshape(-1, period), np.broadcast_to(exact, (whole // period, period))) and (
        np.array_equal(got[whole:], exact[: len(got) - whole])
    ):
        return 0.0
    index = np.arange(len(got)) % period
    error = np.abs(dtype.decode(got) - expected[index])
    with np.errstate(divide="ignore", invalid="ignore"):
        units = np.where(error == 0, 0.0, error / allowed[index])
    return float(np.max(np.where(np.isnan(units), np.inf, units)))


def _allowed(inputs: Inputs, result: DType, expected: Any, magnitude: Any) -> Any:
    """Return the allowed absolute error per element.

    Element-wise kernels round once per operation: `rounding` half-epsilons of the terms' magnitudes. Sums round in
    the accumulator; with terms of random sign the error of any order of summation stays within a few epsilons of the
    sum of the magnitudes (N. J. Higham, Accuracy and Stability of Numerical Algorithms, section 4.2, has the bound
    n eps for the worst case, far from reached by random signs). Storing the sum rounds once more.
    """
    from bandmark_kernels.dtypes import DTYPES

    kernel = inputs.kernel
    if not (kernel.is_reduction or kernel.is_matrix):
        return kernel.rounding * inputs.dtype.eps / 2 * magnitude
    accumulator = DTYPES[inputs.dtype.accumulator]
    return kernel.rounding * accumulator.eps / 2 * magnitude + result.eps * abs(expected)


def _expect_tile(inputs: Inputs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return one period of the expected output and of its terms' magnitudes."""
    import numpy as np

    kernel, shape = inputs.kernel, inputs.shape
    values = inputs.values()
    scalars = dict(kernel.check_scalars or kernel.scalars)
    magnitudes = {name: abs(v) for name, v in values.items()}
    if kernel.is_matrix:
        period = len(values["A"])
        rows = (np.arange(shape.count("m")) % period) if kernel.output.extent == "n" else None
        length = next(shape.count(o.extent) for o in kernel.operands if o.name == "x")
        values["x"] = _vector(values["x"], length, rows, period)
        magnitudes["x"] = _vector(magnitudes["x"], length, rows, period)
    expected = np.atleast_1d(np.asarray(kernel.reference(**values, **scalars), np.float64))
    magnitude = np.atleast_1d(np.asarray(kernel.reference(**magnitudes, **scalars), np.float64))
    return expected, magnitude


def _vector(tile: Any, count: int, rows: Any, period: int) -> Any:
    """Return a GEMV's whole x, or, for A^T x, the sums of x over the rows that share a row of the tile."""
    import numpy as np

    x = np.resize(tile, count)
    return x if rows is None else np.bincount(rows, weights=x, minlength=period)


def _expect_number(inputs: Inputs, fold: Fold) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a reduction's expected number, and the sum of its terms' magnitudes, as arrays of one element."""
    import numpy as np

    kernel, n, decode = inputs.kernel, inputs.shape.n, inputs.dtype.decode
    terms = kernel.reference(**{name: decode(tile) for name, tile in inputs.tiles.items()})
    last = kernel.reference(**{name: decode(inputs.last(name)) for name in inputs.tiles})
    periods, rest = divmod(n - 1, len(terms))
    if fold == "max":
        seen = terms if periods else terms[:rest]
        number = np.max(np.append(seen, last))
        return np.atleast_1d(number), np.zeros(1)
    total = periods * np.sum(terms) + np.sum(terms[:rest]) + last
    size = periods * np.sum(abs(terms)) + np.sum(abs(terms[:rest])) + abs(last)
    return np.atleast_1d(total), np.atleast_1d(size)
