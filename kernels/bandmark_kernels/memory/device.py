"""Launches of the chase and the passes on a CUDA device."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

from bandmark_kernels.core import np
from bandmark_kernels.core.launch import Arg, GridLaunch, count, source

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILE = 2048
"""float64 elements that a block of passes.cu reads at once: 256 threads, four loads of 16 bytes each."""

_BLOCKS_PER_SM = 4  # as many as the launch bounds of passes.cu let reside


def chase(hops: int) -> tuple[str, GridLaunch]:
    """Return source and launch of a chase; its array "state", uint64 of shape (3,), holds address, cycles and ns."""
    state = Arg("state", "uint64", is_array=True)
    return source("chase"), GridLaunch("bandmark_chase", (1, 1, 1), (1, 1, 1), (state, count("hops", hops)))


def blocks(sm_count: int) -> int:
    """Return how many blocks make the passes."""
    return _BLOCKS_PER_SM * sm_count


def passes(tiles: int, passes: int, sm_count: int) -> tuple[str, GridLaunch]:
    """Return source and launch of passes over an array "a" of tiles; "partials", float64, has an element per block."""
    grid, rounds = blocks(sm_count), tiles * passes
    args = (Arg("a", "float64", is_array=True), Arg("partials", "float64", is_array=True))
    counts = (count("tiles", tiles), count("step", _step(tiles, grid)), count("rounds", rounds))
    return source("passes"), GridLaunch("bandmark_passes", (grid, 1, 1), (256, 1, 1), (*args, *counts))


def expected_sum(tile_sums: NDArray[np.float64], passes: int, sm_count: int) -> float:
    """Return what the partial sums of `passes` add up to, from the sum of each tile."""
    tiles, grid = len(tile_sums), blocks(sm_count)
    turn, block = np.divmod(np.arange(tiles * passes), grid)
    visits = np.bincount((block + turn * _step(tiles, grid)) % tiles, minlength=tiles)
    return float(visits @ tile_sums)


def _step(tiles: int, blocks: int) -> int:
    """Return the least number of tiles from turn to turn, modulo their number, by which a block comes past all."""
    return next(step for step in range(blocks, blocks + tiles + 1) if gcd(step, tiles) == 1) % tiles
