"""bandmark run: measure, write the files, show the table."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bandmark.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_UNJUDGED, UsageError
from bandmark.options import RESULTS, add_arguments, from_arguments
from bandmark.results.case import CaseId
from bandmark.results.files import RunFiles, to_csv
from bandmark.results.row import Row

if TYPE_CHECKING:
    from bandmark.session.session import Session
    from bandmark.show.console import LiveProgress


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run, and what becomes of its results."""
    results = add_arguments(parser)[RESULTS]
    results.add_argument("--output", metavar="FILE.csv", help="where to write (default: a new file here); - for stdout")
    results.add_argument("--quiet", action="store_true", help="no progress, notes or file names on stderr")
    results.add_argument("--force", action="store_true", help="replace existing files")
    results.add_argument(
        "--fail-below", type=float, metavar="PCT", help="exit with 1 if a row is below this %% of peak"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run what the options ask for and return the exit code."""
    from bandmark.session.session import run_session
    from bandmark.show.console import LiveProgress, info

    if arguments.fail_below is not None and not math.isfinite(arguments.fail_below):
        raise UsageError(f"--fail-below {arguments.fail_below:g} is no percentage.")
    to_stdout = arguments.output == "-"
    with LiveProgress(quiet=arguments.quiet) as progress:
        session = run_session(
            from_arguments(arguments),
            output=Path(arguments.output) if arguments.output and not to_stdout else None,
            to_files=not to_stdout,
            force=arguments.force,
            on_start=partial(_begin, arguments, progress),
            progress=progress,
        )
    rows = session.rows()
    _show(rows, to_stdout)
    if session.save_error is not None:
        _save_elsewhere(session)
        raise session.save_error
    if session.csv is not None and rows and not arguments.quiet:
        info(f"wrote {session.csv} and {session.csv.with_suffix('.json')}")
        info(f"next: bandmark report {shlex.quote(str(session.csv))} (a page); bandmark check (yes or no)")
    if session.interrupted:
        info(f"interrupted after {len(rows)} rows; they are kept" if rows else "interrupted before the first row")
        return EXIT_INTERRUPTED
    return exit_code(rows, arguments.fail_below)


def _save_elsewhere(session: Session) -> None:
    """Write files that could not be written where they should be into the folder for temporary files."""
    from bandmark.show.console import info

    files = RunFiles(Path(tempfile.mkdtemp(prefix="bandmark-")) / f"{session.run_id}.csv")
    files.save(session.rows(), session.record().to_json())
    info(f"the results are in {files.csv} and {files.json} instead; copy them from there")


def _begin(arguments: argparse.Namespace, progress: LiveProgress, session: Session) -> None:
    """Print the notes of a session; raises UsageError where --fail-below has no peak to judge by."""
    from bandmark.show.console import warn

    progress.watch(session)
    for note in () if arguments.quiet else session.notes:
        warn(note)
    if arguments.fail_below is not None and session.target.peak.gbs is None:
        raise UsageError("--fail-below needs a peak, and none is known for this device: add --peak GBS.")


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

    if any(row.status in ("failed_verification", "error") for row in rows):
        return EXIT_FAILED
    sound = [row for row in rows if row.status == "ok"]
    low = [row for row in sound if fail_below is not None and (row.percent_of_peak or math.inf) < fail_below]
    for row in low:
        info(f"{CaseId.of(row).label}: {row.percent_of_peak:.1f} % of peak is below {fail_below:g} %")
    if low:
        return EXIT_FAILED
    judged = sound if fail_below is None else [row for row in sound if row.percent_of_peak is not None]
    if not judged:
        wanted = "is ok" if fail_below is None else "that is ok has a percentage of the peak"
        info(f"no row {wanted}; the notes say why, and the exit code is {EXIT_UNJUDGED}")
        return EXIT_UNJUDGED
    return EXIT_OK
