"""Check the results of the CUDA kernels on this device, at sizes that are awkward for them, and write the page.

The tests of the suite check them without a GPU; errors of a compiler or of a device show here. `timing` checks times.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bandmark import __version__
from bandmark.device.machine import Machine
from bandmark.device.peaks import Peak
from bandmark.errors import describe
from bandmark.session.runner import utc_now
from bandmark.units import format_bytes
from bandmark_kernels import DType, Kernel, Shape
from bandmark_kernels.attention import Attention
from bandmark_kernels.core.checks import make_inputs
from bandmark_kernels.core.cuda import Program
from bandmark_kernels.core.kernel import Inputs

if TYPE_CHECKING:
    from bandmark.backends.cupy_backend import CupyBackend

_PRIME = 100_003
_SEED = 1
_MARKS = {True: "PASS", False: "FAIL", None: "----"}
_MAX_NAMED = 3  # failures that the line of a check names; the file has all of them


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
        wrong = f"{len(results.failures)} of {results.launches} wrong{named(results.failures)}"
        counts = wrong if results.failures else f"{results.launches} right"
        yield Check(
            kernel.label,
            not results.failures and results.launches > 0,
            f"{counts}, worst error {results.worst_error:.2g}, {results.programs} compiled kernels",
            "every output within the tolerance (1.0) of its float64 reference",
            tuple(results.failures),
        )
    yield Check(
        "registers",
        not spills,
        f"{len(spills)} of {programs} compiled kernels spill{named(spills)}",
        "no kernel spills registers to memory, which would be traffic that is not counted",
        tuple(spills),
    )


def named(failures: Sequence[str]) -> str:
    """Return the first failures of a check for its line, in parentheses."""
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
    shapes = _awkward_shapes(program, backend.gpu.sm_count)
    for size, inputs in (sized for shape in shapes for sized in _inputs(kernel, dtype, shape)):
        results.launches += 1
        try:
            error_of_size = _error(backend, inputs, variant)
        except Exception as error:  # as above; after an error of CUDA all later launches fail, too
            results.failures.append(f"{label} {size}: {describe(error)}")
            continue
        if error_of_size <= 1:
            results.worst_error = max(results.worst_error, error_of_size)
        else:
            results.failures.append(f"{label} {size}: wrong by {error_of_size:.3g}")


def _inputs(kernel: Kernel, dtype: DType, shape: Shape) -> Iterator[tuple[str, Inputs]]:
    """Yield the inputs of a size, with the size in words; of attention also those whose scores are far below zero."""
    size = f"n={shape.n}" if shape.m is None else f"m={shape.m} n={shape.n}"
    inputs = make_inputs(kernel, dtype, shape, seed=_SEED)
    yield size, inputs
    if isinstance(kernel.check, Attention):
        yield f"{size} below zero", kernel.check.below_zero(inputs)


def _error(backend: CupyBackend, inputs: Inputs, variant: str) -> float:
    workload = backend.prepare(inputs, variant, copies=1)
    try:
        return workload.verify()
    finally:
        workload.close()


def _awkward_shapes(program: Program, sm_count: int) -> list[Shape]:
    """Return the sizes at which a compiled kernel is verified.

    Vectors: around nothing, a warp and a tile (what one block takes at once), a prime, and more than the device holds
    at once. Matrices: few rows and many, odd lengths and whole packs. Quantized ones: rows around what a block takes,
    and columns around a tile, with splits and without. Caches: few tokens and more than the splits need.
    """
    if program.kernel.columns is not None:
        return [Shape(program.kernel.columns, m=m) for m in (1, 2, 15, 16, 17, 1009, 40_009)]
    layout = program.layout
    tile = layout.threads * layout.unroll * program.lanes
    if (step := program.kernel.column_multiple) > 1:
        tile, rows = 32 * layout.unroll * program.lanes, layout.rows * layout.threads // 32
        few = ((1, step), (rows - 1, 3 * step), (rows, tile - step), (rows + 1, tile), (2053, tile + step))
        return [Shape(n, m=m) for m, n in (*few, (3, 4 * tile + step), (1, 16 * tile), (2053, 64 * step + step))]
    if program.kernel.is_matrix:
        pairs = ((1, 1), (31, 33), (33, 31), (7, tile - 1), (5, tile + 1), (3, tile), (5003, 37), (2053, 64))
        return [Shape(n, m=m) for m, n in pairs]
    resident = sm_count * layout.blocks_per_sm * tile
    return [Shape(n) for n in (1, 31, 33, tile - 1, tile + 1, _PRIME, 2 * resident + 1)]


def head(backend: CupyBackend, machine: Machine, peak: Peak) -> Iterator[str]:
    """Yield the lines on what is tested, with what."""
    device, facts = backend.device, backend.facts()
    capability = ".".join(map(str, device.compute_capability or ()))
    memory = format_bytes(device.memory_bytes) if device.memory_bytes else "unknown"
    shared = " shared with the system" if device.integrated else ""
    cache = format_bytes(device.llc_bytes) if device.llc_bytes else "unknown"
    yield f"bandmark {__version__} selftest, {utc_now():%Y-%m-%d %H:%M} UTC"
    yield f"device    {device.name}, compute capability {capability}, {device.sm_count} multiprocessors"
    yield f"memory    {memory}{shared}, L2 {cache}, bus {device.bus_width_bits or 'unknown'} bits"
    yield f"peak      {f'{peak.gbs:g} GB/s' if peak.gbs else 'unknown'}"
    yield f"driver    {backend.driver or 'unknown'}, CUDA {facts['cuda_driver']}, runtime {facts['cuda_runtime']}"
    yield f"software  CuPy {backend.version}, NVRTC {facts['nvrtc']}, Python {machine.python_version}"
    yield f"system    {platform.system()} {platform.release()}, {machine.architecture}"
    yield ""


def line(check: Check) -> str:
    """Return a check's line; a check that did not pass has a second one on what passes."""
    expected = "" if check.passed else f"\n      expected: {check.expected}"
    return f"{_MARKS[check.passed]}  {check.name:18} {check.result}{expected}"


def summary(checks: Sequence[Check]) -> str:
    """Return the page's last line."""
    failed = [check.name for check in checks if check.passed is False]
    passed = sum(check.passed is True for check in checks)
    open_count = len(checks) - passed - len(failed)
    text = f"{passed} of {len(checks)} checks passed"
    text += f", {open_count} could not be judged" if open_count else ""
    return f"{text}; FAILED: {', '.join(failed)}" if failed else text


def details(checks: Sequence[Check]) -> Iterator[str]:
    """Yield the lines of the file after the page."""
    for check in checks:
        yield ""
        yield f"{check.name}: {check.expected}"
        yield from (f"  {detail}" for detail in check.details)
