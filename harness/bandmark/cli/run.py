"""bandmark run: measure, write the files, show the table."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bandmark.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_UNJUDGED, UsageError
from bandmark.options import RESULTS, RunOptions, add_arguments, from_arguments, names
from bandmark.results.case import CaseId
from bandmark.results.files import RunFiles, read_rows, refuse_existing, to_csv
from bandmark.results.row import Row
from bandmark.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from bandmark.session.session import Session
    from bandmark.show.console import LiveProgress


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run, and what becomes of its results."""
    results = add_arguments(parser)[RESULTS]
    results.add_argument("--output", metavar="FILE.csv", help="where to write (default: a new file here); - for stdout")
    results.add_argument("--quiet", action="store_true", help="no progress, notes or file names on stderr")
    results.add_argument("--runs", type=int, default=1, metavar="N", help="measure N times, a file each: replicates")
    results.add_argument("--dry-run", action="store_true", help="list cases, bytes and time, and measure nothing")
    results.add_argument(
        "--rank-file", metavar="DIR", help="write to a new file in DIR that is named by rank, for `bandmark fleet DIR`"
    )
    results.add_argument(
        "--deadline", type=float, metavar="S", help="under torchrun: seconds after which a rank counts as hung"
    )
    results.add_argument("--force", action="store_true", help="replace existing files")
    results.add_argument(
        "--fail-below", type=float, metavar="PCT", help="exit with 1 if a row is below this %% of peak"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run what the options ask for, as often as they say, and return the gravest exit code."""
    from bandmark.fleet.torchrun import is_rank

    if arguments.device == "all":
        return _measure_all_devices(arguments)
    if is_rank() and arguments.rank_file is None:
        return _supervise(arguments)
    options = [replace(from_arguments(arguments), data=data) for data in names(arguments.data)]
    _check_together(arguments, options)
    if arguments.dry_run:
        return _list_cases(options[0])
    runs, codes = len(options) * arguments.runs, set()
    for number in range(runs):
        output = _numbered(arguments.output, number + 1, runs)
        codes.add(code := _run_once(arguments, options[number % len(options)], output))
        if code == EXIT_INTERRUPTED:
            break
    return next(code for code in (EXIT_INTERRUPTED, EXIT_FAILED, EXIT_UNJUDGED, EXIT_OK) if code in codes)


def _check_together(arguments: argparse.Namespace, options: list[RunOptions]) -> None:
    """Raise UsageError for options that do not go together, before anything is measured."""
    if arguments.rank_file is not None and arguments.output is not None:
        raise UsageError("--rank-file names its files itself: leave --output out.")
    if arguments.runs < 1:
        raise UsageError(f"--runs {arguments.runs}: give 1 or more.")
    if len(options) * arguments.runs > 1 and arguments.output == "-":
        raise UsageError("--output - holds one run: give a file, whose name each run gets with a number, or --runs 1.")
    if arguments.fail_below is not None and not math.isfinite(arguments.fail_below):
        raise UsageError(f"--fail-below {arguments.fail_below:g} is no percentage.")
    for one in options:
        one.check()


def _numbered(output: str | None, number: int, runs: int) -> str | None:
    """Return the file of one of several runs: a.csv -> a-1.csv; of a single run a.csv."""
    return str(Path(output).with_stem(f"{Path(output).stem}-{number}")) if output and runs > 1 else output


def _list_cases(options: RunOptions) -> int:
    """Print what a run would measure: each group with its cases, its largest working set and its sampling time."""
    from bandmark.session.session import open_session, planned_seconds
    from bandmark.show.console import print_parts, text_table

    session = open_session(options)
    session.target.close()
    lines = []
    for group, seconds in planned_seconds(session):
        largest = max((case.columns.get("working_set_bytes") or 0 for case in group.cases), default=0)
        counts = f"{len(group.runnable)} of {len(group.cases)}"
        lines.append((group.suite.name, group.label, counts, format_bytes(largest), format_seconds(seconds)))
    table = text_table(("suite", "group", "cases that run", "working set", "sampling"), lines, left=2)
    total = f"{len(lines)} groups, at most {format_seconds(session.time_limit_s)} of sampling"
    print_parts([table, f"{total}; preparing and verifying come on top"])
    return EXIT_OK


def _run_once(arguments: argparse.Namespace, options: RunOptions, output: str | None) -> int:
    """Measure one run and return its exit code."""
    from bandmark.session.session import run_session
    from bandmark.show.console import LiveProgress, info

    to_stdout = output == "-"
    with LiveProgress(quiet=arguments.quiet) as progress:
        session = run_session(
            options,
            output=Path(output) if output and not to_stdout else None,
            to_files=not to_stdout,
            force=arguments.force,
            on_start=partial(_begin, arguments, progress),
            progress=progress,
            watcher=progress.look,
            **_by_rank(arguments),
        )
    rows = session.rows()
    _show(rows, to_stdout)
    if session.save_error is not None:
        _save_elsewhere(session)
        raise session.save_error
    if rows and not arguments.quiet:
        _tell_files(session)
    if session.interrupted:
        info(f"interrupted after {len(rows)} rows; they are kept" if rows else "interrupted before the first row")
        return EXIT_INTERRUPTED
    return exit_code(rows, arguments.fail_below)


def _by_rank(arguments: argparse.Namespace) -> dict[str, Callable[[Session], Path]]:
    """Return what names the file of --rank-file, after the process was given its GPU; nothing without the option."""
    from bandmark.session.ranks import rank_file, read_ticket, use_own_gpu

    if not arguments.rank_file:
        return {}
    ticket = read_ticket()
    if arguments.device is None:
        use_own_gpu(ticket)
    return {"name_file": rank_file(Path(arguments.rank_file), ticket)}


def _tell_files(session: Session) -> None:
    """Say where the files are, and what to do with them."""
    from bandmark.show.console import info

    if session.csv is not None:
        info(f"wrote {session.csv} and {session.csv.with_suffix('.json')}")
        info(f"next: bandmark report {shlex.quote(str(session.csv))} (a page); bandmark check (yes or no)")


def _supervise(arguments: argparse.Namespace) -> int:
    """Measure with a child process as a rank of torchrun; the rank that gathers shows the fleet and its exit code."""
    from bandmark.cli.fleet import show
    from bandmark.fleet.summary import judge
    from bandmark.fleet.torchrun import Supervisor, child_command, connect, part_path
    from bandmark.session.ranks import read_ticket, use_own_gpu

    ticket = read_ticket()
    if arguments.output is None:
        raise UsageError("under torchrun give --output F.csv: each rank writes its own, F.rank0.csv and so on.")
    csv = part_path(Path(arguments.output), f"rank{ticket.rank}")
    _make_room(csv, force=arguments.force)
    if arguments.device is None:
        use_own_gpu(ticket)
    usual_s = 12 if arguments.quick else 90
    deadline_s = arguments.deadline or 2 * (arguments.time_limit_s or arguments.duration_s or usual_s) + 60
    supervisor = Supervisor(ticket=ticket, store=connect(ticket), deadline_s=deadline_s)
    members = supervisor.run(child_command(sys.argv[1:], csv), csv)
    if members is None:
        return EXIT_OK
    fleet = judge(members)
    show(fleet)
    measured = any(section.rows for section in fleet.sections if section.name == "distribution")
    return EXIT_OK if measured and fleet.exit_code == EXIT_UNJUDGED else fleet.exit_code


def _measure_all_devices(arguments: argparse.Namespace) -> int:
    """Measure each GPU alone and all at once, with a child process each; show the fleet and return its exit code."""
    from bandmark.backends.select import all_accelerators
    from bandmark.cli.fleet import show
    from bandmark.fleet.devices import device_path, judge_devices, measure_devices
    from bandmark.session.runner import utc_now
    from bandmark.session.session import new_run_id, select_suites
    from bandmark.show.console import info

    _refuse_beside_all(arguments)
    options = from_arguments(arguments)
    options.check()
    select_suites(options)
    devices = {a.address: f"{a.address} {a.device.name}" for a in all_accelerators(options.backends)}
    output = Path(arguments.output or f"{new_run_id(utc_now())}.csv")
    files = [device_path(output, address, step) for step in ("", "together") for address in devices]
    for csv in files:
        _make_room(csv, force=arguments.force)
    announce = (lambda step: None) if arguments.quiet else info
    deadline_s = arguments.deadline or math.inf
    fleet = judge_devices(*measure_devices(devices, sys.argv[1:], output, deadline_s=deadline_s, announce=announce))
    show(fleet)
    announce("wrote " + ", ".join(str(csv) for csv in files if csv.exists()))
    rows = [row for csv in files if csv.exists() for row in read_rows(csv)]
    return EXIT_FAILED if fleet.exit_code == EXIT_FAILED else exit_code(rows, arguments.fail_below)


def _refuse_beside_all(arguments: argparse.Namespace) -> None:
    """Raise UsageError for what does not go with --device all."""
    from bandmark.fleet.torchrun import is_rank

    given = {
        "--runs": arguments.runs != 1,
        "--dry-run": arguments.dry_run,
        "--rank-file": arguments.rank_file is not None,
        "--output -": arguments.output == "-",
        "several --data": len(names(arguments.data)) > 1,
        "torchrun": is_rank(),
    }
    if refused := [name for name, is_given in given.items() if is_given]:
        raise UsageError(f"--device all does not go with {', '.join(refused)}: leave that out, or name one device.")


def _make_room(csv: Path, *, force: bool) -> None:
    """Remove the files of an earlier run where they may be replaced; raises FileError where they may not."""
    for file in (csv, csv.with_suffix(".json")):
        refuse_existing(file, force=force)
        file.unlink(missing_ok=True)


def _save_elsewhere(session: Session) -> None:
    """Write files that could not be written where they should be into the folder for temporary files."""
    from bandmark.show.console import info

    files = RunFiles(Path(tempfile.mkdtemp(prefix="bandmark-")) / f"{session.run_id}.csv")
    files.save(session.rows(), session.record().to_json())
    info(f"the results are in {files.csv} and {files.json} instead; copy them from there")


def _begin(arguments: argparse.Namespace, progress: LiveProgress, session: Session) -> None:
    """Print the notes of a session, and wait for other ranks; raises UsageError where --fail-below has no peak."""
    from bandmark.fleet.torchrun import await_start
    from bandmark.show.console import warn

    progress.watch(session)
    for note in () if arguments.quiet else session.notes:
        warn(note)
    if arguments.fail_below is not None and session.target.peak.gbs is None:
        raise UsageError("--fail-below needs a peak, and none is known for this device: add --peak GBS.")
    await_start()


def _show(rows: list[Row], to_stdout: bool) -> None:
    """Print the rows as CSV, or as a table, which may lose its reader: the run is good, and its files are written."""
    from bandmark.show.console import open_devnull, show_results

    if to_stdout:
        sys.stdout.write(to_csv(rows))
    elif rows:
        try:
            show_results(rows)
        except BrokenPipeError:
            sys.stdout = open_devnull()


def exit_code(rows: list[Row], fail_below: float | None) -> int:
    """Return 1 if a row failed or is below the wanted percentage of peak, else 3 if no row is ok, else 0.

    Suspect rows are not held against --fail-below: their figures may not be the machine's.
    """
    from bandmark.show.console import info

    if {"failed_verification", "error"} & {row.status for row in rows}:
        return EXIT_FAILED
    judged, wanted = [row for row in rows if row.status == "ok"], "is ok"
    if fail_below is not None:
        judged, wanted = [row for row in judged if row.percent_of_peak], "that is ok has a percentage of the peak"
    low = [(row, percent) for row in judged if (percent := row.percent_of_peak or 0.0) < (fail_below or 0.0)]
    for row, percent in low:
        info(f"{CaseId.of(row).label}: {percent:.1f} % of peak is below {fail_below:g} %")
    if not judged:
        info(f"no row {wanted}; the notes say why, and the exit code is {EXIT_UNJUDGED}")
        return EXIT_UNJUDGED
    return EXIT_FAILED if low else EXIT_OK
