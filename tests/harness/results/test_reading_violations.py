"""Violations say where, what stands there and what should, fit for a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from bandmark.errors import BandmarkError, FileError
from bandmark.results.reading import InvalidFile, Violation

FILE = Path("a/run.csv")


@pytest.mark.parametrize(
    ("violation", "said"),
    [
        (
            Violation(file=FILE, line=3, column="samples", case="numpy copy float64", found="2", wanted="3"),
            "a/run.csv:3: samples of numpy copy float64: 2, expected 3",
        ),
        (Violation(file=FILE, column="notes[0]", found="2", wanted="text"), "a/run.csv: notes[0]: 2, expected text"),
        (Violation(file=FILE, line=1, case="x y", found="it", wanted="that"), "a/run.csv:1: x y: it, expected that"),
        (Violation(file=FILE, found="missing", wanted="write it"), "a/run.csv: missing; write it"),
    ],
)
def test_messages(violation: Violation, said: str) -> None:
    """File and line come first, as editors want it; then column and case, what was found and what was wanted."""
    assert str(violation) == said


def test_a_violation_as_an_error() -> None:
    """A file that can't be read at all is an error of a file, with the violation in it."""
    violation = Violation(file=FILE, found="missing", wanted="write it")
    error = InvalidFile(violation)
    assert isinstance(error, FileError) and isinstance(error, BandmarkError)
    assert error.violation is violation and str(error) == "a/run.csv: missing; write it"
