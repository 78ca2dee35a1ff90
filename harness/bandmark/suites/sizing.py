"""How large the arrays of a case are, and how many buffer sets launches rotate through."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bandmark.errors import UsageError
from bandmark.judge.warnings import DRAM_FROM
from bandmark.units import format_bytes
from bandmark_kernels import DType, Kernel, Shape

if TYPE_CHECKING:
    from bandmark.backends.base import Backend
    from bandmark.device.memory import MemoryBudget

_MIN_CACHES = 8
"""Each array is at least this many last-level caches: GPUs with large caches are flat only from there on."""

_MIN_BYTES = 256 * 2**20
_QUICK_MIN_BYTES = 32 * 2**20

HIDDEN_LLC_BYTES = 96 * 2**20
"""A last-level cache that a CPU may have though its system does not show it: Apple's system-level caches have up to 96
MiB (M1 Ultra), Ampere's Altra has 32 MiB, and a virtual machine may hide its host's."""

MIN_TRAFFIC_S = 1e-3
"""A launch moves at least what the peak moves in this time, so that its fixed cost stays under 0.5 %."""

_MIN_REDUCTION_TRAFFIC_S = 3e-3
"""The same for reductions: adding up the blocks' sums is a launch of its own, which then costs under 0.2 %.
Launches of an H200 are 2.5 us apart (github.com/te42kyfo/gpu-benches, gpu-small-kernels/h200.txt), and that one reads
what fits a few memory latencies."""

_SAMPLING_SHARE = 0.6
"""Share of a group's time in which all its samples should fit, by the speed of a plain copy: the rest is for warm-up
and for libraries that are slower."""

_QUICK_MARGIN = 1.05
"""How far above the border of the dram regime the working set of a quick case is."""

_ROTATED_CACHES = 5
"""The buffer sets fill this many last-level caches, and one set more, so that none is read again while it is cached:
as FlashInfer's benchmarks do, with a margin over the 1.7 caches from which cyclic reads run at the speed of memory."""

MAX_SETS = 64

MAX_LAYER_SETS = 4096
"""The same for a model's matrices, which are small beside a cache of hundreds of MiB and are to be read from memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """What the size of arrays follows from."""

    llc_bytes: int | None
    peak_gbs: float | None
    budget: MemoryBudget
    size_bytes: int | None = None
    """--size: bytes of each vector, or of the matrix."""
    quick: bool = False
    hidden_llc_bytes: int = 0
    """The last-level cache that there may be though the system does not show it: the smallest sizes stay out of it."""
    max_traffic_bytes: float = math.inf
    """Bytes that a launch may move, so that there is time for enough samples. It yields to the dram regime."""


def array_bytes(kernel: Kernel, sizing: Sizing, sets: int = 1) -> int:
    """Return the bytes of each large array of a kernel, of the largest where they differ.

    Args:
        kernel: the kernel.
        sizing: what the size follows from.
        sets: how many sets of the arrays exist at once, where backends can't share one.

    Raises:
        UsageError: the size asked for does not fit.
    """
    if sizing.size_bytes is not None:
        _check_fits(kernel, sizing.size_bytes, sets, sizing.budget)
        return sizing.size_bytes
    llc = sizing.llc_bytes or 0
    seconds = _MIN_REDUCTION_TRAFFIC_S if kernel.is_reduction else MIN_TRAFFIC_S
    traffic = seconds * (sizing.peak_gbs or 0) * 1e9 / kernel.traffic
    cache = max(llc, sizing.hidden_llc_bytes)
    smallest = max(DRAM_FROM * _QUICK_MARGIN * cache / kernel.footprint, _QUICK_MIN_BYTES, traffic)
    wanted = max(_MIN_CACHES * llc, _MIN_BYTES, traffic)
    if sizing.quick or sizing.max_traffic_bytes < wanted * kernel.traffic:
        wanted = smallest if sizing.quick else max(smallest, sizing.max_traffic_bytes / kernel.traffic)
    return min(math.ceil(wanted), int(sizing.budget.default_bytes // (kernel.footprint * sets)))


def max_traffic(copy_gbs: float, share_s: float, cases: int, samples: int) -> float:
    """Return the bytes that a launch may move so that every case reaches a number of samples.

    Args:
        copy_gbs: how fast the memory is, roughly.
        share_s: seconds of sampling that the group has.
        cases: how many cases share them.
        samples: how many each should take.
    """
    return _SAMPLING_SHARE * share_s / (cases * samples) * copy_gbs * 1e9


def _check_fits(kernel: Kernel, size: int, sets: int, budget: MemoryBudget) -> None:
    per_byte = kernel.footprint * sets
    if size * per_byte <= budget.limit_bytes:
        return
    raise UsageError(
        f"--size {format_bytes(size)} needs {format_bytes(math.ceil(size * per_byte))} for the "
        f"{len(kernel.large) * sets} arrays of {kernel.name}, "
        f"but {budget.explanation}: {format_bytes(budget.limit_bytes)}. "
        f"Give --size {_rounded_down(int(budget.limit_bytes // per_byte))} or less."
    )


def _rounded_down(size: int) -> str:
    """Write a size for the command line, rounded down, so that it is accepted."""
    return f"{size >> 20}MiB" if size >= 1 << 20 else str(size)


def shape_for(kernel: Kernel, dtype: DType, size: int) -> Shape:
    """Return the shape whose largest arrays have at most this many bytes: whole elements, and a nearly square matrix.

    Rows of 64 elements and more are a multiple of 64 elements long, so that each starts on a cache line. Attention has
    as many columns as its heads have elements, whatever the size.
    """
    elements = max(1, size * 8 // kernel.element_bits(dtype))
    if kernel.columns is not None:
        return Shape(kernel.columns, m=max(1, elements // kernel.columns))
    if not kernel.is_matrix:
        return Shape(elements)
    n = math.isqrt(elements)
    n -= n % 64 if n >= 64 else 0
    n = max(n - n % kernel.column_multiple, kernel.column_multiple)
    return Shape(n, m=max(1, elements // n))


def halved(kernel: Kernel, shape: Shape) -> Shape:
    """Return a shape with half the elements; rows that are whole scale groups or heads are never cut."""
    half = Shape(shape.n // 2) if shape.m is None else Shape(shape.n, m=max(1, shape.m // 2))
    if half == shape and kernel.column_multiple == 1:
        half = Shape(max(1, shape.n // 2), m=shape.m)
    return half


def repacked_sets(kernel: Kernel, backends: Sequence[Backend]) -> int:
    """Return how many more sets of a kernel's arrays there are because a library copies them into its own layout."""
    used = (kernel.implementations.get(backend.name) for backend in backends)
    return sum(implementation is not None and implementation.repacks for implementation in used)


def rotation_sets(set_bytes: int, llc_bytes: int | None, room_bytes: int, max_sets: int) -> int:
    """Return how many buffer sets to rotate through so that every launch misses the last-level cache.

    Args:
        set_bytes: bytes of all arrays of a case.
        llc_bytes: the last-level cache; None if unknown.
        room_bytes: what all sets of the case may take.
        max_sets: how many sets there may be.
    """
    llc = llc_bytes or 0
    if set_bytes >= DRAM_FROM * llc:
        return 1
    wanted = -(-_ROTATED_CACHES * llc // set_bytes) + 1
    return max(1, min(wanted, max_sets, room_bytes // set_bytes))
