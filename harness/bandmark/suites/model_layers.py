"""The suite model-layers: gemv on the weight matrices of a language model's decode step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bandmark.errors import UsageError
from bandmark.results.case import matrix_of, model_of
from bandmark.results.row import MEASURED, Row
from bandmark.suites.base import Group, TableColumn, Values
from bandmark.suites.kernels import KernelGroup, KernelSuite
from bandmark.suites.selection import (
    GEMV,
    buffer_sets,
    check_variants,
    kernel_columns,
    planned_cases,
    selected_dtypes,
    selected_kernels,
    with_columns,
)
from bandmark.suites.sizing import MAX_LAYER_SETS
from bandmark.suites.table import LEGEND, WEIGHTS_LEGEND, bandwidth_columns
from bandmark.units import format_bytes, format_seconds
from bandmark_kernels import DTYPES, DType, Kernel, Shape

if TYPE_CHECKING:
    from bandmark.backends.select import Target
    from bandmark.models.model import Matrix
    from bandmark.options import RunOptions

_MATRIX_TIME_S = 9.0
_QUICK_MATRIX_TIME_S = 3.0
"""Seconds of sampling for each matrix."""

_REST_OF_STEP = "Attention over the cache, norms and all else that a token takes come on top."


@dataclass(frozen=True, slots=True, kw_only=True)
class _MatrixGroup(KernelGroup):
    """A matrix of a model in one format, on every backend; its size is never changed."""

    halved_what: str = "the number of sets"
    max_sets: int = MAX_LAYER_SETS

    def copies(self) -> int:
        """Return how many buffer sets launches rotate through, on a CPU too: a step reads each matrix from memory."""
        cases = self.runnable
        if not cases:
            return 1
        # Libraries on a CPU share their sets; on a device each case has its own.
        sets = 1 if cases[0].backend.threads is not None else len(cases)
        return self._rotation(sets=sets)

    def halved(self) -> Group | None:
        """Return the group with half the buffer sets."""
        half = self.copies() // 2
        return replace(self, max_sets=half) if half else None


class ModelLayers(KernelSuite):
    """GEMV on a model's matrices."""

    name = "model-layers"
    row_suites = (GEMV.suite,)
    kernel_names = (GEMV.name,)
    headline_kernels = kernel_names
    title = "gemv on the weight matrices of a model's decode step (--layer MODEL)"
    in_all = False
    own_options = ("layer",)

    def is_default(self, options: RunOptions) -> bool:
        """Return whether a model is named."""
        return options.layer is not None

    def owns(self, row: Row) -> bool:
        """Return whether a row is of a model's matrix."""
        return row.layer is not None

    def check(self, options: RunOptions) -> None:
        """Raise UsageError without a known model, or for options that do not go with one."""
        if options.layer is None:
            raise UsageError("--suite model-layers needs a model: add --layer llama-3.1-8b, or a config.json.")
        if options.size_bytes is not None:
            raise UsageError("--layer takes the sizes of the model's matrices: leave --size out.")
        if not self.kernels(options):
            raise UsageError("--layer is for gemv: add it to --kernel, or leave --kernel out.")
        _matrices(options.layer)
        selected_dtypes(options, [])

    def notes(self, options: RunOptions) -> list[str]:
        """Return what the options give up."""
        return ["--quick takes few samples: a first look"] if options.quick else []

    def kernels(self, options: RunOptions) -> list[Kernel]:
        """Return gemv, or gemv in the formats of quantized weights that were asked for."""
        return [kernel for kernel in selected_kernels(options) if kernel.name == GEMV.name]

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each format and matrix."""
        assert options.layer is not None
        kernels = self.kernels(options)
        # As narrow as libraries multiply matrices at the speed of memory.
        default = DTYPES["float32"] if target.on_cpu else DTYPES["float16"]
        check_variants(options.variants, kernels, target.backends)
        return [
            self._matrix_group(kernel, dtype, matrix, options=options, target=target)
            for kernel in kernels
            for dtype in kernel.dtypes_among(selected_dtypes(options, [default]))
            for matrix in _matrices(options.layer)
        ]

    def _matrix_group(
        self, kernel: Kernel, dtype: DType, matrix: Matrix, *, options: RunOptions, target: Target
    ) -> _MatrixGroup:
        """Return the group of a model's matrix, which is measured as it is or not at all."""
        cases = planned_cases(kernel, dtype, target.backends, options.variants)
        shape = Shape(matrix.n, m=matrix.m)
        if left_out := _left_out(kernel, dtype, shape, buffer_sets(kernel, cases), target):
            cases = [case if case.skip_reason else replace(case, **left_out) for case in cases]
        runs = any(case.skip_reason is None for case in cases)
        columns = {**kernel_columns(kernel, dtype, shape), "layer": matrix.label, "layer_uses": matrix.uses}
        return _MatrixGroup(
            suite=self,
            label=f"{kernel.label} {dtype.name} {matrix.name}",
            cases=with_columns(cases, columns),
            min_time_s=(_QUICK_MATRIX_TIME_S if options.quick else _MATRIX_TIME_S) if runs else None,
            kernel=kernel,
            dtype=dtype,
            shape=shape,
        )

    def case_columns(self, row: Row) -> Mapping[str, Any] | None:
        """Return what the kernel table says of a stored row, with the matrix that the row names."""
        columns = super().case_columns(row)
        return None if columns is None else {**columns, "layer": row.layer, "layer_uses": row.layer_uses}

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of the table that people see."""
        return bandwidth_columns(weights=True, matrices=True)

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        return f"{WEIGHTS_LEGEND} {LEGEND}"

    def headline(self, rows: Sequence[Row]) -> str | None:
        """Return bytes, time and bandwidth of one decode step's matrices, a line for each setting."""
        return "\n".join(step_totals(rows)) or None


