"""What becomes of a case whose library raises? A row with the reason, or another try with fewer elements."""

from __future__ import annotations

from bandmark.backends.select import first_line
from bandmark.session.rows import Outcome
from bandmark.suites.plan import Case


def failed(case: Case, problem: BaseException, stage: str = "") -> Outcome:
    """Return the outcome of a case whose library raised.

    Memory that the device shares with the system is not tried out: running out of it freezes such machines (DGX Spark,
    NVIDIA/open-gpu-kernel-modules#1358).

    Args:
        stage: a clause before the reason, for what was going on.

    Raises:
        MemoryError: there was no room, and with fewer elements there may be.
    """
    reason = describe(problem)
    if not case.backend.lacks_memory(first_of(problem)):
        return Outcome(error=stage + reason)
    if case.backend.device.integrated:
        rest = "; the memory is the system's, so no smaller size is tried: --size takes less"
        return Outcome(error=stage + reason.rstrip(".") + rest)
    raise MemoryError(reason.removeprefix("MemoryError: "))


def describe(problem: BaseException) -> str:
    """Return an exception as one line: its type and the first line that says something; of a group, the first's."""
    problem = first_of(problem)
    return f"{type(problem).__name__}: {first_line(problem)}"


def first_of(problem: BaseException) -> BaseException:
    """Return an exception, or the first of a group of them: each thread raises its own."""
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem
