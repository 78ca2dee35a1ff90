"""Which errors does bandmark raise on purpose, and what do they mean for the caller?

BandmarkError
├── UsageError              an option, name or size that is not accepted
├── BackendUnavailable      a library or device that was asked for is missing or broken
└── FileError               a result file that can't be read or written
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_OK = 0
EXIT_FAILED = 1
"""A result failed: verification, an error row, or --fail-below."""
EXIT_USAGE = 2
"""Bad usage or a bad file."""
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
    """A result file can't be read or written; the message names the file, the fault and what to do."""


def unknown_name(kind: str, given: str, accepted: Iterable[str]) -> UsageError:
    """Return the error for a name that is not one of those accepted, with the nearest of them."""
    names = list(accepted)
    near = difflib.get_close_matches(given.lower(), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"unknown {kind} {given!r}.{hint} Choose from {', '.join(names)}.")
