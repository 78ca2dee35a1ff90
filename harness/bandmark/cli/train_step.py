"""bandmark train-step: bytes and time of one AdamW step, here and on the three named systems."""

from __future__ import annotations

import argparse
import json
import sys

from bandmark.cli.decode import add_system_options, read_or_measure
from bandmark.decoding.optimizer import OWN, train_steps
from bandmark.decoding.steps_text import steps_table
from bandmark.decoding.systems import choose
from bandmark.errors import EXIT_OK
from bandmark.models.catalog import find_model, find_or_read
from bandmark.results.faults import printable_lines

SHOWN = ("llama-3.2-1b", "llama-3.2-3b", "qwen3-4b", "llama-3.1-8b", "qwen3-14b", "gpt-oss-20b", "qwen3-32b")
"""Models whose state fits at least one of the systems, and one that fits none."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_system_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print the steps and return the exit code."""
    models = [find_or_read(arguments.model)] if arguments.model else [find_model(name) for name in SHOWN]
    measured, named = choose(read_or_measure(arguments, OWN), arguments.system)
    steps = train_steps(models, measured, named)
    if arguments.json:
        print(json.dumps([step.as_json() for step in steps], indent=1, allow_nan=False))
    else:
        sys.stdout.write(printable_lines(steps_table(steps)))
    return EXIT_OK
