"""Optimizer steps as people see them."""

from __future__ import annotations

from bandmark.decoding.optimizer import train_steps
from bandmark.decoding.steps_text import steps_table
from bandmark.decoding.systems import NAMED
from bandmark.models.catalog import find_model


def test_the_table() -> None:
    """A line per model and form, a column per system, a star where the state is too big, the counts in words."""
    text = steps_table(train_steps([find_model("llama-3.1-8b")], [], list(NAMED)))
    lines = text.splitlines()
    first = lines.index("llama-3.1-8b (8.03 B parameters)") + 1
    assert lines[first].split()[0] == "float32" and lines[first + 1].split()[0] == "bf16+master"
    assert "224.8" in lines[first] and "824 ms*" in lines[first] and "31.7 ms " in lines[first]
    assert max(map(len, lines)) <= 80
    for words in ("16 + 12 = 28 bytes", "28 bytes per parameter as well", "7100 is the shipping", "once per batch"):
        assert words in " ".join(text.split())
