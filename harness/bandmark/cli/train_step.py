"""bandmark train-step: bytes and time of one AdamW step, here and on the named systems."""

from __future__ import annotations

import argparse

from bandmark.cli.decode import add_system_options, chosen_systems, read_models
from bandmark.errors import EXIT_OK
from bandmark.units import json_text

SHOWN = ("llama-3.2-1b", "llama-3.2-3b", "qwen3-4b", "llama-3.1-8b", "qwen3-14b", "gpt-oss-20b", "qwen3-32b")
"""Models whose state fits at least one of the systems, and one that fits none."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_system_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print the steps and return the exit code."""
    from bandmark.decoding.measured import KERNELS_FOR  # these load NumPy
    from bandmark.decoding.optimizer import show_steps, train_steps

    steps = train_steps(read_models(arguments, SHOWN), *chosen_systems(arguments, KERNELS_FOR["optimizer"][0]))
    if arguments.json:
        print(json_text([step.as_json() for step in steps]))
    else:
        show_steps(steps)
    return EXIT_OK
