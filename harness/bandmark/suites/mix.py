"""The suite mix: bandwidth by the share of reads, from reads alone to writes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bandmark.results.row import Row
from bandmark.suites.bandwidth import Bandwidth
from bandmark.suites.base import Curve, Group, TableColumn, Values
from bandmark.suites.table import GBS, KERNEL, LIBRARY, SPREAD
from bandmark_kernels import KERNELS, Kernel

if TYPE_CHECKING:
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

_SUITE_S = 30.0
_QUICK_SUITE_S = 10.0


class VariedBandwidth(Bandwidth):
    """Base of the suites that measure kernels of the table in cases of their own, in float64."""

    headline_kernels: tuple[str, ...] = ()
    is_curve = True

    def is_default(self, options: RunOptions) -> bool:
        """Return False: they run where they are named."""
        return False

    def owns(self, row: Row) -> bool:
        """Return whether a row names the suite."""
        return row.suite == self.name

    def check(self, options: RunOptions) -> None:
        """Accept all options: none selects cases here."""

    def notes(self, options: RunOptions) -> list[str]:
        """Return nothing."""
        return []

    def kernels(self, options: RunOptions) -> list[Kernel]:
        """Return the suite's kernels."""
        return [KERNELS[name] for name in self.kernel_names]

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each kernel, with the suite's own columns."""
        groups = super().plan(replace(options, kernels=None, dtypes=("float64",), variants=()), target)
        seconds = self.time_limit_s(options, 0) / max(1, len(groups))
        return [
            replace(
                group,
                min_time_s=seconds,
                cases=tuple(replace(c, columns={**c.columns, **self.own_columns(c.columns)}) for c in group.cases),
            )
            for group in groups
        ]

    def own_columns(self, columns: Mapping[str, Any]) -> Values:
        """Return the columns that make a case of the kernel table one of the suite."""
        raise NotImplementedError

    def time_limit_s(self, options: RunOptions, cases: int) -> float:
        """Return the seconds of sampling."""
        return _QUICK_SUITE_S if options.quick else _SUITE_S

    def case_columns(self, row: Row) -> Mapping[str, Any] | None:
        """Return what the kernel table says of a stored row, with the suite's own columns."""
        columns = super().case_columns(row)
        return None if columns is None else {**columns, **self.own_columns({**columns, "pattern": row.pattern})}


class Mix(VariedBandwidth):
    """Reads to writes 1:0, 3:1, 2:1, 1:1 and 0:1, by the kernels that have them."""

    name = "mix"
    row_suites = ("mix",)
    kernel_names = ("read", "nstream", "add", "copy", "write")
    title = "bandwidth by the share of reads: read, nstream (3:1), add (2:1), copy (1:1), write"

    def own_columns(self, columns: Mapping[str, Any]) -> Values:
        """Return the share of reads."""
        share = columns["bytes_read"] / (columns["bytes_read"] + columns["bytes_written"])
        return {"suite": self.name, "pattern": "mix", "read_fraction": float(f"{share:.4g}")}

    def shown(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows from reads alone to writes alone."""
        return sorted(rows, key=lambda row: -(row.read_fraction or 0.0))

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of the table."""
        return (
            KERNEL,
            LIBRARY,
            TableColumn(title="variant", text=lambda row: row.variant or "-", left=True),
            TableColumn(
                title="reads", text=lambda row: f"{row.read_fraction:.2f}" if row.read_fraction is not None else "-"
            ),
            GBS,
            SPREAD,
        )

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        return (
            "reads: share of the bytes that are read. On a CPU, normal stores first read the line that they fill, "
            "which is not counted; nt stores go past the caches and do not. nstream reads what it writes."
        )

    def curve(self, rows: Sequence[Row]) -> Curve | None:
        """Return nothing: five shares are read off the table."""
        return None
