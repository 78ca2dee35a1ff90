"""The suite sweep: bandwidth of one processor or of a GPU by working set, from the first level of caches to memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bandmark.results.row import Row
from bandmark.suites.base import BANDWIDTH, Draft, Group, RunFacts, TableColumn, Values
from bandmark.suites.ladder import Ladder, bytes_in_caches, first_cpu, ladder, point_columns
from bandmark.suites.table import BEST, GBS, KERNEL, LEVEL, LIBRARY, SPREAD, WORKING_SET
from bandmark_kernels.memory.passes import PASSES

if TYPE_CHECKING:
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

_LAUNCH_BYTES = 16 * 2**20
"""Bytes that a launch moves at least: a tenth of a millisecond, so that its call is nothing."""

_QUICK_DENSE_BYTES = 8 * 2**20
"""Up to where --quick takes two working sets an octave: no level's plateau is narrow beyond."""

_LARGEST_CACHES = 4
"""The largest working set, in last-level caches."""

_MAX_CORE_GBS = 2000.0
"""Above what one core moves: two 64-byte loads and a 64-byte store in each cycle of 6.5 GHz are 1250 GB/s."""


class Sweep(Ladder):
    """Bandwidth of read, copy and triad by working set."""

    name = "sweep"
    title = "bandwidth of one core, or of a whole GPU, by working set: each cache level, and memory"
    metric = BANDWIDTH
    kernel_names = tuple(PASSES)
    routine = "passes"
    min_step = 1.12

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each octave of working sets."""
        offered, threads = self.offered(target), 1 if target.on_cpu else None
        kernels, granule = (offered.kernels, offered.granule) if offered else (tuple(PASSES), 8)
        sizes = dict.fromkeys(size - size % granule for size in self._sizes(options, target) if size >= granule)
        return self.groups(options, target, [pass_columns(k, size, threads) for size in sizes for k in kernels], 12)

    def _sizes(self, options: RunOptions, target: Target) -> list[int]:
        largest = bytes_in_caches(options, target, _LARGEST_CACHES)
        if not options.quick:
            return ladder(largest, 4)
        return [size for size in ladder(largest, 2) if size <= _QUICK_DENSE_BYTES or size.bit_count() == 1]

    def parameters(self, columns: Mapping[str, Any]) -> Values:
        """Return what the passes take."""
        kernel, n = columns["kernel"], columns["n"]
        return {"kernel": kernel, "n": n, "count": passes(PASSES[kernel].arrays * n * 8)}

    def point(self, row: Row) -> Values | None:
        """Return what was known of a stored row."""
        if row.kernel not in PASSES or row.pattern != "sweep":
            return None
        return pass_columns(row.kernel, (row.n or 0) * 8 * PASSES[row.kernel].arrays, row.threads)

    def fill(self, draft: Draft, facts: RunFacts) -> None:
        """Fill the bandwidth."""
        draft.values["cpus"] = first_cpu(draft.values.get("cpus"))
        draft.fill_bandwidth()

    def impossible(self, row: Row) -> Iterator[tuple[str, float, str]]:
        """Yield a bandwidth above what a core can move."""
        if row.threads and row.bandwidth_gbs is not None and row.bandwidth_gbs > _MAX_CORE_GBS:
            yield "bandwidth_gbs", row.bandwidth_gbs, f"at most {_MAX_CORE_GBS:g} GB/s, more than any core moves"

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of the table."""
        return (
            KERNEL,
            LIBRARY,
            WORKING_SET,
            GBS,
            BEST,
            SPREAD,
            LEVEL,
        )

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        return (
            "GB/s: bytes / median time, of one processor in float64, on a GPU of all its multiprocessors; a working "
            "set is all arrays of the kernel. "
            "Stores that fill a line from memory first read it, which is not counted. "
            "Whole octaves are shown; the CSV has every working set."
        )


def passes(working_set_bytes: int) -> int:
    """Return how many passes a launch makes."""
    return max(1, -(-_LAUNCH_BYTES // working_set_bytes)) if working_set_bytes else 1


def pass_columns(kernel: str, size: int, threads: int | None = 1) -> Values:
    """Return what is known of a point before it is measured; its arrays have a multiple of 8 elements."""
    kind = PASSES[kernel]
    n = size // (8 * kind.arrays) // 8 * 8
    count = passes(kind.arrays * n * 8)
    moved = {"bytes_read": kind.reads * n * 8 * count, "bytes_written": kind.writes * n * 8 * count}
    return point_columns(kernel, "float64", "sweep", n=n, size=kind.arrays * n * 8, threads=threads) | moved
