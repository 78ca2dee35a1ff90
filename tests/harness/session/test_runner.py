"""A run on pretend backends: rows as groups finish, time shared out, and no failure that ends it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bandmark.device.machine import CpuUse
from bandmark.device.telemetry import Telemetry
from bandmark.measure.sampling import StopRule
from bandmark.models.matrices import Matrix
from bandmark.results.row import Row
from bandmark.session import runner
from bandmark.session.runner import GroupRun, Measured, Procedure, new_run_id, run_groups
from bandmark.suites.plan import Case, Group, halved
from bandmark_kernels import DTYPES, PACKED, Shape
from fakes import FAKE_GPU, FakeBackend, VirtualClock, make_context, make_group, make_peak, noisy, steady

KERNELS = ("copy", "triad", "read")

UNTRIED = "the memory is the system's, so no smaller size is tried: --size takes less"


def procedure(clock: VirtualClock, **changes: object) -> Procedure:
    """A procedure on a virtual clock."""
    return Procedure(clock=clock, **({"time_limit_s": 30.0} | changes))  # type: ignore[arg-type]


def go(
    groups: Sequence[Group], clock: VirtualClock, saved: list[list[Row]] | None = None, **changes: object
) -> Measured:
    """Run groups to the end; what is saved on the way is added to saved."""
    return run_groups(
        groups,
        make_context(make_peak(0.1)),
        procedure(clock, **changes),
        progress=lambda done, total, group: None,
        save=lambda measured: None if saved is None else saved.append(list(measured.rows)),
    )


def test_known_bandwidths_are_found() -> None:
    """Two libraries of known speed on one device get their speeds, kernel by kernel, verified and in turn."""
    clock = VirtualClock()
    fast, slow = FakeBackend(name="fast", gbs=0.08, clock=clock), FakeBackend(name="slow", gbs=0.02, clock=clock)
    rows = go([make_group(name, [fast, slow]) for name in (*KERNELS, "gemv")], clock).rows
    assert [(row.kernel, row.backend) for row in rows] == [
        (kernel, backend) for kernel in (*KERNELS, "gemv") for backend in ("fast", "slow")
    ]
    for row in rows:
        assert row.bandwidth_gbs == pytest.approx(0.08 if row.backend == "fast" else 0.02, rel=1e-6)
        assert (row.status, row.verified, row.max_error, row.stop_reason) == ("ok", True, 0.25, "converged")
        assert row.percent_of_peak == pytest.approx(80.0 if row.backend == "fast" else 20.0)
        assert row.percent_of_ceiling == pytest.approx(100.0 if row.backend == "fast" else 25.0)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row.started_utc or "")


def test_rows_are_saved_after_each_group() -> None:
    """After every group all rows so far are handed over, and at the end once more, with the ceiling."""
    clock, saved = VirtualClock(), []
    go([make_group(name, [FakeBackend(clock=clock)]) for name in KERNELS], clock, saved)
    assert [[row.kernel for row in rows] for rows in saved] == [
        ["copy"],
        ["copy", "triad"],
        ["copy", "triad", "read"],
        ["copy", "triad", "read"],
    ]
    assert [row.percent_of_ceiling for row in saved[-2]] == [None] * 3
    assert [row.percent_of_ceiling for row in saved[-1]] == [pytest.approx(100.0)] * 3


def test_progress_is_told_before_each_group() -> None:
    """How many groups are done, how many there are, and which comes next."""
    clock, seen = VirtualClock(), []
    groups = [make_group(name, [FakeBackend(clock=clock)]) for name in KERNELS]
    run_groups(
        groups,
        make_context(),
        procedure(clock),
        progress=lambda done, total, group: seen.append((done, total, group.kernel.name)),
        save=lambda measured: None,
    )
    assert seen == [(0, 3, "copy"), (1, 3, "triad"), (2, 3, "read")]


@pytest.mark.parametrize("stage", ["prepare", "launch", "timed", "verify"])
def test_ctrl_c_keeps_the_finished_groups(stage: str) -> None:
    """An interrupt at any stage ends the run; the groups before it are saved and all operands are let go."""
    clock, saved = VirtualClock(), []
    backend = FakeBackend(clock=clock, raises={("read", stage): KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        go([make_group(name, [backend]) for name in KERNELS], clock, saved)
    assert [row.kernel for row in saved[-1]] == ["copy", "triad"]
    assert all(row.status == "ok" for row in saved[-1])
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
    rows = go([make_group(name, [backend]) for name in KERNELS], clock).rows
    assert [row.status for row in rows] == ["ok", status, "ok"]
    assert rows[1].reason == reason and rows[1].bandwidth_gbs is None
    assert backend.open_now == 0


@pytest.mark.parametrize("stage", ["prepare", "launch", "timed", "verify"])
def test_one_library_that_fails_does_not_spoil_the_other(stage: str) -> None:
    """Of two cases of a group the one that fails in preparation, trial, timing or verification leaves the other."""
    clock = VirtualClock()
    bad = FakeBackend(name="bad", clock=clock, raises={("triad", stage): ValueError("no")})
    good = FakeBackend(name="good", clock=clock, gbs=0.05)
    rows = go([make_group("triad", [bad, good])], clock).rows
    assert [row.status for row in rows] == ["error", "ok"]
    assert rows[1].bandwidth_gbs == pytest.approx(0.05)


def test_a_wrong_output_keeps_its_times() -> None:
    """A case whose output is wrong has times and a reason, and no bandwidth; the next is measured as ever."""
    clock = VirtualClock()
    backend = FakeBackend(clock=clock, errors={"copy": float("inf")})
    rows = go([make_group(name, [backend]) for name in KERNELS], clock).rows
    assert [row.status for row in rows] == ["failed_verification", "ok", "ok"]
    assert rows[0].time_median_s is not None and rows[0].bandwidth_gbs is None
    assert rows[0].reason == "the output is wrong by inf times the tolerance"


def test_a_backend_that_verifies_first_is_not_timed_when_wrong() -> None:
    """Where compilers have got devices wrong a case is checked before it is timed, and not timed if it fails."""
    clock = VirtualClock()
    backend = FakeBackend(clock=clock, verifies_first=True, errors={"copy": 40.0})
    rows = go([make_group(name, [backend]) for name in KERNELS], clock).rows
    assert [row.status for row in rows] == ["failed_verification", "ok", "ok"]
    assert rows[0].reason == "before timing, the output is wrong by 40 times the tolerance"
    assert (rows[0].samples, rows[0].max_error, rows[0].verified) == (None, 40.0, False)
    assert backend.open_now == 0


def test_unsupported_cases_are_rows() -> None:
    """A case that its backend does not run is a row with the reason, and is never prepared."""
    clock = VirtualClock()
    backend = FakeBackend(clock=clock, unsupported={"triad": "two passes"})
    rows = go([make_group(name, [backend]) for name in KERNELS], clock).rows
    assert [row.status for row in rows] == ["ok", "unsupported", "ok"]
    assert rows[1].reason == "two passes"
    assert [kernel for kernel, _ in backend.sizes] == ["copy", "read"]


def test_a_device_without_room_gets_half_the_size() -> None:
    """The size is halved until it fits; the rows of the whole group have that size, and say so."""
    clock = VirtualClock()
    tight = FakeBackend(name="tight", clock=clock, room_bytes=20_000)
    roomy = FakeBackend(name="roomy", clock=clock)
    rows = go([make_group("triad", [roomy, tight]), make_group("copy", [roomy])], clock).rows
    assert tight.sizes == [("triad", 3000), ("triad", 1500), ("triad", 750)]
    assert [row.n_elements for row in rows] == [750, 750, 3000]
    assert [row.status for row in rows] == ["ok"] * 3
    assert {row.reason for row in rows[:2]} == {"the size was halved 2 times for want of device memory"}
    assert rows[2].reason is None
    assert roomy.open_now == tight.open_now == 0


def test_a_size_halved_once() -> None:
    """The note is a sentence."""
    clock = VirtualClock()
    (row,) = go([make_group("triad", [FakeBackend(clock=clock, room_bytes=40_000)])], clock).rows
    assert row.reason == "the size was halved once for want of device memory"


@pytest.mark.parametrize("stage", ["prepare", "launch", "timed", "verify"])
def test_want_of_memory_never_ends_the_run(stage: str) -> None:
    """Where no size fits the rows are errors that say so, and the next group is measured."""
    clock = VirtualClock()
    full = FakeBackend(name="full", clock=clock, raises={("triad", stage): MemoryError("device is full")})
    other = FakeBackend(name="other", clock=clock)
    rows = go([make_group("triad", [other, full]), make_group("copy", [full])], clock).rows
    assert [row.status for row in rows] == ["error", "error", "ok"]
    assert {row.reason for row in rows[:2]} == {"out of memory: device is full"}
    assert other.open_now == full.open_now == 0


@pytest.mark.parametrize("stage", ["prepare", "launch", "timed", "verify"])
def test_memory_of_the_system_is_not_tried_out(stage: str) -> None:
    """On a device that shares it, a case without room is an error row at any stage, and no smaller size is tried."""
    clock = VirtualClock()
    shared = replace(FAKE_GPU, integrated=True)
    full = FakeBackend(name="full", clock=clock, device=shared, raises={("triad", stage): MemoryError("full.")})
    other = FakeBackend(name="other", clock=clock, device=shared)
    rows = go([make_group("triad", [full, other])], clock).rows
    assert [row.status for row in rows] == ["error", "ok"]
    assert (rows[0].reason or "").endswith("MemoryError: full; " + UNTRIED)
    assert full.sizes == [("triad", 3000)] and full.open_now == other.open_now == 0


def test_every_row_has_the_sensors_that_one_library_reads() -> None:
    """Cases in turns on one device share its sensors: a brake makes all of them suspect, clock and heat are told."""
    clock = VirtualClock()
    read = Telemetry(temperature_c=70, power_w=200, memory_clock_mhz=9501, doubts=("heat held its clocks down",))
    blind, seeing = FakeBackend(name="blind", clock=clock), FakeBackend(name="seeing", clock=clock, readings=read)
    measured = go([make_group("triad", [blind, seeing])], clock)
    for row in measured.rows:
        assert (row.status, row.reason, row.temperature_c) == ("suspect", "heat held its clocks down", 70)
    assert [entry["memory_clock_mhz"] for entry in measured.samples] == [9501, 9501]


def test_doubts_of_every_library_count() -> None:
    """What either library's sensors saw while its own windows ran is told once."""
    clock = VirtualClock()
    heat, cap = "heat held its clocks down", "the power cap held its clocks down"
    one = FakeBackend(name="one", clock=clock, readings=Telemetry(temperature_c=70, doubts=(heat,)))
    two = FakeBackend(name="two", clock=clock, readings=Telemetry(temperature_c=71, doubts=(heat, cap)))
    rows = go([make_group("triad", [one, two])], clock).rows
    assert [row.reason for row in rows] == [f"{heat}; {cap}"] * 2


