"""The command line: the parser, and what becomes of errors. Each command is a module of this package."""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from types import FrameType, ModuleType
from typing import Any, NoReturn

from bandmark import __version__
from bandmark.errors import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_PIPE,
    EXIT_UNJUDGED,
    EXIT_USAGE,
    BackendUnavailable,
    BandmarkError,
    broken_library,
    describe,
    reinstall,
    unknown_name,
)
from bandmark.units import printable_lines, quote

COMMANDS = {
    "run": "measure this machine",
    "list": "the kernel table and the installed backends",
    "devices": "the devices found here, with their peaks and sources",
    "show": "the table of stored results",
    "explain": "what a kernel, suite, column, heading, status or term means",
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

EXAMPLES = {
    "run": "run --quick",
    "list": "list --probe",
    "show": "show run.csv",
    "explain": "explain triad",
    "compare": "compare before.csv after.csv",
    "report": "report run.csv",
    "validate": "validate results",
    "merge": "merge results --output all.csv",
    "publish": "publish run.csv --system my-machine",
    "decode": "decode --model llama-3.1-8b",
    "train-step": "train-step --model llama-3.2-1b",
    "fleet": "fleet results",
}
"""What to type, for each command that takes more than its name."""

_DESCRIPTION = """\
How much of its published memory bandwidth does this machine really give?
`bandmark run` measures it; `bandmark check` says whether that is normal."""

_EXIT_CODES = """\
exit codes: 0 as expected, 1 a result failed, 2 bad usage or bad file,
3 nothing to judge (run: no row is ok), 130 interrupted, 141 pipe closed"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help whose lines end where they are told to, and that names the default of each option that has one."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return [line for part in text.splitlines() for line in super(_Help, self)._split_lines(part, width)]

    def _get_help_string(self, action: argparse.Action) -> str | None:
        plain = action.default in (None, False, (), argparse.SUPPRESS) or "default" in (action.help or "")
        return action.help if plain else f"{action.help} (default: %(default)s)"


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints about a misspelt word name the word that was meant."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            kind = action.metavar if isinstance(action.metavar, str) else action.dest
            raise argparse.ArgumentError(None, str(unknown_name(kind.lower(), str(value), map(str, action.choices))))

    def error(self, message: str) -> NoReturn:
        """Exit with the message, and with the option that a word that is none comes near."""
        word = message.removeprefix("unrecognized arguments: ").split()[0].partition("=")[0]
        known = [*self._option_string_actions, *(o for p in self._commands() for o in p._option_string_actions)]
        near = difflib.get_close_matches(word, known, n=1) if word.startswith("--") else []
        super().error(f"{message}. Did you mean {near[0]}?" if near else message)

    def _commands(self) -> Iterable[argparse.ArgumentParser]:
        actions = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return actions[0].choices.values() if actions else ()


class _PrintCompletion(argparse.Action):
    """Print the completion of a shell and exit."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        try:
            import shtab
        except ImportError:
            raise BackendUnavailable(f"{option} needs shtab: pip install shtab.") from None
        print(shtab.complete(build_parser([], whole=True), values))
        parser.exit()


def build_parser(argv: Sequence[str], *, whole: bool = False) -> argparse.ArgumentParser:
    """Return the parser for a command line; only the command that it names has its options, or with `whole` each."""
    parser = _Parser(prog="bandmark", description=_DESCRIPTION, epilog=_EXIT_CODES, formatter_class=_Help)
    parser.add_argument("--version", action="version", version=f"bandmark {__version__}")
    text = "print the script by which a shell completes commands and options"
    parser.add_argument("--print-completion", choices=("bash", "zsh", "fish"), action=_PrintCompletion, help=text)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    given = next((word for word in argv if not word.startswith("-")), None)
    for name, text in COMMANDS.items():
        words = f"{text}\n  bandmark {EXAMPLES.get(name, name)}"
        command = commands.add_parser(name, help=words, description=words, epilog=_EXIT_CODES, formatter_class=_Help)
        if whole or name == given:  # importing every command would take longer than most commands run
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
        if arguments is None:
            return EXIT_OK
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


def _parse(argv: Sequence[str]) -> argparse.Namespace | None:
    """Return the arguments of a command line, None for an empty one, which shows the help.

    Bad usage is 2, which for a Nagios plugin means critical: there it is 3.
    """
    parser = build_parser(argv)
    if not argv:
        parser.print_help()
        return None
    try:
        return parser.parse_args(argv)
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
