"""Are CUDA kernels on their arrays launched, timed and verified as they should? On a stand-in with a virtual clock."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bandmark.measure.sampling import take
from bandmark_kernels import DTYPES, KERNELS, Shape
from bandmark_kernels.core.checks import make_inputs
from cupy_errors import CUDARuntimeError
from cupy_gpu import MIB, Gpu
from cupy_launch import Launched
from cupy_sensors import Sensors
from cupy_standin import StandIn, open_backend
from kernel_cases import cases, shape_of

F32 = DTYPES["float32"]


def inputs_of(name: str, dtype: str = "float32", shape: Shape | None = None) -> Any:
    """The inputs of a small case, in the kernel's own dtype where it has but one."""
    kernel = KERNELS[name]
    (number, *_) = kernel.dtypes_among([DTYPES[dtype]])
    return make_inputs(kernel, number, shape or shape_of(kernel, 10_007, Shape(1000, m=300)), seed=1)


def prepare(monkeypatch: pytest.MonkeyPatch, cupy: StandIn, name: str, **options: Any) -> Any:
    """A workload on a pretend device, and an empty log."""
    workload = open_backend(monkeypatch, cupy).prepare(inputs_of(name, **options))
    cupy.log.clear()
    cupy.recording = True
    return workload


@pytest.mark.parametrize("name", KERNELS)
def test_the_window_holds_the_launches_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Delay and clock probe come before the start event, and between the events there are only launches."""
    cupy = StandIn(Gpu(lambda launch: 0.002))
    workload = prepare(monkeypatch, cupy, name)
    steps = len(workload._functions)
    reading = take(workload, 3)
    start, stop = (i for i, entry in enumerate(cupy.log) if entry == "event")
    between = cupy.log[start + 1 : stop]
    assert len(between) == 3 * steps
    assert {entry.removesuffix("_finish").removesuffix("_ragged") for entry in between} == {f"bandmark_{name}"}
    assert cupy.log[:start] == ["synchronize", "bandmark_delay", "bandmark_clock"]
    assert cupy.log[stop + 1 :] == ["bandmark_clock", "synchronize", "get", "get"]
    assert reading.seconds == pytest.approx(0.002 * 3 * steps, rel=1e-6)


@pytest.mark.parametrize(("name", "launches"), [("copy", 1000), ("dot", 500), ("gemv", 500)])
def test_the_delay_hides_what_launching_costs_the_host(
    monkeypatch: pytest.MonkeyPatch, name: str, launches: int
) -> None:
    """Launches of 1 us that take the host 10 us each run back to back; without the delay the host would be timed."""
    cupy = StandIn(Gpu(lambda launch: 1e-6), host_launch_s=10e-6)
    workload = prepare(monkeypatch, cupy, name)
    workload.can_replay = False
    steps = len(workload._functions)
    assert take(workload, launches).seconds == pytest.approx(launches * steps * 1e-6, rel=1e-6)
    cupy.gpu.delay_factor = 0
    assert take(workload, launches).seconds > 5 * launches * steps * 1e-6


@pytest.mark.parametrize("name", ["copy", "dot"])
def test_short_launches_replay_from_a_graph(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """From the second window on one call queues all launches of a window, on each set in turn, and the row says so."""
    cupy = StandIn(Gpu(lambda launch: 1e-6), host_launch_s=10e-6)
    workload = open_backend(monkeypatch, cupy).prepare(inputs_of(name), copies=3)
    steps = len(workload._functions)
    assert (take(workload, 1).seconds, workload.note) == (pytest.approx(steps * 1e-6, rel=1e-6), None)
    for launches in (1000, 1000, 7):
        cupy.log.clear()
        assert take(workload, launches).seconds == pytest.approx(launches * steps * 1e-6, rel=1e-6)
        start, stop = (i for i, entry in enumerate(cupy.log) if entry == "event")
        assert (cupy.log[start + 1], stop - start - 2) == ("graph", launches * steps)
    assert cupy.log[:start] == ["upload", "synchronize", "bandmark_delay", "bandmark_clock"]
    assert workload.note == "launches replay from a CUDA graph"
    cupy.recording = True
    take(workload, 6)
    read = [id(arguments[0]) for arguments in cupy.arguments[::steps]]
    assert len(set(read)) == 3 and read[:3] == read[3:]
    assert workload.verify() <= 1


def test_long_launches_are_queued_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Launches of 200 us and more do not replay from a graph."""
    cupy = StandIn(Gpu(lambda launch: 200e-6))
    workload = prepare(monkeypatch, cupy, "copy")
    for _ in range(3):
        take(workload, 5)
    assert "graph" not in cupy.log and workload.note is None