def test_clocks_that_one_library_counts_hold_for_the_other() -> None:
    """Without sensors the clock of a row that counts none is that of the cases it took turns with."""
    clock = VirtualClock()
    blind = FakeBackend(name="blind", clock=clock)
    counting = FakeBackend(name="counting", clock=clock, clock_mhz=lambda now: 800.0)
    rows = go([make_group("triad", [blind, counting])], clock).rows
    assert [row.clock_mhz for row in rows] == [800, 800]


def test_small_sets_rotate_alike() -> None:
    """Every library of a group rotates over as many sets, and each row says so."""
    clock = VirtualClock()
    small = replace(FAKE_GPU, llc_bytes=24_000)
    one, two = (FakeBackend(name=name, clock=clock, device=small) for name in ("one", "two"))
    rows = go([make_group("copy", [one, two])], clock).rows
    assert [(row.copies, row.reason) for row in rows] == [(4, "launches rotate over 4 sets of the arrays")] * 2


def layer_group(backends: list[FakeBackend]) -> Group:
    """A group of a model's matrix, 50 x 60."""
    group = make_group("gemv", backends)
    matrix = Matrix("my-model", "qkv", 50, 60, 7)
    return replace(group, cases=tuple(replace(case, layer=matrix) for case in group.cases))


def test_a_models_matrix_is_named_and_rotates_on_a_cpu() -> None:
    """Its row says which matrix it is, how often a step uses one, and over how many sets launches rotate."""
    clock = VirtualClock()
    on_cpu = FakeBackend(clock=clock, threads=2, device=replace(FAKE_GPU, llc_bytes=100_000))
    measured = go([layer_group([on_cpu]), make_group("gemv", [on_cpu])], clock)
    layer, plain = measured.rows
    assert (layer.layer, layer.layer_uses, layer.regime) == ("my-model qkv", 7, "dram")
    assert (plain.layer, plain.layer_uses, plain.copies, plain.regime) == (None, None, 1, "cache")
    assert layer.copies == -(-5 * 100_000 // (layer.working_set_bytes or 1)) + 1
    assert f"rotate over {layer.copies} sets" in (layer.reason or "")
    assert (measured.samples[0]["m"], measured.samples[0]["n"]) == (50, 60) and "m" not in measured.samples[1]


def test_without_room_a_models_matrix_has_fewer_sets() -> None:
    """Its size is the model's and stays: the number of sets is halved until they fit, and then it is an error."""

    class Tight(FakeBackend):
        most = 5

        def prepare(self, inputs, variant=None, copies=1):  # type: ignore[no-untyped-def]
            if copies > self.most:
                raise MemoryError("the fake device is full")
            return super().prepare(inputs, variant, copies)

    clock = VirtualClock()
    tight = Tight(clock=clock, device=replace(FAKE_GPU, llc_bytes=100_000))
    (row,) = go([layer_group([tight])], clock).rows
    assert (row.m, row.n, row.copies) == (50, 60, 5) and row.status == "ok"
    assert (row.reason or "").endswith("the number of sets was halved 2 times for want of device memory")
    tight.most = 0
    (row,) = go([layer_group([tight])], clock).rows
    assert (row.status, row.m) == ("error", 50) and (row.reason or "").startswith("out of memory")


@pytest.mark.parametrize("packed", [False, True])
def test_filling_many_sets_takes_no_time_from_sampling(packed: bool) -> None:
    """However long a model's matrices or packed weights take to prepare, every group has its share of the limit."""

    class Slow(FakeBackend):
        def prepare(self, inputs, variant=None, copies=1):  # type: ignore[no-untyped-def]
            self.clock.advance(100.0)
            return super().prepare(inputs, variant, copies)

    clock = VirtualClock()
    slow = Slow(clock=clock, laws={"gemv": noisy(1e-3, 0.5)})
    rule = StopRule(min_time_s=1e9)
    weights, number, shape = PACKED["fp16"], DTYPES["float32"], Shape(64, m=50)
    laid_out = Group(weights, number, shape, (Case(weights, number, shape, slow),))
    group = laid_out if packed else layer_group([slow])
    rows = go([group] * 3, clock, rule=rule, time_limit_s=30.0).rows
    assert [row.stop_reason for row in rows] == ["time_limit"] * 3
    assert all((row.samples or 0) * (row.launches_per_sample or 0) * 1e-3 > 5 for row in rows)
    assert clock() == pytest.approx(330.0, abs=1)


def test_half_a_vector_and_half_a_matrix() -> None:
    """Vectors lose half their elements, matrices half their rows, and the last row half its columns."""
    backend = FakeBackend()
    assert halved(make_group("copy", [backend], shape=Shape(7))).shape == Shape(3)
    group = halved(make_group("gemv", [backend], shape=Shape(60, m=50)))
    assert group.shape == Shape(60, m=25)
    assert {case.shape for case in group.cases} == {Shape(60, m=25)}
    assert halved(make_group("gemv", [backend], shape=Shape(60, m=1))).shape == Shape(30, m=1)


def test_the_time_limit_is_shared_out() -> None:
    """Groups that never converge get equal shares, and the whole run ends at its limit."""
    clock, begins = VirtualClock(), []
    laws = {name: noisy(1e-3, 0.5) for name in KERNELS}
    rule = StopRule(min_time_s=1e9)
    backend = FakeBackend(clock=clock, laws=laws)
    run_groups(
        [make_group(name, [backend]) for name in KERNELS],
        make_context(),
        procedure(clock, rule=rule, time_limit_s=30.0),
        progress=lambda done, total, group: begins.append(clock()),
        save=lambda measured: None,
    )
    assert begins == [pytest.approx(0.0), pytest.approx(10.0, abs=0.1), pytest.approx(20.0, abs=0.1)]
    assert clock() == pytest.approx(30.0, abs=0.1)


def test_time_that_a_group_leaves_goes_to_the_others() -> None:
    """After a group that converges early the rest of the limit is shared out anew."""
    clock = VirtualClock()
    laws = {"copy": steady(1e-3), "triad": noisy(1e-3, 0.5), "read": noisy(1e-3, 0.5)}
    backend = FakeBackend(clock=clock, laws=laws)
    rule = StopRule(min_time_s=0.05, precision=1e-9, warmup_s=0.02)
    rows = go([make_group(name, [backend]) for name in KERNELS], clock, rule=rule, time_limit_s=1.2).rows
    assert [row.stop_reason for row in rows] == ["converged", "time_limit", "time_limit"]
    assert clock() == pytest.approx(1.2, abs=0.03)


def test_verification_comes_out_of_the_share() -> None:
    """Slow verification does not push the run past its limit: later groups sample less."""
    clock = VirtualClock()
    backend = FakeBackend(clock=clock, verify_s=2.0, laws={name: noisy(1e-3, 0.5) for name in KERNELS})
    go([make_group(name, [backend]) for name in KERNELS], clock, rule=StopRule(min_time_s=1e9), time_limit_s=30.0)
    assert clock() == pytest.approx(30.0, abs=0.1)


def test_groups_beyond_the_limit_are_skipped() -> None:
    """When the limit is over by a quarter the groups that are left are rows that say so, and nothing of them runs."""
    clock = VirtualClock()
    backend = FakeBackend(clock=clock, laws={"copy": steady(10.0)})
    rows = go([make_group(name, [backend]) for name in KERNELS], clock, time_limit_s=20.0).rows
    assert [row.status for row in rows] == ["ok", "skipped", "skipped"]
    assert rows[1].reason == "the time limit of 20 s had passed; --time-limit S gives more"
    assert [kernel for kernel, _ in backend.sizes] == ["copy"]


def test_raw_samples_are_kept() -> None:
    """Every sample of every measured case stands beside the rows, in the order of sampling."""
    clock = VirtualClock()
    good = FakeBackend(name="good", clock=clock, forms=("plain",))
    bad = FakeBackend(name="bad", clock=clock, raises={("triad", "prepare"): RuntimeError("no")})
    measured = go([make_group("triad", [good, bad]), make_group("copy", [good])], clock)
    assert [(s["backend"], s["kernel"], s["dtype"], s["variant"]) for s in measured.samples] == [
        ("good", "triad", "float64", "plain"),
        ("good", "copy", "float64", "plain"),
    ]
    for entry, row in zip(measured.samples, (measured.rows[0], measured.rows[2]), strict=True):
        assert len(entry["seconds_per_launch"]) == row.samples
        assert entry["launches_per_sample"] == row.launches_per_sample
        assert min(entry["seconds_per_launch"]) == pytest.approx(row.time_min_s)


def test_the_seed_and_the_data_reach_the_inputs() -> None:
    """Zeros are zeros, and another seed draws other numbers."""
    seen = []

    class Spy(FakeBackend):
        def prepare(self, inputs, variant=None, copies=1):  # type: ignore[no-untyped-def]
            seen.append(inputs.tiles["a"])
            return super().prepare(inputs, variant, copies)

    for changes in ({"seed": 1}, {"seed": 1}, {"seed": 2}, {"data": "zeros"}):
        clock = VirtualClock()
        go([make_group("copy", [Spy(clock=clock)])], clock, **changes)
    assert (seen[0] == seen[1]).all() and (seen[0] != seen[2]).any()
    assert not seen[3].any() and seen[0].all()


@pytest.mark.parametrize(("threads", "suspect"), [(2, True), (None, False)])
def test_other_programs_count_where_processors_are_measured(
    monkeypatch: pytest.MonkeyPatch, threads: int | None, suspect: bool
) -> None:
    """Half a processor of two taken by others makes a CPU row suspect; on a device it says nothing."""
    monkeypatch.setattr(runner, "read_cpu_use", lambda now: CpuUse(now * 1.5, now, now))
    clock = VirtualClock()
    (row,) = go([make_group("copy", [FakeBackend(clock=clock, threads=threads)])], clock).rows
    assert (row.status == "suspect") is suspect
    assert ("other programs used 25 %" in (row.reason or "")) is suspect


def test_forms_that_turn_out_equal_are_one_row() -> None:
    """A variant asked for by name that is the default anyway is measured once."""
    clock = VirtualClock()
    backend = FakeBackend(clock=clock, forms=("plain", "wide"))
    group = make_group("copy", [backend])
    cases = [group.cases[0], *(runner.replace(group.cases[0], variant=v) for v in ("plain", "wide"))]
    rows = go([runner.replace(group, cases=tuple(cases))], clock).rows
    assert [row.variant for row in rows] == ["plain", "wide"]
    assert backend.open_now == 0


def test_a_form_that_does_not_go_with_the_operands_is_skipped() -> None:
    """A variant that can't run this shape is a row with the reason, not an error."""
    clock = VirtualClock()
    backend = FakeBackend(clock=clock, raises={("copy", "prepare"): NotImplementedError("operands are too short")})
    (row,) = go([make_group("copy", [backend])], clock).rows
    assert (row.status, row.reason) == ("skipped", "operands are too short")


def test_a_group_without_a_case_to_run_is_rows_alone() -> None:
    """Nothing is drawn or timed for a group of unsupported cases."""
    clock = VirtualClock()
    group = make_group("copy", [FakeBackend(clock=clock, unsupported={"copy": "no"})])
    one = GroupRun(group, make_context(), procedure(clock), 1.0)
    one.run()
    assert [row.status for row in one.rows()] == ["unsupported"]
    assert one.samples() == [] and clock() == 0.0


def test_run_ids() -> None:
    """A run is named by its start in UTC and four random digits."""
    now = datetime(2026, 11, 23, 10, 15, 0, tzinfo=UTC)
    names = {new_run_id(now) for _ in range(50)}
    assert len(names) > 40
    assert all(re.fullmatch(r"20261123T101500Z-[0-9a-f]{4}", name) for name in names)
