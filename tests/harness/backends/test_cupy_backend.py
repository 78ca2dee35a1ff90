"""Does the CuPy backend launch, time, verify and survive as it should? On a stand-in with a virtual clock."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bandmark.measure import take
from bandmark_kernels import DTYPES, KERNELS, Shape
from bandmark_kernels.inputs import make_inputs
from cupy_standin import MIB, StandIn

F32 = DTYPES["float32"]


def open_backend(monkeypatch: pytest.MonkeyPatch, device: StandIn) -> Any:
    """Return the backend on a stand-in device."""
    monkeypatch.setitem(sys.modules, "cupy", device.module())
    for name in ("cupy_backend", "cupy_devices"):
        monkeypatch.delitem(sys.modules, f"bandmark.backends.{name}", raising=False)
    from bandmark.backends.cupy_backend import open_accelerator
    from bandmark.backends.cupy_devices import list_accelerators

    ((address, found),), problem = list_accelerators()
    assert problem is None
    return open_accelerator(address, found)


@pytest.fixture(autouse=True)
def forget_the_stand_in() -> Iterator[None]:
    """Let no other test see modules that were imported with the stand-in."""
    yield
    for name in ("cupy_backend", "cupy_devices"):
        sys.modules.pop(f"bandmark.backends.{name}", None)


def test_the_window_holds_the_launches_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delay and clock probe come before the start event, and between the events there are only launches."""
    device = StandIn(lambda entry: 0.002)
    workload = open_backend(monkeypatch, device).prepare(make_inputs(KERNELS["triad"], F32, Shape(MIB), seed=1))
    device.log.clear()
    reading = take(workload, 3)
    start, stop = (i for i, entry in enumerate(device.log) if entry == "event")
    assert device.log[start + 1 : stop] == ["bandmark_triad"] * 3
    assert "bandmark_delay" in device.log[:start]
    assert reading.seconds == pytest.approx(0.006, rel=1e-9)


@pytest.mark.parametrize("name", [k for k in KERNELS if not KERNELS[k].is_reduction])
def test_right_kernels_are_verified_and_wrong_ones_are_not(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An output that the launch leaves poisoned or unchanged fails; a computed one passes."""
    shape = Shape(1000, m=300) if KERNELS[name].is_matrix else Shape(100_003)
    for wrong in ("", name):
        backend = open_backend(monkeypatch, StandIn(lambda entry: 0.001, wrong=wrong))
        error = backend.prepare(make_inputs(KERNELS[name], F32, shape, seed=1)).verify()
        assert (error <= 1) == (wrong == "")


@pytest.mark.parametrize("name", ["copy", "triad", "nstream", "gemv"])
def test_what_an_earlier_launch_left_is_no_result(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The output is poisoned before the launch that is verified: a kernel that stops working is found out."""
    device = StandIn(lambda entry: 0.001)
    shape = Shape(1000, m=300) if KERNELS[name].is_matrix else Shape(100_003)
    workload = open_backend(monkeypatch, device).prepare(make_inputs(KERNELS[name], F32, shape, seed=1))
    assert workload.verify() <= 1
    device.wrong = name
    assert not workload.verify() <= 1


def test_small_sets_rotate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set smaller than four L2 caches is launched on several copies in turn, a larger one on itself."""
    backend = open_backend(monkeypatch, StandIn(lambda entry: 0.001))
    small = backend.prepare(make_inputs(KERNELS["copy"], F32, Shape(MIB // 8), seed=1))
    assert small.copies == 6
    large = backend.prepare(make_inputs(KERNELS["copy"], F32, Shape(MIB), seed=1))
    assert large.copies == 1


def test_no_room_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy's out of memory becomes MemoryError, which halves the size, and the pool is given back first."""
    device = StandIn(lambda entry: 0.001, memory=MIB)
    backend = open_backend(monkeypatch, device)
    device.log.clear()
    with pytest.raises(MemoryError, match="Out of memory"):
        backend.prepare(make_inputs(KERNELS["copy"], F32, Shape(MIB), seed=1))
    assert device.log[-1] == "free"


def test_modules_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second case of the same kernel, dtype and variant uses the compiled module."""
    backend = open_backend(monkeypatch, StandIn(lambda entry: 0.001))
    assert backend.compiled(KERNELS["add"], F32, "v16") is backend.compiled(KERNELS["add"], F32, "v16")
    assert backend.variants(KERNELS["add"])[0] == "v16"


def test_integrated_devices_ask_the_system_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """On unified memory the budget is a quarter of what the system has available, at most 4 GiB, never CUDA's free."""
    device = StandIn(lambda entry: 0.001, memory=1)
    device.properties["integrated"] = 1
    backend = open_backend(monkeypatch, device)
    monkeypatch.setattr(sys.modules["bandmark.backends.cupy_backend"], "available_bytes", lambda: 8 * 2**30)
    assert backend.budget().limit_bytes == 2 * 2**30


def test_clocks_come_from_the_same_multiprocessor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cycles over nanoseconds of records that name the same multiprocessor; counters that stand still say nothing."""
    open_backend(monkeypatch, StandIn(lambda entry: 0.001))
    mean = sys.modules["bandmark.backends.cupy_backend"].mean_clock_mhz
    before = np.array([0, 1000, 1000, 1, 5000, 1000], np.uint64)
    after = np.array([1, 5000 + 4800, 1000 + 2000, 0, 1000 + 4800, 1000 + 2000], np.uint64)
    assert mean(before, after) == pytest.approx(2400)
    assert mean(before, before) is None
    assert mean(np.zeros(6, np.uint64), np.zeros(6, np.uint64)) is None
