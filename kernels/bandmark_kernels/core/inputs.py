"""The data that a kernel runs on.

Every operand is a tile of seeded random values, repeated. The tile is several MiB long, so hardware that compresses
constant or repetitive memory finds nothing to compress, and its length is prime, so no power-of-two step lands on
equal data. Repetition makes filling a memory-sized array as cheap as copying, and its exact expectation as cheap as
computing one tile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from bandmark_kernels.core import np
from bandmark_kernels.core.dtypes import FLOAT8, DType
from bandmark_kernels.core.kernel import Inputs, Kernel, Pattern
from bandmark_kernels.core.operand import Operand, Shape

__all__ = ["PATTERNS", "TILE_ELEMENTS", "TILE_ROWS", "Inputs", "Pattern", "draw", "encode", "make_inputs"]

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILE_ELEMENTS = 1_048_573
"""Elements of a vector's tile: the largest prime below 2 ** 20."""

TILE_ROWS = 61
"""Rows of a matrix's tile; prime for the same reason."""

PATTERNS: tuple[Pattern, ...] = get_args(Pattern)


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
        size = (min(TILE_ELEMENTS, operand.count(shape)),)
    if pattern == "zeros":
        return np.zeros(size)
    rng = np.random.default_rng(seed)
    if number is FLOAT8:
        return _draw_codes(number, size, rng)
    values = rng.uniform(-0.5, 0.5, size)
    values += np.copysign(0.5, values)
    return operand.amplitude * (abs(values) if operand.role == "scale" else values)


def _draw_codes(number: DType, size: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the values of codes: each that is a number is as likely as any other."""
    values = number.decode(rng.integers(0, 256, size, np.uint8))
    return np.where(np.isnan(values), 0.0, values)
