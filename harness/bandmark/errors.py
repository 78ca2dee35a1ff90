"""The errors that bandmark raises on purpose, its exit codes, and exceptions in one line.

BandmarkError
├── UsageError              an option, name or size that is not accepted
├── BackendUnavailable      a library or device that was asked for is missing or broken
└── FileError               a result file that can't be read or written
"""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Iterable

_OWN_PACKAGES = ("bandmark", "bandmark_kernels")

EXIT_OK = 0
EXIT_FAILED = 1
"""A result failed: verification, an error row, or --fail-below."""
EXIT_USAGE = 2
"""Bad usage or a bad file."""
EXIT_UNJUDGED = 3
"""Nothing to judge: no row of a run is ok."""
EXIT_INTERRUPTED = 130
"""Ctrl-C, as shells report it: 128 + SIGINT."""
EXIT_PIPE = 141
"""The reader of the output went away (| head), as shells report it: 128 + SIGPIPE."""


class BandmarkError(Exception):
    """Base of every error that bandmark raises on purpose; the command line exits with code 2."""


class UsageError(BandmarkError):
    """What the caller asked for is not accepted; the message says what is, and what to do."""


class BackendUnavailable(BandmarkError):
    """A backend can't be used here; the message says what is missing and how to get it."""


class FileError(BandmarkError):
    """A result file can't be read or written; the message names the file, what is wrong and what to do."""


def unknown_name(kind: str, given: str, accepted: Iterable[str], see: str = "") -> UsageError:
    """Return the error for a name that is not one of those accepted, with the nearest; all, or where to see them."""
    names = list(accepted)
    near = difflib.get_close_matches(given.lower(), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    choice = see or f"Choose from {', '.join(names)}."
    return UsageError(f"unknown {kind} {given!r}.{hint} {choice}")


def broken_library(problem: BaseException) -> str | None:
    """Return the library that fails while it is imported, if that is what an exception comes from."""
    frames = [frame for frame, _ in traceback.walk_tb(problem.__traceback__) if frame.f_code.co_name == "<module>"]
    modules = [str(frame.f_globals["__name__"]) for frame in frames]
    if isinstance(problem, ImportError) and problem.name:
        modules.append(problem.name)
    libraries = (module.partition(".")[0] for module in modules)
    return next((name for name in libraries if name not in ("__main__", *_OWN_PACKAGES)), None)


def reinstall(library: str) -> str:
    """Return what to do about a library that fails while it is imported."""
    return f"Install {library} anew: pip install --force-reinstall {library}"


def describe(problem: BaseException) -> str:
    """Return an exception as one line: its type and the first line that says something; of a group, the first's."""
    problem = first_of(problem)
    return f"{type(problem).__name__}: {first_line(problem)}"


def first_of(problem: BaseException) -> BaseException:
    """Return an exception, or the first of a group of them: each thread raises its own."""
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message that says something, with files but without their folders.

    Where a library explains at length why its import failed, as CuPy does between rulers, that is what it failed at.
    """
    cause = error.__cause__ if isinstance(error, ImportError) and error.__cause__ else error
    lines = (line.strip() for line in str(cause).splitlines())
    line = next((line for line in lines if line.strip("=-* ")), "no message")
    return re.sub(r"(?<![\w.])(?:/[^/\s:'\"]+)+/", "", line)