@pytest.mark.parametrize(("name", "dtype"), cases())
def test_arguments_have_the_types_and_the_order_of_the_source(
    monkeypatch: pytest.MonkeyPatch, name: str, dtype: str
) -> None:
    """What is launched fits the signature in the .cu file: number, order, element types, exact-width scalars."""
    cupy = StandIn()
    workload = prepare(monkeypatch, cupy, name, dtype=dtype)
    take(workload, 1)  # the stand-in refuses what does not fit the parameters' types
    arrays = workload._sets[0]
    kernel = KERNELS[name]
    given = cupy.arguments[0]
    listed = [arrays[o.name] for o in kernel.operands if o.role != "result"]
    assert [id(a) for a in given if not isinstance(a, np.generic)][: len(listed)] == [id(a) for a in listed]
    accumulator = np.dtype(DTYPES[dtype].accumulator).type
    scalars = [x for x in given if isinstance(x, np.generic)]
    shape = workload.inputs.shape
    counts = [np.uint64(shape.m)] if kernel.is_matrix else []
    # Attention has its columns compiled in, and no scales of a cache in the operands' dtype: two null pointers.
    counts = [np.uint64(0), np.uint64(0), *counts] if kernel.columns else [*counts, np.uint64(shape.n)]
    constants = kernel.implementations["cupy"].constants_for(kernel.scalars).values()
    assert scalars == [*map(accumulator, constants), *counts]
    assert [type(x) for x in scalars] == [accumulator] * len(constants) + [np.uint64] * len(counts)


@pytest.mark.parametrize(("name", "dtype"), cases())
def test_right_kernels_are_verified_and_wrong_ones_are_not(
    monkeypatch: pytest.MonkeyPatch, name: str, dtype: str
) -> None:
    """An output that the launch leaves poisoned or unchanged fails; a computed one passes."""
    for wrong in (set(), {f"bandmark_{name}"}):
        cupy = StandIn(Gpu(wrong=wrong))
        error = open_backend(monkeypatch, cupy).prepare(inputs_of(name, dtype)).verify()
        assert (error <= 1) == (not wrong)


