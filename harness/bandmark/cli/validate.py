"""bandmark validate: print what is wrong with result files."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bandmark.errors import EXIT_OK, EXIT_USAGE
from bandmark.results.reading import Violation
from bandmark.results.row import MEASURED
from bandmark.show.console import info
from bandmark.units import count_of, json_text, printable
from bandmark.validation.validate import Checked, check

_MAX_KINDS = 20
"""Kinds of errors of one file that are printed; --json prints all."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("files", nargs="+", metavar="FILE|FOLDER", help="result CSVs, or folders of them")
    parser.add_argument("--json", action="store_true", help="print the errors as JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Print every error; return 2 if there is one."""
    checked = check(Path(file) for file in arguments.files)
    if not any(one.violations for one in checked if one.csv.suffix == ".csv"):
        _check_generated(checked)
    violations = [violation for one in checked for violation in one.violations]
    if arguments.json:
        print(json_text([violation.as_json() for violation in violations]))
    else:
        show_violations(checked)
    info(f"{_summary(checked)}: {count_of(len(violations), 'error') if violations else 'no errors'}")
    return EXIT_USAGE if violations else EXIT_OK


def _check_generated(checked: Sequence[Checked]) -> None:
    """Add what is wrong with the generated files of folders of published results; the runs in them are sound."""
    for one in checked:
        if one.csv.is_dir():
            from bandmark.publishing.folder import check_generated

            one.violations += check_generated(one.csv)


def _summary(checked: Sequence[Checked]) -> str:
    runs = [one for one in checked if one.csv.suffix == ".csv"]
    statuses = [row.status for one in runs for row in one.rows]
    measured = sum(status in MEASURED for status in statuses)
    return f"{count_of(len(runs), 'run')}, {len(statuses)} rows ({measured} measured)"


def show_violations(checked: Sequence[Checked]) -> None:
    """Print the errors of each run on stdout, a line each, in the form that editors follow: file:line: what.

    The same error in several rows is printed once.
    """
    for one in checked:
        counts = Counter(map(_kind, one.violations))
        firsts = {_kind(violation): violation for violation in reversed(one.violations)}
        for kind, count in list(counts.items())[:_MAX_KINDS]:
            print(f"{firsts[kind]}{f' (and in {count - 1} more lines)' if count > 1 else ''}")
        if (left := len(counts) - _MAX_KINDS) > 0:
            print(f"{printable(str(one.csv))}: {left} more kinds of errors; --json prints all")


def _kind(violation: Violation) -> tuple[object, ...]:
    return violation.file, violation.column, violation.found, violation.wanted
