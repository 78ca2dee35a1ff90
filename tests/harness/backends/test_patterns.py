"""Accesses of a team: they go on from launch to launch, and a body that cheats is found out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from bandmark.backends import patterns
from bandmark.backends.host import HostMemory
from bandmark.backends.patterns import Accesses, forget_arrays
from bandmark.backends.team import Team
from bandmark.device.cpu import usable_cpus
from bandmark.measure.sampling import take
from bandmark_kernels.memory.places import Pattern


@pytest.fixture(params=[1, 2])
def backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """What the accesses need of a backend: its memory's team, of one thread or of two."""
    with Team((usable_cpus() * 2)[: request.param]) as team:
        yield SimpleNamespace(memory=HostMemory(team))
    forget_arrays()


@pytest.mark.parametrize("pattern", [Pattern("read", 16), Pattern("gather", 4), Pattern("scatter", 64)], ids=str)
def test_accesses_are_verified(backend: Any, pattern: Pattern) -> None:
    """After any number of launches, on every thread; the next pattern finds the arrays again, whatever they hold."""
    for _ in range(2):
        work = Accesses(backend, pattern=pattern, size=2**16, seed=1)
        assert take(work, 3).seconds > 0
        assert work.verify() == 0.0 and work.pages is not None
        work.close()
    assert patterns._arrays.cache_info().hits == 1


def test_a_thread_that_does_nothing_is_seen(backend: Any) -> None:
    """One of several suffices."""
    work = Accesses(backend, pattern=Pattern("gather", 8), size=2**16, seed=1)
    work._calls[-1] = lambda: None  # type: ignore[assignment, return-value]
    assert work.verify() == math.inf