@pytest.mark.parametrize("name", KERNELS)
def test_what_an_earlier_launch_left_is_no_result(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The output is poisoned before the launch that is verified: a kernel that stops working is found out."""
    cupy = StandIn()
    workload = prepare(monkeypatch, cupy, name)
    for _ in range(workload.copies + 1):
        take(workload, 1)
    assert workload.verify() <= 1
    # The output's finishing step stops, too: it would add up what the first step left in the workspace.
    cupy.gpu.wrong = {f"bandmark_{name}", f"bandmark_{name}_finish"}
    assert not workload.verify() <= 1


@pytest.mark.parametrize("name", ["dot", "read", "gemv", "gemv_t"])
def test_a_broken_finish_is_found_out(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Where partial sums are added up by a launch of its own, its failure shows."""
    cupy = StandIn(Gpu(wrong={f"bandmark_{name}_finish"}, sms=64))
    workload = prepare(monkeypatch, cupy, name, shape=Shape(4099, m=3 if name == "gemv" else 2000))
    assert len(workload._functions) == 2
    assert not workload.verify() <= 1


@pytest.mark.parametrize("name", ["nstream", "adamw", "adamw_master"])
def test_kernels_that_work_in_place_are_restored(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Verifying launches with other scalars; afterwards the operands are as before, so timing stays bounded."""
    workload = prepare(monkeypatch, StandIn(), name)
    in_place = [o for o in KERNELS[name].outputs if o.is_read]
    before = {o.name: workload._sets[0][o.name].host.copy() for o in in_place}
    assert workload.verify() <= 1
    assert all(np.array_equal(workload._sets[0][name].host, array) for name, array in before.items())
    for _ in range(50):
        take(workload, 1)
    assert all(np.isfinite(workload._sets[0][name].host).all() for name in before)


def test_everything_is_allocated_before_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first window on nothing is allocated, filled or compiled: workspace, events and probes are there."""
    for name in KERNELS:
        cupy = StandIn()
        workload = prepare(monkeypatch, cupy, name)
        compiled = list(cupy.compiled)
        for _ in range(3):
            take(workload, 2)
        assert not {"allocate", "set", "memset", "copy"} & set(cupy.log)
        assert cupy.compiled == compiled


def test_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a workload frees its arrays and the pool; closing it again changes nothing."""
    cupy = StandIn()
    workload = prepare(monkeypatch, cupy, "gemv")
    assert cupy.gpu.live > 1_000_000
    workload.close()
    assert (cupy.gpu.live, cupy.gpu.pooled) == (0, 0)
    workload.close()


def test_closing_survives_a_lost_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed launch CUDA refuses everything; letting go must not hide what happened."""
    cupy = StandIn()
    workload = prepare(monkeypatch, cupy, "copy")
    cupy.gpu.lost = True
    with pytest.raises(CUDARuntimeError, match="cudaErrorLaunchFailure"):
        take(workload, 1)
    workload.close()


def test_small_sets_rotate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Launches take as many sets as were asked for in turn; without a number there is one."""
    cupy = StandIn(Gpu(l2_bytes=MIB))
    backend = open_backend(monkeypatch, cupy)
    small = backend.prepare(make_inputs(KERNELS["copy"], F32, Shape(MIB // 8), seed=1), copies=6)
    assert small.copies == 6
    cupy.recording = True
    take(small, 7)
    outputs = [id(arguments[1]) for arguments in cupy.arguments]
    assert len(set(outputs)) == 6 and outputs[6] == outputs[0]
    large = backend.prepare(make_inputs(KERNELS["copy"], F32, Shape(MIB), seed=1))
    assert large.copies == 1


def test_each_copy_is_verified_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verification takes the set that is next, so that not the first one alone is ever looked at."""
    cupy = StandIn(Gpu(l2_bytes=MIB))
    backend = open_backend(monkeypatch, cupy)
    workload = backend.prepare(make_inputs(KERNELS["copy"], F32, Shape(MIB // 8), seed=1), copies=3)
    take(workload, 1)
    cupy.recording = True
    cupy.arguments.clear()
    assert workload.verify() <= 1
    assert cupy.arguments[0][1] is workload._sets[1]["b"]


def test_one_period_of_an_output_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device compares the other periods: an element that differs anywhere is found, and little is copied."""
    cupy = StandIn()
    workload = open_backend(monkeypatch, cupy).prepare(make_inputs(KERNELS["copy"], F32, Shape(3_000_000), seed=1))
    cupy.log.clear()
    assert workload.verify() == 0
    assert cupy.log.count("get") == 2  # how many elements differ, and the first period
    for wrong in (0, 1_048_573, 2_999_999):
        cupy.gpu.wrong_if = lambda launch, wrong=wrong: _spoil(launch, wrong)  # type: ignore[misc]
        assert workload.verify() > 1


def _spoil(launch: Launched, index: int) -> bool:
    launch.values["b"].host[:] = launch.values["a"].host
    launch.values["b"].host[index] = 2
    return True


def test_the_clock_of_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """The multiprocessors' mean clock comes from their own counters; nonsense is None."""
    for counters, expected in (
        (None, 2400),
        (lambda now: (int(now * 513e6), int(now * 1e9)), 513),
        (lambda now: (0, 0), None),
        (lambda now: (7, int(now * 1e9)), None),
        (lambda now: (int(now * 1e6), int(now * 1e9)), None),  # 1 MHz: counts calls, not cycles
        (lambda now: (int(now * 4e9), int(now * 1e9)), None),  # 4 GHz on a device of 2.4
    ):
        reading = take(prepare(monkeypatch, StandIn(Gpu(counters=counters)), "copy"), 3)
        assert reading.clock_mhz == (None if expected is None else pytest.approx(expected, rel=1e-4))
        assert (reading.sensor_clock_mhz, reading.braked) == (None, False)


def test_what_the_sensors_say_of_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVML's clock stands beside the counters' own, and a throttle reason marks the sample."""
    sensors = Sensors(nvmlDeviceGetClockInfo=2370, nvmlDeviceGetCurrentClocksEventReasons=0x40)
    workload = open_backend(monkeypatch, StandIn(), sensors).prepare(inputs_of("copy"))
    reading = take(workload, 3)
    assert (reading.clock_mhz, reading.sensor_clock_mhz, reading.braked) == (pytest.approx(2400, rel=1e-4), 2370, True)
