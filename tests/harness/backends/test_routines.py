"""Chases and passes on a processor: what they time, and that a body that cheats is found out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bandmark.backends import routines
from bandmark.backends.host import HostMemory
from bandmark.backends.routines import Chase, LoadedChase, NumpyPasses, Passes, new_block
from bandmark.backends.team import Team
from bandmark.device.cpu import usable_cpus
from bandmark.measure.measurement import Reading
from bandmark.measure.sampling import take
from bandmark_kernels.core.compiled import compile_body
from bandmark_kernels.memory import bodies
from bandmark_kernels.memory.passes import TILE


@pytest.fixture
def backend() -> Iterator[Any]:
    """What the routines need of a backend: its memory's team."""
    with Team(usable_cpus()[:1]) as team:
        yield SimpleNamespace(memory=HostMemory(team))
    routines.forget_ring()


def chase(backend: Any, **changes: Any) -> Chase:
    """Return a small chase."""
    return Chase(backend, **({"size": 2**16, "pattern": "random-4k", "hops": 160, "seed": 1} | changes))


def passes(backend: Any, kernel: str = "triad", kind: type[Passes] = Passes, **changes: Any) -> Passes:
    """Return passes over small arrays."""
    return kind(backend, **({"kernel": kernel, "n": 512, "count": 5, "seed": 1} | changes))


@pytest.mark.parametrize("pattern", ["random-4k", "window"])
def test_a_chase_is_verified_where_it_ends(backend: Any, pattern: str) -> None:
    """However many launches there were, it is where the ring has it; a window tells the time it lost."""
    work = chase(backend, pattern=pattern)
    reading = take(work, 3)
    assert reading.seconds > 0 and reading.preempted_s is not None and reading.preempted_s >= 0
    assert work.verify() == 0.0 and work.pages is not None
    work.close()


def skips_lines(start: Any, hops: Any) -> Any:
    """Follow half of the ring's addresses."""
    return _follow(start, hops // 2)


def stands_still(start: Any, hops: Any) -> Any:
    """Follow none."""
    return start


_follow: Any = None


@pytest.mark.parametrize("hops", [160, 2**10, 2**17])
@pytest.mark.parametrize("body", [skips_lines, stands_still])
def test_a_chase_that_skips_lines_is_wrong(backend: Any, body: Any, hops: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it ends is not where so many hops lead, even if these are whole laps."""
    monkeypatch.setitem(globals(), "_follow", compile_body(bodies.chase))
    monkeypatch.setattr(routines, "compile_body", lambda _: body)
    work = chase(backend, hops=hops)
    take(work, 1)
    assert work.verify() == math.inf


def test_a_ring_that_was_overwritten_is_wrong(backend: Any) -> None:
    """The addresses in memory are proven after timing, not assumed."""
    work = chase(backend)
    work._words[int(work._ring[5]) * 8] = work._words[int(work._ring[7]) * 8]
    assert work.verify() == math.inf


def test_huge_pages_that_the_system_does_not_give_are_a_reason(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row says so, and is not the same as that of small pages."""
    monkeypatch.setattr(routines, "page_size", lambda address: "4k")
    with pytest.raises(NotImplementedError, match="transparent_hugepage"):
        chase(backend, pattern="random-2m")
    monkeypatch.setattr(routines, "page_size", lambda address: "4k" if address is None else "2m")
    assert chase(backend, pattern="random-2m").pages == "2m"


@pytest.mark.parametrize("kernel", ["read", "copy", "triad"])
def test_passes_are_verified(backend: Any, kernel: str) -> None:
    """After any number of launches the totals and the output are right."""
    work = passes(backend, kernel)
    take(work, 4)
    assert work.verify() <= 1
    work.close()


def cheats() -> dict[str, Callable[[Any], Callable[..., float]]]:
    """Bodies that do less than their passes, each made from the honest one."""
    return {
        "one pass for all": lambda honest: lambda *a: a[-1] * honest(*a[:-1], 1),
        "a pass left out": lambda honest: lambda *a: honest(*a[:-1], a[-1] - 1),
        "without the tail": lambda honest: lambda *a: honest(*(x[:-1] for x in a[:-1]), a[-1]),
        "nothing": lambda honest: lambda *a: 0.0,
    }


@pytest.mark.parametrize("cheat", cheats())
@pytest.mark.parametrize("kernel", ["read", "copy", "triad"])
def test_passes_that_are_not_made_are_seen(
    backend: Any, kernel: str, cheat: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work that is hoisted out of the loop, left out, or cut short fails the verification."""
    work = passes(backend, kernel)
    monkeypatch.setattr(work, "_run", cheats()[cheat](work._run))
    take(work, 2)
    assert work.verify() > 1


def test_numpy_has_passes_where_its_call_is_nothing(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that is short beside the call is refused with what is needed, and so is triad, which takes two passes."""
    monkeypatch.setattr(routines, "_seconds", lambda work, arrays: 1e-6 if len(arrays[0]) == 1 else 49e-6)
    with pytest.raises(NotImplementedError, match=r"over 2 % .* needs numba"):
        passes(backend, "copy", NumpyPasses)
    monkeypatch.setattr(routines, "_seconds", lambda work, arrays: 1e-6 if len(arrays[0]) == 1 else 51e-6)
    for kernel in ("read", "copy"):
        work = passes(backend, kernel, NumpyPasses)
        take(work, 2)
        assert work.verify() <= 1
    with pytest.raises(NotImplementedError, match="no triad in a single pass"):
        passes(backend, "triad", NumpyPasses)


def test_a_block_starts_at_a_huge_page() -> None:
    """So that the system can back all of it by huge pages."""
    for size in (64, 5_000_000):
        block = new_block(size, huge=True)
        assert len(block) == size and block.ctypes.data % 2**21 == 0 and not block.any()


def test_tiles_that_were_read_while_the_thread_was_pinned_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The load of a window is what was read between two looks at the clock, beside which the tiles are counted."""
    work = object.__new__(LoadedChase)
    work._progress = np.zeros((2, 16), np.int64)

    def read_on(_: Any, *arguments: Any) -> Reading:
        work._progress[:, 0] += 1000  # what the loaders do while this thread moves to its processor and back
        return Reading(3.0)

    monkeypatch.setattr(Chase, "start", read_on)
    monkeypatch.setattr(Chase, "stop", read_on)
    monkeypatch.setattr(routines, "perf_counter", iter([10.0, 12.0]).__next__)
    work.start(1)
    work._progress[:, 0] += [3, 4]
    assert work.stop().load_gbs == 7 * TILE * 8 / 2.0 / 1e9
