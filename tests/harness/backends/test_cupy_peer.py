"""Transfers with another GPU on a pretend pair: what is queued, timed, verified and given back."""

from __future__ import annotations

from typing import Any

import pytest

from bandmark.measure.sampling import take
from bandmark.suites.peer import Peer, PeerLatency
from bandmark.suites.transfer import Way
from cupy_gpu import MIB, Gpu
from cupy_launch import Launched
from cupy_standin import StandIn, open_backend

SIZE = 4 * MIB
SECONDS = SIZE / 50e9


def law(launch: Launched) -> float:
    """As fast as the link for the kernels that use the peer's memory."""
    return SECONDS if launch.entry in ("bandmark_copy", "bandmark_passes") else 1e-6


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
