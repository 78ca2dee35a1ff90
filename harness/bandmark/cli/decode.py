"""bandmark decode: tokens per second of language models, here and on the three named systems."""

from __future__ import annotations

import argparse
import json
import sys

from bandmark.decoding.measured import MeasuredSystem, read_systems
from bandmark.decoding.predict import Prediction, System, predict
from bandmark.decoding.rates_text import model_text, rates_table
from bandmark.decoding.step import step_of
from bandmark.decoding.systems import NAMED, choose, measured_system, published_system
from bandmark.decoding.validation import validate
from bandmark.decoding.validation_text import validation_text
from bandmark.errors import EXIT_FAILED, EXIT_OK
from bandmark.models.catalog import find_model, find_or_read
from bandmark.models.model import Model
from bandmark.models.weights import DEFAULT_WEIGHTS, WeightFormat, can_have, check_format, find_format
from bandmark.results.faults import printable_lines

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
    if arguments.validate:
        return _validate(arguments.json)
    models = [find_or_read(arguments.model)] if arguments.model else shown_models(arguments.weights)
    pairs = [(model, weights) for model in models for weights in formats_of(model, arguments.weights)]
    step_of(*pairs[0], context=arguments.context, batch=arguments.batch)  # refuses nonsense before anything is measured
    found = predictions(arguments, pairs)
    if arguments.json:
        print(json.dumps([p.as_json() for p in found], indent=1, allow_nan=False))
    else:
        sys.stdout.write(printable_lines(model_text(found) if arguments.model else rates_table(found)))
    return EXIT_OK


def _validate(as_json: bool) -> int:
    checked = validate()
    if as_json:
        print(json.dumps(checked.as_json(), indent=1, allow_nan=False))
    else:
        sys.stdout.write(validation_text(checked))
    return EXIT_OK if checked.holds else EXIT_FAILED


def shown_models(weights: str | None) -> list[Model]:
    """Return the models of the table, without those that can't have a format; raises UsageError for an unknown one."""
    models = [find_model(name) for name in SHOWN]
    if weights is None:
        return models
    wanted = find_format(weights)
    return [model for model in models if can_have(model, wanted)]


def formats_of(model: Model, name: str | None) -> list[WeightFormat]:
    """Return the format that is asked for, or those that the model is usually run in; raises UsageError."""
    if name:
        weights = find_format(name)
        check_format(model, weights)
        return [weights]
    if model.name.startswith("gpt-oss"):
        return [find_format(weights) for weights in ("mxfp4-moe", "mxfp4-gguf")]
    return [find_format(weights) for weights in DEFAULT_WEIGHTS]


def predictions(arguments: argparse.Namespace, pairs: list[tuple[Model, WeightFormat]]) -> list[Prediction]:
    """Return the prediction of each model and format on each system, in this order."""
    formats = dict.fromkeys(weights.kernel_format for _, weights in pairs if weights.kernel_format)
    measured, named = choose(read_or_measure(arguments, weights=tuple(formats)), arguments.system)
    published = [published_system(system) for system in named]

    def systems(model: Model, weights: WeightFormat) -> list[System]:
        return [*(measured_system(m, weights, model.name) for m in measured), *published]

    return [
        predict(system, model, weights, context=arguments.context, batch=arguments.batch)
        for model, weights in pairs
        for system in systems(model, weights)
    ]


def read_or_measure(
    arguments: argparse.Namespace,
    kernels: tuple[str, ...] = ("gemv", "kv", "read"),
    weights: tuple[str, ...] = (),
) -> list[MeasuredSystem]:
    """Return the systems of the results, or this machine as a quick run finds it, unless it is not asked for."""
    if arguments.results:
        return read_systems(arguments.results)
    if arguments.system in [named.name for named in NAMED]:
        return []
    from bandmark.decoding.fresh import measure_here

    return [measure_here(kernels, weights)]
