"""Run one piece of work on several threads at the same moment, each on a CPU that this process may use.

A team's threads live as long as the team and each stays on one CPU: a page of memory then remains on the side of the
machine where the thread that works on it first touched it, and a launch costs two hand-offs, not a thread start.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from bandmark.device.cpu import cpu_count
from bandmark.errors import UsageError

_Call = Callable[[], object]

_PINNING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
"""Variables by which an OpenMP library pins the main thread to one CPU when torch loads it."""


def _affinity_mask() -> list[int]:
    """Return the CPUs of the calling thread's affinity mask, or all of the machine's where the OS has no such mask."""
    try:
        return sorted(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return list(range(cpu_count()))


_mask_before_torch: list[int] = _affinity_mask()


def usable_cpus() -> list[int]:
    """Return the CPUs that this process may use: its affinity mask, as it was before torch's OpenMP could pin it."""
    global _mask_before_torch  # noqa: PLW0603 - the mask is the process's and can't be read any more once it is pinned
    if "torch" not in sys.modules or not any(os.environ.get(name) for name in _PINNING):
        _mask_before_torch = _affinity_mask()
    return list(_mask_before_torch)


class Team:
    """Threads that run one call each, together, as often as asked.

    A lock per direction and worker hands the work over, at the cost of waking an idle CPU (70 us for two on a virtual
    machine, as with queues and a little less than with threading.Barrier). Spinning gains nothing, since threads that
    spin take turns at Python's global lock.
    """

    def __init__(self, cpus: Sequence[int] | int) -> None:
        """Start a thread per CPU given, pinned to it where the OS can; a count takes the first usable CPUs.

        A team of one starts no thread: its call runs in the caller, wherever the OS has put it.

        Raises:
            ValueError: if there is no CPU, or if more are asked for than this process may use.
            UsageError: if the system lets this process start fewer threads.
        """
        chosen = _first_cpus(cpus) if isinstance(cpus, int) else list(cpus)
        if not chosen:
            raise ValueError("a team of 0 threads was asked for; at least 1 is needed")
        self._closed = False
        self._workers: list[_Worker] = []
        for cpu in chosen if len(chosen) > 1 else ():
            try:
                self._workers.append(_Worker(cpu))
            except RuntimeError as error:
                self.close()
                raise UsageError(_no_thread(len(self._workers), len(chosen), error)) from error

    def __len__(self) -> int:
        """Return how many calls a run takes."""
        return len(self._workers) or 1

    def run(self, calls: Sequence[_Call]) -> None:
        """Run call i on worker i and return when all have returned.

        Raises:
            ValueError: if there are not as many calls as workers.
            RuntimeError: if the team is closed.
            BaseException: what a call raised, or an ExceptionGroup if several did; an interrupt goes before them.
        """
        if self._closed:
            raise RuntimeError("this team is closed; make a new one")
        if len(calls) != len(self):
            raise ValueError(f"{len(calls)} calls were given to a team of {len(self)}; give each worker one")
        if not self._workers:
            calls[0]()
            return
        errors: list[BaseException] = []
        try:
            for worker, call in zip(self._workers, calls, strict=True):
                worker.start(call)
            _wait(self._workers, errors)
        except BaseException as interrupt:  # between starting and waiting; those that have started are waited for
            errors.append(interrupt)
            _wait(self._workers, errors)
        _raise(errors)

    def close(self) -> None:
        """End the threads; a closed team runs nothing more."""
        if not self._closed:
            self._closed = True
            for worker in self._workers:
                worker.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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


def _first_cpus(count: int) -> list[int]:
    """Return the first so many usable CPUs."""
    usable = usable_cpus()
    if count > len(usable):
        raise ValueError(f"{count} threads were asked for; this process may use {len(usable)} CPUs")
    return usable[: max(count, 0)]


def _no_thread(started: int, wanted: int, error: RuntimeError) -> str:
    """Return what to say where the system starts no more threads."""
    return (
        f"only {started} of {wanted} threads could be started ({error}). Raise the limit on processes (`ulimit -u`, or "
        f"pids.max of the container), or give --threads {max(1, started)}."
    )


def _pin(cpu: int) -> None:
    """Keep the calling thread on one CPU. Where that is refused or unknown it runs wherever the OS puts it."""
    if hasattr(os, "sched_setaffinity"):
        try:
            os.sched_setaffinity(0, {cpu})
        except OSError:  # the CPU went offline or out of the mask; the work can still be done, on another
            return


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
