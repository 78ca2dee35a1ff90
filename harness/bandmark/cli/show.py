"""bandmark show: the table of stored results."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from bandmark.errors import EXIT_OK
from bandmark.results.files import in_order, read_rows
from bandmark.results.row import Row
from bandmark.show.console import show_results


def execute(arguments: argparse.Namespace) -> int:
    """Print the results of each run in the files."""
    rows = in_order(row for file in arguments.files for row in read_rows(Path(file)))
    if arguments.json:
        print(json.dumps([_plain(row) for row in rows], indent=1))
        return EXIT_OK
    for _, run in groupby(rows, key=lambda row: row.run_id):
        show_results(list(run))
    return EXIT_OK


def _plain(row: Row) -> dict[str, Any]:
    """Return a row for JSON, which has no number for an error without bound: it becomes null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(row).items()
    }
