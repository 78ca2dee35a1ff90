"""The suite contention: GPU and CPU at one memory, on a pretend GPU beside this CPU."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bandmark.cli.app import main
from bandmark.options import RunOptions
from bandmark.results.files import read_rows
from bandmark.results.row import Row
from bandmark.suites import SUITES, contention, kernels
from bandmark.suites.contention import _PATTERNS
from cupy_gpu import Gpu
from cupy_standin import StandIn, install
from fakes import FAKE_GPU, FakeBackend, make_facts, make_peak, make_result, make_target

SUITE = SUITES["contention"]
SHARING = replace(FAKE_GPU, integrated=True)


def rows_of(**figures: tuple[float, float | None, float | None]) -> list[Row]:
    """Return measured rows by pattern: bandwidth, load and latency."""
    return [
        make_result(
            suite="contention",
            pattern=pattern.replace("_", "-"),
            kernel="chase" if pattern.startswith("chase") else "read",
            bandwidth_gbs=gbs,
            load_gbs=load,
            latency_ns=ns,
            peak_gbs=273.0,
        )
        for pattern, (gbs, load, ns) in figures.items()
    ]


def plan(backends: Sequence[FakeBackend], host: Sequence[FakeBackend] = (), address: str = "cuda:0") -> Any:
    """Return the groups of a run on fake backends beside those of a fake CPU."""
    target = make_target(backends, address=address)
    if host:
        target.beside = make_target(host, address="cpu")
    groups = SUITE.plan(RunOptions(size_bytes=80_000), target)
    target.close()
    return groups


@pytest.mark.parametrize(
    ("device", "address", "words"),
    [
        (FAKE_GPU, "cpu", "a CPU alone"),
        (replace(FAKE_GPU, integrated=False), "cuda:0", "memory of its own"),
        (FAKE_GPU, "cuda:0", "does not say"),
    ],
)
def test_where_nothing_is_shared_a_row_says_so(device: Any, address: str, words: str) -> None:
    """A CPU alone, a GPU with memory of its own and one of which nothing is known have one row without figures."""
    (group,) = plan([FakeBackend(device=device)], address=address)
    (case,) = group.cases
    assert case.skip_status == "unsupported" and words in case.skip_reason


def test_each_side_is_measured_alone_and_beside_the_other() -> None:
    """Six rows: the GPU's, the CPU's and those of the chase, whose library is the CPU's that has one."""
    host = [
        FakeBackend(name="plain", threads=2),
        FakeBackend(name="able", threads=2, gbs=0.1, routines={"chase": None}),
    ]
    groups = plan([FakeBackend(device=SHARING)], host)
    cases = [case for group in groups for case in group.cases]
    assert [case.columns["pattern"] for case in cases] == list(_PATTERNS)
    assert [case.backend.name for case in cases] == ["fake"] * 2 + ["able"] * 4
    assert not any(case.skip_reason for case in cases)
    both = groups[1]
    assert both.gpu and both.cpu and both.moved == (80_000, 80_000)
    assert groups[0].cpu is None and groups[2].gpu is None and groups[4].gpu is None


def test_without_a_chase_the_streams_remain() -> None:
    """Where no library of the CPU chases, both of its rows are unsupported, and the streams run."""
    groups = plan([FakeBackend(device=SHARING)], [FakeBackend(name="plain", threads=2)])
    reasons = {case.columns["pattern"]: case.skip_reason for group in groups for case in group.cases}
    assert [pattern for pattern, reason in reasons.items() if reason] == ["chase-alone", "chase-with-gpu"]


def test_the_answer_has_both_losses_the_sum_and_the_latency() -> None:
    """Each side alone and beside the other, what both have together of the peak, and the CPU's latency."""
    rows = rows_of(
        gpu_alone=(240.0, None, None),
        gpu_with_cpu=(180.0, 60.0, None),
        cpu_alone=(100.0, None, None),
        cpu_with_gpu=(62.0, 178.0, None),
        chase_alone=(0.5, None, 130.0),
        chase_with_gpu=(0.2, 235.0, 320.0),
    )
    assert (SUITE.headline(rows) or "").splitlines() == [
        "GPU 240.0 GB/s alone, 180.0 beside the CPU (-25 %)",
        "CPU 100.0 GB/s alone, 62.00 beside the GPU (-38 %)",
        "together 240.0 GB/s, 88 % of the peak",
        "a load of the CPU takes 130.0 ns alone, 320.0 ns beside the GPU",
    ]
    assert SUITE.headline(rows[:1]) is None


def test_two_sides_above_the_peak_are_doubted() -> None:
    """The sum of both sides is compared with the peak, too."""
    from bandmark.measure.measurement import Measurement
    from bandmark.session.rows import Outcome, build_rows

    (group, *_) = plan([FakeBackend(device=SHARING)], [FakeBackend(name="plain", threads=2)])
    seconds = [80_000 / 0.7e9 * (1 + k / 1e4) for k in range(20)]
    for load, status in ((0.2, "ok"), (0.4, "suspect")):
        measurement = Measurement(
            seconds_per_launch=seconds, launches_per_sample=1, max_error=0.1, load_gbs=[load] * 20, variant=None
        )
        columns = {**group.cases[0].columns, "pattern": "gpu-with-cpu"}
        facts = make_facts(peak=make_peak(1.0), device=SHARING)
        (row,) = build_rows([Outcome(suite=SUITE, columns=columns, measurement=measurement)], facts)
        assert row.status == status and ("of the peak" in (row.reason or "")) == (status == "suspect")


def test_a_run_on_a_pretend_gpu_beside_this_cpu_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows are verified, have the other side's bandwidth where it was at work, and replay."""
    randomness = random.Random(5)
    gpu = Gpu(name="NVIDIA GB10", capability=(12, 1), integrated=1)
    gpu.law = lambda launch: launch.array_bytes / 2e9 * randomness.uniform(1.0, 1.002) + 1e-6
    install(monkeypatch, StandIn(gpu))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kernels, "_QUICK_SUITE_S", 4.0)
    monkeypatch.setattr(contention, "_RULE", replace(contention._RULE, window_s=0.01, min_time_s=0.05, warmup_s=0.02))
    command = ["run", "--suite", "contention", "--backend", "cupy", "--size", "4MiB", "--quick"]
    assert main([*command, "--output", "a.csv"]) in (0, 3)
    rows = {row.pattern: row for row in read_rows(Path("a.csv"))}
    assert set(rows) == set(_PATTERNS)
    for pattern, row in rows.items():
        if row.status == "skipped":  # a system without huge pages has no such chase
            assert row.kernel == "chase" and "huge pages" in (row.reason or "")
            continue
        assert row.verified and row.bandwidth_gbs and bool(row.load_gbs) == ("with" in (pattern or ""))
        assert bool(row.latency_ns) == (row.kernel == "chase") and bool(row.threads) == (row.backend != "cupy")
    for again in (["validate", "a.csv"], ["show", "a.csv"], ["compare", "a.csv", "a.csv"], ["report", "a.csv"]):
        assert main(again) == 0
