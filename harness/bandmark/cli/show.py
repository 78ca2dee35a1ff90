"""bandmark show: the table of stored results."""

from __future__ import annotations

import argparse
import math
from itertools import groupby
from pathlib import Path

from bandmark.errors import EXIT_OK
from bandmark.results.case import in_order
from bandmark.results.files import read_runs
from bandmark.results.reading import JsonObject, result_files
from bandmark.results.row import Row
from bandmark.show.console import info_each, show_results
from bandmark.units import json_text


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("files", nargs="+", metavar="FILE|FOLDER", help="result CSVs, or folders of them")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def execute(arguments: argparse.Namespace) -> int:
    """Print the results of each run in the files."""
    runs, duplicates = read_runs(result_files(map(Path, arguments.files)))
    info_each(duplicates, "copies")
    rows = in_order(row for run in runs for row in run.rows())
    if arguments.json:
        print(json_text([_plain(row) for row in rows]))
        return EXIT_OK
    for _, run in groupby(rows, key=lambda row: row.run_id):
        show_results(list(run))
    return EXIT_OK


def _plain(row: Row) -> JsonObject:
    """Return a row for JSON, which has no number for an error without bound: it becomes null."""
    return {n: None if isinstance(v, float) and not math.isfinite(v) else v for n, v in row.values().items()}
