"""Run one piece of work on several threads at the same moment, each on a CPU that this process may use.

A team's threads live as long as the team and each stays on one CPU: a page of memory then remains on the side of the
machine where the thread that works on it first touched it, and a launch costs two hand-offs, not a thread start.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from bandmark.errors import UsageError

_Call = Callable[[], object]


class Team:
    """Threads that run one call each, together, as often as asked.

    A lock per direction and worker hands the work over, at the cost of waking an idle CPU (70 us for two on a virtual
    machine, as with queues and a little less than with threading.Barrier). Spinning gains nothing, since threads that
    spin take turns at Python's global lock.
    """

    def __init__(self, cpus: Sequence[int], *, min_started: int = 2) -> None:
        """Start a thread per CPU given, pinned to it where the OS can; UsageError if the system starts fewer.

        A team of one starts no thread, unless it is told to: its call runs in the caller, wherever that is.
        """
        self.cpus = tuple(cpus)
        self._closed = False
        self._workers: list[_Worker] = []
        for cpu in cpus if len(cpus) >= min_started else ():
            try:
                self._workers.append(_Worker(cpu))
            except RuntimeError as error:
                self.close()
                started = len(self._workers)
                raise UsageError(
                    f"only {started} of {len(cpus)} threads could be started ({error}). Raise the limit on processes "
                    f"(`ulimit -u`, or pids.max of the container), or give --threads {max(1, started)}."
                ) from error

    def __len__(self) -> int:
        """Return how many calls a run takes at most."""
        return len(self._workers) or 1

    def run(self, calls: Sequence[_Call]) -> None:
        """Run call i on worker i and return when all have returned; threads without a call do nothing.

        Raises:
            ValueError: if there are more calls than workers.
            RuntimeError: if the team is closed.
            BaseException: what a call raised, or an ExceptionGroup if several did; an interrupt goes before them.
        """
        if self._closed:
            raise RuntimeError("this team is closed; make a new one")
        if len(calls) > len(self):
            raise ValueError(f"{len(calls)} calls were given to a team of {len(self)}; give each worker one")
        if not self._workers:
            calls[0]()
            return
        workers = self._workers[: len(calls)]
        errors: list[BaseException] = []
        try:
            for worker, call in zip(workers, calls, strict=True):
                worker.start(call)
            _wait(workers, errors)
        except BaseException as interrupt:  # between starting and waiting; those that have started are waited for
            errors.append(interrupt)
            _wait(workers, errors)
        _raise(errors)

    def close(self) -> None:
        """End the threads; a closed team runs nothing more."""
        if not self._closed:
            self._closed = True
            for worker in self._workers:
                worker.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def confine(cpus: Sequence[int]) -> Callable[[], None]:
    """Keep every thread of this process, and those that they start, on these processors; return what ends that.

    The pools of libraries, which are not pinned, then run where the team does. Where the OS has no affinity, or
    refuses it, threads stay where they are.
    """
    tasks = Path("/proc/self/task")
    if not hasattr(os, "sched_setaffinity") or not tasks.is_dir():
        return lambda: None
    usual = os.sched_getaffinity(0)
    before = {}
    for task in map(int, os.listdir(tasks)):
        with suppress(OSError):  # the thread has ended meanwhile
            before[task] = os.sched_getaffinity(task)
            os.sched_setaffinity(task, cpus)

    def release() -> None:
        for task in map(int, os.listdir(tasks)):
            with suppress(OSError):
                os.sched_setaffinity(task, before.get(task, usual))

    return release


class _Worker:
    """One thread, and the two locks that hand it a call and report its end."""

    def __init__(self, cpu: int) -> None:
        self.error: BaseException | None = None
        self.busy = False
        """Whether a call is under way. The lock wakes whoever waits, but an interrupt can come between the two."""
        self.cpu = cpu
        self._call: _Call | None = None
        self._go, self.done = threading.Lock(), threading.Lock()
        self._go.acquire()
        self.done.acquire()
        self._thread = threading.Thread(target=self._loop, name=f"bandmark-cpu{cpu}", daemon=True)
        self._thread.start()

    def start(self, call: _Call) -> None:
        self._call, self.error = call, None
        self.busy = True
        self._go.release()

    def stop(self) -> None:
        self._call = None
        self._go.release()
        self._thread.join()

    def _loop(self) -> None:
        _pin(self.cpu)
        while True:
            self._go.acquire()
            if self._call is None:
                return
            try:
                self._call()
            except BaseException as error:  # handed to the caller of run, which raises it
                self.error = error
            self._call = None
            self.busy = False
            if self.done.locked():
                self.done.release()


def _pin(cpu: int) -> None:
    """Keep the calling thread on one CPU. Where that is refused or unknown it runs wherever the OS puts it."""
    if hasattr(os, "sched_setaffinity"):
        try:
            os.sched_setaffinity(0, {cpu})
        except OSError:  # the CPU went offline or out of the mask; the work can still be done, on another
            return


@contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """Keep the calling thread on one CPU for as long as the context lasts, where the OS can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    _pin(cpu)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait(workers: Sequence[_Worker], errors: list[BaseException]) -> None:
    """Wait for every worker, through interrupts too: a team is never left while its threads use the operands."""
    waiting = True
    while waiting:
        try:
            for worker in workers:
                while worker.busy:
                    worker.done.acquire()
            waiting = False
        except BaseException as interrupt:  # KeyboardInterrupt, or what a signal handler raises
            errors.append(interrupt)
    errors += [worker.error for worker in workers if worker.error is not None]


def _raise(errors: list[BaseException]) -> None:
    """Raise an interrupt before all others, the only error, or all of them as a group."""
    for error in errors:
        if not isinstance(error, Exception):
            raise error
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup("several threads of a team failed", errors)
