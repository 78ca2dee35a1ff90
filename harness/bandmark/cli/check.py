"""bandmark check: whether this machine is as fast as it should be, in one line and an exit code."""

from __future__ import annotations

import argparse
import math
import os
import threading
import traceback
from pathlib import Path

from bandmark.errors import EXIT_FAILED, EXIT_OK, EXIT_UNJUDGED, BandmarkError, UsageError, describe
from bandmark.units import json_text, printable

_IMPORT_S = 2.0  # of the budget, for what happened before the command began
_GRACE_S = 5.0  # behind the budget, after which a device hangs

_NAGIOS = {EXIT_OK: 0, EXIT_FAILED: 2}
"""Exit codes of Nagios plugins: 0 OK, 2 critical; 3, unknown, stands for all others."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--expect", metavar="FILE", help="limits that decide alone: fleet --write-expect writes them")
    parser.add_argument("--history", metavar="DIR", help="keep the results in DIR, and judge by the earlier ones there")
    parser.add_argument("--budget", type=float, default=20.0, metavar="S", help="seconds for all of it (default: 20)")
    parser.add_argument("--device", metavar="DEVICE", help="check cpu, cuda or cuda:1 alone (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the line")
    parser.add_argument("--nagios", action="store_true", help="exit with 0, 2 (below) or 3 (unknown, bad usage)")
    parser.add_argument("--prometheus", metavar="FILE.prom", help="also write gauges for a textfile collector")


def execute(arguments: argparse.Namespace) -> int:
    """Check, print the line and the details, and return the exit code."""
    try:
        code = _check(arguments)
    except BandmarkError as error:
        if not arguments.nagios:
            raise
        print(printable(f"unknown: {error}")[:80])
        return EXIT_UNJUDGED
    except Exception as error:  # a crash must not look like a slow machine, whose exit code it has
        print(printable(f"unknown: {describe(error)}")[:80])
        traceback.print_exc()
        return EXIT_UNJUDGED
    return _NAGIOS.get(code, EXIT_UNJUDGED) if arguments.nagios else code


def _check(arguments: argparse.Namespace) -> int:
    if not 5 <= arguments.budget < math.inf:
        raise UsageError(f"--budget {arguments.budget:g} is too short: give 5 seconds or more.")
    watchdog = threading.Timer(arguments.budget + _GRACE_S, _give_up)
    watchdog.daemon = True
    watchdog.start()
    try:
        from bandmark.check.check import check_devices
        from bandmark.check.report import as_json, details, line, overall, prometheus
        from bandmark.judge.expectations import read_expectations
        from bandmark.results.files import write_file
        from bandmark.show.console import info

        expectations = read_expectations(Path(arguments.expect)) if arguments.expect else None
        history = Path(arguments.history) if arguments.history else None
        checks = list(check_devices(arguments.device, expectations, history, arguments.budget - _IMPORT_S))
    finally:
        watchdog.cancel()
    print(json_text(as_json(checks)) if arguments.json else line(checks))
    for text in details(checks):
        info(text)
    if arguments.prometheus:
        write_file(Path(arguments.prometheus), prometheus(checks))
    return overall(checks)


def _give_up() -> None:
    """End the process where a device does not answer: nothing else stops a launch that hangs."""
    print("unknown: a device did not answer in time", flush=True)
    os._exit(EXIT_UNJUDGED)
