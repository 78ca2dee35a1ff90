"""Read sizes from the command line, and write sizes, times and other values for people and terminals."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from bandmark.errors import UsageError

_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d*)?(?:e\d+)?|\.\d+)\s*(k|m|g|ki|mi|gi)?b?", re.IGNORECASE)

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([smhd])?")

_MAX_QUOTED = 60
"""Characters of a value that a message quotes."""


def parse_bytes(text: str) -> int:
    """Return the bytes that a size such as 64MiB, 1.5GB, 1e8 or 4096 stands for; raises UsageError."""
    match = _SIZE.fullmatch(text.strip())
    size = float(match[1]) * _FACTORS[(match[2] or "").lower()] if match else 0.0
    if not 1 <= size < math.inf:
        raise UsageError(
            f"--size {text!r} is not a size. Give the bytes of each array as a positive number, "
            "with a unit if you like: 64MiB (2^20), 100MB (10^6), 1e8."
        )
    return int(size)


def parse_duration(text: str) -> float:
    """Return the seconds that a time such as 90s, 10m, 2h, 3d or 90 stands for; raises UsageError."""
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS_S[match[2] or "s"] if match else 0.0
    if not 1 <= seconds < math.inf:
        raise UsageError(f"--duration {text!r} is not a time of 1 s or more: give it as in 90s, 10m, 2h or 3d.")
    return seconds


def format_bytes(size: float) -> str:
    """Write bytes with a binary unit and three figures: 805306368 -> '768 MiB'."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if round(size) < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.3g} {unit}" if size < 999.5 else f"{size:.0f} {unit}"


def format_seconds(seconds: float) -> str:
    """Write a time with three figures in its best-reading unit: 1.01 s, 25.7 ms, 640 us."""
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        amount = seconds / unit
        if amount >= 0.9995 or name == "us":  # 999.7 us is 1 ms in three figures
            break
    return f"{amount:.3g} {name}" if amount < 999.5 else f"{amount:.0f} {name}"


def json_text(value: object) -> str:
    """Write a value as JSON, in files and on stdout alike; raises ValueError for numbers that JSON has not."""
    return json.dumps(value, indent=1, allow_nan=False)


def format_duration(seconds: float) -> str:
    """Write a long time in the largest unit of which it has two: 90 -> '90 s', 5400 -> '90 min', 9000 -> '2.5 h'."""
    for name, unit in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"


def count_of(count: int, noun: str) -> str:
    """Write a count with its noun: 1 run, 2 runs."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def quote(value: Any) -> str:
    """Write a value as a message shows it: short, on one line, and harmless to a terminal."""
    text = repr(value) if isinstance(value, str) else printable(str(value))
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}... ({len(text)} characters)"


def printable(text: str) -> str:
    """Return text with what a terminal would obey, or not show, as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def printable_lines(text: str) -> str:
    """Return lines of text with what a terminal would obey, or not show, as escapes; line ends stay."""
    return "\n".join(map(printable, text.split("\n")))
