"""bandmark report: runs as a page, as Markdown or as a picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bandmark.errors import EXIT_OK
from bandmark.reports import FORMS, form_and_file, read_report, render
from bandmark.results.files import refuse_existing, write_file
from bandmark.results.reading import result_files
from bandmark.show.console import info, info_each
from bandmark.units import count_of


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("files", nargs="+", metavar="FILE|FOLDER", help="result CSVs, or folders of them")
    parser.add_argument("--output", metavar="FILE", help="where to write (default: report.html here); - for stdout")
    parser.add_argument("--as", dest="form", choices=FORMS, help="what to write (default: by the file's ending)")
    parser.add_argument("--force", action="store_true", help="replace an existing file")


def execute(arguments: argparse.Namespace) -> int:
    """Write the report of all runs in the files."""
    kind, output = form_and_file(arguments.form, arguments.output)
    if output is not None:
        refuse_existing(output, force=arguments.force)
    runs, duplicates = read_report(result_files(Path(file) for file in arguments.files))
    info_each(duplicates, "copies")
    report = render(runs, kind)
    if output is None:
        sys.stdout.buffer.write(report)
        return EXIT_OK
    write_file(output, report)
    info(f"{count_of(len({run.first.run_id for run in runs}), 'run')} in {output}")
    return EXIT_OK
