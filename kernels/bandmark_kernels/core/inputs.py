"""Which data does a kernel run on?

Every operand is a tile of seeded random values, repeated. The tile is several MiB long, so hardware that compresses
constant or repetitive memory finds nothing to compress, and its length is prime, so no power-of-two step lands on
equal data. Repetition makes filling a memory-sized array as cheap as copying, and its exact expectation as cheap as
computing one tile.

The last element of each input of a reduction is far larger than the others: a reduction that drops its tail is then
off by more than rounding can explain, however long the array. For the same reason the last token of an attention has a
key of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from bandmark_kernels.core.dtypes import DType
from bandmark_kernels.core.kernel import Kernel, Operand, Shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TILE_ELEMENTS = 1_048_573
"""Elements of a vector's tile: the largest prime below 2 ** 20."""

TILE_ROWS = 61
"""Rows of a matrix's tile; prime for the same reason."""

SPIKE = 4096.0
"""How far the last term of a reduction stands out: more than float32 rounding of a memory-sized sum can explain, and
less than half precision can hold."""

Pattern = Literal["random", "zeros"]
PATTERNS: tuple[Pattern, ...] = ("random", "zeros")


@dataclass(frozen=True, slots=True)
class Inputs:
    """The contents of a case's operands, as tiles repeated along their first axis."""

    kernel: Kernel
    dtype: DType
    shape: Shape
    tiles: dict[str, NDArray[Any]]
    """Stored (encoded) tiles by operand name: (length,) for vectors, (rows, n) for the matrix."""
    ends: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """What stands at the end of an operand in place of its tile, stored: elements of shape (1,), or a row of (n,)."""

    def values(self) -> dict[str, NDArray[np.float64]]:
        """Return the exact values of the tiles, by the names that the reference takes: packed weights are "A"."""
        weights = self.kernel.weights
        values = {o.name: o.number(self.dtype).decode(self.tiles[o.name]) for o in _plain_inputs(self.kernel)}
        if weights is None:
            return values
        from bandmark_kernels.core.quantized import unpack

        return {"A": unpack(weights, {name: tile for name, tile in self.tiles.items() if name not in values}), **values}

    def last(self, name: str) -> Any:
        """Return the stored value of the last element of a reduction's input of n elements."""
        return self.ends[name][0]

    def last_values(self) -> dict[str, NDArray[np.float64]]:
        """Return the exact values of what stands at the ends."""
        numbers = {o.name: o.number(self.dtype) for o in self.kernel.operands if o.name in self.ends}
        return {name: numbers[name].decode(end) for name, end in self.ends.items()}


def _plain_inputs(kernel: Kernel) -> list[Operand]:
    """Return the operands that are read and are no part of packed weights."""
    return [o for o in kernel.inputs if kernel.weights is None or o.storage is None]


def make_inputs(kernel: Kernel, dtype: DType, shape: Shape, *, seed: int, pattern: Pattern = "random") -> Inputs:
    """Draw the tiles of a case: signs and fractions are random, magnitudes lie in [0.5, 1).

    The same seed gives the same values to every backend. Values are centred on zero, so that sums of any length stay
    representable in half precision.
    """
    numbers = {operand.name: operand.number(dtype) for operand in _plain_inputs(kernel)}
    values = {
        operand.name: _draw(operand, shape, seed=[seed, index], pattern=pattern)
        for index, operand in enumerate(kernel.operands)
        if operand.name in numbers
    }
    if kernel.is_reduction:
        _balance(list(values.values()))
    rounded = {name: numbers[name].decode(numbers[name].encode(v)) for name, v in values.items()}
    if kernel.steady is not None:
        rounded |= kernel.steady(**rounded, **kernel.scalars)
    weights = _draw_weights(kernel, shape, seed=[seed, len(kernel.operands)], pattern=pattern)
    tiles = weights | {name: numbers[name].encode(v) for name, v in rounded.items()}
    ends = {name: numbers[name].encode(v) for name, v in _ends(kernel, shape, rounded).items()}
    return Inputs(kernel, dtype, shape, tiles, ends)


def _ends(kernel: Kernel, shape: Shape, tiles: Mapping[str, NDArray[np.float64]]) -> Mapping[str, NDArray[np.float64]]:
    """Return the values that stand out at the ends of operands: of a reduction positive, to be the maximum, too."""
    import numpy as np

    if kernel.last_rows is not None:
        return kernel.last_rows(m=shape.count("m"), **tiles)
    if not kernel.is_reduction:
        return {}
    spike = SPIKE ** (1 / len(kernel.inputs))
    return {name: np.atleast_1d(abs(tile[(shape.n - 1) % len(tile)]) * spike) for name, tile in tiles.items()}


def _draw_weights(kernel: Kernel, shape: Shape, *, seed: list[int], pattern: Pattern) -> dict[str, NDArray[Any]]:
    """Draw the tiles of packed weights: every finite code, and scales around 1 whose fractions are random."""
    import numpy as np

    from bandmark_kernels.core.quantized import random_weights

    if kernel.weights is None:
        return {}
    packed = random_weights(kernel.weights, min(TILE_ROWS, shape.count("m")), shape.n, np.random.default_rng(seed))
    return {name: np.zeros_like(array) for name, array in packed.items()} if pattern == "zeros" else packed


def _balance(tiles: list[NDArray[np.float64]]) -> None:
    """Make the terms of a reduction cancel within a tile, in place: a thousand tiles then still fit half precision.

    The second half of each tile mirrors the first, of the first operand with the opposite sign, so that products of
    the operands cancel, too.
    """
    for tile, sign in zip(tiles, (-1, 1), strict=False):
        half = len(tile) // 2
        tile[len(tile) - half :] = sign * tile[:half][::-1]


def _draw(operand: Operand, shape: Shape, *, seed: list[int], pattern: Pattern) -> NDArray[np.float64]:
    """Draw one tile: as long as the operand itself where that is shorter."""
    import numpy as np

    if operand.extent == "mn":
        assert shape.m is not None
        size: tuple[int, ...] = (min(TILE_ROWS, shape.m), shape.n)
    else:
        size = (min(TILE_ELEMENTS, operand.count(shape)),)
    if pattern == "zeros":
        return np.zeros(size)
    if operand.form is not None:
        return _draw_codes(operand.form, size, np.random.default_rng(seed))
    values = np.random.default_rng(seed).uniform(-0.5, 0.5, size)
    values += np.copysign(0.5, values)
    return operand.size * (abs(values) if operand.role == "scale" else values)


def _draw_codes(form: DType, size: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the values of codes: each that is a number is as likely as any other."""
    import numpy as np

    codes = rng.integers(0, 256, size, np.uint8)
    values = form.decode(codes)
    return np.where(np.isnan(values), 0.0, values)
