"""Which cases does a run consist of, and how large are their arrays?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bandmark.backends.base import Backend
from bandmark.device.memory import MemoryBudget
from bandmark.errors import UsageError, unknown_name
from bandmark.judge.warnings import DRAM_FROM
from bandmark.models.matrices import Matrix
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


SkipStatus = Literal["unsupported", "skipped"]


@dataclass(frozen=True, slots=True)
class Case:
    """One row to be: a kernel of the table on a backend with a dtype and a size."""

    kernel: Kernel
    dtype: DType
    shape: Shape
    backend: Backend
    variant: str | None = None
    """A form of the kernel that was asked for by name; None is the backend's default, which is always there."""
    skip_reason: str | None = None
    """Why the backend does not run it; such a case becomes a row without figures."""
    skip_status: SkipStatus = "unsupported"
    """The status of that row."""
    layer: Matrix | None = None
    """Which matrix of a model it multiplies by; None where its size is a matter of this machine."""

    @property
    def identity(self) -> dict[str, Any]:
        """What tells a row from others of its kernel, dtype and variant, by column."""
        found: dict[str, Any] = {}
        if self.kernel.weight_format is not None:
            found["weight_format"] = self.kernel.weight_format
        if self.layer is not None:
            found |= {"m": self.shape.m, "n": self.shape.n}
        if (heads := self.kernel.attention) is not None:
            found |= {"n": self.shape.n, "heads": heads.heads, "head_dim": heads.head_dim}
        return found


@dataclass(frozen=True, slots=True)
class Group:
    """The cases that are compared with each other, and therefore sampled in turns."""

    kernel: Kernel
    dtype: DType
    shape: Shape
    cases: tuple[Case, ...]

    @property
    def is_layer(self) -> bool:
        """Whether it is of a model's matrix."""
        return self.cases[0].layer is not None

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
    matrices: Sequence[Matrix] = ()
    """--layer: what gemv multiplies by, each in a group of its own, instead of one matrix of memory size."""


def plan(
    kernels: Sequence[Kernel],
    dtypes: Sequence[DType],
    backends: Sequence[Backend],
    sizing: Sizing,
    variants: Sequence[str] = (),
) -> list[Group]:
    """Return the groups of a run, kernel by kernel.

    Args:
        variants: other forms of the kernels to run as rows of their own, beside the default; "all" for every one.

    Raises:
        UsageError: a size asked for does not fit, or no backend has a variant of that name.
    """
    _check_variants(variants, kernels, backends)
    groups = []
    for kernel in kernels:
        for dtype in kernel.dtypes_among(dtypes):
            found = list(_forms(kernel, dtype, backends, variants))
            # Backends that share the host's arrays need one set; every case on a device has its own.
            running = [(b, name) for b, name, reason in found if reason is None]
            copies = len({(b.memory_name, None if b.threads else name) for b, name in running}) or 1
            copies += laid_out_anew(kernel, [backend for backend, _ in running])
            if kernel.name == "gemv" and sizing.matrices:
                groups += [
                    _layer_group(kernel, dtype, matrix, forms=found, sizing=sizing, copies=copies)
                    for matrix in sizing.matrices
                ]
                continue
            shape = shape_for(kernel, dtype, array_bytes(kernel, sizing, copies))
            cases = tuple(Case(kernel, dtype, shape, b, name, reason) for b, name, reason in found)
            groups.append(Group(kernel, dtype, shape, cases))
    return groups


Form = tuple[Backend, str | None, str | None]
"""A backend, a variant or None for the default, and why it does not run."""


def laid_out_anew(kernel: Kernel, running: Sequence[Backend]) -> int:
    """Return how many more sets of a kernel's arrays there are because a library lays them out in memory of its own."""
    return sum(backend.name == "torch" and kernel.torch.lays_out for backend in running)


