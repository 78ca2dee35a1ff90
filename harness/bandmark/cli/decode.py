"""bandmark decode: tokens per second of language models, here and on the named systems."""

from __future__ import annotations

import argparse
import json
from itertools import chain

from bandmark.decoding.measured import KERNELS_FOR, MeasuredSystem, read_systems
from bandmark.decoding.predict import NAMED, Prediction, choose, measured_system, predict, published_system
from bandmark.decoding.step import step_of
from bandmark.decoding.text import show_model, show_rates
from bandmark.decoding.validation import load_validation, show_validation
from bandmark.errors import EXIT_FAILED, EXIT_OK, UsageError
from bandmark.models.config import find_or_read
from bandmark.models.model import Model, find_model
from bandmark.models.weights import WeightFormat, check_format, find_format

SHOWN = (
    "llama-3.1-8b", "qwen3-14b", "gemma-3-27b", "qwen3-32b", "llama-3.3-70b", "qwen3-30b-a3b", "gpt-oss-20b",
    "gpt-oss-120b", "glm-4.5-air", "qwen3-235b-a22b", "deepseek-v3",
)  # fmt: skip
"""Models of the table that is shown where none is named: small to large, dense, then mixtures of experts."""

DEFAULT_WEIGHTS = ("fp16", "fp8", "nvfp4")


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
    step_of(*pairs[0], context=arguments.context, batch=arguments.batch)  # refuses bad options before measuring
    rates = predictions(arguments, pairs)
    if arguments.json:
        print(json.dumps([rate.as_json() for rate in rates], indent=1, allow_nan=False))
    elif arguments.model:
        show_model(rates)
    else:
        show_rates(rates)
    return EXIT_OK


def _validate(as_json: bool) -> int:
    validation = load_validation()
    if as_json:
        print(json.dumps(validation.as_json(), indent=1, allow_nan=False))
    else:
        show_validation(validation)
    return EXIT_OK if validation.holds else EXIT_FAILED


def shown_models(weights: str | None) -> list[Model]:
    """Return the models of the table, without those that can't have a format; raises UsageError for an unknown one."""
    models = [find_model(name) for name in SHOWN]
    if weights is None:
        return models
    wanted = find_format(weights)
    return [model for model in models if _can_have(model, wanted)]


def _can_have(model: Model, weights: WeightFormat) -> bool:
    try:
        check_format(model, weights)
    except UsageError:
        return False
    return True


def formats_of(model: Model, name: str | None) -> list[WeightFormat]:
    """Return the format of --weights, or those that the model is usually run in; raises UsageError."""
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
    kernels = chain(*KERNELS_FOR["weights"], *KERNELS_FOR["cache"])
    measured, named = choose(read_or_measure(arguments, tuple(kernels), tuple(formats)), arguments.system)
    published = [published_system(system) for system in named]
    return [
        predict(system, model, weights, context=arguments.context, batch=arguments.batch)
        for model, weights in pairs
        for system in (*(measured_system(m, weights, model.name) for m in measured), *published)
    ]


def read_or_measure(
    arguments: argparse.Namespace, kernels: tuple[str, ...], weights: tuple[str, ...] = ()
) -> list[MeasuredSystem]:
    """Return the systems of --results, or else this machine by a quick run, unless a named system is wanted."""
    if arguments.results:
        return read_systems(arguments.results)
    if arguments.system in [named.name for named in NAMED]:
        return []
    # Imported here because it loads the backends' modules, which a named system needs no more than --validate.
    from bandmark.decoding.fresh import measure_here

    return [measure_here(kernels, weights)]
