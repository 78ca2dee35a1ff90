"""The options of a run, each declared once.

The fields of RunOptions are the options: their metadata yield the flags of `bandmark run` with their help, the keywords
of `bandmark.run()`, and the settings in the run record.
"""

from __future__ import annotations

import argparse
import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from bandmark.device.system import parse_cpu_list
from bandmark.errors import UsageError, unknown_name
from bandmark.units import parse_bytes, parse_duration
from bandmark_kernels.core.checks import PATTERNS
from bandmark_kernels.core.dtypes import SHORT_DTYPES

SYSTEM_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

_WHAT = "what to measure"
_HOW = "how to measure"
RESULTS = "what to do with the results"


def names(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of names; raises ArgumentTypeError if there is none."""
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if not parts:
        raise argparse.ArgumentTypeError(f"{text!r} holds no name")
    return parts


def _dtypes(text: str) -> tuple[str, ...]:
    """Split a list of dtypes, which may be named as tables name them."""
    long = {short: name for name, short in SHORT_DTYPES.items()}
    return tuple(long.get(name, name) for name in names(text))


def _heads(text: str) -> tuple[int, int, int]:
    numbers = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if len(numbers) != 3 or not all(numbers):
        raise UsageError(f"--heads {text}: give query heads, KV heads and elements of a head, as in 32,8,128.")
    return numbers[0], numbers[1], numbers[2]


def _cpus(text: str) -> tuple[int, ...]:
    cpus = parse_cpu_list(text)
    if not cpus:
        raise UsageError(f"--cpus {text}: give processors as in 0-9,12.")
    return tuple(cpus)


def _option(flag: str, group: str, help_text: str, *, default: Any = None, **more: Any) -> Any:
    """Return a field that is an option: `more` is what argparse's add_argument takes."""
    return field(default=default, metadata={"flag": flag, "group": group, "help": help_text, **more})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What to measure and how; None is the default for the machine."""

    suites: tuple[str, ...] | None = _option(
        "--suite", _WHAT, "suites of `bandmark list`, or all (default: bandwidth)", type=names, metavar="NAME,..."
    )
    backends: tuple[str, ...] | None = _option(
        "--backend", _WHAT, "numpy, numba, torch, cupy or all (default: what fits)", type=names, metavar="NAME,..."
    )
    kernels: tuple[str, ...] | None = _option(
        "--kernel",
        _WHAT,
        "kernels of `bandmark list`, or all (default: its first ten)",
        type=names,
        metavar="NAME,...",
    )
    dtypes: tuple[str, ...] | None = _option(
        "--dtype",
        _WHAT,
        "f64, f32, f16, bf16 (default: 2 of them, quick 1)",
        type=_dtypes,
        metavar="NAME,...",
    )
    size_bytes: int | None = _option(
        "--size",
        _WHAT,
        "bytes of each array (GEMV: the matrix; curves: the largest working set): 64MiB, 1e8",
        type=parse_bytes,
        metavar="BYTES",
    )
    device: str | None = _option(
        "--device", _WHAT, "cpu, cuda, cuda:1 ..., all GPUs (default: that with the highest peak)", metavar="DEVICE"
    )
    variants: tuple[str, ...] = _option(
        "--variant",
        _WHAT,
        "also run other variants of the kernels, or all",
        default=(),
        type=names,
        metavar="NAME,...",
    )
    weights: tuple[str, ...] = _option(
        "--weights",
        _WHAT,
        "gemv with quantized weights: nvfp4 ..., or all",
        default=(),
        type=names,
        metavar="NAME,...",
    )
    layer: str | None = _option(
        "--layer",
        _WHAT,
        "gemv on the matrices of a model's decode step: llama-3.1-8b, or a config.json",
        metavar="MODEL",
    )
    heads: tuple[int, int, int] | None = _option(
        "--heads",
        _WHAT,
        "kv's query heads, KV heads and elements of a head (default: 32,8,128)",
        type=_heads,
        metavar="Q,KV,SIZE",
    )
    quick: bool = _option("--quick", _HOW, "a first look in half a minute", default=False, action="store_true")
    time_limit_s: float | None = _option(
        "--time-limit", _HOW, "seconds for all sampling (default: 90, quick 12)", type=float, metavar="S"
    )
    duration_s: float | None = _option(
        "--duration", _HOW, "time for soak: 90s, 10m, 2h, 3d (default: 10m)", type=parse_duration, metavar="TIME"
    )
    threads: int | None = _option("--threads", _HOW, "threads on a CPU (default: one per core)", type=int, metavar="N")
    cpus: tuple[int, ...] | None = _option(
        "--cpus", _HOW, "processors to use on a CPU: 0-9,12 (default: all usable)", type=_cpus, metavar="LIST"
    )
    seed: int = _option("--seed", _HOW, "seed of the random inputs (default: 1)", default=1, type=int, metavar="N")
    data: str = _option(
        "--data",
        _HOW,
        f"contents of the inputs: {', '.join(PATTERNS)}; a run for each (default: random)",
        default="random",
        metavar="NAME,...",
    )
    peak: str | None = _option(
        "--peak", _HOW, "the peak bandwidth, if you know it: 76.8, or 2x5600 (channels x MT/s)", metavar="GBS"
    )
    system: str | None = _option("--system", RESULTS, "name of this system, as in dgx-spark", metavar="NAME")

    def check(self) -> None:
        """Raise UsageError for a value that no run takes; names of kernels and devices are checked later."""
        from bandmark.device.peaks import parse_peak

        if self.data not in PATTERNS:
            raise unknown_name("data", self.data, PATTERNS)
        if self.peak is not None:
            parse_peak(self.peak)
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed} is not a seed: take 0 or a positive number.")
        if self.time_limit_s is not None and not 0 < self.time_limit_s < math.inf:
            raise UsageError(f"--time-limit {self.time_limit_s:g} must be a positive number of seconds.")
        if self.system is not None and not SYSTEM_NAME.fullmatch(self.system):
            raise UsageError(f"--system {self.system!r}: take lower-case letters, digits and hyphens, as in dgx-spark.")


def add_arguments(parser: argparse.ArgumentParser) -> dict[str, argparse._ArgumentGroup]:
    """Add the options to a parser; return its groups by title, for options that are not of the run itself."""
    groups = {title: parser.add_argument_group(title) for title in (_WHAT, _HOW, RESULTS)}
    for option in fields(RunOptions):
        settings = dict(option.metadata)
        group, flag, text = groups[settings.pop("group")], settings.pop("flag"), settings.pop("help")
        group.add_argument(flag, dest=option.name, default=option.default, help=text, **settings)
    return groups


def from_arguments(arguments: argparse.Namespace) -> RunOptions:
    """Return the options that a command line gave."""
    return RunOptions(**{option.name: getattr(arguments, option.name) for option in fields(RunOptions)})


def from_keywords(keywords: Mapping[str, Any]) -> RunOptions:
    """Return the options that a Python caller gave; a single name and a size in words do as on the command line.

    Raises:
        TypeError: there is no such option, or it takes another type.
        UsageError: a value is not accepted.
    """
    known = {option.name: option for option in fields(RunOptions)}
    for name in keywords:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"run() has no option {name!r}.{hint} The options are {', '.join(known)}.")
    return RunOptions(**{name: _converted(known[name], value) for name, value in keywords.items()})


_ACCEPTED: Mapping[Any, tuple[tuple[type, ...], str]] = {
    names: ((str, list, tuple), "names"),
    _dtypes: ((str, list, tuple), "names"),
    _heads: ((str, list, tuple), "three whole numbers"),
    _cpus: ((str, list, tuple, int), "processors, such as '0-9,12'"),
    parse_bytes: ((str, int, float), "a number of bytes, or a size such as '64MiB'"),
    parse_duration: ((str, int, float), "a number of seconds, or a time such as '10m'"),
    float: ((str, int, float), "a number"),
    int: ((str, int), "a whole number"),
    bool: ((bool,), "True or False"),
    str: ((str,), "text"),
}
"""The Python types that an option takes, and in words, by what parses its flag."""


def _converted(option: Field[Any], value: Any) -> Any:
    """Return the value of a keyword in the option's own type; raises TypeError."""
    parse = bool if option.metadata.get("action") == "store_true" else option.metadata.get("type", str)
    if value is option.default:
        return value
    types, accepted = _ACCEPTED[parse]
    if not isinstance(value, types) or isinstance(value, bool) != (parse is bool):
        raise TypeError(f"{option.name}={value!r} is a {type(value).__name__}; it takes {accepted}")
    if parse is bool:
        return value
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    try:
        return parse(text)
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise TypeError(f"{option.name}={value!r}: {error}; it takes {accepted}") from None
