"""Faults say where, what stands there and what should, fit for a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from bandmark.errors import BandmarkError, FileError
from bandmark.results.faults import Fault, FaultyFile

FILE = Path("a/run.csv")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault(file=FILE, line=3, column="samples", case="numpy copy float64", found="2", wanted="3"),
            "a/run.csv:3: samples of numpy copy float64: 2, expected 3",
        ),
        (Fault(file=FILE, column="notes[0]", found="2", wanted="text"), "a/run.csv: notes[0]: 2, expected text"),
        (Fault(file=FILE, line=1, case="x y", found="it", wanted="that"), "a/run.csv:1: x y: it, expected that"),
        (Fault(file=FILE, found="missing", wanted="write it"), "a/run.csv: missing; write it"),
    ],
)
def test_messages(fault: Fault, said: str) -> None:
    """File and line come first, as editors want it; then column and case, what was found and what was wanted."""
    assert str(fault) == said


def test_a_fault_as_an_error() -> None:
    """A file that can't be read at all is an error of a file, with the fault in it."""
    fault = Fault(file=FILE, found="missing", wanted="write it")
    error = FaultyFile(fault)
    assert isinstance(error, FileError) and isinstance(error, BandmarkError)
    assert error.fault is fault and str(error) == "a/run.csv: missing; write it"
