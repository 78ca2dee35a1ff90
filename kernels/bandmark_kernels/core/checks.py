"""What a kernel reads, and how what a launch computed compares with what the kernel's formula says.

Every operand is a tile of seeded random values, repeated. The tile is several MiB long, so hardware that compresses
constant or repetitive memory finds nothing to compress, and its length is prime, so no power-of-two step lands on
equal data. Expectations come from the float64 reference on the tiles, never from what a device holds, so an input that
was overwritten shows as a wrong output. Errors are given in units of the allowed error: above 1 has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

from bandmark_kernels.core import np
from bandmark_kernels.core.dtypes import DTYPES, FLOAT8, DType
from bandmark_kernels.core.kernel import Expectation, Inputs, Kernel, Pattern
from bandmark_kernels.core.operand import Operand, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TILE_ELEMENTS = 1_048_573
"""Elements of a vector's tile: the largest prime below 2 ** 20."""

TILE_ROWS = 61
"""Rows of a matrix's tile; prime for the same reason."""

PATTERNS: tuple[Pattern, ...] = get_args(Pattern)

_Fetch = Callable[[str, int, int], "NDArray[Any]"]
"""(output, start, stop) -> those stored elements of an output, as a NumPy array on the host."""

_Repeats = Callable[[str, int], bool]
"""(output, period) -> whether the bits of every element on the device are those of the element a period before."""

_CHUNK_ELEMENTS = 1 << 20

_SPIKE = 4096.0
"""How far the last term of a reduction stands out: more than float32 rounding of a memory-sized sum can explain, and
less than half precision can hold."""


def make_inputs(kernel: Kernel, dtype: DType, shape: Shape, *, seed: int, pattern: Pattern = "random") -> Inputs:
    """Return the inputs of a case, as the kernel's check defines them."""
    return kernel.check.inputs(kernel, dtype, shape, seed=seed, pattern=pattern)


def draw(
    kernel: Kernel, dtype: DType, shape: Shape, *names: str, seed: int, pattern: Pattern
) -> dict[str, NDArray[np.float64]]:
    """Draw tiles of values that the operands' formats hold exactly, by operand: of those named, or of all.

    Signs and fractions are random, magnitudes lie in [0.5, 1). Values are centred on zero, so that sums of any length
    stay representable in half precision.
    """
    values = {}
    for index, operand in enumerate(kernel.operands):
        if operand.is_read and (not names or operand.name in names):
            number = operand.number(dtype)
            tile = _draw_tile(operand, number, shape, seed=[seed, index], pattern=pattern)
            values[operand.name] = number.decode(number.encode(tile))
    return values


