"""bandmark merge: many runs in one CSV."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bandmark.errors import EXIT_OK, FileError
from bandmark.results.files import refuse_existing
from bandmark.results.merge import Merged, merge
from bandmark.results.reading import result_files
from bandmark.show.console import talk, talk_each


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("files", nargs="+", metavar="FILE|FOLDER", help="result CSVs, or folders of them")
    parser.add_argument("--output", required=True, metavar="FILE.csv", help="where to write; - for stdout")
    parser.add_argument("--force", action="store_true", help="replace an existing file")


def execute(arguments: argparse.Namespace) -> int:
    """Write one CSV with the rows of all runs."""
    output = None if arguments.output == "-" else Path(arguments.output)
    files = result_files(Path(file) for file in arguments.files)
    merged = merge(files, sys.stdout) if output is None else _write(files, output, force=arguments.force)
    talk_each(merged.duplicates, "duplicates")
    talk(
        f"{merged.runs} run{'s' if merged.runs != 1 else ''}, {merged.rows} rows" + (f" in {output}" if output else "")
    )
    return EXIT_OK


def _write(files: list[Path], output: Path, *, force: bool) -> Merged:
    """Write the merged file in one step, so that a clash leaves nothing behind."""
    refuse_existing(output, force=force)
    temporary = output.with_name(f".{output.stem}.{os.getpid()}.csv")
    try:
        with temporary.open("x", encoding="utf-8", newline="") as out:
            merged = merge(files, out)
        temporary.replace(output)
    except OSError as error:
        raise FileError(f"can't write {output}: {error.strerror}. Choose another --output.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return merged
