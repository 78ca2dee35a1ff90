"""Faults say where, what stands there and what should, fit for a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from bandmark.errors import BandmarkError, FileError
from bandmark.results.faults import MOST_SHOWN, Fault, FaultyFile, printable, quote

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


@pytest.mark.parametrize("text", ["\x1b[31mred", "two\nlines", "right-to-left \u202e", "bell\a", "\ud800", "\x00"])
def test_nothing_moves_the_terminal(text: str) -> None:
    """Control characters, invisible ones and lone surrogates are shown as escapes."""
    assert printable(text).isprintable() and quote(text).isprintable()
    Fault(file=Path("a"), found=printable(text), wanted="x").as_json()


def test_plain_text_stays() -> None:
    """Letters of any script are shown as they are."""
    assert printable("Grüße, 東京 µs") == "Grüße, 東京 µs"


def test_quotes_are_short() -> None:
    """A long cell is cut, and its length is told."""
    assert quote("ab") == "'ab'"
    assert quote("x" * 1000) == "'" + "x" * (MOST_SHOWN - 1) + "... (1002 characters)"
