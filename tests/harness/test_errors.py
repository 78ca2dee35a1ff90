"""Errors say what was given, what is accepted and what to do."""

from __future__ import annotations

import pytest

from bandmark import errors
from bandmark.errors import BackendUnavailable, BandmarkError, FileError, UsageError, unknown_name


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
