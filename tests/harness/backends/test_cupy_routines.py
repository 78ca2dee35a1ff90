"""Chases and passes on a pretend GPU: what is launched, timed and verified."""

from __future__ import annotations

from typing import Any

import pytest

from bandmark.measure.sampling import take
from bandmark.options import RunOptions
from bandmark.session.session import run_session
from bandmark_kernels.memory.device import TILE
from cupy_gpu import MIB, Gpu
from cupy_launch import Launched
from cupy_standin import StandIn, install, open_backend

KIB = 1024


def law(launch: Launched) -> float:
    """20 ns a hop; 4 TB/s from what 1 MiB holds, 1 TB/s beyond."""
    if launch.entry == "bandmark_chase":
        return 20e-9 * int(launch.values["hops"])
    if launch.entry == "bandmark_passes":
        return int(launch.values["rounds"]) * TILE * 8 / (4e12 if launch.values["a"].nbytes <= MIB else 1e12)
    return 1e-6


def routine(monkeypatch: pytest.MonkeyPatch, cupy: StandIn, name: str, **what: Any) -> Any:
    """Open a backend and place a routine's arrays."""
    backend = open_backend(monkeypatch, cupy)
    return backend.routines[name](backend, seed=3, **what)


@pytest.mark.parametrize("pattern", ["random-2m", "window"])
def test_a_chase_follows_its_ring(monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    """A window is one launch of all its hops, goes on where the last ended, and its clock is its own counters'."""
    cupy = StandIn(Gpu(law=law))
    chase = routine(monkeypatch, cupy, "chase", size=64 * KIB, pattern=pattern, hops=160)
    assert chase.verify() == 0
    cupy.log.clear()
    reading = take(chase, 3)
    assert cupy.log.count("bandmark_chase") == 1
    assert reading.seconds == pytest.approx(3 * 160 * 20e-9, rel=1e-3)
    assert reading.clock_mhz == pytest.approx(2400, rel=1e-3)
    assert take(chase, 2).seconds > 0 and chase.verify() == 0
    chase.close()


def test_a_chase_that_goes_astray_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that follows nothing, and a ring that was written to, are wrong."""
    cupy = StandIn(Gpu(law=law))
    chase = routine(monkeypatch, cupy, "chase", size=64 * KIB, pattern="random-2m", hops=160)
    cupy.gpu.wrong = {"bandmark_chase"}
    take(chase, 1)
    assert chase.verify() == float("inf")
    cupy.gpu.wrong = set()
    chase = routine(monkeypatch, cupy, "chase", size=64 * KIB, pattern="random-2m", hops=160)
    chase._words.host[8] += 64
    assert chase.verify() == float("inf")


@pytest.mark.parametrize("tiles", [1, 3, 16, 100])
def test_passes_read_what_they_count(monkeypatch: pytest.MonkeyPatch, tiles: int) -> None:
    """A window is one launch, whose sum is that of the tiles its blocks come past; a kernel that stops is found."""
    cupy = StandIn(Gpu(law=law))
    passes = routine(monkeypatch, cupy, "passes", kernel="read", n=tiles * TILE, count=7)
    assert passes.verify() <= 1
    cupy.log.clear()
    seconds = 5 * 7 * tiles * TILE * 8 / (4e12 if tiles <= 64 else 1e12)
    assert take(passes, 5).seconds == pytest.approx(seconds, rel=1e-3)
    assert cupy.log.count("bandmark_passes") == 1
    cupy.gpu.wrong = {"bandmark_passes"}
    assert passes.verify() > 1


def test_passes_that_write_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks would write the same elements."""
    with pytest.raises(NotImplementedError, match="passes that read multiples of 16384 bytes"):
        routine(monkeypatch, StandIn(), "passes", kernel="copy", n=TILE, count=1)


def test_a_sweep_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run has rows of reads alone, without threads of the host, and knows its levels by the device's L2."""
    install(monkeypatch, StandIn(Gpu(law=law)))
    rows = run_session(RunOptions(suites=("sweep",), backends=("cupy",), quick=True, size_bytes=8 * MIB)).rows()
    assert rows and {(row.backend, row.kernel, row.threads) for row in rows} == {("cupy", "read", None)}
    assert {row.status for row in rows} <= {"ok", "suspect"}
    assert all(999 <= (row.bandwidth_gbs or 0) <= 4001 for row in rows)
    assert {(row.level, row.level_bytes) for row in rows if row.level == "dram"} == {("dram", None)}
    assert {row.level_bytes for row in rows if row.level == "L2"} <= {MIB}
