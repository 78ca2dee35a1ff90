"""How are optimizer steps shown? A line per model, a column per system, and below them what was counted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from bandmark.decode.layout import Line, lay_out, paragraphs
from bandmark.decode.optimizer import FORMS, TrainStep

LEGEND = (
    "Time of one AdamW step, of all parameters, once per batch of training; the forward and backward passes come on "
    "top. Measured systems: at the measured bandwidth. Others: the least possible, at the published peak. GB: bytes "
    "that a step moves. *: weights, gradients and state (16 bytes per parameter) do not leave a tenth of the memory "
    "free, so the system can't train the whole model alone."
)


def duration(seconds: float) -> str:
    """Write a time in its best-reading unit."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def steps_table(steps: Sequence[TrainStep]) -> str:
    """Return a line per model and form, a column per system, then the counts in words and the notes."""
    names = list(dict.fromkeys(step.system.name for step in steps))
    groups = groupby(steps, key=lambda s: (s.model.name, s.form.name))
    table = lay_out(f"{'state':12}{'param':>8}{'GB':>8}", names, 9, (_line(list(group)) for _, group in groups))
    return "\n".join([*table, "", *_notes(steps)]) + "\n"


def _line(row: Sequence[TrainStep]) -> Line:
    first = row[0]
    size = f"{first.model.parameters / 1e9:.3g} B"
    cells = [duration(s.seconds) + ("*" if s.fits is False else "") for s in row]
    return Line(first.model.name, f"{first.form.name:12}{size:>8}{first.bytes / 1e9:8.4g}", cells)


def _notes(steps: Sequence[TrainStep]) -> list[str]:
    said = [LEGEND, *(f"{form.name}: {form.words}." for form in FORMS)]
    said += [f"{step.system.name}: {note}." for step in steps for note in step.system.notes]
    return paragraphs(said)
