"""bandmark run: measure, write the files, show the table."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from bandmark.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, UsageError
from bandmark.results.files import RunFiles, in_order, to_csv
from bandmark.results.row import Row
from bandmark.session.runner import Measured
from bandmark.session.session import Request, Session, open_session
from bandmark.show.console import LiveProgress, nowhere, show_results, talk, warn
from bandmark.units import parse_bytes


def execute(arguments: argparse.Namespace) -> int:
    """Run what the options ask for and return the exit code."""
    request = to_request(arguments)
    to_stdout = arguments.output == "-"
    files = None
    if arguments.output and not to_stdout:
        files = RunFiles(Path(arguments.output), force=arguments.force)
    try:
        session = open_session(request)
        if files is None and not to_stdout:
            files = RunFiles(Path(f"{session.run_id}.csv"))
        for note in session.notes:
            warn(note)
        rows, interrupted = measure(session, files)
    finally:
        if files:
            files.discard_if_empty()
    _show(rows, to_stdout)
    if files and files.json.exists():
        talk(f"wrote {files.csv} and {files.json}")
    if interrupted:
        talk(f"interrupted after {len(rows)} rows; they are kept" if rows else "interrupted before the first row")
        return EXIT_INTERRUPTED
    return exit_code(rows, arguments.fail_below)


def _show(rows: list[Row], to_stdout: bool) -> None:
    """Print the rows as CSV, or as a table, which may lose its reader: the run is good, and its files are written."""
    if to_stdout:
        sys.stdout.write(to_csv(rows))
    elif rows:
        try:
            show_results(rows)
        except BrokenPipeError:
            sys.stdout = nowhere()


def to_request(arguments: argparse.Namespace) -> Request:
    """Return the options as a request; raises UsageError for values that make no sense."""
    if arguments.fail_below is not None and not math.isfinite(arguments.fail_below):
        raise UsageError(f"--fail-below {arguments.fail_below:g} is no percentage.")
    return Request(
        kernels=arguments.kernel,
        backends=arguments.backend,
        dtypes=arguments.dtype,
        size_bytes=parse_bytes(arguments.size) if arguments.size else None,
        device=arguments.device,
        quick=arguments.quick,
        seed=arguments.seed,
        data=arguments.data,
        threads=arguments.threads,
        peak=arguments.peak,
        time_limit_s=arguments.time_limit,
        system=arguments.system,
        variants=arguments.variant or (),
        weights=arguments.weights or (),
        layer=arguments.layer,
        heads=_heads(arguments.heads) if arguments.heads else None,
    )


def _heads(text: str) -> tuple[int, int, int]:
    """Return the three numbers of --heads."""
    numbers = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if len(numbers) != 3:
        raise UsageError(f"--heads {text}: give query heads, KV heads and elements of a head, as in 32,8,128.")
    return numbers[0], numbers[1], numbers[2]


def measure(session: Session, files: RunFiles | None) -> tuple[list[Row], bool]:
    """Measure with progress, saving after each group; return the rows in order and whether Ctrl-C came."""
    latest = Measured()

    def save(measured: Measured) -> None:
        latest.rows, latest.samples = list(measured.rows), list(measured.samples)
        if files:
            files.save(measured.rows, session.record(measured))

    interrupted = False
    with LiveProgress() as progress:
        try:
            session.measure(progress=progress, save=save)
        except KeyboardInterrupt:
            interrupted = True
    rows = in_order(latest.rows)
    if files and rows:
        latest.rows = rows
        files.save(rows, session.record(latest))
    return rows, interrupted


def exit_code(rows: list[Row], fail_below: float | None) -> int:
    """Return 1 if a row failed verification, ended in error or is below the wanted percentage of peak."""
    if any(row.status in ("failed_verification", "error") for row in rows):
        return EXIT_FAILED
    if fail_below is None:
        return EXIT_OK
    judged = [row for row in rows if row.percent_of_peak is not None]
    if not judged:
        raise UsageError("--fail-below needs a peak and rows in the dram regime; set the peak with --peak GBS.")
    low = [row for row in judged if row.percent_of_peak is not None and row.percent_of_peak < fail_below]
    for row in low:
        case = f"{row.kernel} {row.backend} {row.number_format}"
        talk(f"{case}: {row.percent_of_peak:.1f} % of peak is below {fail_below:g} %")
    return EXIT_FAILED if low else EXIT_OK
