"""The threads of a team start together, stay on their CPUs and lose no call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType

import pytest

from bandmark.backends.team import Team
from bandmark.device import cpu as cpu_module
from bandmark.device.cpu import cpu_count, usable_cpus
from bandmark.errors import UsageError

pinning = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this OS has no affinity masks")


@pytest.fixture
def team() -> Iterator[Team]:
    """A team of three threads on the first CPU: more threads than CPUs must do, too."""
    with Team([usable_cpus()[0]] * 3) as made:
        yield made


def raising(error: BaseException) -> Callable[[], None]:
    """Return a call that raises."""

    def call() -> None:
        raise error

    return call


def nothing() -> None:
    """Do nothing."""


def test_call_i_runs_on_worker_i(team: Team) -> None:
    """Each worker keeps its calls: the thread of call i is the same in every run, and no other's."""
    seen: list[list[int]] = []
    for _ in range(20):
        names = [0] * 3

        def note(i: int, names: list[int] = names) -> None:
            names[i] = threading.get_ident()

        team.run([partial(note, i) for i in range(3)])
        seen.append(names)
    assert all(names == seen[0] for names in seen)
    assert len({*seen[0], threading.get_ident()}) == 4


def test_all_calls_run_at_the_same_time(team: Team) -> None:
    """Calls that wait for each other all return: none is queued behind another."""
    barrier = threading.Barrier(3)
    team.run([partial(barrier.wait, 10)] * 3)


def test_run_returns_when_all_are_done(team: Team) -> None:
    """The slowest call ends before run returns."""
    done: list[int] = []

    def slow() -> None:
        time.sleep(0.05)
        done.append(1)

    team.run([nothing, slow, nothing])
    assert done == [1]


def test_a_team_of_one_runs_in_the_caller() -> None:
    """A single thread needs no hand-off."""
    before = threading.active_count()
    with Team([usable_cpus()[0]]) as alone:
        seen: list[int] = []
        alone.run([lambda: seen.append(threading.get_ident())])
        assert threading.active_count() == before
    assert seen == [threading.get_ident()]
    assert len(alone) == 1


@pinning
def test_workers_are_pinned_and_the_caller_is_not() -> None:
    """Each worker may run on its CPU alone; the caller's own mask stays as it was."""
    mask = os.sched_getaffinity(0)
    cpus = usable_cpus()[:2] * 2
    seen: dict[int, set[int]] = {}

    def note(i: int) -> None:
        seen[i] = os.sched_getaffinity(0)

    with Team(cpus) as pinned:
        pinned.run([partial(note, i) for i in range(len(cpus))])
    assert seen == {i: {cpu} for i, cpu in enumerate(cpus)}
    assert os.sched_getaffinity(0) == mask


def test_an_error_reaches_the_caller_and_the_team_goes_on(team: Team) -> None:
    """What a call raises is raised by run, once, after the others are done."""
    done: list[int] = []
    with pytest.raises(ZeroDivisionError, match="here"):
        team.run([raising(ZeroDivisionError("here")), lambda: done.append(1), lambda: done.append(2)])
    assert sorted(done) == [1, 2]
    team.run([nothing] * 3)


def test_no_error_is_lost(team: Team) -> None:
    """Several errors arrive as one group."""
    with pytest.raises(ExceptionGroup) as caught:
        team.run([raising(ValueError("a")), nothing, raising(KeyError("b"))])
    assert [type(error) for error in caught.value.exceptions] == [ValueError, KeyError]


def test_an_error_of_a_team_of_one_reaches_the_caller() -> None:
    """The same holds without threads."""
    with Team([usable_cpus()[0]]) as alone, pytest.raises(ValueError, match="a"):
        alone.run([raising(ValueError("a"))])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this OS has no interval timer")
def test_an_interrupt_waits_for_the_workers(team: Team) -> None:
    """Ctrl-C is raised in the caller, but not before the workers have let go of their operands; then all goes on."""
    done: list[int] = []

    def slow() -> None:
        time.sleep(0.2)
        done.append(1)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            team.run([slow] * 3)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert done == [1, 1, 1]
    team.run([lambda: done.append(2)] * 3)
    assert done.count(2) == 3


def test_no_more_calls_than_workers(team: Team) -> None:
    """No call is left over."""
    with pytest.raises(ValueError, match="4 calls were given to a team of 3"):
        team.run([nothing] * 4)
    team.run([nothing] * 3)


