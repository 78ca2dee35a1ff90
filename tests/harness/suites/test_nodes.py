"""Copies between NUMA nodes: which pairs there are, and of what size."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bandmark.device.placement import Processor
from bandmark.options import RunOptions
from bandmark.suites import nodes
from bandmark.suites.nodes import node_points


def points(monkeypatch: pytest.MonkeyPatch, count: int, **options: Any) -> list[dict[str, Any]]:
    """Return the cases of a pretend machine with two processors a node, 32 MiB of cache and 3 GiB of room."""
    monkeypatch.setattr(nodes, "read_processors", lambda cpus: [Processor(c, c, place=(c // 2, "")) for c in cpus])
    backend = SimpleNamespace(budget=lambda: SimpleNamespace(default_bytes=3 * 2**30))
    team, device = SimpleNamespace(cpus=range(2 * count)), SimpleNamespace(llc_bytes=2**25)
    target: Any = SimpleNamespace(team=team, device=device, backends=[backend])
    return node_points(RunOptions(**options), target)


@pytest.mark.parametrize(("count", "pairs"), [(1, 0), (2, 4), (4, 16), (8, 15)])
def test_pairs(monkeypatch: pytest.MonkeyPatch, count: int, pairs: int) -> None:
    """One node has none; up to four have all pairs, beyond it those of the first node; the end's processors copy."""
    cases = points(monkeypatch, count)
    assert len({case["pattern"] for case in cases}) == len(cases) == pairs
    for case in cases:
        end = int(case["pattern"].rpartition("-")[2])
        assert (case["threads"], case["cpus"]) == (2, f"cpu {2 * end}-{2 * end + 1}")


def test_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An array is four caches, or what the user says, and no more than a third of the room."""
    sizes = [points(monkeypatch, 2, size_bytes=size)[0]["working_set_bytes"] for size in (None, 2**20, 2**40)]
    assert sizes == [2**27, 2**20, 2**30]
