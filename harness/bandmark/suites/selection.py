"""Select kernels, dtypes, formats and variants by the options of a run, and name what identifies their cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from bandmark.errors import UsageError, unknown_name
from bandmark.measure.sampling import take
from bandmark.results.row import Row
from bandmark.suites.base import Case, Group, Values
from bandmark.suites.sizing import repacked_sets
from bandmark_kernels import DEFAULT_KERNELS, DTYPES, KERNELS, MATRIX_FORMATS, DType, Kernel, Shape, find_kernel

if TYPE_CHECKING:
    from bandmark.backends.base import Backend
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

GEMV = KERNELS["gemv"]

_TRIALS = 3  # launches of each backend, after one to warm up, of which the fastest counts

T = TypeVar("T")


def selected_kernels(options: RunOptions) -> list[Kernel]:
    """Return the kernels that the options select; where weight formats are given, gemv is in these.

    Raises:
        UsageError: an unknown name, or options that do not go together.
    """
    default = (GEMV.name,) if options.layer else DEFAULT_KERNELS
    kernels = pick_kernels(default if options.kernels is None else options.kernels)
    if options.weights:
        if GEMV not in kernels:
            raise UsageError("--weights is for gemv: add it to --kernel, or leave --weights out.")
        quantized = pick("weight format", options.weights, MATRIX_FORMATS[GEMV.name])
        kernels = [k for kernel in kernels for k in (quantized if kernel is GEMV else [kernel])]
    return kernels if options.heads is None else _with_heads(kernels, options.heads)


def pick_kernels(names: Sequence[str]) -> list[Kernel]:
    """Return the kernels of these names in the table's order, or every one for "all"; kv in all cache formats.

    Raises:
        UsageError: there is no kernel of some name.
    """
    kernels = []
    for kernel in pick("kernel", names, KERNELS):
        kernels += [kernel, *(MATRIX_FORMATS[kernel.name].values() if "heads" in kernel.identity else ())]
    return kernels


def pick(kind: str, names: Sequence[str] | None, table: Mapping[str, T]) -> list[T]:
    """Return the entries of these names in the table's order; all of them for "all" and without names.

    Raises:
        UsageError: a name is not in the table.
    """
    for name in names or ():
        if name not in (*table, "all"):
            raise unknown_name(kind, name, (*table, "all"))
    return [entry for name, entry in table.items() if names is None or name in names or "all" in names]


def _with_heads(kernels: Sequence[Kernel], heads: tuple[int, int, int]) -> list[Kernel]:
    """Return the kernels, attention for these heads; raises UsageError if none is attention or has no such heads."""
    if not any("heads" in kernel.identity for kernel in kernels):
        raise UsageError("--heads is for kv: add it to --kernel, or leave --heads out.")
    try:
        return [find_kernel(k.name, k.weight_format, heads) if "heads" in k.identity else k for k in kernels]
    except ValueError as problem:
        raise UsageError(f"--heads {','.join(map(str, heads))}: {problem}.") from None


def default_dtypes(target: Target, *, quick: bool) -> list[DType]:
    """Return the dtypes of a run that names none."""
    names = ("float64", "float32") if target.on_cpu else ("float32", "float16")
    return [DTYPES[name] for name in (names[:1] if quick else names)]


def selected_dtypes(options: RunOptions, default: list[DType]) -> list[DType]:
    """Return the dtypes that the options name, or else the default."""
    return default if options.dtypes is None else pick("dtype", options.dtypes, DTYPES)


def planned_cases(kernel: Kernel, dtype: DType, backends: Sequence[Backend], variants: Sequence[str]) -> list[Case]:
    """Return each backend's default variants, then those that were asked for by name, still without columns.

    What a device is too old for is a case with the reason, if it was named.
    """
    cases = []
    for backend in backends:
        reason = backend.unsupported_reason(kernel, dtype)
        if reason is not None:
            cases.append(Case(columns={}, backend=backend, skip_reason=reason))
            continue
        lacking = backend.lacking_variants(kernel)
        named = [name for name in (*backend.variants(kernel), *lacking) if name in variants]
        named += backend.variants(kernel) if "all" in variants else ()
        chosen = dict.fromkeys((*backend.default_variants(kernel), *named))
        cases += [Case(columns={}, backend=backend, variant=v, skip_reason=lacking.get(v or "")) for v in chosen]
    return cases


def fastest(group: Group, options: RunOptions) -> Case:
    """Return the case whose launches are the shortest; one that does not run only where none does."""
    if len(group.runnable) < 2:
        return (*group.runnable, *group.cases)[0]
    inputs, copies = group.inputs(options), group.copies()
    return min(group.runnable, key=lambda case: _trial_s(group, case, inputs, copies))


def _trial_s(group: Group, case: Case, inputs: Any, copies: int) -> float:
    """Return the shortest time of a few launches; infinite where the case does not run."""
    try:
        workload = group.prepare(case, inputs, copies)
        try:
            return min([take(workload, 1).seconds for _ in range(1 + _TRIALS)][1:])
        finally:
            workload.close()
    except Exception:  # a library may raise anything; if none runs, the rows say why
        return math.inf


def for_memory_alone(kernel: Kernel, cases: Sequence[Case]) -> list[Case]:
    """Return the cases of arrays that fit a cache: those whose variants are meant for memory say so and do not run."""
    return [
        replace(case, skip_reason=f"{case.variant} is for memory, and these arrays fit a cache")
        if case.skip_reason is None and case.variant in case.backend.default_variants(kernel)[1:]
        else case
        for case in cases
    ]


def check_variants(variants: Sequence[str], kernels: Sequence[Kernel], backends: Sequence[Backend]) -> None:
    """Raise UsageError if no backend has a variant of some name."""
    if variants:
        each = [(backend, kernel) for backend in backends for kernel in kernels]
        known = [
            name for backend, kernel in each for name in (*backend.variants(kernel), *backend.lacking_variants(kernel))
        ]
        pick("variant", variants, dict.fromkeys(known))


def with_columns(cases: Sequence[Case], columns: Values) -> tuple[Case, ...]:
    """Return cases with what is known of their rows, each with its backend."""
    return tuple(replace(case, columns={**case.columns, **columns, "backend": case.backend.name}) for case in cases)


def buffer_sets(kernel: Kernel, cases: Sequence[Case]) -> int:
    """Return how many sets of a kernel's arrays exist at once.

    Backends that share the host's arrays need one set; every case on a device has its own.
    """
    running = [case for case in cases if case.skip_reason is None]
    sets = len({(c.backend.memory_name, None if c.backend.threads else c.variant) for c in running}) or 1
    return sets + repacked_sets(kernel, [case.backend for case in running])


def kernel_columns(kernel: Kernel, dtype: DType, shape: Shape) -> Values:
    """Return what the kernel table says of a case."""
    return {
        "suite": kernel.suite,
        "kernel": kernel.name,
        "dtype": dtype.name,
        "weight_format": kernel.weight_format,
        **kernel.identity,
        **size_columns(kernel, dtype, shape),
    }


def size_columns(kernel: Kernel, dtype: DType, shape: Shape) -> Values:
    """Return the columns that depend on the size of a case."""
    return {
        "n_elements": shape.n_elements,
        "m": shape.m,
        "n": shape.n,
        "working_set_bytes": kernel.working_set(shape, dtype),
        "bytes_read": kernel.bytes_read(shape, dtype),
        "bytes_written": kernel.bytes_written(shape, dtype),
    }


def kernel_of(row: Row) -> Kernel | None:
    """Return the kernel of a row's name, format and heads; None if there is no such kernel."""
    if row.kernel not in KERNELS or row.weight_format not in (None, *MATRIX_FORMATS.get(row.kernel, {})):
        return None
    if "heads" not in KERNELS[row.kernel].identity:
        return find_kernel(row.kernel, row.weight_format)
    if not row.heads or not row.head_dim or not row.n or row.n % row.head_dim:
        return None
    try:
        return find_kernel(row.kernel, row.weight_format, (row.heads, row.n // row.head_dim, row.head_dim))
    except ValueError:
        return None
