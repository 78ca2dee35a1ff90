"""What in a run must not become public? Host and user names, serial numbers, UUIDs, addresses and paths."""

from __future__ import annotations

import contextlib
import getpass
import re
import socket
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from bandmark import __version__
from bandmark.device.device import Device
from bandmark.device.machine import Machine
from bandmark.device.peaks import Peak
from bandmark.options import RunOptions
from bandmark.results.faults import Fault, quote
from bandmark.results.record import RunRecord
from bandmark.results.row import Row

BLOCKS = {"settings": RunOptions, "machine": Machine, "device": Device, "peak": Peak}
KEYS = [f.name for f in fields(RunRecord)]

REMOVED = "[removed]"
"""What stands in place of what was taken out of a text."""

_PATTERNS = (
    ("e-mail address", re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")),
    ("UUID", re.compile(r"(?i)\b(?:(?:gpu|mig)-)?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b")),
    ("hardware address", re.compile(r"(?i)(?<![\w:-])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![\w:-])")),
    ("access token", re.compile(r"\b(?:gh[pousr]|github_pat|hf|sk|xox[bp])[_-][\w-]{16,}")),
    ("serial number", re.compile(r"(?i)\b(?:serial(?: ?(?:number|no\.?))?|s/n)\s*[:=#]?\s*(?=\w*\d)\w{5,}")),
    ("host name", re.compile(r"(?i)\b[a-z0-9][\w-]*(?:\.[\w-]+)*\.(?:local|localdomain|lan|internal|intranet|corp)\b")),
    ("path", re.compile(r"(?:file://|(?<![\w./~\\])~[\w-]*/|\b[A-Za-z]:\\|\\\\\w)[^\s'\",;)]*")),
    # Two components at least, so that "read/write" and "1 / 2" are none; /proc and /sys are alike on all machines.
    ("path", re.compile(r"(?<![\w./])/(?!(?:proc|sys)/)[\w.@+-]+(?:/[\w.@+-]+)+/?")),
)
"""What gives an owner away, wherever it stands. Four numbers with dots are left: versions look like that."""

_SECRET_KEY = re.compile(
    r"(?i)(?:^|_)(?:host_?name|host|user_?name|user|login|home|cwd|argv|path|serial|uuid|mac|ip|e?mail|token)(?:$|_)"
)
"""Names of facts that are private whatever their value."""

COMMON = re.compile(
    "root|admin|user|ubuntu|debian|nvidia|dgx|spark|jetson|runner|jenkins|docker|localhost|localdomain|host|gpu|cuda|"
    "torch|numpy|cupy|python|linux|main|test|server|workstation"
)
"""Names that so many machines share that they identify none, and words that results are full of."""

_FREE = ("device", "peak_source", "reason", "variant", "backend_version", "driver", "verdict", "weight_format", "layer")
"""Columns that may hold any text; the others are numbers, times and names of a list."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Something private: where it stood, and what it was."""

    place: str
    what: str
    found: str


def own_names(record: dict[str, Any]) -> tuple[str, ...]:
    """Return what this machine and its user are called, as far as a run's system and device are not called so."""
    names = {socket.gethostname(), socket.gethostname().split(".")[0], Path.home().name}
    with contextlib.suppress(KeyError, OSError):  # a container's user may have no name
        names.add(getpass.getuser())
    said = f"{record['system']} {record['device'].get('name')} {record['machine'].get('cpu_model_name')}".lower()
    public = {*said.split(), *re.findall(r"\w+", said)}
    return tuple(
        sorted(n for n in names if len(n) >= 3 and not COMMON.fullmatch(n.lower()) and n.lower() not in public)
    )


def clean_text(text: str, names: Sequence[str] = ()) -> tuple[str, list[tuple[str, str]]]:
    """Return a text without what is private, and what that was: kind and text.

    Args:
        text: any text of a result.
        names: further words that are private, such as own_names().
    """
    found: list[tuple[str, str]] = []
    own = [("name of this machine or its user", _word(name)) for name in names]
    for kind, pattern in (*_PATTERNS, *own):
        found += [(kind, match[0]) for match in pattern.finditer(text)]
        text = pattern.sub(REMOVED, text)
    return text, found


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?i)(?<![\w-]){re.escape(name)}(?![\w-])")


def clean_record(record: dict[str, Any], names: Sequence[str] = ()) -> tuple[dict[str, Any], list[Removal]]:
    """Return a run record without what is private or no part of one, and what was removed."""
    removed: list[Removal] = []
    kept = record
    if record["bandmark_version"] == __version__:  # another version's record may have other keys
        kept = _known(record, KEYS, "", removed)
        for block, kind in BLOCKS.items():
            kept[block] = _known(kept[block], [f.name for f in fields(kind)], f"{block}.", removed)
    return {key: _clean(key, value, names, removed) for key, value in kept.items()}, removed


def _known(block: dict[str, Any], keys: Collection[str], place: str, removed: list[Removal]) -> dict[str, Any]:
    """Return what is part of a run record, adding the rest to what was removed."""
    what = "no part of a run record"
    removed += [Removal(place + quote(key)[1:-1], what, quote(block[key])) for key in block if key not in keys]
    return {key: value for key, value in block.items() if key in keys}


def _clean(place: str, value: Any, names: Sequence[str], removed: list[Removal]) -> Any:
    """Return a value of the record without what is private, adding to what was removed."""
    if isinstance(value, str):
        text, found = clean_text(value, names)
        removed += [Removal(place, kind, quote(what)) for kind, what in found]
        return text
    if isinstance(value, list):
        if value and not isinstance(value[0], str | dict | list):
            return value
        return [_clean(f"{place}[{i}]", inner, names, removed) for i, inner in enumerate(value)]
    if isinstance(value, dict):
        kept = {}
        for key, inner in value.items():
            if _SECRET_KEY.search(key) and inner is not None:
                removed.append(Removal(f"{place}.{key}", "private by its name", quote(inner)))
            else:
                kept[key] = _clean(f"{place}.{key}", inner, names, removed)
        return kept
    return value


def clean_rows(rows: Sequence[Row], names: Sequence[str] = ()) -> tuple[list[Row], list[Removal]]:
    """Return rows without what is private in their texts, and what was removed."""
    removed: list[Removal] = []
    cleaned = []
    for row in rows:
        changes: dict[str, str] = {}
        for name in _FREE:
            text, found = clean_text(getattr(row, name) or "", names)
            removed += [Removal(name, kind, quote(what)) for kind, what in found]
            changes |= {name: text} if found else {}
        cleaned.append(replace(row, **changes) if changes else row)  # type: ignore[arg-type]
    return cleaned, list(dict.fromkeys(removed))


def check_private(csv: Path, json: Path, rows: Sequence[Row], record: dict[str, Any]) -> Iterator[Fault]:
    """Yield what a published run gives away; the names of the machine that checks are no matter."""
    wanted = "nothing private: `bandmark publish` takes it out"
    for file, removed in ((csv, clean_rows(rows)[1]), (json, clean_record(record)[1])):
        for one in removed:
            yield Fault(file=file, column=one.place, found=f"{one.found} ({one.what})", wanted=wanted)
