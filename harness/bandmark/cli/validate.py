"""bandmark validate: is a result file sound?"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bandmark.errors import EXIT_OK, EXIT_USAGE
from bandmark.results.faults import Fault, printable
from bandmark.results.row import MEASURED
from bandmark.show.console import talk
from bandmark.validation.validate import Checked, check

_MOST_FAULTS = 20
"""Kinds of faults of one file that are printed; --json prints all."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("files", nargs="+", metavar="FILE|FOLDER", help="result CSVs, or folders of them")
    parser.add_argument("--json", action="store_true", help="print the faults as JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Print every fault; return 2 if there is one."""
    checked = check(Path(file) for file in arguments.files)
    if arguments.json:
        print(json.dumps([fault.as_json() for one in checked for fault in one.faults], indent=1))
    else:
        show_faults(checked)
    runs = [one for one in checked if one.csv.suffix == ".csv"]
    rows = [row for one in runs for row in one.rows]
    measured = sum(row.status in MEASURED for row in rows)
    count = f"{len(runs)} run{'s' if len(runs) != 1 else ''}, {len(rows)} rows ({measured} measured)"
    faults = sum(len(one.faults) for one in checked)
    talk(f"{count}: {faults or 'no'} fault{'s' if faults > 1 else ''}")
    return EXIT_USAGE if faults else EXIT_OK


def show_faults(checked: Sequence[Checked]) -> None:
    """Print the faults of each run on stdout, a line each, in the form that editors follow: file:line: what.

    What is wrong alike in many rows is said once.
    """
    for one in checked:
        alike = Counter(map(_kind, one.faults))
        firsts = {_kind(fault): fault for fault in reversed(one.faults)}
        for kind, number in list(alike.items())[:_MOST_FAULTS]:
            more = f" ({number - 1} more lines are wrong alike)" if number > 1 else ""
            print(f"{firsts[kind]}{more}")
        if len(alike) > _MOST_FAULTS:
            left = len(alike) - _MOST_FAULTS
            print(f"{printable(str(one.csv))}: {left} more kinds of faults; --json prints all")


def _kind(fault: Fault) -> tuple[object, ...]:
    """Return what two faults have in common that are wrong alike."""
    return fault.file, fault.column, fault.found, fault.wanted
