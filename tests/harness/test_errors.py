"""Errors say what was given, what is accepted and what to do."""

from __future__ import annotations

import pytest

from bandmark import errors
from bandmark.errors import (
    BackendUnavailable,
    BandmarkError,
    FileError,
    UsageError,
    describe,
    first_line,
    first_of,
    unknown_name,
)


def test_one_base_for_all_errors() -> None:
    """Whoever catches BandmarkError catches everything that is raised on purpose."""
    assert {UsageError, BackendUnavailable, FileError} == set(BandmarkError.__subclasses__())


def test_exit_codes() -> None:
    """The codes that scripts rely on."""
    codes = (errors.EXIT_OK, errors.EXIT_FAILED, errors.EXIT_USAGE, errors.EXIT_INTERRUPTED)
    assert codes == (0, 1, 2, 130)


@pytest.mark.parametrize(("given", "near"), [("triadd", "triad"), ("TRIAD", "triad"), ("copi", "copy")])
def test_the_nearest_name_is_offered(given: str, near: str) -> None:
    """A misspelt name gets the nearest one, whatever its case, and all that are accepted."""
    error = unknown_name("kernel", given, ["copy", "triad"])
    assert str(error) == f"unknown kernel {given!r}. Did you mean {near!r}? Choose from copy, triad."


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    """Where nothing is near nothing is suggested, but the names are listed."""
    assert str(unknown_name("dtype", "zzz", ["float64"])) == "unknown dtype 'zzz'. Choose from float64."


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
    """The type and the first line of the message, without folders; of a group, the first exception's."""
    assert describe(problem) == text


def test_the_first_of_a_group() -> None:
    """An exception alone is itself; of nested groups the first counts."""
    alone, first = ValueError("a"), KeyError("b")
    assert first_of(alone) is alone
    assert first_of(BaseExceptionGroup("x", [ExceptionGroup("y", [first, alone]), alone])) is first


def test_the_cause_of_an_import_that_failed_is_its_message() -> None:
    """A library that explains at length why it can't be imported is quoted with what the import failed at."""
    error = ImportError("=====\nFailed to import x.\n=====")
    assert first_line(error) == "Failed to import x."
    error.__cause__ = ImportError("/opt/x/core.so: file too short")
    assert first_line(error) == "core.so: file too short"
