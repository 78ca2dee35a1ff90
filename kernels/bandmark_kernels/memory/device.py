"""Launches of the memory hierarchy's work on a CUDA device: chases, passes, and accesses by pattern."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Any

from bandmark_kernels.core import np
from bandmark_kernels.core.launch import Arg, GridLaunch, count, source
from bandmark_kernels.memory.places import INCREMENT, MULTIPLIER, Pattern, mixing_shift

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILE = 2048
"""float64 elements that a block of passes.cu reads at once: 256 threads, four loads of 16 bytes each."""

_THREADS = 256  # of sums.cu

_BLOCKS_PER_SM = 4  # as many as the launch bounds of sums.cu's users let reside


def chase(hops: int) -> tuple[str, GridLaunch]:
    """Return source and launch of a chase; its array "state", uint64 of shape (3,), holds address, cycles and ns."""
    return source("chase"), GridLaunch(
        "bandmark_chase", (1, 1, 1), (1, 1, 1), (_array("state", "uint64"), count("hops", hops))
    )


def loaded_chase(hops: int, tiles: int, pause: int, grid: int) -> tuple[str, GridLaunch]:
    """Return source and launch of a chase by block 0 while the others read tiles, `pause` cycles apart, until it ends.

    All blocks must be resident together. Array "a", float64, is that of `passes`, "state" that of `chase`. "control",
    uint64 of shape (2,), is 0 before each launch. "counts", uint64, and "partials", float64, both of shape (grid,),
    get tiles read and their sum by block, but for block 0.
    """
    arrays = {"a": "float64", "partials": "float64", "counts": "uint64", "control": "uint64", "state": "uint64"}
    numbers = {"hops": hops, "tiles": tiles, "step": _step(tiles, grid), "pause": pause}
    return source("sums", "chase", "passes", "loaded"), _launch("loaded_chase", grid, arrays, numbers)


def blocks(sm_count: int) -> int:
    """Return how many blocks make the passes."""
    return _BLOCKS_PER_SM * sm_count


def passes(tiles: int, passes: int, sm_count: int) -> tuple[str, GridLaunch]:
    """Return source and launch of passes over an array "a" of tiles; "partials", float64, has an element per block."""
    grid = blocks(sm_count)
    numbers = {"tiles": tiles, "step": _step(tiles, grid), "rounds": tiles * passes}
    return source("sums", "passes"), _launch("passes", grid, {"a": "float64", "partials": "float64"}, numbers)


def expected_sum(tile_sums: NDArray[np.float64], passes: int, sm_count: int) -> float:
    """Return what the partial sums of `passes` add up to, from the sum of each tile."""
    grid = blocks(sm_count)
    return float(expected_sums(tile_sums, (len(tile_sums) * passes - np.arange(grid) + grid - 1) // grid).sum())


def expected_sums(tile_sums: NDArray[np.float64], counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return what each block leaves that has read so many tiles, from the sum of each tile of the array."""
    tiles, grid = len(tile_sums), len(counts)
    laps, rest = np.divmod(counts.astype(np.int64), tiles)
    ways = [tile_sums[(block + np.arange(n) * _step(tiles, grid)) % tiles].sum() for block, n in enumerate(rest)]
    return np.asarray(laps * tile_sums.sum() + ways)


def accesses(
    pattern: Pattern, size: int, progress: NDArray[np.uint64], launches: int, sm_count: int
) -> tuple[str, GridLaunch]:
    """Return source and launch of the accesses of so many launches to an array "words" of `size` bytes.

    They go on from a progress (places.progress_after). Patterns that read leave the sum of all that was read in parts,
    one a block, in "partials", uint64.
    """
    first, number = map(int, progress)
    arrays, end = {"words": f"uint{8 * pattern.itemsize}"}, pattern.accesses(size) * launches
    if pattern.is_random:
        places, width = size // pattern.granule, pattern.granule // pattern.itemsize
        order = {"state": first, "visits": end, "mask": places - 1, "shift": int(mixing_shift(places))}
        numbers = order | {"log_width": _log2(width), "factor": MULTIPLIER, "term": INCREMENT}
    else:
        logs = {"log_count": _log2(pattern.accesses(size)), "log_step": _log2(pattern.step)}
        numbers = {"launch": first} | logs | {"end": end}
    if pattern.writes:
        numbers = {"number": number} | numbers
    else:
        arrays["partials"] = "uint64"
    entry = pattern.kernel if pattern.is_random else "strided"
    return f"#define ITEM_BYTES {pattern.itemsize}\n" + source("sums", "places"), _launch(
        entry, blocks(sm_count), arrays, numbers
    )


def _launch(entry: str, grid: int, arrays: dict[str, str], numbers: dict[str, int]) -> GridLaunch:
    args = [_array(name, dtype) for name, dtype in arrays.items()] + [count(*pair) for pair in numbers.items()]
    return GridLaunch(f"bandmark_{entry}", (grid, 1, 1), (_THREADS, 1, 1), tuple(args))


def _array(name: str, dtype: str) -> Arg:
    return Arg(name, dtype, is_array=True)


def _log2(power: int) -> int:
    return power.bit_length() - 1


def _step(tiles: int, blocks: int) -> int:
    """Return the least number of tiles from turn to turn, modulo their number, by which a block comes past all."""
    return next(step for step in range(blocks, blocks + tiles + 1) if gcd(step, tiles) == 1) % tiles
