"""The suites of two GPUs: what is queued and verified on a pretend pair, and what a run says of it."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bandmark.cli.app import main
from bandmark.results.case import CaseId
from bandmark.results.files import read_rows
from bandmark.results.row import Row
from bandmark.suites import suite_of
from bandmark.suites.peer import Peer, sample_peers
from cupy_gpu import Gpu
from cupy_launch import Launched
from cupy_sensors import Sensors
from cupy_standin import StandIn, install

RANDOM = random.Random(5)

GBS = 0.05
"""Of the link: so slow that a window is a few launches, which the host has to make."""


def law(launch: Launched) -> float:
    """As fast as the link for the kernels that use the peer's memory; a microsecond a hop."""
    if launch.entry == "bandmark_chase":
        return int(launch.values["hops"]) * 1e-6 * noise()
    if launch.entry in ("bandmark_copy", "bandmark_passes"):
        return launch.values["a"].nbytes / GBS / 1e9 * noise()
    return 1e-6


def noise() -> float:
    """A clock that never shows the same twice, as a real one."""
    return RANDOM.uniform(1.0, 1.002)


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, cupy: StandIn, *more: str, **answers: Any) -> list[Row]:
    """Run both suites, validate the files, and return the rows."""
    install(monkeypatch, cupy, Sensors(**answers))
    monkeypatch.chdir(folder)
    command = ["run", "--suite", "peer,peer-latency", "--quick", "--size", "64KiB", "--time-limit", "0.5"]
    assert main([*command, "--output", "a.csv", *more]) in (0, 3)
    assert main(["validate", "a.csv"]) == 0
    return read_rows(Path("a.csv"))


def test_a_run_is_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each peer has a row of each way and a latency, told apart by its index; the link is that of NVLink."""
    cupy = StandIn(*(Gpu(law=law, link_gbs=GBS, link_noise=noise) for _ in range(3)))
    speed = SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=26562))
    links = {
        "nvmlDeviceGetNvLinkState": lambda handle, link: int(link < 12),
        "nvmlDeviceGetNvLinkVersion": 4,
        "nvmlDeviceGetFieldValues": lambda handle, fields: [speed],
    }
    rows = run(monkeypatch, tmp_path, cupy, "--backend", "cupy", "--device", "cuda:1", "--time-limit", "60", **links)
    ways = {(way.kernel, way.pattern) for way in Peer.ways} | {("chase", "random-2m")}
    assert {(row.kernel, row.pattern, row.peer) for row in rows} == {(*way, peer) for way in ways for peer in (0, 2)}
    assert {row.status for row in rows} <= {"ok", "suspect"}, [row.reason for row in rows]
    assert {suite_of(row).name for row in rows} == {"peer", "peer-latency"}
    assert {(row.link, row.link_peak_gbs) for row in rows if row.suite == "peer"} == {("NVLink 3 x12", 300.0)}
    by_case = {(row.kernel, row.pattern): row for row in rows if row.peer == 2}
    one, both, chase = (by_case[key] for key in (("copy", "d2p-ce"), ("copy", "both-ce"), ("chase", "random-2m")))
    assert (one.bandwidth_gbs, both.bandwidth_gbs) == (pytest.approx(GBS, rel=0.1), pytest.approx(2 * GBS, rel=0.1))
    assert chase.latency_ns == pytest.approx(1000, rel=0.1) and "peer=2" in CaseId.of(chase).label
    assert "NVLink 3 x12: 300.0 GB/s one way" in capsys.readouterr().out


def test_unreachable_peers_have_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without access the copy engine's rows are measured and say that they are staged; the others say why not."""
    cupy = StandIn(Gpu(law=law, unreachable=(1,), link_noise=noise), Gpu(law=law))
    for row in run(monkeypatch, tmp_path, cupy, "--backend", "cupy", "--device", "cuda:0"):
        staged = row.copy_engine == "ce"
        assert (row.bandwidth_gbs is not None) == staged and (row.status == "unsupported") != staged
        assert ("staged through the host" if staged else "no access to the memory") in (row.reason or "")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--device", "cuda", "--backend", "cupy"], "need two"),
        (["--device", "cpu", "--backend", "numpy"], "on the CPU"),
    ],
)
def test_without_a_pair(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, more: list[str], reason: str) -> None:
    """One GPU, or none, leaves a row for each suite that says why."""
    rows = run(monkeypatch, tmp_path, StandIn(Gpu(law=law)), *more)
    assert {(row.suite, row.status) for row in rows} == {("peer", "unsupported"), ("peer-latency", "unsupported")}
    assert len(rows) == 2 and all(reason in (row.reason or "") for row in rows)


@pytest.mark.parametrize(("count", "kept"), [(2, 1), (8, 7), (9, 7), (16, 7), (72, 7)])
def test_many_peers_are_sampled(count: int, kept: int) -> None:
    """Up to 8 GPUs all peers are measured, above 7 of them, from the next to the one before, each once."""
    for index in (0, count - 1):
        peers = [peer for peer in range(count) if peer != index]
        sample = sample_peers(peers, index)
        assert len(sample) == len(set(sample)) == kept and set(sample) <= set(peers)
        assert {(index + 1) % count, (index - 1) % count} <= set(sample)
