"""bandmark report: runs as a page, as Markdown or as a picture."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bandmark.errors import EXIT_OK, UsageError
from bandmark.reports import ReportRun, read_report
from bandmark.results.files import refuse_existing, write_file
from bandmark.results.reading import result_files
from bandmark.show.console import info, info_each
from bandmark.units import count_of

_FORMATS = ("html", "md", "png", "svg")
"""What a report can be written as; also the suffixes of the files."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("files", nargs="+", metavar="FILE|FOLDER", help="result CSVs, or folders of them")
    parser.add_argument("--output", metavar="FILE", help="where to write (default: report.html here); - for stdout")
    parser.add_argument("--as", dest="form", choices=_FORMATS, help="what to write (default: by the file's ending)")
    parser.add_argument("--force", action="store_true", help="replace an existing file")


def execute(arguments: argparse.Namespace) -> int:
    """Write the report of all runs in the files."""
    kind, output = _output(arguments.form, arguments.output)
    if output is not None:
        refuse_existing(output, force=arguments.force)
    runs, duplicates = read_report(result_files(Path(file) for file in arguments.files))
    info_each(duplicates, "copies")
    report = _render(runs, kind)
    if output is None:
        sys.stdout.buffer.write(report)
        return EXIT_OK
    write_file(output, report)
    info(f"{count_of(len({run.first.run_id for run in runs}), 'run')} in {output}")
    return EXIT_OK


def _output(kind: str | None, output: str | None) -> tuple[str, Path | None]:
    """Return what to write and where, None being stdout; raises UsageError if the two do not fit."""
    if output == "-":
        return kind or "html", None
    path = Path(output or f"report.{kind or 'html'}")
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in _FORMATS or (kind is not None and kind != suffix):
        wanted = f".{kind}" if kind else ", ".join(f".{name}" for name in _FORMATS)
        raise UsageError(f"--output {path} must end in {wanted}, or be - for stdout.")
    return suffix, path


def _render(runs: Sequence[ReportRun], kind: str) -> bytes:
    """Return a report in one of the formats; raises BackendUnavailable where a PNG can't be drawn here."""
    if kind == "png":
        from bandmark.reports.image import png

        return png(runs)
    if kind == "svg":
        from bandmark.reports.image import svg as write
    elif kind == "md":
        from bandmark.reports.markdown import page as write
    else:
        from bandmark.reports.page import page as write
    return write(runs).encode()
