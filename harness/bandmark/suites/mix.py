"""The suite mix: bandwidth by the share of reads, from reads alone to writes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bandmark.results.row import Row
from bandmark.suites.base import TableColumn, Values
from bandmark.suites.kernels import VariedSuite
from bandmark.suites.table import GBS, KERNEL, LIBRARY, SPREAD


class Mix(VariedSuite):
    """Reads to writes 1:0, 3:1, 2:1, 1:1 and 0:1, by the kernels that have them."""

    name = "mix"
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
