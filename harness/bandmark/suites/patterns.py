"""The suite patterns: what remains of the bandwidth where a part of each line or sector of memory is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bandmark.results.row import Row
from bandmark.suites.base import BANDWIDTH, Curve, Draft, Group, RunFacts, TableColumn, Values
from bandmark.suites.ladder import PointSuite, bytes_in_caches, point_columns
from bandmark.suites.table import GBS, KERNEL, LIBRARY, SPREAD, figure
from bandmark_kernels.memory.chase import LINE_BYTES
from bandmark_kernels.memory.places import SECTOR_BYTES, Pattern

if TYPE_CHECKING:
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

_PATTERNS = (
    *(Pattern("read", stride) for stride in (1, 2, 4, 8, 16, 32, 64)),
    *(Pattern(kernel, granule) for kernel in ("gather", "scatter") for granule in (4, 8, 16, 32, 64, 128)),
)
_BY_NAME = {(pattern.kernel, pattern.name): pattern for pattern in _PATTERNS}
_SEQUENTIAL = _PATTERNS[0]

_CACHES = 4
"""Bytes of all threads' arrays in last-level caches, at most; at least half of it, since each is a power of two."""

_MIN_PART_BYTES = 2**14
"""The smallest array of a thread: several granules of each size."""


class Patterns(PointSuite):
    """Useful bandwidth of reads in strides, and of granules at random places."""

    name = "patterns"
    title = "useful bandwidth of memory by stride, and of gather and scatter by granule"
    metric = BANDWIDTH
    kernel_names = ("read", "gather", "scatter")
    dtype_names = ("uint32", "uint64")
    routine = "patterns"

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each kernel."""
        size, threads = bytes_in_caches(options, target, _CACHES), target.backends[0].threads
        part = 2 ** (max(_MIN_PART_BYTES, size // (threads or 1)).bit_length() - 1)
        return self.groups(options, target, [_columns(p, part, threads) for p in _PATTERNS], len(_PATTERNS))

    def _label(self, point: Values) -> str:
        return str(point["kernel"])

    def parameters(self, columns: Mapping[str, Any]) -> Values:
        """Return what the patterns take."""
        pattern = _BY_NAME[columns["kernel"], columns["pattern"]]
        return {"pattern": pattern, "size": columns["working_set_bytes"]}

    def point(self, row: Row) -> Values | None:
        """Return what was known of a stored row."""
        pattern = _BY_NAME.get((row.kernel, row.pattern or ""))
        if pattern is None:
            return None
        return _columns(pattern, (row.n or 0) * pattern.itemsize // (row.threads or 1), row.threads)

    def fill(self, draft: Draft, facts: RunFacts) -> None:
        """Fill the useful bandwidth."""
        draft.fill_bandwidth()

    def shown(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows by kernel, and by stride or granule."""
        order = list(_BY_NAME)
        return sorted(rows, key=lambda row: (order.index((row.kernel, row.pattern or "")), row.backend))

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of the table."""
        return (
            KERNEL,
            LIBRARY,
            TableColumn(title="pattern", text=lambda row: row.pattern, left=True),
            GBS,
            TableColumn(title="used", text=lambda row: f"{100 * (row.line_utilization or 0):.3g}%"),
            TableColumn(title="moved", text=_moved),
            SPREAD,
        )

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        return (
            "GB/s: bytes that the program uses / median time, all threads together; used: their share of each 64-byte "
            "cache line, on a GPU of each 32-byte sector; moved: GB/s of whole lines or sectors. stride-8 reads every "
            "eighth element of 8 bytes; granule-64 reads or writes 64 bytes at random places. A CPU's stores first "
            "read the line that they write, which is not counted."
        )

    def headline(self, rows: Sequence[Row]) -> str | None:
        """Return the granule from which random access reaches half of the sequential bandwidth, by kernel."""
        reads = (row for row in self.measured(rows) if row.pattern == _SEQUENTIAL.name)
        sequential = next((row.bandwidth_gbs for row in reads), None)
        if sequential is None:
            return None
        lines = []
        for name, points in self._points(rows).items():
            reached = [granule for granule, gbs in points if gbs >= sequential / 2]
            least = f"from {reached[0]:.0f} bytes on" if reached else f"not up to {points[-1][0]:.0f} bytes"
            lines.append(f"{name}: half of the sequential {figure(sequential)} GB/s {least}")
        return "\n".join(lines) or None

    def _points(self, rows: Sequence[Row]) -> dict[str, list[tuple[float, float]]]:
        """Return granule and bandwidth of the measured random accesses, by backend and kernel."""

        def granule(row: Row) -> int | None:
            pattern = _BY_NAME[row.kernel, row.pattern or ""]
            return pattern.granule if pattern.is_random else None

        return self.lines(rows, granule)

    def curve(self, rows: Sequence[Row]) -> Curve | None:
        """Return bandwidth over the granule."""
        points = self._points(rows)
        return Curve("useful bandwidth by granule", "GB/s", "bytes of a granule", points) if points else None


def _columns(pattern: Pattern, part: int, threads: int | None) -> Values:
    """Return what is known of a point before it is measured, from the bytes of each thread's array."""
    size, moved = part * (threads or 1), pattern.accesses(part) * pattern.granule * (threads or 1)
    dtype, n = f"uint{8 * pattern.itemsize}", size // pattern.itemsize
    return {
        **point_columns(pattern.kernel, dtype, pattern.name, n=n, size=size, threads=threads),
        "bytes_read": 0 if pattern.writes else moved,
        "bytes_written": moved if pattern.writes else 0,
        "line_utilization": pattern.utilization(LINE_BYTES if threads else SECTOR_BYTES),
    }


def _moved(row: Row) -> str:
    return figure(row.bandwidth_gbs / row.line_utilization if row.bandwidth_gbs and row.line_utilization else None)
