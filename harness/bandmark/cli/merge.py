"""bandmark merge: many runs in one CSV."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bandmark.errors import EXIT_OK
from bandmark.results.files import merged_csv, read_runs, refuse_existing, require_csv, write_file
from bandmark.results.reading import result_files
from bandmark.show.console import info, info_each
from bandmark.units import count_of


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("files", nargs="+", metavar="FILE|FOLDER", help="result CSVs, or folders of them")
    parser.add_argument("--output", required=True, metavar="FILE.csv", help="where to write; - for stdout")
    parser.add_argument("--force", action="store_true", help="replace an existing file")


def execute(arguments: argparse.Namespace) -> int:
    """Write one CSV with the rows of all runs."""
    output = None if arguments.output == "-" else Path(arguments.output)
    files = result_files(Path(file) for file in arguments.files)
    if output is not None:
        require_csv(output)
        refuse_existing(output, force=arguments.force)
    runs, duplicates = read_runs(files)
    if output is None:
        sys.stdout.write(merged_csv(runs))
    else:
        write_file(output, merged_csv(runs))
    info_each(duplicates, "duplicates")
    rows = sum(run.count for run in runs)
    info(f"{count_of(len(runs), 'run')}, {rows} rows" + (f" in {output}" if output else ""))
    return EXIT_OK