def _matrices(name: str) -> list[Matrix]:
    from bandmark.models.config import find_matrices  # only a run with --layer reads models

    return find_matrices(name)


def _left_out(kernel: Kernel, dtype: DType, shape: Shape, sets: int, target: Target) -> Values:
    """Return why a matrix is not measured and the status of its rows, as fields of Case; empty if it is measured."""
    needed, budget = sets * kernel.working_set(shape, dtype), target.backends[0].budget()
    if shape.n % kernel.column_multiple:
        needs = f"quantized rows a multiple of {kernel.column_multiple}"
        return {"skip_reason": f"its rows have {shape.n} weights, and {needs}"}
    if needed > budget.limit_bytes:
        reason = f"it needs {format_bytes(needed)}, but {budget.explanation}: {format_bytes(budget.limit_bytes)}"
        return {"skip_reason": reason, "skip_status": "skipped"}
    return {}


def matrix_shapes(rows: Sequence[Row]) -> list[str]:
    """Return a line for each model: its matrices, each with rows, columns and uses."""
    lines = []
    for model in _models(rows):
        own = [row for row in rows if model_of(row) == model]
        matrices = {matrix_of(r): f"{matrix_of(r)} {r.m} x {r.n}, {r.layer_uses}" for r in own}
        lines.append(f"matrices of {model} (rows x columns, how often in a step): {'; '.join(matrices.values())}")
    return lines


def step_totals(rows: Sequence[Row]) -> list[str]:
    """Return a line for each model, backend and format: bytes, time and bandwidth of one step's matrices."""
    lines = []
    for model in _models(rows):
        own = sorted((row for row in rows if model_of(row) == model), key=setting)
        names = list(dict.fromkeys(matrix_of(row) for row in rows if model_of(row) == model))
        sums = [line for _, group in groupby(own, key=setting) for line in _step_total(list(group), names)]
        if sums:
            lines.append(f"One decode step's matrices of {model}, one after the other, at the median times above:")
            lines += [*sums, _REST_OF_STEP]
    return lines


def _models(rows: Sequence[Row]) -> list[str]:
    return [model for model in dict.fromkeys(model_of(row) for row in rows) if model]


def setting(row: Row) -> tuple[str, ...]:
    """Return what is equal among the rows that add up."""
    return (model_of(row), row.device, row.backend, row.dtype, row.weight_format or "", row.variant or "")


def adds_up(row: Row) -> bool:
    """Return whether a row is of a model's matrix that was measured, so that its time counts in a step."""
    return row.status in MEASURED and bool(row.time_median_s and row.layer_uses)


def total(rows: Sequence[Row]) -> tuple[int, float]:
    """Return bytes and seconds of as many launches of each row as a step uses such matrices."""
    seconds = sum((row.layer_uses or 0) * (row.time_median_s or 0.0) for row in rows)
    return sum((row.layer_uses or 0) * (row.bytes_moved or 0) for row in rows), seconds


def _step_total(rows: Sequence[Row], names: Sequence[str]) -> Iterator[str]:
    """Yield the line of one setting; none where nothing was measured, and no sum where a matrix is missing."""
    first = rows[0]
    label = " ".join(filter(None, (first.backend, first.number_format, first.variant)))
    measured = {matrix_of(row): row for row in rows if adds_up(row)}
    if not measured:
        return
    if missing := [name for name in names if name not in measured]:
        yield f"{label}: no sum, for {', '.join(missing)} {'was' if len(missing) == 1 else 'were'} not measured"
        return
    moved, seconds = total(list(measured.values()))
    text = f"{label}: {moved / 1e9:.4g} GB in {format_seconds(seconds)}, {moved / seconds / 1e9:.4g} GB/s"
    yield "; ".join([text, *_doubts(measured)])


def _doubts(measured: Mapping[str, Row]) -> Iterator[str]:
    """Yield which matrices of a step were not read from memory, and which are suspect."""
    doubtful = {
        "not from memory": [name for name, row in measured.items() if row.regime in ("cache", "mixed")],
        "suspect": [name for name, row in measured.items() if row.status != "ok"],
    }
    for words, names in doubtful.items():
        if names:
            yield f"{words}: {'all' if len(names) == len(measured) else ', '.join(names)}"
