"""Did a launch compute what the kernel's formula says?

Expectations come from the float64 reference on the tiles, never from what a device holds, so an input that was
overwritten shows as a wrong output. Errors are given in units of the allowed error: above 1 has failed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bandmark_kernels.core.dtypes import DTYPES, DType
from bandmark_kernels.core.inputs import Inputs
from bandmark_kernels.core.kernel import Fold, Operand

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Fetch = Callable[[str, int, int], "NDArray[Any]"]
"""(output, start, stop) -> those stored elements of an output, as a NumPy array on the host."""

CHUNK_ELEMENTS = 1 << 20


@dataclass(frozen=True, slots=True)
class Expectation:
    """One period of what an output should hold."""

    name: str
    elements: int
    """Elements of the whole output."""
    number: DType
    values: NDArray[np.float64]
    allowed: NDArray[np.float64]
    """The absolute error that rounding explains."""


def max_error(
    inputs: Inputs, fetch: Fetch, *, fold: Fold = "sum", result: DType | None = None, workers: int = 1
) -> float:
    """Compare every output of a launch with its expectation, element by element.

    Args:
        inputs: what the launch read; the kernel's check scalars, where it has any, are those of the launch.
        fetch: reads an output; of a reduction, its one number.
        fold: how the body folds a reduction.
        result: the dtype of the output where it is not the operands' (reductions that return their accumulator).
        workers: host threads that compare; fetch must then be thread-safe.

    Returns:
        The largest error of any output in units of the allowed error. Infinite for NaN and for a wrong bit where no
        rounding happens (copy, write).
    """
    if inputs.kernel.is_reduction:
        expected = [_expect_number(inputs, fold, result)]
    else:
        expected = _expect_tiles(inputs) if inputs.kernel.whole is None else _expect_whole(inputs)
    return max(_output_error(one, fetch, workers) for one in expected)


def _output_error(expected: Expectation, fetch: Fetch, workers: int) -> float:
    """Return the largest error of one output, chunk by chunk."""
    period = len(expected.values)
    step = period * max(1, CHUNK_ELEMENTS // period)
    exact = expected.number.encode(expected.values)

    def chunk_error(start: int) -> float:
        got = fetch(expected.name, start, min(start + step, expected.elements))
        return _compare(got, expected.number, exact, expected.values, expected.allowed)

    starts = range(0, expected.elements, step)
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
    # A chunk of large arrays is one period: nothing is repeated, and so nothing copied.
    wanted, limit = (x[: len(got)] if len(got) <= period else np.resize(x, len(got)) for x in (expected, allowed))
    error = np.abs(dtype.decode(got) - wanted)
    with np.errstate(divide="ignore", invalid="ignore"):
        units = np.where(error == 0, 0.0, error / limit)
    return float(np.max(np.where(np.isnan(units), np.inf, units)))


def _expect_tiles(inputs: Inputs) -> list[Expectation]:
    """Return one period of each output, and of the error that its terms' magnitudes or the kernel's bounds allow."""
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
    expected = kernel.compute(**values, **scalars)
    if kernel.bounds is not None:
        errors = kernel.bounds(**values, **scalars)
    else:
        errors = {name: kernel.rounding * m for name, m in kernel.compute(**magnitudes, **scalars).items()}
    return [_expect_tile(inputs, operand, expected[operand.name], errors[operand.name]) for operand in kernel.outputs]


def _expect_whole(inputs: Inputs) -> list[Expectation]:
    """Return the outputs of a kernel that says itself what they should hold as a whole."""
    assert inputs.kernel.whole is not None
    values, allowed = inputs.kernel.whole(inputs)
    return [
        Expectation(o.name, o.count(inputs.shape), o.number(inputs.dtype), values[o.name], allowed[o.name])
        for o in inputs.kernel.outputs
    ]


def _expect_tile(inputs: Inputs, operand: Operand, expected: Any, errors: Any) -> Expectation:
    """Return what an output should hold, and how far rounding may take it from there.

    Element-wise kernels round once per operation: `rounding` half-epsilons of the terms' magnitudes. Sums round in
    the accumulator; with terms of random sign the error of any order of summation stays within a few epsilons of the
    sum of the magnitudes (N. J. Higham, Accuracy and Stability of Numerical Algorithms, section 4.2, has the bound
    n eps for the worst case, far from reached by random signs). Storing the sum rounds once more, and so does storing
    any output in a format narrower than the arithmetic that a kernel with bounds does.
    """
    import numpy as np

    kernel, number = inputs.kernel, operand.number(inputs.dtype)
    accumulator = DTYPES[inputs.dtype.accumulator]
    values, error = (np.atleast_1d(np.asarray(x, np.float64)) for x in (expected, errors))
    if kernel.bounds is not None:
        stored = number.eps / 2 if number.eps > accumulator.eps else 0.0
        allowed = accumulator.eps / 2 * error + stored * abs(values)
    elif kernel.is_matrix:
        allowed = accumulator.eps / 2 * error + number.eps * abs(values)
    else:
        allowed = number.eps / 2 * error
    return Expectation(operand.name, operand.count(inputs.shape), number, values, allowed)


def _vector(tile: Any, count: int, rows: Any, period: int) -> Any:
    """Return a GEMV's whole x, or, for A^T x, the sums of x over the rows that share a row of the tile."""
    import numpy as np

    x = np.resize(tile, count)
    return x if rows is None else np.bincount(rows, weights=x, minlength=period)


def _expect_number(inputs: Inputs, fold: Fold, result: DType | None) -> Expectation:
    """Return a reduction's expected number, and how far rounding may take it from there, as `_expect_tile` says."""
    import numpy as np

    kernel, number, accumulator = inputs.kernel, result or inputs.dtype, DTYPES[inputs.dtype.accumulator]
    total, size = _fold(inputs, fold)
    value = np.atleast_1d(np.float64(total))
    allowed = kernel.rounding * accumulator.eps / 2 * size + number.eps * abs(value)
    return Expectation(kernel.output.name, 1, number, value, allowed)


def _fold(inputs: Inputs, fold: Fold) -> tuple[float, float]:
    """Return a reduction's number and the sum of its terms' magnitudes, which for a maximum is 0."""
    import numpy as np

    kernel, n, decode = inputs.kernel, inputs.shape.n, inputs.dtype.decode
    terms = kernel.reference(**{name: decode(tile) for name, tile in inputs.tiles.items()})
    last = kernel.reference(**{name: decode(inputs.last(name)) for name in inputs.tiles})
    periods, rest = divmod(n - 1, len(terms))
    if fold == "max":
        seen = terms if periods else terms[:rest]
        return float(np.max(np.append(seen, last))), 0.0
    total = periods * np.sum(terms) + np.sum(terms[:rest]) + last
    size = periods * np.sum(abs(terms)) + np.sum(abs(terms[:rest])) + abs(last)
    return float(total), float(size)
