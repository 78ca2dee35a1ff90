"""A run on pretend backends: outcomes as groups finish, sampling time shared out, and no failure that ends it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bandmark.device.cpu import CpuUse
from bandmark.device.device import Device
from bandmark.device.memory import device_budget
from bandmark.device.sensors import POWER_CAP, SensorReading
from bandmark.measure.sampling import Schedule, StopRule
from bandmark.options import RunOptions
from bandmark.results.row import Row
from bandmark.session import runner
from bandmark.session.runner import GroupRun, measure_groups
from bandmark.session.session import Session, select_suites
from bandmark.suites.base import Group
from bandmark_kernels import QUANTIZED, Shape
from fakes import (
    FAKE_GPU,
    FakeBackend,
    FakeWorkload,
    VirtualClock,
    group_of,
    make_group,
    make_matrix_group,
    make_peak,
    make_target,
    measured,
    noisy,
    steady,
)

KERNELS = ("copy", "triad", "read")

UNTRIED = "the memory is the system's, so no smaller size is tried: --size takes less"


def go(groups: Sequence[Group], *, rule: StopRule | None = None, time_limit_s: float = 30.0, **options: Any) -> Session:
    """Measure groups to the end, at a peak of 0.1 GB/s."""
    backends: dict[str, Any] = {case.backend.name: case.backend for group in groups for case in group.cases}
    return measured(
        groups,
        [*backends.values()],
        rule or StopRule(),
        time_limit_s=time_limit_s,
        options=RunOptions(**options),
        target=make_target([*backends.values()], peak=make_peak(0.1)),
    )


def rows_of(groups: Sequence[Group], **options: Any) -> list[Row]:
    """The rows of groups that were measured to the end."""
    return go(groups, **options).rows()


def test_known_bandwidths_are_found() -> None:
    """Two libraries of known speed on one device get their speeds, kernel by kernel, verified and in turn."""
    clock = VirtualClock()
    fast, slow = FakeBackend(name="fast", gbs=0.08, clock=clock), FakeBackend(name="slow", gbs=0.02, clock=clock)
    rows = rows_of([make_group(name, [fast, slow]) for name in (*KERNELS, "gemv")])
    assert [(row.kernel, row.backend) for row in rows] == [
        (kernel, backend) for kernel in (*KERNELS, "gemv") for backend in ("fast", "slow")
    ]
    for row in rows:
        assert row.bandwidth_gbs == pytest.approx(0.08 if row.backend == "fast" else 0.02, rel=1e-6)
        assert (row.status, row.verified, row.max_error, row.stop_reason) == ("ok", True, 0.25, "converged")
        assert row.percent_of_peak == pytest.approx(80.0 if row.backend == "fast" else 20.0)
        assert row.percent_of_ceiling == pytest.approx(100.0 if row.backend == "fast" else 25.0)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row.started_utc or "")


def test_outcomes_come_group_by_group() -> None:
    """After every group its outcomes are handed over, before the next is prepared."""
    backend = FakeBackend()
    groups = [make_group(name, [backend]) for name in KERNELS]
    schedule = Schedule(limit_s=30.0, weights=(1, 1, 1), clock=backend.clock)
    prepared = []
    for outcomes in measure_groups(groups, RunOptions(), StopRule(), schedule):
        assert len(outcomes) == 1 and outcomes[0].measurement is not None
        prepared.append([kernel for kernel, _ in backend.sizes])
    assert prepared == [["copy"], ["copy", "triad"], ["copy", "triad", "read"]]


@pytest.mark.parametrize("stage", ["prepare", "launch", "timed", "verify"])
def test_ctrl_c_keeps_the_finished_groups(stage: str) -> None:
    """An interrupt at any stage ends the run; the groups before it were handed over and all operands are released."""
    backend = FakeBackend(raises={("read", stage): KeyboardInterrupt()})
    groups = [make_group(name, [backend]) for name in KERNELS]
    schedule = Schedule(limit_s=30.0, weights=(1, 1, 1), clock=backend.clock)
    outcomes = measure_groups(groups, RunOptions(), StopRule(), schedule)
    finished = [*next(outcomes), *next(outcomes)]
    with pytest.raises(KeyboardInterrupt):
        next(outcomes)
    assert [outcome.columns["kernel"] for outcome in finished] == ["copy", "triad"]
    assert all(outcome.measurement is not None for outcome in finished)
    assert backend.open_now == 0


@pytest.mark.parametrize(
    ("stage", "status", "reason"),
    [
        ("prepare", "error", "RuntimeError: it broke"),
        ("launch", "error", "RuntimeError: it broke"),
        ("timed", "error", "RuntimeError: it broke"),
        ("verify", "error", "verification failed to run: RuntimeError: it broke"),
    ],
)
def test_an_exception_is_a_row_and_the_run_goes_on(stage: str, status: str, reason: str) -> None:
    """What a library raises stands in the row of its case; the other groups are measured."""
    clock = VirtualClock()
    backend = FakeBackend(clock=clock, raises={("triad", stage): RuntimeError("it broke\nTraceback: ...")})
    rows = rows_of([make_group(name, [backend]) for name in KERNELS])
    assert [row.status for row in rows] == ["ok", status, "ok"]
    assert rows[1].reason == reason and rows[1].bandwidth_gbs is None
    assert backend.open_now == 0


@pytest.mark.parametrize("stage", ["prepare", "launch", "timed", "verify"])
def test_one_library_that_fails_does_not_spoil_the_other(stage: str) -> None:
    """Of two cases of a group the one that fails in preparation, trial, timing or verification leaves the other."""
    clock = VirtualClock()
    bad = FakeBackend(name="bad", clock=clock, raises={("triad", stage): ValueError("no")})
    good = FakeBackend(name="good", clock=clock, gbs=0.05)
    rows = rows_of([make_group("triad", [bad, good])])
    assert [row.status for row in rows] == ["error", "ok"]
    assert rows[1].bandwidth_gbs == pytest.approx(0.05)


def test_a_wrong_output_keeps_its_times() -> None:
    """A case whose output is wrong has times and a reason, and no bandwidth; the next is measured as ever."""
    clock = VirtualClock()
    backend = FakeBackend(clock=clock, errors={"copy": float("inf")})
    rows = rows_of([make_group(name, [backend]) for name in KERNELS])
    assert [row.status for row in rows] == ["failed_verification", "ok", "ok"]
    assert rows[0].time_median_s is not None and rows[0].bandwidth_gbs is None
    assert rows[0].reason == "the output is wrong by inf times the tolerance"


def test_a_backend_that_verifies_first_is_not_timed_when_wrong() -> None:
    """Where compilers have got devices wrong a case is checked before it is timed, and not timed if it fails."""
    clock = VirtualClock()
    backend = FakeBackend(clock=clock, verifies_first=True, errors={"copy": 40.0})
    rows = rows_of([make_group(name, [backend]) for name in KERNELS])
    assert [row.status for row in rows] == ["failed_verification", "ok", "ok"]
    assert rows[0].reason == "before timing, the output is wrong by 40 times the tolerance"
    assert (rows[0].samples, rows[0].max_error, rows[0].verified) == (None, 40.0, False)
    assert backend.open_now == 0


def test_unsupported_cases_are_rows() -> None:
    """A case that its backend does not run is a row with the reason, and is never prepared."""
    clock = VirtualClock()
    backend = FakeBackend(clock=clock, unsupported={"triad": "two passes"})
    rows = rows_of([make_group(name, [backend]) for name in KERNELS])
    assert [row.status for row in rows] == ["ok", "unsupported", "ok"]
    assert rows[1].reason == "two passes"
    assert [kernel for kernel, _ in backend.sizes] == ["copy", "read"]


def test_a_device_without_room_gets_half_the_size() -> None:
    """The size is halved until it fits; the rows of the whole group have that size, and say so."""
    clock = VirtualClock()
    tight = FakeBackend(name="tight", clock=clock, room_bytes=20_000)
    roomy = FakeBackend(name="roomy", clock=clock)
    rows = rows_of([make_group("triad", [roomy, tight]), make_group("copy", [roomy])])
    assert tight.sizes == [("triad", 3000), ("triad", 1500), ("triad", 750)]
    assert [(row.kernel, row.n_elements) for row in rows] == [("copy", 3000), ("triad", 750), ("triad", 750)]
    assert [row.status for row in rows] == ["ok"] * 3
    assert {row.reason for row in rows[1:]} == {"the size was halved 2 times for want of device memory"}
    assert rows[0].reason is None
    assert {(row.working_set_bytes, row.bytes_read) for row in rows[1:]} == {(18_000, 12_000)}
    assert roomy.open_now == tight.open_now == 0


def test_a_size_halved_once() -> None:
    """The note is a sentence."""
    clock = VirtualClock()
    (row,) = rows_of([make_group("triad", [FakeBackend(clock=clock, room_bytes=40_000)])])
    assert row.reason == "the size was halved once for want of device memory"


def test_a_thread_without_room_is_want_of_memory() -> None:
    """Each thread of a team raises its own error: the first of them decides whether fewer elements are tried."""

    class Threads(FakeBackend):
        def fail(self, kernel: str, stage: str) -> None:
            if stage == "launch" and self.sizes[-1][1] > 1000:
                raise ExceptionGroup("threads", [MemoryError("full"), MemoryError("full")])

    (row,) = rows_of([make_group("triad", [Threads()])])
    assert (row.status, row.n_elements) == ("ok", 750)


@pytest.mark.parametrize("stage", ["prepare", "launch", "timed", "verify"])
def test_want_of_memory_never_ends_the_run(stage: str) -> None:
    """Where no size fits the rows are errors that say so, and the next group is measured."""
    clock = VirtualClock()
    full = FakeBackend(name="full", clock=clock, raises={("triad", stage): MemoryError("device is full")})
    other = FakeBackend(name="other", clock=clock)
    rows = rows_of([make_group("triad", [other, full]), make_group("copy", [full])])
    assert [row.status for row in rows] == ["ok", "error", "error"]
    assert {row.reason for row in rows[1:]} == {"out of memory: device is full"}
    assert other.open_now == full.open_now == 0


@pytest.mark.parametrize("stage", ["prepare", "launch", "timed", "verify"])
def test_memory_of_the_system_is_not_tried_out(stage: str) -> None:
    """On a device that shares it, a case without room is an error row at any stage, and no smaller size is tried."""
    clock = VirtualClock()
    shared = replace(FAKE_GPU, integrated=True)
    full = FakeBackend(name="full", clock=clock, device=shared, raises={("triad", stage): MemoryError("full.")})
    other = FakeBackend(name="other", clock=clock, device=shared)
    rows = rows_of([make_group("triad", [full, other])])
    assert [row.status for row in rows] == ["error", "ok"]
    assert (rows[0].reason or "").endswith("MemoryError: full; " + UNTRIED)
    assert full.sizes == [("triad", 3000)] and full.open_now == other.open_now == 0


def test_every_row_has_the_sensors_that_one_library_reads() -> None:
    """Cases in turns on one device share its sensors: a brake makes all of them suspect, clock and heat are told."""
    clock = VirtualClock()
    read = SensorReading(temperature_c=70, power_w=200, memory_clock_mhz=9501, warnings=("heat held its clocks down",))
    blind, seeing = FakeBackend(name="blind", clock=clock), FakeBackend(name="seeing", clock=clock, readings=read)
    session = go([make_group("triad", [blind, seeing])])
    for row in session.rows():
        assert (row.status, row.reason, row.temperature_c) == ("suspect", "heat held its clocks down", 70)
    assert [entry["memory_clock_mhz"] for entry in session.record().samples] == [9501, 9501]


def test_doubts_of_every_library_count() -> None:
    """What either library's sensors saw while its own windows ran is told once."""
    clock = VirtualClock()
    heat, cap = "heat held its clocks down", "the power cap held its clocks down"
    one = FakeBackend(name="one", clock=clock, readings=SensorReading(temperature_c=70, warnings=(heat,)))
    two = FakeBackend(name="two", clock=clock, readings=SensorReading(temperature_c=71, warnings=(heat, cap)))
    rows = rows_of([make_group("triad", [one, two])])
    assert [row.reason for row in rows] == [f"{heat}; {cap}"] * 2


