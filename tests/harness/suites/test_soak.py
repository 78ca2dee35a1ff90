"""The suite soak: intervals of one measurement on a device whose truth is known, and on this CPU."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bandmark.cli.app import main
from bandmark.errors import UsageError
from bandmark.measure.sampling import StopRule
from bandmark.options import RunOptions
from bandmark.results.files import read_rows
from bandmark.results.row import Row
from bandmark.session.session import Session, select_suites
from bandmark.suites import SUITES, soak
from bandmark.suites.soak import Soak
from cupy_gpu import Gpu
from cupy_sensors import Sensors
from cupy_standin import StandIn, install
from fakes import (
    FAKE_GPU,
    FakeBackend,
    Law,
    VirtualClock,
    alternating,
    make_group,
    make_target,
    measured,
    noisy,
    steady,
    throttled,
)

SUITE = SUITES["soak"]
GB10 = replace(FAKE_GPU, name="NVIDIA GB10")


def soaked(duration_s: float, backends: Sequence[FakeBackend], **options: Any) -> Session:
    """Return a session of a soak on fake backends: launches move 80 kB."""
    chosen = RunOptions(duration_s=duration_s, size_bytes=80_000, **options)
    groups = SUITE.plan(chosen, make_target(backends))
    return measured(groups, backends, StopRule(), options=chosen, target=make_target(backends), time_limit_s=duration_s)


def story(law: Law, **changes: Any) -> str:
    """Return what a soak of 200 s says of a device that follows a law."""
    rows = soaked(200, [FakeBackend(laws={"read": law}, **changes)]).rows()
    return SUITE.headline(rows) or ""


@pytest.mark.parametrize(("duration_s", "intervals"), [(1, 1), (90, 45), (600, 200), (3 * 86400, 200)])
def test_a_duration_is_cut_into_at_most_200_intervals(duration_s: float, intervals: int) -> None:
    """An interval is a 200th of the duration, of 2 s at least; together they take the duration."""
    groups = SUITE.plan(RunOptions(duration_s=duration_s), make_target([FakeBackend()]))
    assert len(groups) == intervals and sum(g.min_time_s or 0 for g in groups) == pytest.approx(duration_s)
    assert groups[-1].cases[0].columns["elapsed_s"] == pytest.approx(duration_s)


def test_each_interval_is_a_row_and_what_is_kept_does_not_grow() -> None:
    """An hour and a day yield as many rows and samples, at their moments, and take their time."""
    kept = []
    for duration_s in (3600, 86400):
        clock = VirtualClock()
        session = soaked(duration_s, [FakeBackend(clock=clock, laws={"read": steady(duration_s / 2e5)})])
        rows = session.rows()
        assert [row.elapsed_s for row in rows] == pytest.approx([(k + 1) * duration_s / 200 for k in range(200)])
        assert clock.now == pytest.approx(duration_s, rel=0.05) and {row.status for row in rows} == {"ok"}
        kept.append(sum(row.samples or 0 for row in rows))
    assert kept[0] == pytest.approx(200 * 50, rel=0.1) and kept[1] == pytest.approx(kept[0], rel=0.1)


def test_the_operands_are_placed_once_and_verified_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """One workload serves all intervals; it is verified after every tenth and the last, and then closed."""
    from fakes import FakeWorkload

    verified: list[float] = []
    backend = FakeBackend(laws={"read": steady(0.01)}, verify_s=1.0)
    usual = FakeWorkload.verify
    monkeypatch.setattr(FakeWorkload, "verify", lambda self: [verified.append(backend.clock.now), usual(self)][1])
    rows = soaked(60, [backend]).rows()
    assert len(rows) == 30 and all(row.verified for row in rows)
    assert (len(backend.sizes), len(verified), backend.open_now) == (1, 4, 0)


def test_an_interval_that_fails_is_followed_by_fresh_ones() -> None:
    """A launch that fails makes its row an error; the next interval places the operands again."""
    backend = FakeBackend(laws={"read": steady(0.01)})

    def law(now: float, launch: int) -> float:
        if 9 < now < 10 and not failed:
            failed.append(now)
            raise RuntimeError("the device stumbled")
        return 0.01

    failed: list[float] = []
    backend.laws["read"] = law
    rows = soaked(20, [backend]).rows()
    assert [row.status for row in rows].count("error") == 1 and rows[-1].status == "ok"
    assert (len(backend.sizes), backend.open_now) == (2, 0)


def test_the_next_suite_has_workloads_of_its_own() -> None:
    """What follows the last interval does not go on with its workloads."""
    backend = FakeBackend(laws={"read": steady(0.01)})
    groups = SUITE.plan(RunOptions(duration_s=4, size_bytes=80_000), make_target([backend]))
    measured([*groups, make_group("copy", [backend])], [backend], StopRule())
    assert backend.sizes == [("read", 20_000), ("copy", 3000)] and (backend.open_now, backend.most_open) == (0, 1)


def test_an_interrupted_soak_keeps_its_intervals_and_closes() -> None:
    """Ctrl-C loses the interval in flight alone."""
    backend = FakeBackend()

    def law(now: float, launch: int) -> float:
        if now > 11:
            raise KeyboardInterrupt
        return 0.01

    backend.laws["read"] = law
    groups = SUITE.plan(RunOptions(duration_s=20, size_bytes=80_000), make_target([backend]))
    session = None
    with pytest.raises(KeyboardInterrupt):
        session = measured(groups, [backend], StopRule(), time_limit_s=20)
    assert session is None and backend.open_now == 0


def test_warnings_of_the_sensors_belong_to_their_interval() -> None:
    """What the sensors saw is forgotten before each interval."""
    resets: list[float] = []

    class Forgetful:
        def reset(self) -> None:
            resets.append(0)

    soaked(20, [FakeBackend(sensors=Forgetful(), laws={"read": steady(0.01)})])
    assert len(resets) == 10


def test_the_fastest_backend_is_soaked() -> None:
    """A few launches of each tell; one that can't run is not chosen."""
    backends = [
        FakeBackend(name="slow"),
        FakeBackend(name="fast", gbs=0.05),
        FakeBackend(name="broken", gbs=1.0, raises={("read", "prepare"): RuntimeError("no")}),
    ]
    (group, *_) = SUITE.plan(RunOptions(duration_s=4, size_bytes=80_000), make_target(backends))
    assert [case.backend.name for case in group.cases] == ["fast"]
    assert sum(b.open_now for b in backends) == 0


