"""How are optimizer steps shown? A line per model, a column per system, and below them what was counted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from bandmark.decoding.layout import Line, lay_out, paragraphs
from bandmark.decoding.optimizer import FORMS, TrainStep
from bandmark.units import format_seconds

LEGEND = (
    "Time of one AdamW step, of all parameters, once per batch of training; the forward and backward passes come on "
    "top. Measured systems: at the measured bandwidth. Others: the least possible, at the published peak. GB: bytes "
    "that a step moves. *: weights, gradients and state (16 bytes per parameter) do not leave a tenth of the memory "
    "free, so the system can't train the whole model alone."
)


def steps_table(steps: Sequence[TrainStep]) -> str:
    """Return a line per model and form, a column per system, then the counts in words and the notes."""
    names = list(dict.fromkeys(step.system.name for step in steps))
    groups = groupby(steps, key=lambda s: (s.model.name, s.form.name))
    table = lay_out(f"  {'state':11}{'GB':>7}", names, [_line(list(group)) for _, group in groups])
    return "\n".join([*table, "", *_notes(steps)]) + "\n"


def _line(row: Sequence[TrainStep]) -> Line:
    first = row[0]
    model = f"{first.model.name} ({first.model.parameters / 1e9:.3g} B parameters)"
    cells = [format_seconds(s.seconds) + ("*" if s.fits is False else "") for s in row]
    return Line(model, f"  {first.form.name:11}{first.bytes / 1e9:7.4g}", cells)


def _notes(steps: Sequence[TrainStep]) -> list[str]:
    said = [LEGEND, *(f"{form.name}: {form.words}." for form in FORMS)]
    said += [f"{step.system.name}: {note}." for step in steps for note in step.system.notes]
    return paragraphs(said)