@pytest.mark.parametrize(
    ("reason", "throttled", "status"),
    [
        (POWER_CAP, True, "ok"),
        ("heat held its clocks down", True, "suspect"),
        ("heat held its clocks down", False, "ok"),
    ],
)
def test_what_held_the_clocks_down(reason: str, throttled: bool, status: str) -> None:
    """Throttled samples make a row suspect; the power cap alone, and a moment's, are notes."""
    backend = FakeBackend(readings=SensorReading(throttle_reasons=(reason,)), throttled=throttled)
    (row,) = rows_of([make_group("triad", [backend])])
    assert (row.status, row.reason) == (status, reason)


def test_clocks_that_one_library_counts_hold_for_the_other() -> None:
    """Without sensors the clock of a row that counts none is that of the cases it took turns with."""
    clock = VirtualClock()
    blind = FakeBackend(name="blind", clock=clock)
    counting = FakeBackend(name="counting", clock=clock, clock_mhz=lambda now: 800.0)
    rows = rows_of([make_group("triad", [blind, counting])])
    assert [row.clock_mhz for row in rows] == [800, 800]


def test_small_sets_rotate_alike() -> None:
    """Every library of a group rotates over as many sets, and each row says so."""
    clock = VirtualClock()
    small = replace(FAKE_GPU, llc_bytes=24_000)
    one, two = (FakeBackend(name=name, clock=clock, device=small) for name in ("one", "two"))
    rows = rows_of([make_group("copy", [one, two])])
    assert [(row.copies, row.reason) for row in rows] == [(4, "launches rotate over 4 sets of the arrays")] * 2


