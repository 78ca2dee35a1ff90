"""Copies between NUMA nodes: who touches memory first, who copies, and what a run says; the nodes are pretended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandmark.backends import nodes
from bandmark.backends.nodes import NodeCopy
from bandmark.backends.team import Team
from bandmark.cli.app import main
from bandmark.device.cpu import usable_cpus
from bandmark.device.placement import Processor
from bandmark.measure.sampling import take
from bandmark.results.files import read_rows


def each_its_node(cpus: Sequence[int]) -> list[Processor]:
    """Return the processors with a node for each."""
    return [Processor(cpu, cpu, place=(k, "")) for k, cpu in enumerate(cpus)]


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pretend that two processors are nodes."""
    cpus = usable_cpus()[:2]
    if len(cpus) < 2:
        pytest.skip("needs two processors")
    for module in ("bandmark.backends.nodes", "bandmark.suites.nodes"):
        monkeypatch.setattr(f"{module}.read_processors", each_its_node)
    return cpus


def test_each_end_touches_its_memory(two: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads of the first node fill the source; those of the second poison and fill the destination."""
    teams: list[tuple[int, ...]] = []

    class Noted(Team):
        def run(self, calls: Sequence[Any]) -> None:
            teams.append(self.cpus)
            super().run(calls)

    monkeypatch.setattr(nodes, "Team", Noted)
    backend: Any = type("B", (), {"memory": type("M", (), {"team": type("T", (), {"cpus": two})})})
    copy = NodeCopy(backend, size=2**16, pattern="node-0-to-node-1", seed=1)
    first, second = (two[0],), (two[1],)
    assert teams == [first, second]
    take(copy, 2)
    assert copy.verify() == 0 and set(teams[1:]) == {second}
    monkeypatch.setattr(np, "copyto", lambda target, source: None)
    assert copy.verify() == float("inf")
    copy.close()


def test_a_run_is_valid(two: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each pair, and each node by itself, has a row with the processors that copy; a byte counts once."""
    monkeypatch.chdir(tmp_path)
    command = ["run", "--suite", "transfer", "--device", "cpu", "--backend", "numpy", "--quick", "--size", "4MiB"]
    assert main([*command, "--cpus", ",".join(map(str, two)), "--output", "a.csv"]) in (0, 3)
    rows = {row.pattern: row for row in read_rows(Path("a.csv"))}
    assert rows.keys() == {f"node-{a}-to-node-{b}" for a in (0, 1) for b in (0, 1)}
    for pattern, row in rows.items():
        assert (
            row.status in ("ok", "suspect") and row.threads == 1 and row.cpus == f"cpu {two[int((pattern or '')[-1])]}"
        )
        assert row.bandwidth_gbs == pytest.approx(4 * 2**20 / (row.time_median_s or 1) / 1e9)
    assert main(["validate", "a.csv"]) == 0
