"""The suite latency: its cases, its rows from planning to replay, and what it says of a machine."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bandmark.cli.app import main
from bandmark.measure.measurement import Measurement
from bandmark.options import RunOptions
from bandmark.results.files import read_rows
from bandmark.session.rows import Outcome, build_rows
from bandmark.suites import SUITES
from bandmark.suites.ladder import ladder
from bandmark.suites.latency import Latency, chase_columns, hops
from bandmark_kernels.memory.chase import PATTERNS
from fakes import FAKE_GPU, FakeBackend, make_facts, make_result, make_target

CPU = replace(FAKE_GPU, kind="cpu", llc_bytes=2**25)

TRUE_NS = {"L1": 1.25, "L2": 4.0, "L3": 15.0, "dram": 120.0}


def true_ns(size: int) -> float:
    """What an access takes on the pretend machine, whose caches are those of make_facts."""
    return TRUE_NS["L1" if size <= 2**14 else "L2" if size <= 2**17 else "L3" if size <= 2**21 else "dram"]


def pretend_rows(**changes: Any) -> list[Any]:
    """Return the rows of a run on the pretend machine."""
    suite, outcomes = SUITES["latency"], []
    for size in ladder(2**24, 2):
        columns = chase_columns("random-4k", size) | {"suite": "latency", "backend": "fake"}
        seconds = [true_ns(size) * 1e-9 * hops(size) * (1 + k / 1000) for k in range(20)]
        measurement = Measurement(seconds_per_launch=seconds, launches_per_sample=1, max_error=0.0, **changes)
        outcomes.append(Outcome(suite=suite, columns=columns, measurement=measurement))
    return build_rows(outcomes, make_facts(device=CPU))


def test_levels_and_plateaus_are_those_of_the_machine() -> None:
    """Rows on a plateau name its level, and the headline says where each ends beside what the system reports."""
    rows = pretend_rows()
    assert {row.level for row in rows} == {"L1", "L2", "L3", "dram"}
    for row in rows:
        assert row.latency_ns == pytest.approx(true_ns(row.working_set_bytes), rel=0.02)
        assert row.level is None or TRUE_NS[row.level] == true_ns(row.working_set_bytes)
    headline = SUITES["latency"].headline(rows)
    assert headline is not None and headline.startswith("fake random-4k: L1 1.26 ns to ")
    assert "(the system says 4 KiB)" in headline and headline.endswith("dram 121.1 ns")


def test_cycles_need_a_clock() -> None:
    """They are filled where the processor's clock was read, and blank otherwise."""
    assert all(row.latency_cycles is None for row in pretend_rows())
    first = pretend_rows(sensor_clocks_mhz=[4000.0] * 20)[0]
    assert first.latency_cycles == pytest.approx(5.04, rel=0.01)


def test_working_sets_are_different() -> None:
    """Every working set is larger than the one before, and a multiple of a cache line."""
    for per_octave in (1, 2, 4, 8):
        sizes = ladder(2**20, per_octave)
        assert len(sizes) == 8 * per_octave + 1 and sizes == sorted(set(sizes)) and not any(s % 256 for s in sizes)


def test_cases_grow_up_to_the_largest_working_set() -> None:
    """Each pattern at 4 points an octave, one with --quick; --size is the largest; a window is larger than itself."""
    backend = FakeBackend(device=CPU, routines={"chase": type("Routine", (), {"has_all": True, "patterns": PATTERNS})})
    for quick, expected in ((False, 4 * 8 + 1), (True, 9)):
        groups = Latency().plan(RunOptions(size_bytes=2**20, quick=quick), make_target([backend], address="cpu"))
        cases = [case for group in groups for case in group.cases]
        sizes = {p: [c.columns["working_set_bytes"] for c in cases if c.columns["pattern"] == p] for p in PATTERNS}
        assert len(sizes["random-4k"]) == len(sizes["random-2m"]) == expected
        assert min(sizes["window"]) > 2**18 and max(sizes["random-4k"]) == 2**20
        assert not any(group.in_turns for group in groups)


