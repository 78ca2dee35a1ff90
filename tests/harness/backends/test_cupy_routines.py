"""Chases, passes and accesses on a pretend GPU: what is launched, timed and verified."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandmark.cli.app import main
from bandmark.measure.sampling import take
from bandmark.options import RunOptions
from bandmark.results.files import read_rows
from bandmark.session.session import run_session
from bandmark_kernels.memory.device import TILE
from bandmark_kernels.memory.places import Pattern
from cupy_gpu import MIB, Gpu
from cupy_launch import Launched
from cupy_standin import StandIn, install, open_backend

KIB = 1024


def law(launch: Launched) -> float:
    """20 ns a hop and 1 ns an access; passes at 4 TB/s from what 1 MiB holds, 1 TB/s beyond; 2 ms for other kernels."""
    if "hops" in launch.values:
        return 20e-9 * int(launch.values["hops"])
    if launch.entry == "bandmark_passes":
        return int(launch.values["rounds"]) * TILE * 8 / (4e12 if launch.values["a"].nbytes <= MIB else 1e12)
    if "words" in launch.values:
        return 1e-9 * int(launch.values.get("visits", launch.values.get("end")))
    return 2e-3


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
    cupy = StandIn(Gpu(law=law, wrong={"bandmark_chase"}))
    for hops in (160, 1024):  # 1024: a lap
        chase = routine(monkeypatch, cupy, "chase", size=64 * KIB, pattern="random-2m", hops=hops)
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


def loaded(monkeypatch: pytest.MonkeyPatch, cupy: StandIn, pause: int | None) -> Any:
    """Place a chase through 64 KiB beside a load of 256 KiB."""
    ring = {"size": 64 * KIB, "pattern": "random-2m", "hops": 160}
    return routine(monkeypatch, cupy, "loaded-chase", pause=pause, load_size=256 * KIB, **ring)


@pytest.mark.parametrize("resident", [1, 3, 8])
def test_a_load_is_counted_in_the_window_of_its_chase(monkeypatch: pytest.MonkeyPatch, resident: int) -> None:
    """Bytes of the blocks' tiles over the time of the window; no more blocks are launched than reside together."""
    cupy = StandIn(Gpu(law=law, resident=resident))
    figures = []
    for pause in (0, 16, None):
        chase = loaded(monkeypatch, cupy, pause)
        reading = take(chase, 3)
        figures.append(reading.load_gbs)
        assert reading.seconds == pytest.approx(3 * 160 * 20e-9, rel=1e-3) and chase.verify() <= 1
        chase.close()
    readers = resident * 3  # on three of the four multiprocessors
    full = readers * TILE * 8 / 16  # a tile takes 16 ns
    assert figures == [pytest.approx(full, rel=1e-2), pytest.approx(full / 2, rel=1e-2), 0.0]


@pytest.mark.parametrize("wrong", ["bandmark_loaded_chase", "tiles"])
def test_a_chase_or_load_that_cheats_is_found(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """A chase that skips its hops, and blocks that count tiles that they have not read, are wrong."""
    cupy = StandIn(Gpu(law=law))
    chase = loaded(monkeypatch, cupy, 0)
    cupy.gpu.wrong = {wrong}
    take(chase, 1)
    assert chase.verify() > 1


@pytest.mark.parametrize("pattern", [Pattern("read", 1), Pattern("read", 16), Pattern("gather", 4)], ids=str)
@pytest.mark.parametrize("launches", [1, 3])
def test_accesses_go_on_and_are_verified(monkeypatch: pytest.MonkeyPatch, pattern: Pattern, launches: int) -> None:
    """A window is one launch of all its accesses, and the next begins where it ended; one that is missed is found."""
    cupy = StandIn(Gpu(law=law))
    for kind in (pattern, Pattern("scatter", 64)):
        work = routine(monkeypatch, cupy, "patterns", pattern=kind, size=64 * KIB)
        entry = f"bandmark_{kind.kernel}".replace("read", "strided")
        cupy.log.clear()
        reading = take(work, launches)
        assert cupy.log.count(entry) == 1
        assert reading.seconds == pytest.approx(launches * kind.accesses(64 * KIB) * 1e-9, rel=1e-2)
        assert work.verify() == 0 and work.verify() == 0
        cupy.gpu.wrong = {entry}
        assert work.verify() == float("inf")
        work.close()


@pytest.mark.parametrize(("suite", "rows", "slower"), [("loaded-latency", 9, 1), ("patterns", 19, 30), ("mix", 5, 1)])
def test_a_suite_on_a_device_is_valid(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suite: str, rows: int, slower: int
) -> None:
    """Every case is measured and verified; the file replays, and a share is that of a sector of 32 bytes."""
    noise = np.random.default_rng(1)
    install(monkeypatch, StandIn(Gpu(law=lambda launch: slower * law(launch) * noise.uniform(1, 1.01))))
    file = tmp_path / "a.csv"
    command = ["run", "--suite", suite, "--device", "cuda:0", "--backend", "cupy", "--quick", "--size", "1MiB"]
    assert main([*command, "--time-limit", "3", "--output", str(file)]) in (0, 3)
    found = read_rows(file)
    assert len(found) == rows and all(row.verified and row.threads is None for row in found)
    assert {row.line_utilization for row in found if row.pattern in ("granule-4", "stride-2")} <= {0.125, 0.5}
    assert all(row.load_gbs for row in found if (row.pattern or "").startswith("pause"))
    assert main(["validate", str(file)]) == 0


@pytest.mark.parametrize("data", ["random", "ramp", "zeros"])
def test_contents_reach_the_device(monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    """Kernels are verified on inputs of every kind, which the rows name."""
    install(monkeypatch, StandIn(Gpu(law=law)))
    options = RunOptions(kernels=("triad",), dtypes=("float32",), backends=("cupy",), quick=True, size_bytes=MIB)
    rows = run_session(replace(options, data=data)).rows()
    assert [(row.verified, row.data) for row in rows] == [(True, data)] * len(rows) and rows


def test_a_sweep_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run has rows of reads alone, without threads of the host, and knows its levels by the device's L2."""
    install(monkeypatch, StandIn(Gpu(law=law)))
    rows = run_session(RunOptions(suites=("sweep",), backends=("cupy",), quick=True, size_bytes=8 * MIB)).rows()
    assert rows and {(row.backend, row.kernel, row.threads) for row in rows} == {("cupy", "read", None)}
    assert {row.status for row in rows} <= {"ok", "suspect"}
    assert all(999 <= (row.bandwidth_gbs or 0) <= 4001 for row in rows)
    assert {(row.level, row.level_bytes) for row in rows if row.level == "dram"} == {("dram", None)}
    assert {row.level_bytes for row in rows if row.level == "L2"} <= {MIB}
