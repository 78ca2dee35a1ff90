"""The suite bandwidth: every kernel on every backend, in bytes over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bandmark.results.row import Row
from bandmark.suites.base import TableColumn
from bandmark.suites.kernels import KernelSuite
from bandmark.suites.selection import GEMV, selected_dtypes, selected_kernels
from bandmark.suites.table import (
    BEST_LEGEND,
    DERIVED_LEGEND,
    LEGEND,
    STORES_LEGEND,
    WEIGHTS_LEGEND,
    bandwidth_columns,
)
from bandmark_kernels import KERNELS, Kernel
from bandmark_kernels.core.compiled import MODES

if TYPE_CHECKING:
    from bandmark.options import RunOptions

_QUICK_NOTE = "--quick takes the smallest arrays that still count as memory, one dtype and few samples: a first look"


class Bandwidth(KernelSuite):
    """Achieved bandwidth of the kernel table."""

    name = "bandwidth"
    row_suites = tuple(dict.fromkeys(kernel.suite for kernel in KERNELS.values()))
    kernel_names = tuple(KERNELS)
    headline_kernels = ("read", "copy", "triad", "gemv")
    title = "achieved memory bandwidth of each kernel"

    def is_default(self, options: RunOptions) -> bool:
        """Return whether a run that names no suite includes this one: unless a model's matrices are all it measures."""
        return options.layer is None or bool(self.kernels(options))

    def owns(self, row: Row) -> bool:
        """Return whether a row is of the kernel table and of no model's matrix."""
        return row.suite in self.row_suites and row.layer is None

    def check(self, options: RunOptions) -> None:
        """Raise UsageError for kernels, dtypes, formats or heads that do not exist."""
        selected_kernels(options)
        selected_dtypes(options, [])

    def notes(self, options: RunOptions) -> list[str]:
        """Return what --quick gives up, and which kernels exist in none of the dtypes asked for."""
        notes = [_QUICK_NOTE] if options.quick else []
        for kernel in self.kernels(options):
            if options.dtypes is not None and not {"all", *kernel.dtypes} & set(options.dtypes):
                only = f"the only dtype{'s' * (len(kernel.dtypes) > 1)} it has"
                notes.append(f"{kernel.label} runs in {' and '.join(kernel.dtypes)}, {only}; --dtype is for the others")
        return notes

    def kernels(self, options: RunOptions) -> list[Kernel]:
        """Return the kernels to run; where a model's matrices are measured, gemv runs on those alone."""
        kernels = selected_kernels(options)
        return [k for k in kernels if k.name != GEMV.name] if options.layer else kernels

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of the table that people see."""
        return bandwidth_columns(weights=any(r.weight_format for r in rows if r.kernel == GEMV.name))

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        titles = {column.title for column in self.table_columns(rows)}
        optional = {"Gw/s": WEIGHTS_LEGEND, "best": BEST_LEGEND}
        both = [DERIVED_LEGEND] if any(row.percent_of_derived_peak for row in rows) else []
        stores = [STORES_LEGEND] if any(row.variant in MODES[1:] for row in rows) else []
        return " ".join([*(text for title, text in optional.items() if title in titles), *stores, *both, LEGEND])
