"""Which cases does a run consist of, and how large are their arrays?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bandmark.backends.base import Backend
from bandmark.errors import UsageError
from bandmark.judge import DRAM_FROM
from bandmark.memory import MemoryBudget
from bandmark.units import format_bytes
from bandmark_kernels import DType, Kernel, Shape

CACHES = 8
"""Each array is at least this many last-level caches: GPUs with large caches are flat only from there on."""

LEAST_BYTES = 256 * 2**20
QUICK_LEAST_BYTES = 32 * 2**20

LEAST_TRAFFIC_S = 1e-3
"""A launch moves at least what the published peak moves in this time, so that its fixed cost stays under 0.5 %."""

QUICK_MARGIN = 1.05
"""How far above the border of the dram regime the working set of a quick case is."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row to be: a kernel of the table on a backend with a dtype and a size."""

    kernel: Kernel
    dtype: DType
    shape: Shape
    backend: Backend
    variant: str | None = None
    skip_reason: str | None = None
    """Why the backend does not run it; such a case becomes an `unsupported` row."""


@dataclass(frozen=True, slots=True)
class Group:
    """The cases that are compared with each other, and therefore sampled in turns."""

    kernel: Kernel
    dtype: DType
    shape: Shape
    cases: tuple[Case, ...]

    @property
    def runnable(self) -> tuple[Case, ...]:
        """The cases that will be measured."""
        return tuple(case for case in self.cases if case.skip_reason is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """What the size of arrays follows from."""

    llc_bytes: int | None
    peak_gbs: float | None
    budget: MemoryBudget
    asked_bytes: int | None = None
    """--size: bytes of each vector, or of the matrix."""
    quick: bool = False


def plan(
    kernels: Sequence[Kernel],
    dtypes: Sequence[DType],
    backends: Sequence[Backend],
    sizing: Sizing,
    variant: str | None = None,
) -> list[Group]:
    """Return the groups of a run, kernel by kernel; raises UsageError if a size asked for does not fit."""
    groups = []
    for kernel in kernels:
        for dtype in dtypes:
            why_not = [backend.why_not(kernel, dtype) for backend in backends]
            running = [b for b, reason in zip(backends, why_not, strict=True) if reason is None]
            copies = len({backend.memory_name for backend in running}) or 1
            shape = shape_for(kernel, dtype, array_bytes(kernel, sizing, copies))
            cases = (Case(kernel, dtype, shape, b, variant, r) for b, r in zip(backends, why_not, strict=True))
            groups.append(Group(kernel, dtype, shape, tuple(cases)))
    return groups


def array_bytes(kernel: Kernel, sizing: Sizing, copies: int = 1) -> int:
    """Return the bytes of each large array of a kernel.

    Args:
        copies: how many sets of the arrays exist at once, where backends can't share one.
    """
    arrays = len(kernel.large) * copies
    if sizing.asked_bytes is not None:
        _check_fits(kernel, sizing.asked_bytes, arrays, sizing.budget)
        return sizing.asked_bytes
    llc = sizing.llc_bytes or 0
    traffic = LEAST_TRAFFIC_S * (sizing.peak_gbs or 0) * 1e9 / sum(kernel.words)
    if sizing.quick:
        wanted = max(DRAM_FROM * QUICK_MARGIN * llc / len(kernel.large), QUICK_LEAST_BYTES, traffic)
    else:
        wanted = max(CACHES * llc, LEAST_BYTES, traffic)
    return min(math.ceil(wanted), sizing.budget.default_bytes // arrays)


def _check_fits(kernel: Kernel, size: int, arrays: int, budget: MemoryBudget) -> None:
    if size * arrays <= budget.limit_bytes:
        return
    raise UsageError(
        f"--size {format_bytes(size)} needs {format_bytes(size * arrays)} for the {arrays} arrays of {kernel.name}, "
        f"but {budget.explanation}: {format_bytes(budget.limit_bytes)}. "
        f"Give --size {_floor(budget.limit_bytes // arrays)} or less."
    )


def _floor(size: int) -> str:
    """Write a size for the command line, rounded down, so that it is accepted."""
    return f"{size >> 20}MiB" if size >= 1 << 20 else str(size)


def shape_for(kernel: Kernel, dtype: DType, size: int) -> Shape:
    """Return the shape whose large arrays have at most this many bytes: whole elements, and a nearly square matrix.

    Rows of 64 elements and more are a multiple of 64 elements long, so that each starts on a cache line.
    """
    elements = max(1, size // dtype.itemsize)
    if not kernel.is_matrix:
        return Shape(elements)
    n = math.isqrt(elements)
    n -= n % 64 if n >= 64 else 0
    return Shape(n, m=elements // n)
