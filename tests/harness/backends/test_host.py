"""The arena of CPU operands: each array filled with its tile, poisoned where it is written, touched by its threads."""

from __future__ import annotations

import errno
import mmap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.backends import host
from bandmark.backends.host import _ALIGNMENT, HostMemory, bounds, part_slices
from bandmark.backends.team import Team
from bandmark_kernels import DTYPES, KERNELS, Shape
from bandmark_kernels.core.checks import make_inputs
from bandmark_kernels.core.kernel import Inputs
from kernel_cases import cases, shape_of


@pytest.fixture
def memory() -> Iterator[HostMemory]:
    """An arena whose two threads share the first processor, so that it runs on any machine."""
    with Team([0, 0]) as team:
        yield HostMemory(team)


def inputs(kernel: str = "triad", n: int = 1000, m: int | None = None, dtype: str = "float32", seed: int = 1) -> Inputs:
    """The inputs of a small case."""
    return make_inputs(KERNELS[kernel], DTYPES[dtype], Shape(n, m=m), seed=seed)


@given(st.integers(0, 10_000), st.integers(1, 64))
def test_parts_cover_everything_once(length: int, parts: int) -> None:
    """Contiguous, nearly equal, never empty, and no more than there are elements."""
    cut = bounds(length, parts)
    assert [i for lo, hi in cut for i in range(lo, hi)] == list(range(length))
    sizes = [hi - lo for lo, hi in cut]
    assert len(cut) == min(parts, length)
    assert not sizes or (min(sizes) >= 1 and max(sizes) - min(sizes) <= 1)


def test_a_kernel_without_huge_pages(memory: HostMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system refuses the advice to use huge pages, the arrays have ordinary ones."""

    class Pages(mmap.mmap):
        def madvise(self, *advice: int) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(host.mmap, "mmap", Pages)
    arrays = memory.sets(inputs())[0]
    assert arrays["b"].any() and np.isnan(arrays["a"]).all()


@pytest.mark.parametrize(("kernel", "dtype"), cases())
@pytest.mark.parametrize("n", [1, 2, 129, 1000])
def test_operands_hold_their_tiles(memory: HostMemory, kernel: str, dtype: str, n: int) -> None:
    """What is read repeats its tile, what is written is NaN, and every operand has its shape and dtype."""
    made = make_inputs(KERNELS[kernel], DTYPES[dtype], shape_of(KERNELS[kernel], n, Shape(n, m=70)), seed=1)
    operands = memory.sets(made)[0]
    for operand in made.kernel.operands:
        array = operands[operand.name]
        if operand.role == "result":
            assert array.shape == () and np.isnan(array)
            continue
        assert array.dtype == operand.stored_as(DTYPES[dtype]) and array.flags["C_CONTIGUOUS"]
        assert array.size == operand.count(made.shape)
        if operand.is_read:
            tile = made.tiles[operand.name]
            expected = np.resize(tile, array.shape) if array.ndim == 1 else np.resize(tile, (len(array), made.shape.n))
            if operand.name in made.ends:
                expected[-1:] = made.ends[operand.name]
            assert array.tobytes() == expected.tobytes()
        else:
            assert np.isnan(operand.number(made.dtype).decode(array)).all()


def test_operands_do_not_overlap_and_start_on_pages(memory: HostMemory) -> None:
    """Each operand starts on a page of its own."""
    arrays = list(memory.sets(inputs(n=1500, dtype="float16"))[0].values())
    starts = [a.__array_interface__["data"][0] for a in arrays]
    assert all(start % _ALIGNMENT == 0 for start in starts)
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


def test_the_same_inputs_are_the_same_arrays(memory: HostMemory) -> None:
    """Backends that ask for the operands of one case get the same pages, as they were left."""
    made = inputs()
    first = memory.sets(made)[0]
    first["a"][...] = 7
    again = memory.sets(made)[0]
    assert all(again[name] is first[name] for name in first)
    assert (again["a"] == 7).all()


def test_other_inputs_are_filled_anew(memory: HostMemory) -> None:
    """The next group finds none of the last one's values, though the arena is the same."""
    memory.sets(inputs(n=2000, seed=1))[0]
    operands = memory.sets(inputs(n=1000, seed=2))[0]
    assert operands["b"].tobytes() == inputs(n=1000, seed=2).tiles["b"].tobytes()
    assert np.isnan(operands["a"]).all()


def test_the_arena_is_kept_while_it_is_large_enough(memory: HostMemory) -> None:
    """A smaller group reuses the pages, a larger one gets more."""
    large = memory.sets(inputs(n=5000))[0]["a"].__array_interface__["data"][0]
    small = memory.sets(inputs(n=100))[0]["a"].__array_interface__["data"][0]
    assert small == large
    assert len(memory.sets(inputs(n=100_000))[0]["a"]) == 100_000


def test_sets_are_alike_and_apart(memory: HostMemory) -> None:
    """Each of several sets holds the tiles in pages of its own; another number of sets is laid out anew."""
    made = inputs("copy", n=3000)
    sets = memory.sets(made, 3)
    assert all(again is one for again, one in zip(memory.sets(made, 3), sets, strict=True))
    arrays = [array for operands in sets for array in operands.values()]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])
    assert all(a.__array_interface__["data"][0] % _ALIGNMENT == 0 for a in arrays)
    assert {operands["a"].tobytes() for operands in sets} == {made.tiles["a"].tobytes()}
    assert all(np.isnan(operands["b"]).all() for operands in sets)
    sets[1]["b"][...] = 5
    sets[2]["b"][...] = 5
    memory.reset(made.kernel.output, 1)
    assert np.isnan(sets[1]["b"]).all() and (sets[2]["b"] == 5).all()
    assert len(memory.sets(made, 2)) == 2 and np.isnan(memory.sets(made, 2)[1]["b"]).all()