def test_a_models_matrix_is_named_and_rotates_on_a_cpu() -> None:
    """Its row says which matrix it is, how often a step uses one, and over how many sets launches rotate."""
    on_cpu = FakeBackend(threads=2, device=replace(FAKE_GPU, llc_bytes=100_000))
    session = go([make_matrix_group([on_cpu]), make_group("gemv", [on_cpu])])
    layer, plain = sorted(session.rows(), key=lambda row: row.layer is None)
    assert (layer.layer, layer.layer_uses, layer.regime) == ("my-model qkv", 7, "dram")
    assert (plain.layer, plain.layer_uses, plain.copies, plain.regime) == (None, None, 1, "cache")
    assert layer.copies == -(-5 * 100_000 // (layer.working_set_bytes or 1)) + 1
    assert f"rotate over {layer.copies} sets" in (layer.reason or "")


def test_without_room_a_models_matrix_has_fewer_sets() -> None:
    """Its size is the model's and stays: the number of sets is halved until they fit, and then it is an error."""

    class Tight(FakeBackend):
        most = 5

        def prepare(self, inputs, variant=None, copies=1):  # type: ignore[no-untyped-def]
            if copies > self.most:
                raise MemoryError("the fake device is full")
            return super().prepare(inputs, variant, copies)

    tight = Tight(device=replace(FAKE_GPU, llc_bytes=100_000))
    (row,) = rows_of([make_matrix_group([tight])])
    assert (row.m, row.n, row.copies) == (50, 60, 5) and row.status == "ok"
    assert (row.reason or "").endswith("the number of sets was halved 2 times for want of device memory")
    tight.most = 0
    (row,) = rows_of([make_matrix_group([tight])])
    assert (row.status, row.m) == ("error", 50) and (row.reason or "").startswith("out of memory")


GROUPS = {
    "a kernel": lambda backend: make_group("gemv", [backend]),
    "a model's matrix": lambda backend: make_matrix_group([backend]),
    "quantized weights": lambda backend: group_of(QUANTIZED["fp16"], [backend], shape=Shape(64, m=50)),
}


@pytest.mark.parametrize("kind", GROUPS)
def test_preparing_and_verifying_take_no_time_from_sampling(kind: str) -> None:
    """However long operands take to fill and outputs to check, every group has its share of the limit."""

    class Slow(FakeBackend):
        def prepare(self, inputs, variant=None, copies=1):  # type: ignore[no-untyped-def]
            self.clock.advance(100.0)
            return super().prepare(inputs, variant, copies)

    slow = Slow(laws={"gemv": noisy(1e-3, 0.5)}, verifies_first=True, verify_s=20.0)
    rows = rows_of([GROUPS[kind](slow)] * 3, rule=StopRule(min_time_s=1e9), time_limit_s=30.0)
    assert [row.stop_reason for row in rows] == ["time_limit"] * 3
    assert all((row.samples or 0) * (row.launches_per_sample or 0) * 1e-3 > 5 for row in rows)
    assert slow.clock() == pytest.approx(3 * (100 + 2 * 20) + 30.0, abs=1)


def test_a_slow_case_in_front_skips_no_group() -> None:
    """Verification that takes longer than the whole limit leaves every later group its samples."""
    backend = FakeBackend(verify_s=1000.0)
    rows = rows_of([make_group(name, [backend]) for name in KERNELS], time_limit_s=10.0)
    assert [(row.status, row.stop_reason) for row in rows] == [("ok", "converged")] * 3


def test_the_time_limit_is_shared_out() -> None:
    """Groups that never converge get equal shares, and the sampling of the whole run ends at its limit."""
    backend = FakeBackend(laws={name: noisy(1e-3, 0.5) for name in KERNELS})
    schedule = Schedule(limit_s=30.0, weights=(1, 1, 1), clock=backend.clock)
    groups = [make_group(name, [backend]) for name in KERNELS]
    ends = [backend.clock() for _ in measure_groups(groups, RunOptions(), StopRule(min_time_s=1e9), schedule)]
    assert ends == [pytest.approx(end, abs=0.1) for end in (10.0, 20.0, 30.0)]
    assert schedule.sampled_s == pytest.approx(30.0, abs=0.1)


def test_time_that_a_group_leaves_goes_to_the_others() -> None:
    """After a group that converges early the rest of the limit is shared out anew."""
    clock = VirtualClock()
    laws = {"copy": steady(1e-3), "triad": noisy(1e-3, 0.5), "read": noisy(1e-3, 0.5)}
    backend = FakeBackend(clock=clock, laws=laws)
    rule = StopRule(min_time_s=0.05, precision=1e-9, warmup_s=0.02)
    rows = rows_of([make_group(name, [backend]) for name in KERNELS], rule=rule, time_limit_s=1.2)
    assert [row.stop_reason for row in rows] == ["converged", "time_limit", "time_limit"]
    assert clock() == pytest.approx(1.2, abs=0.03)


def test_time_of_a_case_that_failed_counts() -> None:
    """What was sampled before a library failed is time of the limit; the cases that are left begin anew within it."""

    class Late(FakeBackend):
        def fail(self, kernel: str, stage: str) -> None:
            if stage == "timed" and self.clock() > 4.0:
                raise RuntimeError("late")

    clock = VirtualClock()
    late, good = Late(name="late", clock=clock), FakeBackend(name="good", clock=clock)
    late.laws = good.laws = {"copy": noisy(1e-3, 0.5)}
    rows = rows_of([make_group("copy", [good, late])], rule=StopRule(min_time_s=1e9), time_limit_s=10.0)
    assert [row.status for row in rows] == ["ok", "error"] and clock() == pytest.approx(10.0, abs=0.1)


@pytest.mark.parametrize(
    ("limit_s", "status", "words"),
    [(60.0, "ok", ""), (0.4, "suspect", "the time limit cut the warm-up short; --time-limit S gives more")],
)
def test_a_short_limit_shows(limit_s: float, status: str, words: str) -> None:
    """A case without its warm-up is suspect and says what gives more; it has five samples at the least."""
    (row,) = rows_of([make_group("copy", [FakeBackend(laws={"copy": steady(0.05)})])], time_limit_s=limit_s)
    assert (row.status, row.reason or "") == (status, words) and (row.samples or 0) >= 5


def test_groups_beyond_the_limit_are_skipped() -> None:
    """When the limit is over by a quarter the groups that are left are rows that say so, and nothing of them runs."""
    backend = FakeBackend(laws={"copy": steady(10.0)})
    rows = rows_of([make_group(name, [backend]) for name in KERNELS], time_limit_s=20.0)
    assert [row.status for row in rows] == ["ok", "skipped", "skipped"]
    assert rows[1].reason == "the time limit of 20 s had passed; --time-limit S gives more"
    assert [kernel for kernel, _ in backend.sizes] == ["copy"]


def test_raw_samples_are_kept() -> None:
    """Every sample of every measured case stands beside the rows, in the order of sampling."""
    clock = VirtualClock()
    good = FakeBackend(name="good", clock=clock, forms=("plain",))
    bad = FakeBackend(name="bad", clock=clock, raises={("triad", "prepare"): RuntimeError("no")})
    session = go([make_group("triad", [good, bad]), make_group("copy", [good])])
    samples = session.record().samples
    assert [(s["backend"], s["kernel"], s["dtype"], s["variant"]) for s in samples] == [
        ("good", "triad", "float64", "plain"),
        ("good", "copy", "float64", "plain"),
    ]
    copy, bad_triad, triad = session.rows()
    assert bad_triad.status == "error"
    for entry, row in zip(samples, (triad, copy), strict=True):
        assert len(entry["seconds_per_launch"]) == row.samples
        assert entry["launches_per_sample"] == row.launches_per_sample
        assert min(entry["seconds_per_launch"]) == row.time_min_s


def test_the_seed_and_the_data_reach_the_inputs() -> None:
    """Zeros are zeros, and another seed draws other numbers."""
    seen = []

    class Spy(FakeBackend):
        def prepare(self, inputs, variant=None, copies=1):  # type: ignore[no-untyped-def]
            seen.append(inputs.tiles["a"])
            return super().prepare(inputs, variant, copies)

    for changes in ({"seed": 1}, {"seed": 1}, {"seed": 2}, {"data": "zeros"}):
        clock = VirtualClock()
        go([make_group("copy", [Spy(clock=clock)])], **changes)
    assert (seen[0] == seen[1]).all() and (seen[0] != seen[2]).any()
    assert not seen[3].any() and seen[0].all()


@pytest.mark.parametrize(("threads", "suspect"), [(2, True), (None, False)])
def test_other_programs_count_where_processors_are_measured(
    monkeypatch: pytest.MonkeyPatch, threads: int | None, suspect: bool
) -> None:
    """Half a processor of two taken by others makes a CPU row suspect; on a device it says nothing."""
    monkeypatch.setattr(runner, "read_cpu_use", lambda now: CpuUse(now * 1.5, now, now, 2 * now))
    monkeypatch.setattr(runner, "cpu_count", lambda: 2)
    clock = VirtualClock()
    (row,) = rows_of([make_group("copy", [FakeBackend(clock=clock, threads=threads)])])
    assert (row.status == "suspect") is suspect
    assert ("other programs used 25 %" in (row.reason or "")) is suspect


def test_forms_that_turn_out_equal_are_one_row() -> None:
    """A variant asked for by name that is the default anyway is measured once."""
    clock = VirtualClock()
    backend = FakeBackend(clock=clock, forms=("plain", "wide"))
    group = make_group("copy", [backend])
    cases = [group.cases[0], *(replace(group.cases[0], variant=v) for v in ("plain", "wide"))]
    rows = rows_of([replace(group, cases=tuple(cases))])
    assert [row.variant for row in rows] == ["plain", "wide"]
    assert backend.open_now == 0


def test_a_form_that_does_not_go_with_the_operands_is_skipped() -> None:
    """A variant that can't run this shape is a row with the reason, not an error."""
    clock = VirtualClock()
    backend = FakeBackend(clock=clock, raises={("copy", "prepare"): NotImplementedError("operands are too short")})
    (row,) = rows_of([make_group("copy", [backend])])
    assert (row.status, row.reason) == ("skipped", "operands are too short")


def test_a_variant_that_fails_is_named_as_it_was_asked_for() -> None:
    """The row of a case that was never prepared has the variant of its plan, so that no two rows are one case."""
    backend = FakeBackend(forms=("plain", "wide"), raises={("copy", "prepare"): RuntimeError("no")})
    group = make_group("copy", [backend])
    rows = rows_of([replace(group, cases=(group.cases[0], replace(group.cases[0], variant="wide")))])
    assert [(row.variant, row.status) for row in rows] == [(None, "error"), ("wide", "error")]


def test_a_group_without_a_case_to_run_is_rows_alone() -> None:
    """Nothing is drawn or timed for a group of unsupported cases."""
    backend = FakeBackend(unsupported={"copy": "no"})
    schedule = Schedule(limit_s=1.0, clock=backend.clock)
    (outcome,) = GroupRun(make_group("copy", [backend]), RunOptions(), StopRule(), schedule).run()
    assert (outcome.status, outcome.reason, outcome.measurement) == ("unsupported", "no", None)
    assert backend.clock() == schedule.sampled_s == 0.0


def test_cases_of_a_skipped_group_keep_their_own_reasons() -> None:
    """A case that its backend does not run is unsupported also where the time is over."""
    able, unable = FakeBackend(name="able"), FakeBackend(name="unable", unsupported={"copy": "two passes"})
    outcomes = runner.skipped(make_group("copy", [able, unable]), "no time")
    assert [(o.status, o.reason) for o in outcomes] == [("skipped", "no time"), ("unsupported", "two passes")]


VERIFY_S_PER_ELEMENT = {"float32": 0.25e-9, "float16": 1.85e-9}
"""Comparing an output on the host, by its dtype; products that round are compared more slowly."""

INEXACT_S_PER_ELEMENT = 7.2e-9

FETCH_GBS = 4.0
"""From the device to the host."""


class LargeGpu(FakeBackend):
    """A library on a GPU with large memory, whose outputs are fetched and compared on the host."""

    def prepare(self, inputs: Any, variant: str | None = None, copies: int = 1) -> FakeWorkload:
        """Compile and fill the arrays, which takes a while."""
        self.clock.advance(0.5 + inputs.kernel.working_set(inputs.shape, inputs.dtype) / (self.gbs * 1e9))
        written = inputs.kernel.bytes_written(inputs.shape, inputs.dtype)
        name = inputs.dtype.name
        inexact = inputs.kernel.name == "nstream" and name == "float32"
        each = INEXACT_S_PER_ELEMENT if inexact else VERIFY_S_PER_ELEMENT[name]
        workload = super().prepare(inputs, variant, copies)
        workload.verify_s = written / inputs.dtype.itemsize * each + written / FETCH_GBS / 1e9
        return workload


@pytest.mark.parametrize(
    ("name", "peak_gbs", "memory_gb", "llc_mib"),
    [("H100", 3350.0, 80, 50), ("H200", 4800.0, 141, 50), ("B200", 8000.0, 180, 126)],
)
def test_a_default_run_on_a_large_gpu_measures_every_row(
    name: str, peak_gbs: float, memory_gb: int, llc_mib: int
) -> None:
    """With the arrays that such a GPU needs, verification takes seconds; all 40 rows still get their samples."""
    clock = VirtualClock()
    device = Device(kind="gpu", name=name, memory_bytes=memory_gb * 10**9, llc_bytes=llc_mib * 2**20)
    backends = [
        LargeGpu(
            name=library,
            device=device,
            clock=clock,
            gbs=0.92 * peak_gbs,
            memory_name=library,
            verifies_first=True,
            room=device_budget(int(0.95 * memory_gb * 10**9)),
            room_bytes=memory_gb * 10**9,
            noise=0.005,
        )
        for library in ("cupy", "torch")
    ]
    target = make_target(backends, peak=make_peak(peak_gbs))
    (suite,) = select_suites(RunOptions())
    groups = suite.plan(RunOptions(), target)
    limit_s = suite.time_limit_s(RunOptions(), sum(len(group.runnable) for group in groups))
    session = measured(groups, backends, StopRule(), target=target, time_limit_s=limit_s)
    rows = session.rows()
    assert len(rows) == 40 and {row.status for row in rows} == {"ok"}
    assert [row.kernel for row in rows if row.stop_reason != "converged" and (row.samples or 0) < 20] == []
    assert all((row.samples or 0) >= 20 for row in rows)
    assert clock() > 1.2 * limit_s, "verification and preparation took time beside sampling"
