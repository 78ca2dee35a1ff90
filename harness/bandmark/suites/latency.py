"""The suite latency: the time of a load that depends on the one before, by working set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bandmark.results.row import Row
from bandmark.suites.base import Draft, Group, Metric, RunFacts, TableColumn, Values
from bandmark.suites.ladder import Ladder, bytes_in_caches, first_cpu, ladder, llc_bytes, point_columns
from bandmark.suites.table import LEVEL, LIBRARY, NS, SPREAD, WORKING_SET, figure
from bandmark_kernels.memory.chase import LINE_BYTES, PATTERNS, WINDOW_BYTES

if TYPE_CHECKING:
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

_WORD = 8
"""Bytes of an address."""

_HOPS = ((64 * 2**10, 2**17), (2 * 2**20, 2**15))
"""Up to which working set a launch makes how many hops: 0.1 ms or more, beside which its call is nothing."""

_FAR_HOPS = 2**12

_LARGEST_CACHES = 8
"""The largest working set, in last-level caches."""

_MIN_NS = 0.3
"""Less than the three cycles of the fastest first level at the highest clock on sale take (0.48 ns)."""


def hops(working_set_bytes: int) -> int:
    """Return how many accesses a launch makes."""
    return next((count for size, count in _HOPS if working_set_bytes <= size), _FAR_HOPS)


class Latency(Ladder):
    """Latency of dependent loads."""

    name = "latency"
    title = "latency of dependent loads by working set: each cache level, and memory"
    metric = Metric(name="latency", column="latency_ns", unit="ns", higher_is_better=False)
    kernel_names = ("chase",)
    dtype_names = ("uint64",)
    routine = "chase"
    min_step = 1.5

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each octave of working sets."""
        offered, threads = self.offered(target), 1 if target.on_cpu else None
        patterns, sizes = offered.patterns if offered else PATTERNS, self._sizes(options, target)
        wanted = [(p, size) for size in sizes for p in patterns if p != "window" or size > WINDOW_BYTES]
        return self.groups(options, target, [chase_columns(p, size, threads) for p, size in wanted], 12)

    def _sizes(self, options: RunOptions, target: Target) -> list[int]:
        """Return the working sets: beyond the caches the curve is flat, and a ring takes long to build."""
        sizes = ladder(bytes_in_caches(options, target, _LARGEST_CACHES, share=2), 1 if options.quick else 4)
        return [size for size in sizes if size <= 2 * llc_bytes(target) or size.bit_count() == 1]

    def parameters(self, columns: Mapping[str, Any]) -> Values:
        """Return what the chase takes."""
        size = columns["working_set_bytes"]
        return {"size": size, "pattern": columns["pattern"], "hops": hops(size)}

    def series(self, row: Row) -> str:
        """Return backend and order."""
        return f"{row.backend} {row.pattern}"

    def point(self, row: Row) -> Values | None:
        """Return what was known of a stored row."""
        if row.pattern not in PATTERNS or row.kernel not in self.kernel_names:
            return None
        return chase_columns(row.pattern, (row.n or 0) * _WORD, row.threads)

    def fill(self, draft: Draft, facts: RunFacts) -> None:
        """Fill the latency in ns, and in cycles where the clock is known."""
        values, measurement = draft.values, draft.measurement
        values["cpus"] = first_cpu(values.get("cpus"))
        if measurement is None or values.get("verified") is False:
            return
        values["latency_ns"] = measurement.summary.median_s / hops(values["working_set_bytes"]) * 1e9
        if values.get("clock_mhz"):
            values["latency_cycles"] = values["latency_ns"] * values["clock_mhz"] / 1e3

    def impossible(self, row: Row) -> Iterator[tuple[str, float, str]]:
        """Yield a latency below what any processor has."""
        yield from too_fast(row)

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of the table."""
        cycles = TableColumn(title="cycles", text=lambda row: figure(row.latency_cycles))
        return (
            TableColumn(title="order", text=lambda row: row.pattern, left=True),
            LIBRARY,
            WORKING_SET,
            NS,
            *([cycles] if any(row.latency_cycles for row in rows) else []),
            SPREAD,
            TableColumn(title="pages", text=lambda row: row.pages or "-", left=True),
            LEVEL,
        )

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        return (
            "ns: median time of a load whose address the load before it brought, over a random ring of cache lines. "
            "random-4k and random-2m: in small and in huge pages; window: 64 pages at a time, which spares the TLB. "
            "Whole octaves are shown; the CSV has every working set."
        )


def too_fast(row: Row) -> Iterator[tuple[str, float, str]]:
    """Yield a latency below that of any first-level cache, as `Suite.impossible` does."""
    if row.latency_ns is not None and row.latency_ns < _MIN_NS:
        yield "latency_ns", row.latency_ns, f"at least {_MIN_NS} ns: no first-level cache answers sooner"


def chase_columns(pattern: str, size: int, threads: int | None = 1) -> Values:
    """Return what is known of a chase before it is measured."""
    size -= size % LINE_BYTES
    return point_columns("chase", "uint64", pattern, n=size // _WORD, size=size, threads=threads)
