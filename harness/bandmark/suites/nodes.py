"""The cases of the suite transfer on a CPU: copies between its NUMA nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bandmark.device.placement import by_kind, read_processors
from bandmark.device.system import format_cpu_list
from bandmark.suites.base import Values
from bandmark.suites.ladder import point_columns

if TYPE_CHECKING:
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

_BETWEEN = "-to-"

_MAX_NODES = 4
"""Nodes up to which all pairs are measured; above, those that the first node is one of."""

_LEAST_BYTES = 64 * 2**20
_CACHES = 4
"""Bytes of an array, at least, and in last-level caches: what a cache holds crosses no link."""


def node_points(options: RunOptions, target: Target) -> list[Values]:
    """Return a case for each pair of NUMA nodes, and for each node by itself; none where there is one node."""
    kinds = by_kind(read_processors(target.team.cpus)) if target.team else {}
    nodes = {name: cpus for name, cpus in kinds.items() if name.startswith("node-")}
    room = target.backends[0].budget().default_bytes // 3  # the two arrays, and what should arrive
    wanted = options.size_bytes or max(_LEAST_BYTES, _CACHES * (target.device.llc_bytes or 0))
    first, size = next(iter(nodes), None), min(wanted, room) // 8 * 8
    return [
        node_columns(f"{source}{_BETWEEN}{end}", size, len(cpus), f"cpu {format_cpu_list(cpus)}")
        for source in nodes
        for end, cpus in nodes.items()
        if len(nodes) <= _MAX_NODES or first in (source, end)
    ]


def is_between_nodes(pattern: str | None) -> bool:
    """Return whether a pattern is that of a copy between nodes."""
    return _BETWEEN in (pattern or "")


def node_columns(pattern: str, size: int, threads: int | None, cpus: str | None) -> Values:
    """Return what is known of a copy before it is measured; each byte counts once, as on a link."""
    point = point_columns("copy", "float64", pattern, n=size // 8, size=size, threads=threads)
    return {**point, "bytes_read": size, "bytes_written": 0, "cpus": cpus}
