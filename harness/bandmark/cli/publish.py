"""bandmark publish: put a run among the published results."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bandmark.cli.validate import show_violations
from bandmark.errors import EXIT_OK, EXIT_USAGE, UsageError
from bandmark.publishing.publish import describe, git_commands, place, prepare
from bandmark.show.console import info
from bandmark.units import printable
from bandmark.validation.validate import check


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("file", metavar="FILE", help="a result CSV with its JSON")
    parser.add_argument("--system", metavar="NAME", help="name of the system, as in dgx-spark")
    parser.add_argument("--results", default="results", metavar="DIR", help="folder of published results")
    parser.add_argument("--dry-run", action="store_true", help="show what would become public and write nothing")


def execute(arguments: argparse.Namespace) -> int:
    """Check a run, show what would become public, write it and say how to go on."""
    file, results = Path(arguments.file), Path(arguments.results)
    _refuse_folders(file, results)
    (checked,) = check([file])
    if checked.violations:
        show_violations([checked])
        info("not published: the file has errors")
        return EXIT_USAGE
    publication = prepare(checked, results, arguments.system, ask=_ask if sys.stdin and sys.stdin.isatty() else None)
    print("This becomes public:\n")
    for line in describe(publication):
        print(printable(f"  {line}"))
    if arguments.dry_run:
        info("nothing was written (--dry-run)")
        return EXIT_OK
    changed = place(publication, results)
    if not changed:
        info(f"{publication.csv} is published already; nothing changed")
        return EXIT_OK
    info(f"wrote {', '.join(str(file) for file in changed)}")
    print("\nFor a pull request:\n")
    for line in git_commands(publication, results):
        print(f"  {line}")
    return EXIT_OK


def _refuse_folders(file: Path, results: Path) -> None:
    if not results.is_dir():
        raise UsageError(
            f"{printable(str(results))} is not a folder. Start publish in a checkout of bandmark, "
            "or name the folder of published results with --results DIR."
        )
    if file.is_dir():
        raise UsageError(f"{printable(str(file))} is a folder; publish takes one result CSV.")


def _ask(suggested: str) -> str:
    """Ask for the system's name on the terminal; an empty answer takes the suggestion."""
    try:
        return input(f"What is this system called, as in dgx-spark? [{suggested}] ")
    except EOFError:
        return ""
