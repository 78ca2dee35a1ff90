"""The validation as people see it."""

from __future__ import annotations

from dataclasses import replace

from bandmark.decoding.published import at_rate
from bandmark.decoding.validation import Validation, validate
from bandmark.decoding.validation_text import ROOM, validation_text


def test_every_row_and_the_verdict_are_shown() -> None:
    """A line per row with published, expected and bound; the median, the worst row and why rows are set aside."""
    checked = validate()
    text = validation_text(checked)
    for row in checked.checked:
        own = text.split(f"{row.row.device} ({row.row.peak_gbs:g} GB/s), {row.row.engine}\n")[1].split("\n\n")[0]
        after = (part.split("\n")[: 1 + (len(row.row.label) > ROOM)] for part in own.split(f"\n{row.row.label}")[1:])
        line = next(line for line in map("".join, after) if f" {row.row.tokens_per_s:.2f} " in line)
        assert f"{row.expected:.2f}" in line and f"{row.row.bound:.1f}" in line
        assert f"{row.error:+.1%}" in line and f"{row.held_out:+.1%}" in line
    for words in ("two machines", "median absolute error, held out: ", "worst row, held out: ", "at most 10%"):
        assert words in " ".join(text.split())
    assert text.endswith("the validation holds\n")
    assert max(map(len, text.splitlines())) <= 80


def test_a_broken_bound_is_marked() -> None:
    """A row above its bound says so on its line, and the verdict fails."""
    good = validate()
    first = replace(good.checked[0], row=at_rate(good.checked[0].row, 1e4))
    text = validation_text(Validation((first, *good.checked[1:]), good.set_aside))
    assert text.count("  above the bound") == 1 and "the validation FAILS" in text