def test_what_the_arena_holds_is_room(memory: HostMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that the last group touched is the next one's to use: the budget does not shrink from group to group."""
    monkeypatch.setattr(host, "available_bytes", lambda: 1000 * _ALIGNMENT)
    assert memory.budget().limit_bytes == 500 * _ALIGNMENT
    memory.sets(inputs("copy", n=_ALIGNMENT), 3)  # two arrays of float32: 8 pages a set
    assert memory.budget().limit_bytes == (1000 + 24) * _ALIGNMENT // 2
    memory.sets(inputs("copy", n=_ALIGNMENT), 1)
    assert memory.budget().limit_bytes == (1000 + 24) * _ALIGNMENT // 2
    memory.close()
    assert memory.budget().limit_bytes == 500 * _ALIGNMENT


def test_several_numa_nodes_get_fresh_pages() -> None:
    """Old pages stay on the node of the thread that touched them first, so a new layout gets new ones."""
    with Team([0]) as team:
        several = HostMemory(team, numa_nodes=2)
        kept = several.sets(inputs(n=5000))[0]["a"]
        assert not np.shares_memory(kept, several.sets(inputs(n=100))[0]["a"])


def test_reset_poisons_and_refills(memory: HostMemory) -> None:
    """Before verification an output is poisoned again, and an operand worked on in place gets its tile back."""
    made = inputs("nstream")
    operands = memory.sets(made)[0]
    output = made.kernel.output
    operands[output.name][...] = 5
    memory.reset(output)
    assert operands[output.name].tobytes() == made.tiles[output.name].tobytes()
    made = inputs("copy")
    operands = memory.sets(made)[0]
    operands["b"][...] = 5
    memory.reset(made.kernel.output)
    assert np.isnan(operands["b"]).all()


def test_pages_are_touched_first_by_the_thread_that_works_on_them() -> None:
    """Both filling and poisoning run on the team, each thread on the part that a kernel later gives it."""
    touched: dict[int, set[str]] = {}

    class Spy(Team):
        def run(self, calls):  # type: ignore[no-untyped-def]
            def told(call):  # type: ignore[no-untyped-def]
                def run() -> None:
                    touched.setdefault(threading.get_ident(), set()).add(str(call.args))
                    call()

                return run

            super().run([told(c) if hasattr(c, "args") else c for c in calls])

    with Spy([0, 0]) as team:
        HostMemory(team).sets(inputs("copy", n=1000))[0]
    assert sorted(map(sorted, touched.values())) == [[str((slice(0, 500),))], [str((slice(500, 1000),))]]


@pytest.mark.parametrize(
    ("kernel", "operand", "parts"),
    [
        ("copy", 0, [slice(0, 100), slice(100, 200)]),
        ("gemv", 0, [slice(0, 35), slice(35, 70)]),
        ("gemv", 1, [slice(0, 100), slice(100, 200)]),
        ("gemv", 2, [slice(0, 35), slice(35, 70)]),
    ],
)
def test_parts_follow_the_kernels_split(kernel: str, operand: int, parts: list[slice]) -> None:
    """GEMV is cut by rows: its matrix and its output are, and its input along itself."""
    made = inputs(kernel, 200, 70 if KERNELS[kernel].is_matrix else None)
    assert list(part_slices(made.kernel.operands[operand], made, 2)) == parts


def test_closing_lets_the_arena_go(memory: HostMemory) -> None:
    """After close the next operands are new ones."""
    made = inputs()
    first = memory.sets(made)[0]
    memory.close()
    assert memory.sets(made)[0]["a"] is not first["a"]


@pytest.mark.parametrize(
    ("switches", "before", "after", "lost"),
    [
        (0, {"1": (0.0, 0.0)}, {"1": (0.5, 0.5)}, 0.0),  # it waited, and gave the processor up itself
        (1, {"1": (3.0, 1.0), "2": (0.0, 0.0)}, {"1": (3.9, 1.1), "2": (0.75, 0.25)}, 0.25),  # the longest counts
        (1, {"1": (0.0, 0.0)}, {"1": (0.01, 0.9), "2": (1.0, 0.0)}, 0.0),  # the one that waits for the others
        (1, {}, {"2": (0.5, 0.5)}, 0.5),  # a thread that started meanwhile
        (9, {"1": (0.0, 0.0)}, {"1": (4.0, 4.0)}, 1.0),  # never more than the window
        (3, {}, {}, 0.012),  # no such files: a slice of 4 ms each time
        (None, {}, {}, None),  # no getrusage
    ],
)
def test_how_long_a_working_thread_lacked_a_processor(
    switches: int | None, before: Any, after: Any, lost: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the longest wait of a thread that ran, and zero while no processor was taken away."""
    for name, values in [
        ("perf_counter", [10.0, 11.0]),
        ("_involuntary_switches", [None, None] if switches is None else [7, 7 + switches]),
        ("_thread_times", [before, after]),
    ]:
        monkeypatch.setattr(host, name, lambda values=values: values.pop(0))
    watch = host.HostWatch()
    watch.start()
    reading = watch.stop()
    assert reading.seconds == 1.0
    assert reading.preempted_s == (None if lost is None else pytest.approx(lost))


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this system has no scheduler statistics")
def test_the_times_of_this_process() -> None:
    """A thread that has run has a time, and nothing runs backwards."""
    before = host._thread_times()
    sum(range(10**6))
    after = host._thread_times()
    assert before and all(ran <= after[thread][0] for thread, (ran, _) in before.items() if thread in after)
    assert any(after[thread][0] > ran for thread, (ran, _) in before.items() if thread in after)
