"""bandmark compare: compare candidates with a baseline."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from bandmark.errors import EXIT_FAILED, EXIT_OK, UsageError
from bandmark.units import json_text

if TYPE_CHECKING:
    from bandmark.comparison import Side

_SIDES = """\
A side is a file, a folder of runs, or files with commas between them; runs of one side are replicates. One run a side
finds a change of 20 %, three find one of 5 %. With patterns of the shell: --baseline old/*.csv --candidate new/*.csv.
Either side may be another tool's result: STREAM's text, BabelStream's CSV, nvbandwidth's or NVBench's JSON.
"""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description = _SIDES
    parser.epilog = "exit codes: 0 fine, 1 a case is SLOWER (only with --fail-on-regression), 2 bad usage or bad file"
    parser.add_argument("sides", nargs="*", metavar="SIDE", help="the baseline, then one or more candidates")
    parser.add_argument("--baseline", nargs="+", metavar="FILE", help="runs of the baseline")
    parser.add_argument(
        "--candidate", nargs="+", action="append", metavar="FILE", help="runs of a candidate (may be given again)"
    )
    parser.add_argument(
        "--history", nargs="+", metavar="FILE|FOLDER", help="stored runs that show the spread between runs"
    )
    parser.add_argument("--margin", type=float, metavar="PCT", help="change up to which cases are SAME (default: 2)")
    parser.add_argument(
        "--fail-on-regression",
        type=_percentage,
        nargs="?",
        const=0.0,
        metavar="PCT",
        help="exit with 1 if a case is SLOWER, by more than this %% if given",
    )
    parser.add_argument("--anyway", action="store_true", help="compare although the settings differ")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def _percentage(text: str) -> float:
    """Return the number of an option whose value may be left out, so that a file may be taken for it."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage; name the files before this option") from None


def execute(arguments: argparse.Namespace) -> int:
    """Print the comparison of each candidate with the baseline and return the exit code."""
    from bandmark.comparison import MARGIN
    from bandmark.comparison.compare import compare_sides  # loads NumPy
    from bandmark.comparison.sides import read_history
    from bandmark.comparison.table import show_comparison

    margin = MARGIN if arguments.margin is None else arguments.margin / 100
    limit = _regression_limit(arguments.fail_on_regression, margin)
    baseline, candidates = _read_sides(arguments)
    comparisons = compare_sides(
        baseline, candidates, history=read_history(arguments.history or ()), margin=margin, anyway=arguments.anyway
    )
    if arguments.json:
        print(json_text([c.as_json() for c in comparisons]))
    else:
        for number, comparison in enumerate(comparisons):
            if number:
                print()
            show_comparison(comparison)
    if limit is not None and any(comparison.regressions(limit) for comparison in comparisons):
        return EXIT_FAILED
    return EXIT_OK


def _regression_limit(percent: float | None, margin: float) -> float | None:
    """Return the loss of bandwidth from which a SLOWER fails the command, as a fraction; None: none does."""
    if percent is None:
        return None
    if not math.isfinite(percent) or percent < 0:
        raise UsageError(f"--fail-on-regression {percent:g} is no percentage.")
    if 0 < percent / 100 < margin:
        raise UsageError(
            f"--fail-on-regression {percent:g} is below the margin of {100 * margin:g} %, within which nothing is "
            f"SLOWER; add --margin {percent:g}."
        )
    return percent / 100


def _read_sides(arguments: argparse.Namespace) -> tuple[Side, list[Side]]:
    """Return the sides, from `A B [C...]` or from `--baseline FILE... --candidate FILE...`.

    Raises:
        UsageError: fewer than two sides, or both ways at once.
    """
    from bandmark.comparison.sides import read_side

    if arguments.baseline or arguments.candidate:
        if arguments.sides or not (arguments.baseline and arguments.candidate):
            raise UsageError("give --baseline FILE... and --candidate FILE..., or A B [C...] without either.")
        return read_side(arguments.baseline), [read_side(places) for places in arguments.candidate]
    if len(arguments.sides) < 2:
        raise UsageError("compare needs two sides, the baseline first: bandmark compare A B.")
    baseline, *candidates = [read_side(_replicates(text)) for text in arguments.sides]
    return baseline, candidates


def _replicates(text: str) -> list[str]:
    """Return the files of one side: A.csv,B.csv are two replicates, unless a file is really called so."""
    if Path(text).exists():
        return [text]
    parts = [part for part in text.split(",") if part]
    if not parts:
        raise UsageError(f"{text!r} names no file.")
    return parts
