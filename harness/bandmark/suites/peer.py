"""The suites peer and peer-latency: transfers between two GPUs of one machine, and loads from the other's memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bandmark.results.row import Row
from bandmark.suites.base import Case, Curve, Draft, Group, Metric, RunFacts, TableColumn, Values
from bandmark.suites.ladder import PointGroup
from bandmark.suites.latency import Latency, chase_columns
from bandmark.suites.links import link_text, nvlink_columns, pcie_columns
from bandmark.suites.table import NS, SPREAD, figure
from bandmark.suites.transfer import Transfer, Way

if TYPE_CHECKING:
    from bandmark.backends.base import Backend
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

_MAX_DEVICES = 8
"""Devices up to which all peers of a device are measured."""

_RING_BYTES = 2 * 2**20
"""A ring that the L2 of its own GPU holds, as in nvbandwidth's device_to_device_latency_sm: the link is measured, not
the peer's DRAM."""

_ALONE = "transfers between GPUs need two, and the library sees one"
_ON_CPU = "transfers go between GPUs, and this run is on the CPU: --device cuda"

_PEER = TableColumn(title="peer", text=lambda row: "-" if row.peer is None else str(row.peer))


def sample_peers(peers: Collection[int], index: int) -> list[int]:
    """Return the peers to measure: all of up to 8 devices, else 7 in equal steps around the ring of indices."""
    count = len(peers) + 1
    if count <= _MAX_DEVICES:
        return list(peers)
    ring = sorted(peers, key=lambda peer: (peer - index) % count)
    return [ring[k * (len(ring) - 1) // (_MAX_DEVICES - 2)] for k in range(_MAX_DEVICES - 1)]


def _able(target: Target) -> tuple[Backend, list[int]] | str:
    """Return the backend that reaches peers, and those to measure; or why there are none."""
    if target.on_cpu:
        return _ON_CPU
    backend = next((b for b in target.backends if "transfer" in b.routines), None)
    if backend is None:
        return "needs CuPy on an NVIDIA GPU"
    return (backend, sample_peers(backend.peers, target.device.index or 0)) if backend.peers else _ALONE


def _within_reach(cases: Sequence[Case]) -> list[Case]:
    """Return the cases, those of kernels that can't reach the peer's memory with the reason not to run them."""
    return [
        case
        if case.columns.get("copy_engine") == "ce" or case.backend.peers[case.columns["peer"]]
        else replace(case, skip_reason=f"no access to the memory of peer {case.columns['peer']}")
        for case in cases
    ]


def _over_peers(rows: Sequence[Row], metric: Metric) -> str:
    """Return the range of a figure over the peers, with the slowest of them."""
    ordered = sorted(rows, key=lambda row: metric.value(row) or 0.0)
    figures = dict.fromkeys(figure(metric.value(row)) for row in (ordered[0], ordered[-1]))
    slowest = ordered[0 if metric.higher_is_better else -1]
    return f"{' to '.join(figures)} {metric.unit} (slowest: peer {slowest.peer})"


class Peer(Transfer):
    """Copies between two GPUs."""

    name = "peer"
    title = "bandwidth between two GPUs of the machine, both ways, by copy engines and multiprocessors"
    nothing_pattern = "no-peer"
    ways = (
        *(Way(direction, None, "ce") for direction in ("d2p", "p2d", "both")),
        *(Way(direction, None, "sm") for direction in ("d2p", "p2d", "both")),
        Way("p2d", None, "sm", kernel="read", method="in-place"),
    )

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each peer and size; one without figures where there is none."""
        able = _able(target)
        if isinstance(able, str):
            return self.nothing(target.backends[0], able, self.without_ends)
        _, peers = able
        return [
            group
            for peer in peers
            for size in self.sizes(options, target)
            for group in self.groups(
                options, target, [self.columns_of(w, size, peer) for w in self.ways], len(self.ways)
            )
        ]

    def _group(self, cases: Sequence[Case], options: RunOptions) -> PointGroup:
        return super()._group(_within_reach(cases), options)

    def link(self, facts: RunFacts, backend: str) -> Values:
        """Return the active links of NVLink together, else the PCIe link of the device."""
        library = facts.libraries.get(backend, {})
        return nvlink_columns(library) or pcie_columns(library)

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of transfers, with the peer in place of the host's memory."""
        return tuple(_PEER if c.title == "host memory" else c for c in super().table_columns(rows))

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        return (
            "GB/s: bytes over the link / median time; both is the sum of the two ways. d2p: from the device to the "
            "peer, p2d: back. ce: copy engines; sm: multiprocessors of the device, which write the peer's memory (d2p) "
            "or read it (p2d); read leaves no copy. Above 8 GPUs 7 peers are measured. The largest size is shown."
        )

    def headline(self, rows: Sequence[Row]) -> str | None:
        """Return for each way the range over the peers, with the slowest of them, and the link."""
        able = self.measured(self.shown(rows))
        parts = []
        for way in self.ways:
            own = [row for row in able if (row.kernel, row.pattern) == (way.kernel, way.pattern)]
            if own:
                name = " ".join(filter(None, (way.pattern, way.method)))
                parts.append(f"{name} {_over_peers(own, self.metric)}")
        return "; ".join([*parts, *link_text(able)]) or None

    def series(self, row: Row) -> str:
        """Return kernel, way and peer."""
        return f"{super().series(row)} peer {row.peer}"

    def draws(self, row: Row) -> bool:
        """Return whether a row is a point of the curve: one way, by the copy engines."""
        return row.pattern == "d2p-ce"


class PeerLatency(Latency):
    """Latency of dependent loads from the memory of another GPU."""

    name = "peer-latency"
    title = "latency of dependent loads from another GPU's memory"

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return one group of a case per peer; one without figures where there is none."""
        able = _able(target)
        if isinstance(able, str):
            return self.nothing(target.backends[0], able, self.columns_of(None))
        _, peers = able
        points = [self.columns_of(peer) for peer in peers]
        return self.groups(options, target, points, len(points))

    def _group(self, cases: Sequence[Case], options: RunOptions) -> PointGroup:
        return super()._group(_within_reach(cases), options)

    def columns_of(self, peer: int | None) -> Values:
        """Return what is known of a case before it is measured."""
        return chase_columns("random-2m", _RING_BYTES, None) | {"peer": peer}

    def parameters(self, columns: Mapping[str, Any]) -> Values:
        """Return what the chase takes."""
        return super().parameters(columns) | {"peer": columns["peer"]}

    def point(self, row: Row) -> Values | None:
        """Return what was known of a stored row."""
        columns = super().point(row)
        return columns and columns | {"peer": row.peer}

    def fill_across(self, drafts: Sequence[Draft], facts: RunFacts) -> None:
        """Name no level: one size is no curve."""

    def shown(self, rows: Sequence[Row]) -> list[Row]:
        """Return all rows."""
        return list(rows)

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the peer and its latency."""
        return (_PEER, NS, SPREAD)

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        return "ns: median time of a load whose address the load before it brought, from 2 MiB of the peer's memory."

    def headline(self, rows: Sequence[Row]) -> str | None:
        """Return the range over the peers."""
        able = self.measured(rows)
        return _over_peers(able, self.metric) if able else None

    def curve(self, rows: Sequence[Row]) -> Curve | None:
        """Return no curve."""
        return None
