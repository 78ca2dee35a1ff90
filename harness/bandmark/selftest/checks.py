"""Do the CUDA kernels compute rightly on this very device, at sizes that are awkward for them?

The tests of the suite show it without a GPU; a compiler's or a device's own faults show here. Timing has its own checks
(selftest_timing.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bandmark.errors import describe
from bandmark_kernels import DType, Kernel, Shape
from bandmark_kernels.core.cuda import Program
from bandmark_kernels.core.inputs import make_inputs

if TYPE_CHECKING:
    from bandmark.backends.cupy_backend import CupyBackend

PRIME = 100_003

SEED = 1

MOST_NAMED = 3
"""Failures of one check that its line names; the file has all of them."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the page."""

    name: str
    passed: bool | None
    """None where the device does not tell what the check needs."""
    seen: str
    """What was found, with figures."""
    wanted: str
    """What passes, and by which part of the method it is assumed."""
    details: tuple[str, ...] = ()
    """For the file: everything that failed."""


@dataclass(slots=True)
class Results:
    """What was seen of one kernel in all dtypes, variants and sizes."""

    launches: int = 0
    forms: set[tuple[str, str]] = field(default_factory=set)
    worst: float = 0.0
    failures: list[str] = field(default_factory=list)
    spills: list[str] = field(default_factory=list)


def check_results(backend: CupyBackend, kernels: Sequence[Kernel], dtypes: Sequence[DType]) -> Iterator[Check]:
    """Verify each kernel in every dtype, variant and awkward size; yield a check per kernel, then one on spills."""
    spills: list[str] = []
    functions = 0
    for kernel in kernels:
        seen = Results()
        for dtype in kernel.dtypes_among(dtypes):
            for variant in backend.variants(kernel):
                _check_form(backend, kernel, dtype, variant, seen)
        spills += seen.spills
        functions += len(seen.forms)
        yield _of_kernel(kernel, seen)
    yield Check(
        "registers",
        not spills,
        f"{len(spills)} of {functions} forms spill" + _named(spills),
        "no kernel spills registers to memory: that would be traffic which is not counted",
        tuple(spills),
    )


def _of_kernel(kernel: Kernel, seen: Results) -> Check:
    bad = len(seen.failures)
    said = f"{bad} of {seen.launches} wrong" + _named(seen.failures) if bad else f"{seen.launches} right"
    return Check(
        kernel.label,
        not bad and seen.launches > 0,
        f"{said}, worst error {seen.worst:.2g}, {len(seen.forms)} forms",
        "every output within the tolerance (1.0) of its float64 reference",
        tuple(seen.failures),
    )


def _named(failures: Sequence[str]) -> str:
    more = f" and {len(failures) - MOST_NAMED} more" if len(failures) > MOST_NAMED else ""
    return f" ({'; '.join(failures[:MOST_NAMED])}{more})" if failures else ""


def _check_form(backend: CupyBackend, kernel: Kernel, dtype: DType, variant: str, seen: Results) -> None:
    """Verify one compiled form at every size; an error counts as a wrong result, with its reason."""
    form = f"{dtype.name} {variant}"
    try:
        made, functions = backend.compiled(kernel, dtype, variant)
        spilled = max(function.local_size_bytes for function in functions.values())
    except Exception as error:  # CuPy raises many types for a source that does not compile; each is a failure told
        seen.launches += 1
        seen.failures.append(f"{form}: {describe(error)}")
        return
    seen.forms.add((dtype.name, variant))
    if spilled:
        seen.spills.append(f"{kernel.label} {form}: {spilled} bytes a thread")
    for shape in awkward_shapes(made, backend.sm_count):
        seen.launches += 1
        try:
            worst = _error_of(backend, make_inputs(kernel, dtype, shape, seed=SEED), variant)
        except Exception as problem:  # as above; a fault of CUDA makes all later launches fail, too
            seen.failures.append(f"{form} {_size(shape)}: {describe(problem)}")
            continue
        if worst <= 1:
            seen.worst = max(seen.worst, worst)
        else:
            seen.failures.append(f"{form} {_size(shape)}: wrong by {worst:.3g}")


def _error_of(backend: CupyBackend, inputs: Any, variant: str) -> float:
    workload = backend.prepare(inputs, variant, copies=1)
    try:
        return workload.verify()
    finally:
        workload.close()


def awkward_shapes(made: Program, sm_count: int) -> list[Shape]:
    """Return the sizes at which a compiled kernel is verified.

    Around nothing, a warp and a tile (what one block takes at once), a prime, and more than the device holds at once;
    of a matrix few rows and many, odd lengths and whole packs; of a cache few tokens and more than the splits need.
    """
    if made.kernel.columns is not None:
        return [Shape(made.kernel.columns, m=m) for m in (1, 2, 15, 16, 17, 1009, 40_009)]
    tile = made.layout.threads * made.layout.unroll * made.lanes
    if made.kernel.is_matrix:
        pairs = ((1, 1), (31, 33), (33, 31), (7, tile - 1), (5, tile + 1), (3, tile), (5003, 37), (2053, 64))
        return [Shape(n, m=m) for m, n in pairs]
    resident = sm_count * made.layout.blocks_per_sm * tile
    return [Shape(n) for n in (1, 31, 33, tile - 1, tile + 1, PRIME, 2 * resident + 1)]


def _size(shape: Shape) -> str:
    return f"n={shape.n}" if shape.m is None else f"m={shape.m} n={shape.n}"