def test_a_steady_device_is_called_steady() -> None:
    """Noise of 2 % is no change."""
    assert story(noisy(0.01, 0.02)).startswith("steady at ")


def test_a_change_is_told_with_both_levels_and_its_moment() -> None:
    """A device that slows down by a third after 120 s, for good, has one change."""
    text = story(throttled(0.01, 0.015, 120))
    assert text.count("\n") == 0 and "(-33 %) after 2 min (" in text


def test_two_speeds_are_told_with_their_shares() -> None:
    """A device that is slow for a quarter of each 40 s has two speeds and no list of changes."""
    match = re.fullmatch(
        r"two speeds: 0\.008 GB/s for (\d+) % of the time, 0\.004 GB/s for (\d+) %",
        story(alternating(0.01, 0.02, 40, 0.25)),
    )
    assert match and int(match[1]) == pytest.approx(75, abs=4) and int(match[2]) == 100 - int(match[1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"device": GB10, "clock_mhz": lambda now: 600.0 if now > 100 else 2400.0},
            "unplug its power supply for a minute",
        ),
        ({"device": GB10, "clock_mhz": lambda now: 2400.0}, "spares copies"),
        ({"clock_mhz": lambda now: 600.0}, None),
    ],
)
def test_known_slow_states_have_their_names(changes: dict[str, Any], words: str | None) -> None:
    """A DGX Spark whose reads fall to a half is in one of its slow states, by the clock; other devices have none."""
    text = story(throttled(0.01, 0.02, 100), **changes)
    assert "(-50 %)" in text and (words in text if words else "state" not in text)


def test_merged_runs_are_told_apart() -> None:
    """Two runs of a machine that started again have a sentence each."""
    rows = soaked(20, [FakeBackend(laws={"read": steady(0.01)})]).rows()
    again = [Row.of(row.values() | {"run_id": "20261124T101500Z-3f2a"}) for row in rows]
    assert (SUITE.headline([*rows, *again]) or "").count("steady") == 2 and len(SUITE.shown([*rows, *again])) == 20


@pytest.mark.parametrize(
    "options",
    [
        {"kernels": ("read", "copy")},
        {"dtypes": ("float64", "float32")},
        {"kernels": ("nothing",)},
        {"time_limit_s": 9.0},
    ],
)
def test_a_soak_refuses_what_it_can_not_follow(options: dict[str, Any]) -> None:
    """One kernel, one dtype, and --duration in place of --time-limit."""
    with pytest.raises(UsageError):
        Soak().check(RunOptions(**options))


def test_the_suite_is_named_or_not_run() -> None:
    """--suite all leaves it out, and --duration alone is refused."""
    assert SUITE not in select_suites(RunOptions(suites=("all",)))
    with pytest.raises(UsageError, match=r"--duration goes with --suite soak"):
        select_suites(RunOptions(duration_s=10.0))


@pytest.mark.parametrize("backend", ["numpy", "numba", "torch"])
def test_a_real_soak_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    """The rows of a run on this CPU replay, and every command takes them."""
    pytest.importorskip(backend)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(soak, "_MIN_INTERVAL_S", 0.4)
    command = ["run", "--suite", "soak", "--duration", "1.5s", "--device", "cpu", "--backend", backend]
    assert main([*command, "--size", "4MiB", "--kernel", "copy", "--output", "a.csv"]) in (0, 3)
    rows = read_rows(Path("a.csv"))
    assert [(row.suite, row.kernel, row.elapsed_s) for row in rows] == [("soak", "copy", s) for s in (0.5, 1.0, 1.5)]
    for again in (["validate", "a.csv"], ["show", "a.csv"], ["compare", "a.csv", "a.csv"], ["report", "a.csv"]):
        assert main(again) == 0


def test_a_soak_on_a_pretend_gpu_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy's rows have the device's clock, temperature and power, interval by interval, and replay."""
    randomness = random.Random(5)
    answers = {"nvmlDeviceGetTemperature": lambda *_: 64, "nvmlDeviceGetPowerUsage": lambda _: 90_000}
    gpu = Gpu(law=lambda launch: launch.array_bytes / 200e9 * randomness.uniform(1.0, 1.002) + 1e-6)
    install(monkeypatch, StandIn(gpu), Sensors(**answers))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(soak, "_MIN_INTERVAL_S", 0.4)
    command = ["run", "--suite", "soak", "--duration", "1.5s", "--backend", "cupy", "--size", "8MiB"]
    assert main([*command, "--output", "a.csv"]) in (0, 3)
    rows = read_rows(Path("a.csv"))
    assert [(row.backend, row.verified) for row in rows] == [("cupy", True)] * 3
    assert all(row.clock_mhz and (row.temperature_c, row.power_w) == (64, 90) for row in rows)
    assert main(["validate", "a.csv"]) == 0
