"""bandmark decode: tokens per second of language models, here and on the named systems."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from bandmark.errors import EXIT_FAILED, EXIT_OK, UsageError
from bandmark.units import json_text

if TYPE_CHECKING:
    from bandmark.decoding.measured import MeasuredSystem
    from bandmark.decoding.predict import Prediction, System
    from bandmark.models.model import Model
    from bandmark.models.weights import WeightFormat

SHOWN = (
    "llama-3.1-8b", "qwen3-14b", "gemma-3-27b", "qwen3-32b", "llama-3.3-70b", "qwen3-30b-a3b", "gpt-oss-20b",
    "gpt-oss-120b", "glm-4.5-air", "qwen3-235b-a22b", "deepseek-v3",
)  # fmt: skip
"""Models of the table that is shown where none is named: small to large, dense, then mixtures of experts."""


_USUAL_FORMATS = ("q4_k_m", "q8_0", "fp8", "nvfp4", "mxfp4", "int4")
"""Formats that people download; int4 as in AWQ and GPTQ."""
_GPT_OSS_FORMATS = ("mxfp4-gguf", "mxfp4-moe")
"""The same of OpenAI's models, which come in MXFP4 alone."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_system_options(parser)
    parser.add_argument("--weights", metavar="NAME", help="fp16, bf16, fp8, int8, int4, nvfp4, mxfp4, q4_k_m, ...")
    parser.add_argument("--context", type=int, default=4096, metavar="N", help="tokens before (default: 4096)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="sequences at once (default: 1)")
    parser.add_argument("--list", action="store_true", help="the systems that --system takes")
    parser.add_argument("--validate", action="store_true", help="predictions beside published rates, with their errors")


def add_system_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a system and a model."""
    parser.add_argument("--results", nargs="+", metavar="FILE", help="result CSVs (default: a quick run here)")
    parser.add_argument(
        "--model", metavar="NAME|FILE", help="a known model, a config.json or a .gguf (default: a table)"
    )
    parser.add_argument("--assume", choices=["dense"], help="count a config.json of unknown layers as a dense model")
    parser.add_argument(
        "--system", metavar="NAMES", default="", help="only these, as in dgx-spark,rtx-4090; here: this machine"
    )
    parser.add_argument(
        "--peak", metavar="GBS", help="a system by its bandwidth: GB/s, or channels x MT/s as in 2x5600"
    )
    parser.add_argument("--memory", metavar="GB", type=float, help="the memory of the system of --peak")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def execute(arguments: argparse.Namespace) -> int:
    """Print the rates, or the validation, and return the exit code."""
    from bandmark.decoding.text import Validation, show_model, show_rates, show_systems  # loads NumPy

    if arguments.validate:
        validation = Validation()
        if arguments.json:
            print(json_text(validation.as_json()))
        else:
            validation.show()
        return EXIT_OK if validation.holds else EXIT_FAILED
    if arguments.list:
        from bandmark.decoding.predict import known_systems

        systems = known_systems()
        print(json_text([one.as_json() for one in systems.values()])) if arguments.json else show_systems(systems)
        return EXIT_OK
    rates = _predictions(arguments)
    if arguments.json:
        print(json_text([rate.as_json() for rate in rates]))
    elif arguments.model:
        show_model(rates)
    else:
        show_rates(rates)
    return EXIT_OK


def chosen_systems(
    arguments: argparse.Namespace, kernels: Sequence[str], weights: Sequence[str] = ()
) -> tuple[list[MeasuredSystem], list[System]]:
    """Return the measured systems and those at published or given peaks that the options choose."""
    from bandmark.decoding.predict import described_system, find_systems

    if arguments.memory is not None and arguments.peak is None:
        raise UsageError("--memory goes with --peak, as in --peak 800 --memory 64.")
    names = [name for name in arguments.system.split(",") if name]
    described = [described_system(arguments.peak, arguments.memory)] if arguments.peak else []
    if described and not names and not arguments.results:
        return [], described
    measured, named = find_systems(arguments.results, names, kernels, weights)
    return measured, [*described, *named]


def _predictions(arguments: argparse.Namespace) -> list[Prediction]:
    """Return the prediction of each model and format on each system, in this order."""
    from bandmark.decoding.measured import KERNELS_FOR
    from bandmark.decoding.predict import measured_system, predict
    from bandmark.decoding.step import step_of

    sizes = {"context": arguments.context, "batch": arguments.batch}
    pairs = _models_and_formats(arguments)
    step_of(*pairs[0], **sizes)  # refuses bad options before measuring
    formats = dict.fromkeys(weights.kernel_format for _, weights in pairs if weights.kernel_format)
    kernels = chain(*KERNELS_FOR["weights"], *KERNELS_FOR["cache"])
    measured, named = chosen_systems(arguments, tuple(kernels), tuple(formats))
    return [
        predict(system, model, weights, **sizes)
        for model, weights in pairs
        for system in (*(measured_system(m, weights, model.name) for m in measured), *named)
    ]


def read_models(arguments: argparse.Namespace, shown: Sequence[str]) -> list[Model]:
    """Return the model of --model, or else those that are shown."""
    from bandmark.models.config import find_or_read
    from bandmark.models.model import find_model

    if arguments.model:
        return [find_or_read(arguments.model, assume_dense=arguments.assume is not None)]
    return [find_model(name) for name in shown]


def _models_and_formats(arguments: argparse.Namespace) -> list[tuple[Model, WeightFormat]]:
    """Return the models to show, each in the format of --weights or in its file's and those that people download."""
    from bandmark.models.weights import find_format

    models = read_models(arguments, SHOWN)
    if arguments.weights is None:
        return [(model, weights) for model in models for weights in _usual_formats(model)]
    weights = find_format(arguments.weights)
    return [(model, weights) for model in models if arguments.model or not weights.refusal(model)]


def _usual_formats(model: Model) -> list[WeightFormat]:
    from bandmark.models.weights import FORMATS, FileModel

    own = [model.own_format] if isinstance(model, FileModel) and model.own_format else []
    if own and own[0].counted:
        return own
    names = _GPT_OSS_FORMATS if model.name.startswith("gpt-oss") else _USUAL_FORMATS
    return [*own, *(FORMATS[name] for name in names if not FORMATS[name].refusal(model))]
