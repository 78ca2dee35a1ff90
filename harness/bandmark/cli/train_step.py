"""bandmark train-step: bytes and time of one AdamW step, here and on the named systems."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import groupby

from bandmark.cli.decode import add_system_options, read_or_measure
from bandmark.decoding.measured import KERNELS_FOR
from bandmark.decoding.optimizer import STATES, TrainStep, train_steps
from bandmark.decoding.predict import choose
from bandmark.errors import EXIT_OK
from bandmark.models.config import find_or_read
from bandmark.models.model import find_model
from bandmark.show.console import print_parts, text_table
from bandmark.units import format_seconds

SHOWN = ("llama-3.2-1b", "llama-3.2-3b", "qwen3-4b", "llama-3.1-8b", "qwen3-14b", "gpt-oss-20b", "qwen3-32b")
"""Models whose state fits at least one of the systems, and one that fits none."""

_LEGEND = (
    "Time of one AdamW step, of all parameters, once per batch of training; the forward and backward passes come on "
    "top. Measured systems: at the measured bandwidth. Others: the least possible, at the published peak. GB: bytes "
    "that a step moves. *: weights, gradients and state (16 bytes per parameter) do not leave a tenth of the memory "
    "free, so the system can't train the whole model alone."
)


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_system_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print the steps and return the exit code."""
    models = [find_or_read(arguments.model)] if arguments.model else [find_model(name) for name in SHOWN]
    optimizers = KERNELS_FOR["optimizer"][0]
    measured, named = choose(read_or_measure(arguments, optimizers), arguments.system)
    steps = train_steps(models, measured, named)
    if arguments.json:
        print(json.dumps([step.as_json() for step in steps], indent=1, allow_nan=False))
    else:
        show_steps(steps)
    return EXIT_OK


def show_steps(steps: Sequence[TrainStep]) -> None:
    """Print a line per model and optimizer state, a column per system."""
    systems = dict.fromkeys(step.system.name for step in steps)
    rows = [_steps_row(list(group)) for _, group in groupby(steps, key=lambda s: (s.model.name, s.state.name))]
    table = text_table(("model", "parameters", "state", "GB", *systems), rows, left=3)
    states = [f"{state.name}: {state.words}." for state in STATES]
    systems_notes = dict.fromkeys(f"{step.system.name}: {note}." for step in steps for note in step.system.notes)
    print_parts([table, "", _LEGEND, *states, *systems_notes])


def _steps_row(steps: Sequence[TrainStep]) -> list[str]:
    first = steps[0]
    times = [format_seconds(step.seconds) + ("*" if step.fits is False else "") for step in steps]
    return [
        first.model.name,
        f"{first.model.parameters / 1e9:.3g} B",
        first.state.name,
        f"{first.bytes / 1e9:.4g}",
        *times,
    ]
