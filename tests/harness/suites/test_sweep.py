"""The suite sweep: its cases, its rows, and what it says of a machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bandmark.cli.app import main
from bandmark.measure.measurement import Measurement
from bandmark.options import RunOptions
from bandmark.results.files import read_rows
from bandmark.session.rows import Outcome, build_rows
from bandmark.suites import SUITES
from bandmark.suites.ladder import ladder
from bandmark.suites.sweep import Sweep, pass_columns
from bandmark_kernels.memory.passes import PASSES
from fakes import FAKE_GPU, FakeBackend, make_facts, make_result, make_target


@pytest.mark.parametrize("kernel", PASSES)
@pytest.mark.parametrize("size", [4096, 5000, 2**20, 2**27])
def test_a_launch_moves_enough_to_be_timed(kernel: str, size: int) -> None:
    """16 MiB or a single pass; whole lines; bytes of all passes; the case follows from its row."""
    columns = pass_columns(kernel, size)
    moved = columns["bytes_read"] + columns["bytes_written"]
    assert moved >= 2**24 and moved % columns["working_set_bytes"] == 0
    assert columns["n"] % 8 == 0 and size - 64 * 3 < columns["working_set_bytes"] <= size
    row = make_result(suite="sweep", kernel=kernel, n=columns["n"], pattern="sweep", backend="numba", threads=1)
    assert Sweep().case_columns(row) == columns | {"suite": "sweep", "backend": "numba"}


def test_levels_of_a_pretend_machine() -> None:
    """Three plateaus of the caches and one of memory are named, with bandwidth and end; a step may be 1.3."""
    outcomes = []
    for size in ladder(2**24, 4):
        columns = pass_columns("read", size) | {"suite": "sweep", "backend": "fake"}
        gbs = 200 if size <= 2**13 else 110 if size <= 2**16 else 85 if size <= 2**21 else 18
        seconds = [columns["bytes_read"] / gbs / 1e9 * (1 + k / 1000) for k in range(20)]
        measurement = Measurement(seconds_per_launch=seconds, launches_per_sample=1, max_error=0.0)
        outcomes.append(Outcome(suite=SUITES["sweep"], columns=columns, measurement=measurement))
    rows = build_rows(outcomes, make_facts(device=replace(FAKE_GPU, kind="cpu")))
    assert [len([row for row in rows if row.level == level]) for level in ("L1", "L2", "L3", "dram")] == [5, 12, 20, 12]
    headline = SUITES["sweep"].headline(rows)
    assert headline is not None and "L1 198.1 GB/s" in headline and headline.endswith("dram 17.83 GB/s")


def test_a_library_that_can_do_a_part_stands_in() -> None:
    """It is measured where none can do all, and only there."""
    part, whole = (
        type("Routine", (), {"has_all": has_all, "kernels": (*PASSES,), "granule": 8}) for has_all in (False, True)
    )
    numpy, numba = FakeBackend(name="numpy", routines={"passes": part}), FakeBackend(routines={"passes": whole})
    for backends, names in (([numpy], {"numpy"}), ([numpy, numba], {"fake"})):
        groups = Sweep().plan(RunOptions(size_bytes=2**14), make_target(backends, address="cpu"))
        assert {case.backend.name for group in groups for case in group.cases} == names


def test_no_core_moves_so_much() -> None:
    """A bandwidth beyond every core's loads and stores is a fault of the file."""
    assert list(Sweep().impossible(make_result(suite="sweep", bandwidth_gbs=2500.0, threads=1)))
    assert not list(Sweep().impossible(make_result(suite="sweep", bandwidth_gbs=300.0, threads=1)))
    assert not list(Sweep().impossible(make_result(suite="sweep", bandwidth_gbs=5000.0)))


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_real_run_is_valid(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small run on either library is verified and replayed; NumPy says why it has no small working sets."""
    monkeypatch.chdir(tmp_path)
    command = ["run", "--suite", "sweep", "--device", "cpu", "--backend", backend, "--quick", "--size", "32KiB"]
    assert main([*command, "--output", "a.csv"]) in (0, 3)
    rows = read_rows(Path("a.csv"))
    assert all(row.verified if row.bandwidth_gbs else row.reason for row in rows)
    assert any(row.bandwidth_gbs for row in rows) == (backend == "numba")
    assert main(["validate", "a.csv"]) == 0
