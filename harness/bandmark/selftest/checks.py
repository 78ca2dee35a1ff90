"""Check the results of the CUDA kernels on this device, at sizes that are awkward for them.

The tests of the suite check them without a GPU; errors of a compiler or of a device show here. `timing` checks times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bandmark.errors import describe
from bandmark_kernels import DType, Kernel, Shape
from bandmark_kernels.core.checks import make_inputs
from bandmark_kernels.core.cuda import Program

if TYPE_CHECKING:
    from bandmark.backends.cupy_backend import CupyBackend

_PRIME = 100_003
_SEED = 1
_MAX_NAMED = 3
"""Failures that the line of a check names; the file has all of them."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the page."""

    name: str
    passed: bool | None
    """None where the device does not report what the check needs."""
    result: str
    """What was measured, with figures."""
    expected: str
    """What passes, and which part of the method relies on it."""
    details: tuple[str, ...] = ()
    """For the file: every failure."""


@dataclass(slots=True)
class _KernelResults:
    """Results of one kernel in all dtypes, variants and sizes."""

    launches: int = 0
    programs: int = 0
    worst_error: float = 0.0
    failures: list[str] = field(default_factory=list)
    spills: list[str] = field(default_factory=list)

    def check(self, kernel: Kernel) -> Check:
        """Return the line of the kernel."""
        bad = len(self.failures)
        counts = f"{bad} of {self.launches} wrong{_named(self.failures)}" if bad else f"{self.launches} right"
        return Check(
            kernel.label,
            not bad and self.launches > 0,
            f"{counts}, worst error {self.worst_error:.2g}, {self.programs} compiled kernels",
            "every output within the tolerance (1.0) of its float64 reference",
            tuple(self.failures),
        )


def check_results(backend: CupyBackend, kernels: Sequence[Kernel], dtypes: Sequence[DType]) -> Iterator[Check]:
    """Verify each kernel in every dtype, variant and awkward size; yield a check per kernel, then one on spills."""
    spills: list[str] = []
    programs = 0
    for kernel in kernels:
        results = _KernelResults()
        for dtype in kernel.dtypes_among(dtypes):
            for variant in backend.variants(kernel):
                _verify_sizes(backend, kernel, dtype, variant, results)
        spills += results.spills
        programs += results.programs
        yield results.check(kernel)
    yield Check(
        "registers",
        not spills,
        f"{len(spills)} of {programs} compiled kernels spill{_named(spills)}",
        "no kernel spills registers to memory, which would be traffic that is not counted",
        tuple(spills),
    )


def _named(failures: Sequence[str]) -> str:
    """Return the first failures in parentheses."""
    more = f" and {len(failures) - _MAX_NAMED} more" if len(failures) > _MAX_NAMED else ""
    return f" ({'; '.join(failures[:_MAX_NAMED])}{more})" if failures else ""


def _verify_sizes(backend: CupyBackend, kernel: Kernel, dtype: DType, variant: str, results: _KernelResults) -> None:
    """Verify one compiled kernel at every size; an error counts as a wrong result, with its reason."""
    label = f"{dtype.name} {variant}"
    try:
        program, functions = backend.gpu.compiled(kernel, dtype, variant)
        spilled = max(function.local_size_bytes for function in functions.values())
    except Exception as error:  # CuPy raises many types for a source that does not compile; each is a failure
        results.launches += 1
        results.failures.append(f"{label}: {describe(error)}")
        return
    results.programs += 1
    if spilled:
        results.spills.append(f"{kernel.label} {label}: {spilled} bytes a thread")
    for shape in awkward_shapes(program, backend.gpu.sm_count):
        results.launches += 1
        size = f"n={shape.n}" if shape.m is None else f"m={shape.m} n={shape.n}"
        try:
            error_of_size = _error(backend, kernel, dtype, shape, variant)
        except Exception as error:  # as above; after an error of CUDA all later launches fail, too
            results.failures.append(f"{label} {size}: {describe(error)}")
            continue
        if error_of_size <= 1:
            results.worst_error = max(results.worst_error, error_of_size)
        else:
            results.failures.append(f"{label} {size}: wrong by {error_of_size:.3g}")


def _error(backend: CupyBackend, kernel: Kernel, dtype: DType, shape: Shape, variant: str) -> float:
    """Return the error of one launch in units of the tolerance."""
    workload = backend.prepare(make_inputs(kernel, dtype, shape, seed=_SEED), variant, copies=1)
    try:
        return workload.verify()
    finally:
        workload.close()


def awkward_shapes(program: Program, sm_count: int) -> list[Shape]:
    """Return the sizes at which a compiled kernel is verified.

    Vectors: around nothing, a warp and a tile (what one block takes at once), a prime, and more than the device holds
    at once. Matrices: few rows and many, odd lengths and whole packs. Caches: few tokens and more than the splits need.
    """
    if program.kernel.columns is not None:
        return [Shape(program.kernel.columns, m=m) for m in (1, 2, 15, 16, 17, 1009, 40_009)]
    layout = program.layout
    tile = layout.threads * layout.unroll * program.lanes
    if program.kernel.is_matrix:
        pairs = ((1, 1), (31, 33), (33, 31), (7, tile - 1), (5, tile + 1), (3, tile), (5003, 37), (2053, 64))
        return [Shape(n, m=m) for m, n in pairs]
    resident = sm_count * layout.blocks_per_sm * tile
    return [Shape(n) for n in (1, 31, 33, tile - 1, tile + 1, _PRIME, 2 * resident + 1)]
