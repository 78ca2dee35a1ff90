"""Optimizer steps as people see them."""

from __future__ import annotations

import pytest

from bandmark.decode.models import find_model
from bandmark.decode.optimizer import train_steps
from bandmark.decode.steps_text import duration, steps_table
from bandmark.decode.systems import NAMED


@pytest.mark.parametrize(("seconds", "text"), [(0.00123, "1.23 ms"), (0.127, "127 ms"), (2.5, "2.5 s")])
def test_durations(seconds: float, text: str) -> None:
    """A time has three figures and its best-reading unit."""
    assert duration(seconds) == text


def test_the_table() -> None:
    """A line per model and form, a column per system, a star where the state is too big, the counts in words."""
    text = steps_table(train_steps([find_model("llama-3.1-8b")], [], list(NAMED)))
    lines = text.splitlines()
    assert lines[1].split()[:2] == ["llama-3.1-8b", "float32"] and lines[2].split()[0] == "bf16+master"
    assert "224.8" in lines[1] and "824 ms*" in lines[1] and "31.7 ms " in lines[1]
    for words in ("16 + 12 = 28 bytes", "28 bytes per parameter as well", "7100 is the shipping", "once per batch"):
        assert words in " ".join(text.split())