def encode(kernel: Kernel, dtype: DType, values: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
    """Return values by operand as the operands store them."""
    numbers = {o.name: o.number(dtype) for o in kernel.operands if o.name in values}
    return {name: numbers[name].encode(v) for name, v in values.items()}


def _draw_tile(
    operand: Operand, number: DType, shape: Shape, *, seed: list[int], pattern: Pattern
) -> NDArray[np.float64]:
    """Draw one tile: as long as the operand itself where that is shorter."""
    if operand.extent == "mn":
        assert shape.m is not None
        size: tuple[int, ...] = (min(TILE_ROWS, shape.m), shape.n)
    else:
        size = (min(_TILE_ELEMENTS, operand.count(shape)),)
    if pattern == "zeros":
        return np.zeros(size)
    rng = np.random.default_rng(seed)
    if number is FLOAT8:  # each code that is a number is as likely as any other
        return np.nan_to_num(number.decode(rng.integers(0, 256, size, np.uint8)))
    if pattern == "ramp":
        values = np.resize(np.linspace(-1.0, 1.0, size[-1], endpoint=False), size)
    else:
        values = rng.uniform(-0.5, 0.5, size)
        values += np.copysign(0.5, values)
    return operand.amplitude * (abs(values) if operand.role == "scale" else values)


def max_error(
    inputs: Inputs, fetch: _Fetch, *, result: DType | None = None, workers: int = 1, repeats: _Repeats | None = None
) -> float:
    """Return the largest error of any output of a verified launch, in units of the allowed error.

    It is infinite for NaN, and for a wrong bit where no rounding happens (copy, write). `result` is the format of a
    reduction's number where that is the accumulator's; with several workers `fetch` must be thread-safe. Where
    `repeats` says that an output repeats its first period, that period alone is fetched.
    """
    expected = inputs.kernel.check.expected(inputs, result)
    return max(_output_error(_first_period(output, repeats), fetch, workers) for output in expected)


def _first_period(expected: Expectation, repeats: _Repeats | None) -> Expectation:
    """Return what is left to check of an output if the device itself has compared the other periods."""
    period = len(expected.values)
    if repeats is None or expected.elements < 2 * period or not repeats(expected.name, period):
        return expected
    return replace(expected, elements=period)


def _output_error(expected: Expectation, fetch: _Fetch, workers: int) -> float:
    period = len(expected.values)
    step = period * max(1, _CHUNK_ELEMENTS // period)
    exact = _bits(expected.number.encode(expected.values))

    def chunk_error(start: int) -> float:
        stored = fetch(expected.name, start, min(start + step, expected.elements))
        return 0.0 if _repeats(_bits(stored), exact) else _chunk_error(stored, expected)

    starts = range(0, expected.elements, step)
    if workers == 1:
        return max(map(chunk_error, starts))
    from concurrent.futures import ThreadPoolExecutor  # only here: importing it takes longer than the kernel table

    with ThreadPoolExecutor(workers) as pool:
        return max(pool.map(chunk_error, starts))


def _bits(stored: NDArray[Any]) -> NDArray[Any]:
    """Return float16 numbers as their bits: NumPy compares those more than ten times as fast as the numbers."""
    return stored.view(np.uint16) if stored.dtype == np.float16 else stored


def _repeats(stored: NDArray[Any], period: NDArray[Any]) -> bool:
    """Return whether an array consists of repetitions of a period, the last of which may be cut short."""
    whole = len(stored) - len(stored) % len(period)
    rows, rest = stored[:whole].reshape(-1, len(period)), stored[whole:]
    return np.array_equal(rows, np.broadcast_to(period, rows.shape)) and np.array_equal(rest, period[: len(rest)])


def _chunk_error(stored: NDArray[Any], expected: Expectation) -> float:
    """Return the largest error of a chunk that starts with the first element of the period."""
    # A chunk of large arrays is one period: nothing is repeated, and so nothing copied.
    values, allowed = (
        x[: len(stored)] if len(stored) <= len(x) else np.resize(x, len(stored))
        for x in (expected.values, expected.allowed)
    )
    error = np.abs(expected.number.decode(stored) - values)
    with np.errstate(divide="ignore", invalid="ignore"):
        units = np.where(error == 0, 0.0, error / allowed)
    return float(np.max(np.where(np.isnan(units), np.inf, units)))


@dataclass(frozen=True, slots=True)
class Elementwise:
    """The check of kernels whose every output element is rounded once per operation.

    The allowed error is `rounding` half-epsilons of the sum of the magnitudes of the terms. Timed launches of kernels
    that write what they read must leave the operands bounded, however many there are, and so change little. The launch
    that is verified has other scalars, with which a launch that does nothing is seen.
    """

    rounding: float = 1.0
    scalars: Mapping[str, float] = field(default_factory=dict)
    stable_inputs: Callable[..., Mapping[str, Any]] | None = None
    """The values read and the scalars by name -> those to replace, such that repeated launches stay bounded."""
    bounds: Callable[..., Mapping[str, Any]] | None = None
    """Where the magnitudes of the terms do not bound the error: the values read and the scalars by name -> by output,
    how far arithmetic in the accumulator's format may be off, in units of half its epsilon."""

    def inputs(self, kernel: Kernel, dtype: DType, shape: Shape, *, seed: int, pattern: Pattern) -> Inputs:
        """Return tiles of random values, on which timed launches are stable."""
        values = draw(kernel, dtype, shape, seed=seed, pattern=pattern)
        if self.stable_inputs:
            values |= self.stable_inputs(**values, **kernel.scalars)
        return Inputs(kernel, dtype, shape, encode(kernel, dtype, values))

    def expected(self, inputs: Inputs, result: DType | None = None) -> list[Expectation]:
        """Return one period of each output."""
        kernel, values = inputs.kernel, inputs.values()
        outputs = kernel.compute(**values, **kernel.check_scalars)
        if self.bounds:
            errors = _storage_errors(inputs, outputs, self.bounds(**values, **kernel.check_scalars))
        else:
            sizes = kernel.compute(**{name: abs(v) for name, v in values.items()}, **kernel.check_scalars)
            half = {o.name: o.number(inputs.dtype).eps / 2 for o in kernel.outputs}
            errors = {name: eps * (self.rounding * np.asarray(sizes[name])) for name, eps in half.items()}
        return expectations(inputs, outputs, errors)


def _storage_errors(inputs: Inputs, outputs: Mapping[str, Any], bounds: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return absolute errors: storing a result in a format narrower than the arithmetic rounds once more."""
    arithmetic = DTYPES[inputs.dtype.accumulator].eps
    errors = {}
    for operand in inputs.kernel.outputs:
        eps = operand.number(inputs.dtype).eps
        storing = eps / 2 if eps > arithmetic else 0.0
        errors[operand.name] = arithmetic / 2 * bounds[operand.name] + storing * abs(outputs[operand.name])
    return errors


@dataclass(frozen=True, slots=True)
class Reduction:
    """The check of sums of all elements.

    The last element of each input is far larger than the others: a reduction that drops its tail is then off by more
    than rounding can explain, however long the array.
    """

    rounding: float = 8.0
    """Allowed error in half-epsilons of the accumulator, of the sum of the magnitudes of the terms."""
    scalars: Mapping[str, float] = field(default_factory=dict)

    def inputs(self, kernel: Kernel, dtype: DType, shape: Shape, *, seed: int, pattern: Pattern) -> Inputs:
        """Return tiles whose terms cancel, and last elements that stand out."""
        values = draw(kernel, dtype, shape, seed=seed, pattern=pattern)
        _balance(list(values.values()))
        spike = _SPIKE ** (1 / len(values))
        ends = {name: np.atleast_1d(abs(tile[(shape.n - 1) % len(tile)]) * spike) for name, tile in values.items()}
        return Inputs(kernel, dtype, shape, encode(kernel, dtype, values), encode(kernel, dtype, ends))

    def expected(self, inputs: Inputs, result: DType | None = None) -> list[Expectation]:
        """Return the sum, and how far rounding may take it from there, as `sum_error` says."""
        terms = inputs.kernel.reference(**inputs.values())
        last = inputs.kernel.reference(**{name: end[0] for name, end in inputs.last_values().items()})
        periods, rest = divmod(inputs.shape.n - 1, len(terms))
        total = float(periods * np.sum(terms) + np.sum(terms[:rest]) + last)
        size = float(periods * np.sum(abs(terms)) + np.sum(abs(terms[:rest])) + abs(last))
        number, value = result or inputs.dtype, np.atleast_1d(np.float64(total))
        allowed = sum_error(inputs.dtype, number, self.rounding * np.float64(size), value)
        return [Expectation(inputs.kernel.output.name, 1, number, value, np.atleast_1d(allowed))]


def _balance(tiles: list[NDArray[np.float64]]) -> None:
    """Make the terms of a reduction cancel within a tile, in place: a thousand tiles then still fit half precision.

    The second half of each tile mirrors the first, of the first operand with the opposite sign, so that products of
    the operands cancel, too.
    """
    for tile, sign in zip(tiles, (-1, 1), strict=False):
        half = len(tile) // 2
        tile[len(tile) - half :] = sign * tile[:half][::-1]


def sum_error(dtype: DType, number: DType, units: Any, value: Any) -> Any:
    """Return the error that is allowed in a sum stored as `number`.

    Sums round in the accumulator; with terms of random sign the error of any order of summation stays within a few
    epsilons of the sum of the magnitudes (N. J. Higham, Accuracy and Stability of Numerical Algorithms, section 4.2,
    has the bound n eps for the worst case, far from reached by random signs). Storing the sum rounds once more.
    `units` are half-epsilons of the accumulator times the sum of the magnitudes.
    """
    return DTYPES[dtype.accumulator].eps / 2 * units + number.eps * abs(value)


def expectations(inputs: Inputs, outputs: Mapping[str, Any], errors: Mapping[str, Any]) -> list[Expectation]:
    """Return an expectation per output, from one period of its values and of their absolute errors."""
    expected = []
    for operand in inputs.kernel.outputs:
        values, allowed = (np.atleast_1d(np.asarray(x[operand.name], np.float64)) for x in (outputs, errors))
        count = operand.count(inputs.shape)
        expected.append(Expectation(operand.name, count, operand.number(inputs.dtype), values, allowed))
    return expected
