"""The suites of two GPUs: what is queued and verified on a pretend pair, and what a run says of it."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bandmark.cli.app import main
from bandmark.measure.sampling import take
from bandmark.results.case import CaseId
from bandmark.results.files import read_rows
from bandmark.results.row import Row
from bandmark.suites import suite_of
from bandmark.suites.peer import Peer, PeerLatency, sample_peers
from bandmark.suites.transfer import Way
from cupy_gpu import MIB, Gpu
from cupy_launch import Launched
from cupy_sensors import Sensors
from cupy_standin import StandIn, install, open_backend

SIZE = 4 * MIB
SECONDS = SIZE / 50e9
RANDOM = random.Random(5)


def law(launch: Launched) -> float:
    """As fast as the link for the kernels that use the peer's memory; a microsecond a hop."""
    if launch.entry == "bandmark_chase":
        return int(launch.values["hops"]) * 1e-6 * noise()
    return launch.values["a"].nbytes / 50e9 * noise() if launch.entry in ("bandmark_copy", "bandmark_passes") else 1e-6


def noise() -> float:
    """A clock that never shows the same twice, as a real one."""
    return RANDOM.uniform(1.0, 1.002)


def routine(monkeypatch: pytest.MonkeyPatch, cupy: StandIn, way: Way, peer: int = 1) -> Any:
    """Open a backend on the first GPU and place a transfer's arrays."""
    backend = open_backend(monkeypatch, cupy)
    return backend.routines["transfer"](backend, seed=3, **Peer().parameters(Peer().columns_of(way, SIZE, peer)))


@pytest.mark.parametrize("way", Peer.ways, ids=lambda way: f"{way.kernel}-{way.pattern}")
def test_every_way_arrives_in_its_time(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    """Bytes arrive; both ways at once take as long as one; nothing is allocated in a window; both GPUs get all back."""
    cupy = StandIn(Gpu(law=law), Gpu(law=law))
    transfer = routine(monkeypatch, cupy, way)
    assert cupy.gpus[1].live >= SIZE, "an array lies on the peer"
    assert transfer.verify() == 0
    cupy.log.clear()
    assert take(transfer, 3).seconds == pytest.approx(3 * SECONDS, rel=0.1)
    assert "allocate" not in cupy.log
    transfer.close()
    assert [gpu.live + gpu.pooled for gpu in cupy.gpus[1:]] == [0] and cupy.index == 0


@pytest.mark.parametrize("way", Peer.ways, ids=lambda way: f"{way.kernel}-{way.pattern}")
def test_bytes_that_do_not_arrive_are_missed(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    """Copies that move nothing, and kernels that do nothing, are wrong."""
    cupy = StandIn(Gpu(law=law), Gpu(law=law))
    transfer = routine(monkeypatch, cupy, way)
    cupy.gpu.lost_copies, cupy.gpu.wrong = True, {"bandmark_copy", "bandmark_passes"}
    assert transfer.verify() == float("inf")
    transfer.close()


def test_without_access_copies_are_staged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a GPU can't reach its peer the copy engine's copy says that it is staged."""
    cupy = StandIn(Gpu(law=law, unreachable=(1,)), Gpu(law=law))
    transfer = routine(monkeypatch, cupy, Peer.ways[0])
    assert transfer.verify() == 0 and "staged through the host" in transfer.note
    transfer.close()


def test_the_ring_lies_on_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chase follows a ring in the peer's memory, which is given back."""
    cupy = StandIn(Gpu(law=law), Gpu(law=law))
    backend = open_backend(monkeypatch, cupy)
    chase = backend.routines["chase"](backend, seed=1, **PeerLatency().parameters(PeerLatency().columns_of(1)))
    assert cupy.gpus[1].live >= 2 * MIB
    take(chase, 1)
    assert chase.verify() == 0
    chase.close()
    assert cupy.gpus[1].live + cupy.gpus[1].pooled == 0


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
    cupy = StandIn(*(Gpu(law=law, link_noise=noise) for _ in range(3)))
    speed = SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=26562))
    links = {
        "nvmlDeviceGetNvLinkState": lambda handle, link: int(link < 12),
        "nvmlDeviceGetNvLinkVersion": 4,
        "nvmlDeviceGetFieldValues": lambda handle, fields: [speed],
    }
    rows = run(monkeypatch, tmp_path, cupy, "--backend", "cupy", "--device", "cuda:1", "--time-limit", "6", **links)
    ways = {(way.kernel, way.pattern) for way in Peer.ways} | {("chase", "random-2m")}
    assert {(row.kernel, row.pattern, row.peer) for row in rows} == {(*way, peer) for way in ways for peer in (0, 2)}
    assert {row.status for row in rows} <= {"ok", "suspect"}, [row.reason for row in rows]
    assert {suite_of(row).name for row in rows} == {"peer", "peer-latency"}
    assert {(row.link, row.link_peak_gbs) for row in rows if row.suite == "peer"} == {("NVLink 3 x12", 300.0)}
    by_case = {(row.kernel, row.pattern): row for row in rows if row.peer == 2}
    one, both, chase = (by_case[key] for key in (("copy", "d2p-ce"), ("copy", "both-ce"), ("chase", "random-2m")))
    assert (one.bandwidth_gbs, both.bandwidth_gbs) == (pytest.approx(50, rel=0.1), pytest.approx(100, rel=0.1))
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


@pytest.mark.parametrize(
    ("library", "link", "gbs"),
    [
        ({"nvlink_generation": 4, "nvlinks": 18, "nvlink_mbs": 26562}, "NVLink 4 x18", 450.0),
        ({"nvlink_generation": 5, "nvlinks": 18, "nvlink_mbs": 53125}, "NVLink 5 x18", 900.0),
        ({"nvlink_generation": 3, "nvlinks": 4, "nvlink_mbs": 14062}, "NVLink 3 x4", 56.248),
        ({"c2c": True, "pcie_generation": 5, "pcie_width": 16}, "PCIe 5 x16", pytest.approx(63.0, rel=1e-3)),
        ({}, None, None),
    ],
)
def test_the_link_between_gpus(library: dict[str, Any], link: str | None, gbs: Any) -> None:
    """It is NVLink by generation, links and clock, else PCIe, and never the link to the host's memory."""
    facts: Any = SimpleNamespace(libraries={"cupy": library}, device=SimpleNamespace(integrated=False))
    assert Peer().link(facts, "cupy") == {"link": link, "link_peak_gbs": gbs}
