"""Are the inputs random, in range, repeatable, and bounded for kernels that work in place?"""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from bandmark_kernels import DTYPES, KERNELS, Shape
from bandmark_kernels.core.checks import _TILE_ELEMENTS, TILE_ROWS, make_inputs
from kernel_cases import cases, operands, shape_of


@pytest.mark.parametrize(("name", "dtype"), cases())
def test_values_are_in_range(name: str, dtype: str) -> None:
    """Magnitudes lie between a quarter and one, whatever is rounded: nothing overflows, nothing is subnormal."""
    kernel = KERNELS[name]
    inputs = make_inputs(kernel, DTYPES[dtype], shape_of(kernel, 1 << 20, Shape(4096, m=100)), seed=1)
    for value in inputs.values().values():
        sizes = abs(value)
        assert sizes.min() >= 0.25
        assert sizes.max() <= 1


def test_the_seed_decides() -> None:
    """The same seed gives the same bits, another seed others, and no two operands the same."""
    tiles = [make_inputs(KERNELS["triad"], DTYPES["float64"], Shape(1000), seed=seed).tiles for seed in (1, 1, 2)]
    np.testing.assert_array_equal(tiles[0]["b"], tiles[1]["b"])
    assert not np.array_equal(tiles[0]["b"], tiles[2]["b"])
    assert not np.array_equal(tiles[0]["b"], tiles[0]["c"])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_random_data_do_not_compress(dtype: str) -> None:
    """A general compressor finds nothing in the random tiles but the constant exponent; zeros it compresses away."""
    constant_bits = {"float64": 11, "float32": 8}[dtype]
    width = 8 * DTYPES[dtype].itemsize
    for pattern, low, high in (("random", 0.98 * (1 - constant_bits / width), 1.0), ("zeros", 0.0, 0.01)):
        inputs = make_inputs(KERNELS["read"], DTYPES[dtype], Shape(1 << 17), seed=1, pattern=pattern)  # type: ignore[arg-type]
        data = inputs.tiles["a"].tobytes()
        assert low <= len(zlib.compress(data)) / len(data) <= high


@pytest.mark.parametrize("length", [_TILE_ELEMENTS, TILE_ROWS])
def test_tiles_have_prime_length(length: int) -> None:
    """No power-of-two step through an array lands on equal data."""
    assert all(length % k for k in range(2, int(length**0.5) + 1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_nstream_stays_where_it_is(dtype: str) -> None:
    """The timed b is exactly -s c, in every dtype, so that any number of timed launches leaves a unchanged."""
    kernel, found = KERNELS["nstream"], DTYPES[dtype]
    arrays = operands(make_inputs(kernel, found, Shape(1000), seed=3))
    b, c = found.decode(arrays["b"]), found.decode(arrays["c"])
    assert np.all(b + kernel.scalars["s"] * c == 0)
    assert not np.any(b + kernel.check_scalars["s"] * c == 0)


@pytest.mark.parametrize("name", ["dot", "read"])
def test_the_last_term_of_a_reduction_stands_out(name: str) -> None:
    """The last element's term is a thousand times the others, so that a dropped tail can't hide."""
    kernel = KERNELS[name]
    arrays = operands(make_inputs(kernel, DTYPES["float64"], Shape(5000), seed=1))
    terms = abs(kernel.reference(**{o.name: arrays[o.name] for o in kernel.inputs}))
    assert terms[-1] > 1000 * terms[:-1].max()


def test_half_precision_sums_do_not_overflow() -> None:
    """The sum over 2 ** 31 elements fits float16 at every point: tiles cancel, and the spike is in range."""
    for kernel in (KERNELS["read"], KERNELS["dot"]):
        inputs = make_inputs(kernel, DTYPES["float16"], Shape(1 << 31), seed=1)
        terms = kernel.reference(**{name: DTYPES["float16"].decode(tile) for name, tile in inputs.tiles.items()})
        periods = (1 << 31) // _TILE_ELEMENTS
        assert periods * abs(terms.sum()) + abs(np.cumsum(terms)).max() + 4096 < 65504
