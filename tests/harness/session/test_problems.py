"""What a library raises becomes a row with the reason, or a smaller size."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bandmark.session.problems import describe, failed, first_of
from fakes import FAKE_GPU, FakeBackend, make_group


def test_an_error_is_the_reason() -> None:
    """The row says what was raised and, where that is known, during what."""
    (case,) = make_group("copy", [FakeBackend()]).cases
    assert failed(case, ValueError("no\nmore")).error == "ValueError: no"
    assert failed(case, ValueError("no"), "verification failed: ").error == "verification failed: ValueError: no"


def test_no_room_asks_for_fewer_elements() -> None:
    """Where the device has its own memory another size may fit, also when a thread of a team found no room."""
    (case,) = make_group("copy", [FakeBackend()]).cases
    for problem in (MemoryError("full"), ExceptionGroup("threads", [MemoryError("full")])):
        with pytest.raises(MemoryError, match=r"^full$"):
            failed(case, problem)


def test_memory_of_the_system_is_an_error() -> None:
    """On an integrated device the reason says that nothing smaller is tried, and what to do."""
    (case,) = make_group("copy", [FakeBackend(device=replace(FAKE_GPU, integrated=True))]).cases
    assert failed(case, MemoryError("full.")).error == (
        "MemoryError: full; the memory is the system's, so no smaller size is tried: --size takes less"
    )


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (ValueError("one\ntwo"), "ValueError: one"),
        (RuntimeError(), "RuntimeError: no message"),
        (OSError("  \n"), "OSError: no message"),
        (RuntimeError("\n  first\nsecond"), "RuntimeError: first"),
        (OSError("cannot open /opt/lib/libx.so"), "OSError: cannot open libx.so"),
        (ExceptionGroup("threads", [ExceptionGroup("more", [ValueError("a")]), KeyError("b")]), "ValueError: a"),
    ],
)
def test_an_exception_in_one_line(problem: Exception, text: str) -> None:
    """The type and the first line of the message."""
    assert describe(problem) == text


def test_the_first_of_a_group() -> None:
    """An exception alone is itself; of nested groups the first counts."""
    alone, first = ValueError("a"), KeyError("b")
    assert first_of(alone) is alone
    assert first_of(BaseExceptionGroup("x", [ExceptionGroup("y", [first, alone]), alone])) is first
