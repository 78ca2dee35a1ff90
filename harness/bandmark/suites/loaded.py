"""The suite loaded-latency: memory latency while the other processors read at different rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bandmark.results.row import Row
from bandmark.suites.base import Curve, Draft, Group, Metric, RunFacts, TableColumn, Values
from bandmark.suites.ladder import PointSuite, bytes_in_caches
from bandmark.suites.latency import chase_columns, hops, too_fast
from bandmark.suites.table import LIBRARY, NS, SPREAD, figure
from bandmark_kernels.memory.chase import LINE_BYTES

if TYPE_CHECKING:
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

_PAUSES = (None, 300_000, 100_000, 30_000, 10_000, 3_000, 1_000, 300, 0)
"""What a loader waits between two tiles, from hardly any load to all: turns of an empty loop on a CPU, cycles on a GPU.

None is for no loader."""

_PATTERNS = {"idle" if pause is None else f"pause-{pause}": pause for pause in _PAUSES}

_CACHES = 4
"""Bytes of the ring, and of all loaders' arrays together, in last-level caches."""

_SHARES = (0.25, 0.5, 0.75, 0.9)
_KNEE = 1.5
"""The knee is the least load under which a load takes this many times as long as on an idle memory."""


class LoadedLatency(PointSuite):
    """Latency by the load on the memory."""

    name = "loaded-latency"
    title = "memory latency by load: the bandwidth that the other processors use meanwhile"
    metric = Metric(name="latency", column="latency_ns", unit="ns", higher_is_better=False)
    kernel_names = ("loaded-chase",)
    dtype_names = ("uint64",)
    routine = "loaded-chase"

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return one group: the points of one curve."""
        room = target.backends[0].budget().default_bytes // 3
        size = min(bytes_in_caches(options, target, _CACHES), room)
        return self.groups(options, target, [_columns(pattern, size) for pattern in _PATTERNS], len(_PATTERNS))

    def parameters(self, columns: Mapping[str, Any]) -> Values:
        """Return what the loaded chase takes."""
        size, pause = columns["working_set_bytes"], _PATTERNS[columns["pattern"]]
        return {"size": size, "pattern": "random-2m", "hops": hops(size), "pause": pause, "load_size": size}

    def point(self, row: Row) -> Values | None:
        """Return what was known of a stored row."""
        return _columns(row.pattern, (row.n or 0) * 8) if row.pattern in _PATTERNS else None

    def fill(self, draft: Draft, facts: RunFacts) -> None:
        """Fill the latency."""
        values, measurement = draft.values, draft.measurement
        if measurement is not None and values.get("verified") is not False:
            values["latency_ns"] = measurement.summary.median_s / hops(values["working_set_bytes"]) * 1e9

    def impossible(self, row: Row) -> Iterator[tuple[str, float, str]]:
        """Yield a latency below what any processor has."""
        yield from too_fast(row)

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of the table."""
        return (
            TableColumn(title="load", text=lambda row: row.pattern, left=True),
            LIBRARY,
            TableColumn(title="load GB/s", text=lambda row: figure(row.load_gbs)),
            NS,
            SPREAD,
            TableColumn(title="in flight", text=_in_flight),
        )

    def shown(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows from the idle memory to the highest load."""
        return sorted(rows, key=lambda row: list(_PATTERNS).index(row.pattern or ""))

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        return (
            "load GB/s: what the other processors, on a GPU multiprocessors, read while the chase ran; ns: median time "
            "of a load in a random ring in memory; in flight: lines of 64 bytes of the load on their way, GB/s x ns / "
            "64 (Little's law)."
        )

    def headline(self, rows: Sequence[Row]) -> str | None:
        """Return idle and saturated latency, those between by share of the saturated bandwidth, and the knee."""
        points = self._points(rows)
        idle = next((row.latency_ns for row in self.measured(rows) if row.pattern == "idle"), None)
        if not points or idle is None:
            return None
        most, highest = max(points)
        shares = [f"{figure(_at(points, share * most))} ns at {100 * share:.0f} %" for share in _SHARES]
        knee = next((gbs for gbs, ns in points if ns > _KNEE * idle), None)
        bend = "below 1.5 times idle throughout" if knee is None else f"knee at {figure(knee)} GB/s"
        return f"idle {figure(idle)} ns; {', '.join(shares)} of {figure(most)} GB/s; full {figure(highest)} ns; {bend}"

    def curve(self, rows: Sequence[Row]) -> Curve | None:
        """Return latency over load."""
        points = self.lines(rows, lambda row: row.load_gbs)
        return Curve("latency by load", "ns", "load in GB/s", points) if points else None

    def _points(self, rows: Sequence[Row]) -> list[tuple[float, float]]:
        """Return load and latency of the measured points with a load, by load."""
        return sorted(point for line in self.lines(rows, lambda row: row.load_gbs).values() for point in line)


def _columns(pattern: str, size: int) -> Values:
    """Return what is known of a point before it is measured."""
    columns = chase_columns(pattern, size) | {"kernel": "loaded-chase"}
    return {name: value for name, value in columns.items() if name != "threads"}


def _at(points: Sequence[tuple[float, float]], gbs: float) -> float:
    """Return the latency at a load, linearly between the points around it; at the ends that of the last point."""
    low = max((p for p in points if p[0] <= gbs), default=points[0])
    high = min((p for p in points if p[0] >= gbs), default=points[-1])
    share = (gbs - low[0]) / (high[0] - low[0]) if high[0] > low[0] else 0.0
    return low[1] + share * (high[1] - low[1])


def _in_flight(row: Row) -> str:
    return figure(row.load_gbs * row.latency_ns / LINE_BYTES if row.load_gbs and row.latency_ns else None)
