"""bandmark fleet: judge the results that many processes left in a folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bandmark.errors import UsageError
from bandmark.units import count_of, printable

if TYPE_CHECKING:
    from bandmark.fleet.summary import Fleet

_MAX_ROWS = 20
"""Rows of a section that the text shows."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("folder", metavar="DIR", help="what `run --rank-file` and `check --history` wrote to")
    parser.add_argument("--expect", metavar="FILE", help="limits that hold beside the spread, as --write-expect wrote")
    parser.add_argument("--write-expect", metavar="FILE", help="write the limits that follow from these results")
    parser.add_argument("--nodes", metavar="FILE", help="names of the nodes that should have results, one a line")
    parser.add_argument(
        "--format",
        choices=("text", "jsonl", "exclude"),
        default="text",
        help="on stdout: text, lines of JSON, or the nodes to leave out, as srun --exclude takes them",
    )
    parser.add_argument("--html", metavar="FILE", help="also write a page for a browser")


def execute(arguments: argparse.Namespace) -> int:
    """Read the folder, print what is to be said, and return the exit code."""
    from bandmark.fleet.page import html
    from bandmark.fleet.summary import judge
    from bandmark.judge.expectations import read_expectations, to_toml
    from bandmark.results.files import write_file
    from bandmark.session.ranks import read_members
    from bandmark.show.console import info

    folder = Path(arguments.folder)
    if not folder.is_dir():
        raise UsageError(f"{printable(str(folder))} is no folder; give the one that --rank-file or --history wrote to.")
    expectations = read_expectations(Path(arguments.expect)) if arguments.expect else []
    nodes = Path(arguments.nodes).read_text(encoding="utf-8").split() if arguments.nodes else []
    fleet = judge(read_members(folder), expectations, nodes)
    if not fleet.members and not any(section.rows for section in fleet.sections):
        raise UsageError(f"{printable(str(folder))} holds no results; `bandmark run --rank-file DIR` leaves some.")
    if arguments.write_expect:
        if not fleet.observed:
            raise UsageError("no five devices are equal in name, memory, driver and power limit: no limits follow.")
        write_file(Path(arguments.write_expect), to_toml(fleet.observed))
        info(f"wrote {arguments.write_expect}, limits of {count_of(len(fleet.observed), 'kind')} of device")
    if arguments.html:
        write_file(Path(arguments.html), html(fleet))
        info(f"wrote {arguments.html}")
    show(fleet, arguments.format)
    return fleet.exit_code


def show(fleet: Fleet, form: str = "text") -> None:
    """Print a fleet on stdout."""
    from bandmark.fleet.page import cell, heading, json_lines
    from bandmark.show.console import print_parts, text_table

    if form == "exclude":
        print(printable(",".join(fleet.exclude)))
    elif form == "jsonl":
        for line in json_lines(fleet):
            print(line)
    else:
        print_parts([heading(fleet)])
        for section in (section for section in fleet.sections if section.rows):
            rows = [list(map(cell, row)) for row in section.rows[:_MAX_ROWS]]
            print_parts([f"\n{section.title}", text_table(section.header, rows, left=2)])
            if len(section.rows) > _MAX_ROWS:
                print_parts([f"and {len(section.rows) - _MAX_ROWS} more (--format jsonl has all)"])
        if fleet.exclude:
            print_parts([f"\nexclude: {printable(','.join(fleet.exclude))}"])
