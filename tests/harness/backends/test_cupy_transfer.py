"""Transfers on a pretend GPU: what is queued, timed and verified."""

from __future__ import annotations

from typing import Any

import pytest

from bandmark.measure.sampling import take
from bandmark.suites.transfer import WAYS, Transfer, Way
from cupy_gpu import MIB, Gpu
from cupy_launch import Launched
from cupy_standin import StandIn, open_backend

SIZE = 4 * MIB
SECONDS = SIZE / 50e9


def law(launch: Launched) -> float:
    """As fast as the link for the kernels that use the host's memory."""
    return SECONDS if launch.entry in ("bandmark_copy", "bandmark_passes") else 1e-6


def routine(monkeypatch: pytest.MonkeyPatch, cupy: StandIn, way: Way) -> Any:
    """Open a backend and place a transfer's arrays."""
    backend = open_backend(monkeypatch, cupy)
    monkeypatch.setattr("bandmark.backends.cupy_transfer.perf_counter", lambda: cupy.now)
    return backend.routines["transfer"](backend, seed=3, **Transfer().parameters(Transfer().columns_of(way, SIZE)))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.kernel}-{way.pattern}")
def test_every_way_arrives_in_its_time(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    """Bytes arrive; both ways at once take as long as one; nothing is allocated in a window; all memory is freed."""
    cupy = StandIn(Gpu(law=law))
    transfer = routine(monkeypatch, cupy, way)
    assert transfer.verify() == 0
    for _ in range(2):  # managed pages are brought back before each window
        cupy.log.clear()
        count = 1 if way.is_managed else 3
        assert take(transfer, count).seconds == pytest.approx(count * SECONDS, rel=0.1)
        assert "allocate" not in cupy.log
    assert transfer.verify() == 0
    transfer.close()
    assert not cupy.held


@pytest.mark.parametrize("way", [way for way in WAYS if way.method != "prefetch"], ids=lambda way: way.pattern)
def test_bytes_that_do_not_arrive_are_missed(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    """Copies that move nothing, and kernels that do nothing, are wrong."""
    cupy = StandIn(Gpu(law=law))
    transfer = routine(monkeypatch, cupy, way)
    cupy.gpu.lost_copies, cupy.gpu.wrong = True, {"bandmark_copy", "bandmark_passes"}
    assert transfer.verify() == float("inf")
    transfer.close()


def test_memory_without_migration_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the driver migrates nothing on demand there is no managed transfer."""
    (way,) = [way for way in WAYS if way.host_memory == "managed"]
    with pytest.raises(NotImplementedError, match="migrate managed memory"):
        routine(monkeypatch, StandIn(Gpu(law=law, attributes={})), way)
