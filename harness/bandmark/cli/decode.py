"""bandmark decode: tokens per second of language models, here and on the named systems."""

from __future__ import annotations

import argparse
from itertools import chain
from typing import TYPE_CHECKING

from bandmark.errors import EXIT_FAILED, EXIT_OK
from bandmark.units import json_text

if TYPE_CHECKING:
    from bandmark.decoding.predict import Prediction
    from bandmark.models.model import Model
    from bandmark.models.weights import WeightFormat

SHOWN = (
    "llama-3.1-8b", "qwen3-14b", "gemma-3-27b", "qwen3-32b", "llama-3.3-70b", "qwen3-30b-a3b", "gpt-oss-20b",
    "gpt-oss-120b", "glm-4.5-air", "qwen3-235b-a22b", "deepseek-v3",
)  # fmt: skip
"""Models of the table that is shown where none is named: small to large, dense, then mixtures of experts."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_system_options(parser)
    parser.add_argument("--weights", metavar="NAME", help="fp16, bf16, fp8, int8, int4, nvfp4, mxfp4, q4_k_m, ...")
    parser.add_argument("--context", type=int, default=4096, metavar="N", help="tokens before (default: 4096)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="sequences at once (default: 1)")
    parser.add_argument("--validate", action="store_true", help="predictions beside published rates, with their errors")


def add_system_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a system and a model."""
    parser.add_argument("--results", nargs="+", metavar="FILE", help="result CSVs (default: a quick run here)")
    parser.add_argument("--model", metavar="NAME|FILE", help="a known model, or a config.json (default: a table)")
    parser.add_argument("--system", metavar="NAME", help="only this system, as in dgx-spark")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def execute(arguments: argparse.Namespace) -> int:
    """Print the rates, or the validation, and return the exit code."""
    from bandmark.decoding.text import Validation, show_model, show_rates  # loads NumPy

    if arguments.validate:
        validation = Validation()
        if arguments.json:
            print(json_text(validation.as_json()))
        else:
            validation.show()
        return EXIT_OK if validation.holds else EXIT_FAILED
    rates = _predictions(arguments)
    if arguments.json:
        print(json_text([rate.as_json() for rate in rates]))
    elif arguments.model:
        show_model(rates)
    else:
        show_rates(rates)
    return EXIT_OK


def _predictions(arguments: argparse.Namespace) -> list[Prediction]:
    """Return the prediction of each model and format on each system, in this order."""
    from bandmark.decoding.measured import KERNELS_FOR
    from bandmark.decoding.predict import find_systems, measured_system, predict
    from bandmark.decoding.step import step_of

    sizes = {"context": arguments.context, "batch": arguments.batch}
    pairs = _models_and_formats(arguments.model, arguments.weights)
    step_of(*pairs[0], **sizes)  # refuses bad options before measuring
    formats = dict.fromkeys(weights.kernel_format for _, weights in pairs if weights.kernel_format)
    kernels = chain(*KERNELS_FOR["weights"], *KERNELS_FOR["cache"])
    measured, named = find_systems(arguments.results, arguments.system, tuple(kernels), tuple(formats))
    return [
        predict(system, model, weights, **sizes)
        for model, weights in pairs
        for system in (*(measured_system(m, weights, model.name) for m in measured), *named)
    ]


def _models_and_formats(model_name: str | None, weights_name: str | None) -> list[tuple[Model, WeightFormat]]:
    """Return the models to show, each in the format of --weights or in those that it is usually run in."""
    from bandmark.models.config import find_or_read
    from bandmark.models.model import find_model
    from bandmark.models.weights import find_format

    models = [find_or_read(model_name)] if model_name else [find_model(name) for name in SHOWN]
    if weights_name is None:
        return [(model, find_format(name)) for model in models for name in _usual_formats(model)]
    weights = find_format(weights_name)
    return [(model, weights) for model in models if model_name or not weights.refusal(model)]


def _usual_formats(model: Model) -> tuple[str, ...]:
    return ("mxfp4-moe", "mxfp4-gguf") if model.name.startswith("gpt-oss") else ("fp16", "fp8", "nvfp4")
