"""The suite transfer: bandwidth between the host's memory and the device's, by direction, kind of memory and engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bandmark.judge.warnings import PLAUSIBLE
from bandmark.measure.sampling import StopRule
from bandmark.results.row import MEASURED, Row
from bandmark.suites.base import BANDWIDTH, Case, Curve, Draft, Group, RunFacts, TableColumn, Values
from bandmark.suites.ladder import PointGroup, PointSuite, point_columns
from bandmark.suites.links import link_columns, link_text, link_verdict
from bandmark.suites.nodes import is_between_nodes, node_columns, node_points
from bandmark.suites.table import BEST, GBS, KERNEL, SPREAD, figure, working_set

if TYPE_CHECKING:
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

_KIB, _MIB = 2**10, 2**20
_SIZES = (64 * _KIB, 256 * _KIB, _MIB, 4 * _MIB, 16 * _MIB, 64 * _MIB, 256 * _MIB, 1024 * _MIB)
_QUICK_SIZES = (64 * _KIB, 4 * _MIB, 64 * _MIB)

_MANAGED_FROM = _MIB
"""Of less, a single migration of pages is as short as the step of the event clock is long."""

_JUDGED_FROM = 16 * _MIB
"""Of less, the time before the first byte counts; published ranges are of 64 MiB and more."""

_ON_CPU = "transfers go to a GPU or between NUMA nodes, and this run is on the CPU, of one node: --device cuda"


@dataclass(frozen=True, slots=True)
class Way:
    """A kind of transfer: the kernel and method that make it, and the least size at which it is measured."""

    direction: str
    host_memory: str | None
    copy_engine: str
    kernel: str = "copy"
    method: str = ""

    @property
    def pattern(self) -> str:
        """The way in one word, such as h2d-pinned-ce, or d2p-ce with a peer."""
        return "-".join(filter(None, (self.direction, self.host_memory, self.copy_engine)))

    @property
    def is_managed(self) -> bool:
        """Whether pages migrate."""
        return (self.host_memory or "").startswith("managed")


_BOTH_WAYS = ("h2d", "d2h")
WAYS = (
    *(Way(d, m, "ce") for m in ("pageable", "pinned", "registered", "write-combined") for d in _BOTH_WAYS),
    Way("both", "pinned", "ce"),
    *(Way(d, "pinned", "sm") for d in (*_BOTH_WAYS, "both")),
    Way("h2d", "pinned", "sm", kernel="read", method="in-place"),
    Way("h2d", "managed", "sm"),
    *(Way(d, "managed-prefetch", "ce", method="prefetch") for d in _BOTH_WAYS),
)
"""Pageable memory goes one way at a time, since its copies hold the calling thread; so do pages that fault."""

JUDGED = tuple(Way(direction, "pinned", "ce").pattern for direction in _BOTH_WAYS)
"""What published measurements of links are of."""

_DRAWN = ("h2d-pageable-ce", "d2h-pageable-ce", "h2d-pinned-ce", "d2h-pinned-ce")


class Transfer(PointSuite):
    """Copies between host and device."""

    name = "transfer"
    title = "bandwidth between host and device, by kind of memory and engine; on CPUs between nodes"
    metric = BANDWIDTH
    kernel_names = ("copy", "read")
    routine = "transfer"
    nothing_pattern = "none"
    """The pattern of the row that says why there is nothing to transfer between: no other suite has it."""
    ways = WAYS

    def way(self, columns: Mapping[str, Any]) -> Way | None:
        """Return the way that a case goes; None where there is no such way."""
        named = (columns["kernel"], columns["pattern"])
        return next((way for way in self.ways if (way.kernel, way.pattern) == named), None)

    def columns_of(self, way: Way, size: int, peer: int | None = None) -> Values:
        """Return what is known of a transfer before it is measured; bytes are those that the device reads, writes."""
        return {
            **point_columns(way.kernel, "float64", way.pattern, n=size // 8, size=size, threads=None),
            "bytes_read": 0 if way.direction in ("d2h", "d2p") else size,
            "bytes_written": 0 if way.direction in ("h2d", "p2d") else size,
            "direction": way.direction,
            "host_memory": way.host_memory,
            "copy_engine": way.copy_engine,
            "peer": peer,
        }

    @property
    def without_ends(self) -> Values:
        """What is known of the row that says why there is nothing to transfer between."""
        return {"kernel": "copy", "dtype": "float64", "pattern": self.nothing_pattern}

    def sizes(self, options: RunOptions, target: Target) -> list[int]:
        """Return the sizes in bytes; both ways at once takes two arrays on each side."""
        room = min(options.size_bytes or _SIZES[-1], target.backends[0].budget().default_bytes // 4)
        return [size for size in (_QUICK_SIZES if options.quick else _SIZES) if size <= room] or [_SIZES[0]]

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each size; one without figures where there is nothing to transfer between."""
        if target.on_cpu:
            points = node_points(options, target)
            if not points:
                return self.nothing(target.backends[0], _ON_CPU, self.without_ends)
            return self.groups(options, target, points, 1)
        groups = []
        for size in self.sizes(options, target):
            for is_managed in (False, True) if size >= _MANAGED_FROM else (False,):
                points = [self.columns_of(way, size) for way in WAYS if way.is_managed is is_managed]
                groups += self.groups(options, target, points, len(points))
        return groups

    def _group(self, cases: Sequence[Case], options: RunOptions) -> PointGroup:
        """Return a group; of managed memory one whose windows are one transfer, since pages are brought back before."""
        group = super()._group(cases, options)
        way = self.way(cases[0].columns)
        is_managed = way is not None and way.is_managed
        return replace(group, rule=replace(group.rule or StopRule(), max_launches=1)) if is_managed else group

    def parameters(self, columns: Mapping[str, Any]) -> Values:
        """Return what the routine takes."""
        way = self.way(columns)
        if way is None:  # between NUMA nodes
            return {"pattern": columns["pattern"], "size": columns["n"] * 8}
        method, names = way.method or way.copy_engine, ("direction", "host_memory", "peer")
        return {name: columns[name] for name in names} | {"method": method, "size": columns["n"] * 8}

    def point(self, row: Row) -> Values | None:
        """Return what was known of a stored row."""
        if row.pattern == self.nothing_pattern:
            return self.without_ends
        if is_between_nodes(row.pattern):
            return node_columns(row.pattern or "", (row.n or 0) * 8, row.threads, row.cpus)
        way = self.way(row.values())
        return self.columns_of(way, (row.n or 0) * 8, row.peer) if way else None

    def fill(self, draft: Draft, facts: RunFacts) -> None:
        """Fill bandwidth, link and verdict; note a link below what the card has, doubt a figure above it."""
        values = draft.values
        if not is_between_nodes(values["pattern"]):
            values["cpus"] = None
        values |= self.link(facts, values["backend"])
        gbs, link = draft.fill_bandwidth(), values["link_peak_gbs"]
        if gbs is None or not link:
            return
        if values["pattern"] in JUDGED and values["working_set_bytes"] >= _JUDGED_FROM:
            values["verdict"] = link_verdict(gbs, values["link"], link)
        ways = 2 if values["direction"] == "both" else 1
        if not facts.device.integrated and gbs > PLAUSIBLE * ways * link:
            draft.warnings.append(f"{gbs:.4g} GB/s is more than the link of {link:.4g} GB/s moves")
        if " of " in values["link"]:
            draft.notes.append(f"the link runs at {values['link']}")

    def link(self, facts: RunFacts, backend: str) -> Values:
        """Return the columns of the link between the two sides."""
        return link_columns(facts, backend)

    def shown(self, rows: Sequence[Row]) -> list[Row]:
        """Return the largest transfer of each way, and one for each reason to have none; the curve has the others."""
        kept: dict[tuple[Any, ...], Row] = {}
        for row in sorted(rows, key=lambda row: -(row.n or 0)):
            case = (row.backend, row.kernel, row.pattern, row.peer)
            kept.setdefault(case if row.status in MEASURED else (row.reason,), row)
        return [*kept.values()]

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of the table."""
        return (
            TableColumn(title="way", text=lambda row: row.direction or row.pattern, left=True),
            TableColumn(title="host memory", text=lambda row: row.host_memory or "-", left=True),
            TableColumn(title="by", text=lambda row: row.copy_engine or "-", left=True),
            KERNEL,
            TableColumn(title="size", text=working_set),
            GBS,
            BEST,
            SPREAD,
        )

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        return (
            "GB/s: bytes over the link / median time; each byte counts once, as in nvbandwidth, and both is the sum of "
            "the two ways, of which nvbandwidth reports one. ce: copy engines, or the driver; sm: multiprocessors. "
            "read uses host memory in place and leaves no copy. The largest size is shown; the CSV has every size."
        )

    def headline(self, rows: Sequence[Row]) -> str | None:
        """Return the best of each way beside the link and what is normal on it."""
        able = sorted(self.measured(rows), key=lambda row: row.bandwidth_gbs or 0.0)
        best = {(row.kernel, row.direction): row for row in able}
        copies = [best["copy", way] for way in (*_BOTH_WAYS, "both") if ("copy", way) in best]
        parts = [f"{row.direction} {figure(row.bandwidth_gbs)} GB/s ({row.host_memory})" for row in copies]
        in_place = best.get(("read", "h2d"))
        parts += [f"read in place {figure(in_place.bandwidth_gbs)} GB/s"] if in_place else []
        slowest = [f"{row.direction} {row.verdict}" for row in able if row.verdict][:1]
        return "; ".join([", ".join(parts), *link_text(able), *slowest]) or None

    def series(self, row: Row) -> str:
        """Return kernel and way."""
        return f"{row.backend} {row.kernel} {row.pattern}"

    def draws(self, row: Row) -> bool:
        """Return whether a row is a point of the curve."""
        return row.pattern in _DRAWN

    def curve(self, rows: Sequence[Row]) -> Curve | None:
        """Return bandwidth over size: one way, by the copy engines, of pageable and of pinned memory."""
        points = self.lines(filter(self.draws, rows), lambda row: row.working_set_bytes)
        return Curve("bandwidth by size", "GB/s", "size", points) if points else None
