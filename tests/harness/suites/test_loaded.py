"""The suite loaded-latency: its points, its curve, and a real run where there are two processors."""

from __future__ import annotations

from pathlib import Path

import pytest

from bandmark.cli.app import main
from bandmark.device.cpu import usable_cpus
from bandmark.measure.measurement import Measurement
from bandmark.options import RunOptions
from bandmark.results.files import read_rows
from bandmark.results.row import Row
from bandmark.session.rows import Outcome, build_rows
from bandmark.suites import SUITES
from bandmark.suites.latency import hops
from bandmark.suites.loaded import LoadedLatency
from fakes import FakeBackend, make_facts, make_target

LOADS = {"idle": (0.0, 100.0), "pause-100000": (2.0, 110.0), "pause-3000": (10.0, 120.0), "pause-0": (20.0, 200.0)}
"""Load in GB/s and latency in ns of a pretend machine."""


def pretend_rows() -> list[Row]:
    """Return the rows of a run on the pretend machine."""
    suite = SUITES["loaded-latency"]
    backend = FakeBackend(routines={"loaded-chase": type("Routine", (), {"has_all": True})})
    (group,) = suite.plan(RunOptions(size_bytes=2**26), make_target([backend], address="cpu"))
    outcomes = []
    for case in group.cases:
        if case.columns["pattern"] in LOADS:
            gbs, ns = LOADS[case.columns["pattern"]]
            seconds = [ns * 1e-9 * hops(2**26) * (1 + k / 1000) for k in range(-10, 11)]
            measurement = Measurement(
                seconds_per_launch=seconds, launches_per_sample=1, max_error=0.0, load_gbs=[gbs] * len(seconds)
            )
            outcomes.append(Outcome(suite=suite, columns=case.columns, measurement=measurement))
    return build_rows(outcomes, make_facts())


def test_the_headline_is_read_off_the_curve() -> None:
    """Idle and full latency, those between by share of the saturated bandwidth, and the knee at 1.5 times idle."""
    rows = pretend_rows()
    assert {row.pattern: (row.load_gbs, row.latency_ns) for row in rows} == {
        name: (pytest.approx(gbs), pytest.approx(ns)) for name, (gbs, ns) in LOADS.items()
    }
    headline = SUITES["loaded-latency"].headline(rows)
    expected = (
        "idle 100.0 ns; 113.8 ns at 25 %, 120.0 ns at 50 %, 160.0 ns at 75 %, 184.0 ns at 90 % of 20.00 GB/s; "
        "full 200.0 ns; knee at 20.00 GB/s"
    )
    assert headline == expected
    curve = SUITES["loaded-latency"].curve(rows)
    assert curve is not None and [round(x) for x, _ in next(iter(curve.points.values()))] == [2, 10, 20]


def test_points_go_from_idle_to_full_load() -> None:
    """At least eight loads and none; a stored row gives its case back."""
    suite = LoadedLatency()
    rows = suite.shown(pretend_rows())
    assert [row.pattern for row in rows] == [*LOADS]
    for row in rows:
        columns = suite.case_columns(row)
        assert columns is not None and all(row.get(name) == value for name, value in columns.items())
        assert suite.parameters(columns)["size"] == 2**26


@pytest.mark.skipif(len(usable_cpus()) < 2, reason="one processor chases and another loads")
def test_a_real_run_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chase and loads are verified and replayed, and the loaders are counted."""
    monkeypatch.chdir(tmp_path)
    command = ["run", "--suite", "loaded-latency", "--device", "cpu", "--backend", "numba", "--quick"]
    assert main([*command, "--size", "1MiB", "--time-limit", "0.2", "--output", "a.csv"]) in (0, 3)
    rows = read_rows(Path("a.csv"))
    assert len(rows) == 9 and not [row.reason for row in rows if row.status in ("error", "failed_verification")]
    assert any(row.load_gbs for row in rows if row.pattern == "pause-0")
    assert main(["validate", "a.csv"]) == 0


def test_one_processor_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --threads 1 nothing loads, and the rows say what it takes."""
    monkeypatch.chdir(tmp_path)
    command = ["run", "--suite", "loaded-latency", "--device", "cpu", "--backend", "numba", "--quick", "--size", "1MiB"]
    assert main([*command, "--threads", "1", "--output", "a.csv"]) == 3
    assert {(row.status, "takes two" in (row.reason or "")) for row in read_rows(Path("a.csv"))} == {("skipped", True)}