def _layer_group(
    kernel: Kernel, dtype: DType, matrix: Matrix, *, forms: Sequence[Form], sizing: Sizing, copies: int
) -> Group:
    """Return the group of a model's matrix, which is measured as it is or not at all."""
    shape = Shape(matrix.n, m=matrix.m)
    need, budget = copies * kernel.working_set(shape, dtype), sizing.budget
    left_out: str | None = None
    status: SkipStatus = "unsupported"
    if matrix.n % kernel.least_columns:
        left_out = f"its rows have {matrix.n} weights, and packed rows a multiple of {kernel.least_columns}"
    elif need > budget.limit_bytes:
        left_out = f"it needs {format_bytes(need)}, but {budget.explanation}: {format_bytes(budget.limit_bytes)}"
        status = "skipped"
    cases = tuple(
        Case(kernel, dtype, shape, backend, variant, reason or left_out, "unsupported" if reason else status, matrix)
        for backend, variant, reason in forms
    )
    return Group(kernel, dtype, shape, cases)


def _forms(kernel: Kernel, dtype: DType, backends: Sequence[Backend], variants: Sequence[str]) -> Iterator[Form]:
    """Yield backend, variant and reason not to run: the default of each backend, then what was asked for by name."""
    for backend in backends:
        reason = backend.why_not(kernel, dtype)
        yield backend, None, reason
        if variants and reason is None:
            yield from ((backend, v, None) for v in backend.variants(kernel) if v in variants or "all" in variants)


def _check_variants(variants: Sequence[str], kernels: Sequence[Kernel], backends: Sequence[Backend]) -> None:
    if not variants:
        return
    known = dict.fromkeys(v for backend in backends for kernel in kernels for v in backend.variants(kernel))
    for variant in variants:
        if variant not in (*known, "all"):
            raise unknown_name("variant", variant, (*known, "all"))


def array_bytes(kernel: Kernel, sizing: Sizing, copies: int = 1) -> int:
    """Return the bytes of each large array of a kernel, of the largest where they differ.

    Args:
        copies: how many sets of the arrays exist at once, where backends can't share one.
    """
    arrays = kernel.footprint * copies
    if sizing.asked_bytes is not None:
        _check_fits(kernel, sizing.asked_bytes, copies, sizing.budget)
        return sizing.asked_bytes
    llc = sizing.llc_bytes or 0
    traffic = LEAST_TRAFFIC_S * (sizing.peak_gbs or 0) * 1e9 / kernel.traffic
    if sizing.quick:
        wanted = max(DRAM_FROM * QUICK_MARGIN * llc / kernel.footprint, QUICK_LEAST_BYTES, traffic)
    else:
        wanted = max(CACHES * llc, LEAST_BYTES, traffic)
    return min(math.ceil(wanted), int(sizing.budget.default_bytes // arrays))


def _check_fits(kernel: Kernel, size: int, copies: int, budget: MemoryBudget) -> None:
    each = kernel.footprint * copies
    if size * each <= budget.limit_bytes:
        return
    raise UsageError(
        f"--size {format_bytes(size)} needs {format_bytes(math.ceil(size * each))} for the "
        f"{len(kernel.large) * copies} arrays of {kernel.name}, "
        f"but {budget.explanation}: {format_bytes(budget.limit_bytes)}. "
        f"Give --size {_floor(int(budget.limit_bytes // each))} or less."
    )


def _floor(size: int) -> str:
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
    n = max(n - n % kernel.least_columns, kernel.least_columns)
    return Shape(n, m=max(1, elements // n))


def halved(group: Group) -> Group:
    """Return a group with half its elements."""
    shape = group.shape
    half = Shape(shape.n // 2) if shape.m is None else Shape(shape.n, m=max(1, shape.m // 2))
    if half == shape and group.kernel.least_columns == 1:  # rows that are whole groups or heads are never cut
        half = Shape(max(1, shape.n // 2), m=shape.m)
    return replace(group, shape=half, cases=tuple(replace(case, shape=half) for case in group.cases))
