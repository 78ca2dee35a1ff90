"""Suites: which cases exist, what a launch does, which metric it yields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bandmark.results.row import Row, add_columns, remove_columns
from bandmark.suites.bandwidth import Bandwidth
from bandmark.suites.base import Metric, Suite
from bandmark.suites.contention import Contention
from bandmark.suites.energy import Energy
from bandmark.suites.latency import Latency
from bandmark.suites.loaded import LoadedLatency
from bandmark.suites.mix import Mix
from bandmark.suites.model_layers import ModelLayers
from bandmark.suites.patterns import Patterns
from bandmark.suites.peer import Peer, PeerLatency
from bandmark.suites.scaling import Scaling
from bandmark.suites.soak import Soak
from bandmark.suites.sweep import Sweep
from bandmark.suites.transfer import Transfer

SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        *(Bandwidth(), ModelLayers(), Latency(), Sweep(), LoadedLatency(), Scaling(), Mix(), Patterns()),
        *(Transfer(), Peer(), PeerLatency(), Contention(), Energy(), Soak()),
    )
}
"""All suites by name, in the order in which they run."""


def suite_of(row: Row) -> Suite:
    """Return the suite that a row is of; raises KeyError for a suite that is not known here."""
    for suite in SUITES.values():
        if suite.owns(row):
            return suite
    raise KeyError(row.suite)


def metric_of(row: Row) -> Metric:
    """Return the metric that a row is compared and ranked by."""
    return suite_of(row).metric


def by_suite(rows: Sequence[Row]) -> list[tuple[Suite, list[Row]]]:
    """Return the rows of each suite, in the order of the suites."""
    parts = {suite.name: (suite, [row for row in rows if suite.owns(row)]) for suite in SUITES.values()}
    return [(suite, own) for suite, own in parts.values() if own]


@contextmanager
def registered(suite: Suite) -> Iterator[Suite]:
    """Add a suite that is not part of this distribution, with its columns, for as long as the context lasts."""
    add_columns(suite.columns)
    SUITES[suite.name] = suite
    try:
        yield suite
    finally:
        del SUITES[suite.name]
        remove_columns(c.name for c in suite.columns)


__all__ = ["SUITES", "Metric", "Suite", "by_suite", "metric_of", "registered", "suite_of"]
