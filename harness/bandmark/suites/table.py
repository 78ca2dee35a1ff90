"""Columns of the tables that people see, and how figures are written in them."""

from __future__ import annotations

from bandmark.judge.bands import REFERENCES
from bandmark.results.case import matrix_of
from bandmark.results.row import Row
from bandmark.suites.base import TableColumn
from bandmark.units import format_bytes
from bandmark_kernels.core.compiled import MODES
from bandmark_kernels.core.dtypes import SHORT_DTYPES

_SHORT_SYSTEMS = ("%Spark", "%5000", "%Stn")
"""Headings of the percentages of REFERENCES, in their order."""

WEIGHTS_LEGEND = "Gw/s: 10^9 weights per second; the dtype column names the format of quantized weights."

DERIVED_LEGEND = "%peak: of the published peak / of memory clock x bus width, which is more than 1 % off it here."

BEST_LEGEND = "best: bytes / shortest time."

STORES_LEGEND = (
    "nt: non-temporal stores, which go past the cache; other stores first read the line that they write "
    "(write-allocate), and GB/s does not count that read."
)

LEGEND = (
    "GB/s: bytes / median time; spread: distance of the quartiles over the median. "
    "GB is 10^9 bytes; each element read or written counts once. %peak: of this device's published peak; "
    "%Spark, %5000, %Stn: of DGX Spark's 273, RTX PRO 5000's 1344 and DGX Station's announced 8000 GB/s "
    "(it ships with 7100). STREAM-style kernels, a variant of STREAM."
)


def figure(value: float | None) -> str:
    """Write a figure with at least three digits: 1310, 231.4, 27.36, 0.00524; - for none."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value:.3g}"
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def percentage(value: float | None) -> str:
    """Write a percentage with two digits: 17, 3.5; - for none."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def spread(row: Row) -> str:
    """Write the distance of a row's quartiles over its median; - for rows without a figure."""
    return "-" if row.iqr_rel is None or row.verified is False else f"{100 * row.iqr_rel:.1f}%"


def dtype(row: Row) -> str:
    """Write the number format of a row in a few letters."""
    return SHORT_DTYPES.get(row.number_format, row.number_format)


def working_set(row: Row) -> str:
    """Write the working set of a row."""
    return format_bytes(row.working_set_bytes) if row.working_set_bytes else "-"


def backend(row: Row) -> str:
    """Write the library of a row, and how it stores where that is not through the cache."""
    return f"{row.backend} {row.variant}" if row.variant in MODES[1:] else row.backend


_BACKEND = TableColumn(title="backend", text=backend, left=True)
_DTYPE = TableColumn(title="dtype", text=dtype, left=True)
KERNEL = TableColumn(title="kernel", text=lambda row: row.kernel, left=True)
LIBRARY = TableColumn(title="backend", text=lambda row: row.backend, left=True)
GBS = TableColumn(title="GB/s", text=lambda row: figure(row.bandwidth_gbs))
BEST = TableColumn(title="best", text=lambda row: figure(row.bandwidth_best_gbs))
SPREAD = TableColumn(title="spread", text=spread)
NS = TableColumn(title="ns", text=lambda row: figure(row.latency_ns))
LEVEL = TableColumn(title="level", text=lambda row: row.level or "-", left=True)
WORKING_SET = TableColumn(title="working set", text=working_set)


def bandwidth_columns(*, weights: bool, matrices: bool = False) -> tuple[TableColumn, ...]:
    """Return the columns of a table of bandwidths.

    Args:
        weights: whether weights per second are shown, in place of the best figure: 80 columns have no room for both.
        matrices: whether all rows are of a model's matrices, which are then named in the first column.
    """
    first = (
        TableColumn(title="matrix", text=matrix_of, left=True)
        if matrices
        else TableColumn(title="kernel", text=lambda row: matrix_of(row) or row.kernel, left=True)
    )
    second = (
        TableColumn(title="Gw/s", text=lambda row: figure(row.weights_per_s and row.weights_per_s / 1e9))
        if weights
        else BEST
    )
    return (
        first,
        _BACKEND,
        _DTYPE,
        GBS,
        second,
        SPREAD,
        TableColumn(title="%peak", text=_percent_of_peak),
        *map(_percent_of, _SHORT_SYSTEMS, (reference.column for reference in REFERENCES)),
    )


def _percent_of_peak(row: Row) -> str:
    both = (row.percent_of_peak, row.percent_of_derived_peak)
    return "/".join(percentage(percent) for percent in both if percent is not None) or "-"


def _percent_of(title: str, column: str) -> TableColumn:
    return TableColumn(title=title, text=lambda row: percentage(row.get(column)))