def test_threads_without_a_call_do_nothing(team: Team) -> None:
    """Tiny arrays leave threads without a part; an error of theirs in an earlier run is not raised again."""

    def fail() -> None:
        raise ValueError("a")

    with pytest.raises(ValueError, match="a"):
        team.run([nothing, nothing, fail])
    done: list[int] = []
    team.run([lambda: done.append(1), lambda: done.append(2)])
    assert sorted(done) == [1, 2]
    team.run([])


def test_a_closed_team_runs_nothing() -> None:
    """Closing ends the threads, twice is once, and a closed team says so."""
    before = threading.active_count()
    made = Team([usable_cpus()[0]] * 2)
    assert threading.active_count() == before + 2
    made.close()
    made.close()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="closed"):
        made.run([nothing] * 2)


def test_many_runs_lose_no_call(team: Team) -> None:
    """Thousands of hand-offs do not lose or repeat a single call."""
    counts = [0, 0, 0]

    def count(i: int) -> None:
        counts[i] += 1

    calls = [partial(count, i) for i in range(3)]
    for _ in range(3000):
        team.run(calls)
    assert counts == [3000] * 3


@pinning
def test_usable_cpus_are_those_of_the_mask() -> None:
    """A process that was confined to some CPUs uses those alone."""
    mask = os.sched_getaffinity(0)
    assert usable_cpus() == sorted(mask)
    try:
        os.sched_setaffinity(0, {max(mask)})
        assert usable_cpus() == [max(mask)]
        assert len(Team([usable_cpus()[0]])) == 1
    finally:
        os.sched_setaffinity(0, mask)


def test_without_masks_all_cpus_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the OS knows no affinity (macOS), every CPU counts, and the team works unpinned."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert usable_cpus() == list(range(cpu_count()))
    done: list[int] = []
    with Team([0, 0]) as made:
        made.run([lambda: done.append(1)] * 2)
    assert done == [1, 1]


@pinning
def test_a_cpu_that_went_away_does_not_stop_the_work() -> None:
    """A CPU that can't be used leaves its worker unpinned."""
    done: list[int] = []
    with Team([usable_cpus()[0], 10_000]) as made:
        made.run([lambda: done.append(1)] * 2)
    assert done == [1, 1]


def test_the_mask_before_torch_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a variable makes torch's OpenMP pin the main thread, the CPUs are those of the mask before that."""
    mask = {0, 1, 2, 3}
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: mask, raising=False)
    for name in cpu_module._PINNING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cpu_module, "_mask_before_torch", [])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setenv("OMP_PROC_BIND", "true")
    assert usable_cpus() == [0, 1, 2, 3]
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    mask = {2}
    assert usable_cpus() == [0, 1, 2, 3]
    monkeypatch.delenv("OMP_PROC_BIND")
    assert usable_cpus() == [2]


def test_the_mask_is_read_before_torch_is_imported() -> None:
    """In a process of its own, torch pins the main thread, and all CPUs stay usable."""
    code = (
        "from bandmark.device.cpu import usable_cpus\n"
        "import os, torch\n"
        "print(len(usable_cpus()), len(os.sched_getaffinity(0)))\n"
    )
    environment = os.environ | {"OMP_PROC_BIND": "true"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert int(done.stdout.split()[0]) == len(usable_cpus())


def test_a_system_without_room_for_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system starts no more threads the error says how many there are, and those that started end."""
    start, left = threading.Thread.start, [2]

    def refuse(self: threading.Thread) -> None:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(self)

    before = threading.active_count()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(UsageError, match=r"only 2 of 4 threads could be started.*ulimit -u.*--threads 2"):
        Team([usable_cpus()[0]] * 4)
    assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no affinity")
def test_threads_are_confined_and_released() -> None:
    """Every thread of the process stays on the processors given; afterwards all are where they were."""
    code = (
        "import os, threading\n"
        "from bandmark.backends.team import confine\n"
        "usual, go, masks = os.sched_getaffinity(0), threading.Event(), []\n"
        "first = min(usual)\n"
        "thread = threading.Thread(target=lambda: (go.wait(), masks.append(os.sched_getaffinity(0))), daemon=True)\n"
        "thread.start()\n"
        "release = confine([first])\n"
        "assert os.sched_getaffinity(0) == {first}\n"
        "go.set(); thread.join(); assert masks == [{first}]\n"
        "release()\n"
        "assert os.sched_getaffinity(0) == usual\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