def test_a_device_chases_in_its_own_orders() -> None:
    """On a GPU there are the patterns of its routine alone, no thread of the host, and windows of 2 ms."""
    routine = type("Routine", (), {"has_all": True, "patterns": ("random-2m",)})
    groups = Latency().plan(RunOptions(size_bytes=2**20), make_target([FakeBackend(routines={"chase": routine})]))
    found = {(case.columns["pattern"], case.columns["threads"]) for group in groups for case in group.cases}
    assert found == {("random-2m", None)}
    assert {group.rule.window_s for group in groups if group.rule} == {2e-3}


def test_levels_of_a_device_are_told_by_its_l2() -> None:
    """The caches of the host's processor name no level of a GPU; of its first level no size is reported."""
    outcomes = []
    for size in ladder(2**28, 4):
        columns = chase_columns("random-2m", size, None) | {"suite": "latency", "backend": "fake"}
        ns = 20 if size <= 2**17 else 130 if size <= 2**24 else 500
        seconds = [ns * 1e-9 * hops(size) * (1 + k / 1000) for k in range(20)]
        measurement = Measurement(seconds_per_launch=seconds, launches_per_sample=1, max_error=0.0)
        outcomes.append(Outcome(suite=SUITES["latency"], columns=columns, measurement=measurement))
    rows = build_rows(outcomes, make_facts(device=replace(FAKE_GPU, llc_bytes=2**24)))
    levels = {(row.level, row.level_bytes) for row in rows if row.level}
    assert levels == {("L1", None), ("L2", 2**24), ("dram", None)}


def test_without_a_library_that_chases_there_is_a_row_for_each_pattern() -> None:
    """It says what is needed, and follows from its own identity when the run is validated."""
    (group,) = Latency().plan(RunOptions(), make_target([FakeBackend(device=CPU)], address="cpu"))
    assert [(c.columns["pattern"], c.skip_status) for c in group.cases] == [(p, "unsupported") for p in PATTERNS]
    assert all("needs numba" in (case.skip_reason or "") for case in group.cases)
    rows = build_rows([Outcome(suite=group.suite, columns=c.columns) for c in group.cases], make_facts())
    assert all(Latency().case_columns(row) == case.columns for row, case in zip(rows, group.cases[1::-1], strict=False))


def test_no_cache_answers_at_once() -> None:
    """A latency below that of any first level is a fault of the file."""
    row = make_result(suite="latency", kernel="chase", latency_ns=0.1)
    assert [column for column, _, _ in Latency().impossible(row)] == ["latency_ns"]
    assert not list(Latency().impossible(make_result(suite="latency", kernel="chase", latency_ns=0.9)))


def test_a_real_run_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A small run is verified, stored, shown with its plot, and replayed; a changed figure is found."""
    monkeypatch.chdir(tmp_path)
    command = ["run", "--suite", "latency", "--device", "cpu", "--backend", "numba", "--quick", "--size", "64KiB"]
    assert main([*command, "--output", "a.csv"]) in (0, 3)
    assert "latency by working set" in capsys.readouterr().out
    rows = read_rows(Path("a.csv"))
    assert [row.pattern for row in rows].count("random-4k") == 5
    assert all(row.verified for row in rows if row.status in ("ok", "suspect"))
    assert main(["validate", "a.csv"]) == 0
    text = Path("a.csv").read_text()
    cell = next(csv.DictReader(text.splitlines()))["latency_ns"]
    Path("a.csv").write_text(text.replace(f",{cell},", ",7.5,"))
    assert main(["validate", "a.csv"]) == 2
    assert "latency_ns" in capsys.readouterr().out


def test_memory_stands_for_the_device() -> None:
    """One figure for a device is that of its memory; where no plateau is memory's, any row may stand."""
    rows = pretend_rows()
    chosen = SUITES["latency"].representatives(rows)
    assert chosen and {row.level for row in chosen} == {"dram"} and len(chosen) < len(rows)
    assert SUITES["latency"].representatives(rows[:3]) == rows[:3]
