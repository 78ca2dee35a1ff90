"""The command line: the parser, and what becomes of errors. Each command is a module of this package."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType, ModuleType

from bandmark import __version__
from bandmark.errors import (
    EXIT_INTERRUPTED,
    EXIT_PIPE,
    EXIT_UNJUDGED,
    EXIT_USAGE,
    BandmarkError,
    broken_library,
    describe,
    reinstall,
)
from bandmark.units import printable_lines, quote

COMMANDS = {
    "run": "measure this machine",
    "list": "the kernel table and the installed backends",
    "devices": "the devices found here, with their peaks and sources",
    "show": "the table of stored results",
    "compare": "whether a candidate is faster than a baseline, case by case",
    "report": "runs as a page for a browser, as Markdown or as a picture",
    "validate": "whether result files are valid, and what is wrong with them",
    "merge": "many runs in one CSV",
    "publish": "put a run among the published results",
    "decode": "tokens per second of language models, here and elsewhere",
    "train-step": "the time of one step of the optimizer",
    "check": "whether this machine is as fast as it should be, in one line and an exit code",
    "fleet": "which of many machines are slow, and what differs between them",
    "selftest": "whether the suite works on this GPU",
}
"""Each command and what it does. Its module has add_parser(), with the options, and execute(), with the work."""

DESCRIPTION = """\
How much of its published memory bandwidth does this machine really give?

  bandmark run              measure, show the table, and write a CSV and a JSON
  bandmark run --quick      a first look in under 20 seconds
  bandmark show FILE...     the table of stored results
  bandmark compare A B      whether B is faster than A, case by case
"""

_EXIT_CODES = (
    "exit codes: 0 as expected, 1 a result failed, 2 bad usage or bad file, 3 nothing to judge (run: no row is ok), "
    "130 interrupted, 141 pipe closed"
)


def build_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser for a command line; only the command that it names has its options."""
    parser = argparse.ArgumentParser(
        prog="bandmark",
        description=DESCRIPTION,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bandmark {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    given = next((word for word in argv if not word.startswith("-")), None)
    for name, text in COMMANDS.items():
        command = commands.add_parser(
            name, help=text, epilog=_EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == given:  # importing every command would take longer than most commands run
            _module(name).add_parser(command)
    return parser


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"bandmark.cli.{command.replace('-', '_')}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    signal.signal(signal.SIGTERM, _as_interrupt)
    _open_closed_streams()
    try:
        arguments = _parse(argv)
        code: int = _module(arguments.command).execute(arguments)
        sys.stdout.flush()  # what a full disk or a closed pipe refuses shows here, not after the exit code
        return code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe went away (| head); pointing stdout elsewhere keeps Python from failing at exit.
        sys.stdout = None
        return EXIT_PIPE
    except (Exception, SystemExit) as error:
        text = _explain(error)
        if text is None:
            raise
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            sys.stdout = None  # it may hold what the disk refuses
        _complain(printable_lines(f"bandmark: {text}"))
        return EXIT_USAGE


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of a command line; bad usage is 2, which for a Nagios plugin means critical: there 3."""
    try:
        return build_parser(argv).parse_args(argv)
    except SystemExit as error:
        if error.code == EXIT_USAGE and "--nagios" in argv:
            raise SystemExit(EXIT_UNJUDGED) from None
        raise


def _explain(error: BaseException) -> str | None:
    """Return what to tell of an error, or None for one that is not foreseen: it ends with its traceback."""
    if isinstance(error, BandmarkError):
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "can't write the output: no space left. Free some, or choose another place."
    if isinstance(error, OSError) and error.filename is not None:
        return f"can't use {quote(error.filename)}: {error.strerror}. Choose another file or folder."
    if library := broken_library(error):
        return f"{library}, which this command needs, can't be imported ({describe(error)}). {reinstall(library)}"
    return None


def _open_closed_streams() -> None:
    """Let what is printed go nowhere where the caller closed stdout or stderr (>&-): Python has None there."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - until the process ends


def _complain(text: str) -> None:
    """Print an error on stderr, if anybody reads it."""
    try:
        print(text, file=sys.stderr)
    except BrokenPipeError:
        sys.stderr = None  # as above


def _as_interrupt(signum: int, frame: FrameType | None) -> None:
    """Treat SIGTERM as Ctrl-C: what was measured is kept."""
    raise KeyboardInterrupt
