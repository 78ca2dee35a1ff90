"""Take names, addresses, numbers and paths that identify a machine or its owner out of free text.

Every pattern has bounded repetitions, so that the time grows linearly with the text.
"""

from __future__ import annotations

import contextlib
import getpass
import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bandmark_kernels import DTYPES, KERNELS, MATRIX_FORMATS

REMOVED = "[removed]"
"""What replaces a private part of a text."""

MAX_TEXT = 10_000
"""Characters of a text that are looked at; a longer one is removed whole."""

_WORD = r"[^\s'\",;()\[\]{}<>|`]"

_LABELS = (
    r"(?:user|login|logname|host|node_?name|serial|token|passw(?:or)?d|secret|api_?key|home|cwd|e-?mail|uuid|mac)"
    r"(?:_?name|_?addr(?:ess)?|_?id)?"
)

_PRIVATE = {
    # A word, with the words that a path with spaces may go on with; _is_path decides.
    "path": rf"{_WORD}{{1,1000}}(?:(?: [\w.-]{{1,40}}){{1,3}}/{_WORD}{{0,1000}})?",
    "access token": r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_|sk-|nvapi-|xox[a-z]-|A[KS]IA|AIza|eyJ)[\w.-]{12,200}"
    r"|\bbearer\s{1,3}[\w.+/=-]{8,200}",
    "e-mail address": r"[\w.+-]{1,64}@[a-z][\w-]{1,62}(?:\.[\w-]{1,63}){0,8}",
    "name or secret": rf"\b[\w-]{{0,20}}?{_LABELS}\s{{0,3}}[=:]\s{{0,3}}(?!\[){_WORD}{{1,200}}",
    "UUID": r"(?<![0-9a-z])(?:(?:gpu|mig)-)?[0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12}(?![0-9a-z])"
    r"|\b(?:gpu|mig)-[0-9a-f]{8,40}",
    "hardware address": r"(?<![\w:.-])(?:[0-9a-f]{1,2}([:-])(?:[0-9a-f]{1,2}\1){4,18}[0-9a-f]{1,2}"
    r"|(?=[0-9. ]{0,16}[a-f])[0-9a-f]{2}([ .])(?:[0-9a-f]{2}\2){4}[0-9a-f]{2}"
    r"|[0-9a-f]{4}([.-])[0-9a-f]{4}\3[0-9a-f]{4}"
    r"|(?=\d{0,11}[a-f])(?=[a-f]{0,11}\d)[0-9a-f]{12})(?![\w:]|[.-]\w)",
    "serial number": r"\b(?:serial(?:[ _-]?(?:number|num|no\.?|nr\.?))?|s/?n|(?:service|asset)[ _-]?tag)"
    r"\s{0,3}[:=#]?\s{0,3}(?=[\w-]{0,40}\d)[\w-]{4,60}",
    # IPv4 and IPv6; _is_address decides. Versions of some libraries have four numbers, too.
    "address": r"(?<![\w.])(?<!version )(?<!cudnn )(?<!driver )(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)"
    r"|(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])",
    "host name": r"(?<![\w./@-])(?!www\.)[a-z0-9][\w-]{0,62}(?:\.[\w-]{1,63}){1,8}"
    r"\.(?:edu|com|org|net|gov|mil|int|eu|uk|de|fr|ch|at|nl|it|es|se|jp|cn|kr|ca|au)(?![\w/.-])"
    r"|\b[a-z0-9][\w-]{0,62}(?:\.[\w-]{1,63}){0,8}"
    r"\.(?:local|localdomain|lan|internal|intranet|corp|home|cluster|hpc|priv|private)\b"
    r"|\b(?:ip(?:-\d{1,3}){4}|(?:node|nid|compute|worker|login|head|cn|gn|gpu|host|server|rack|blade)"
    r"(?:[-_]?[a-z]?\d{2,8}|(?:[-_]\d{1,8})+)(?:[-_][a-z]?\d{1,8}){0,4})\b",
}
_RULES = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _PRIVATE.items()]

# An absolute path has two components at least, so that "read/write" and "1 / 2" are none; /proc and /sys are alike on
# all machines.
_PATH = re.compile(
    r"(?:^|[^\w/.~])(?:~[\w.-]*|\.\.?)?(?!/(?:proc|sys)/)(?:/[\w.@+~%-]+){2}"
    r"|(?:^|[^\w/])(?:~[\w.-]*/|\.\./|[a-z]:\\|\\\\\w)"
    r"|/(?:home|users|root|export|scratch|lustre|gpfs)/\w",
    re.IGNORECASE,
)
_PRIVATE_URL = re.compile(r"^file:|@|/home/|/users/|/~", re.IGNORECASE)

_COMMON = re.compile(
    "root|admin|user|ubuntu|debian|nvidia|dgx|spark|jetson|runner|jenkins|docker|localhost|localdomain|host|gpu|cpu|"
    "cuda|torch|numpy|cupy|python|linux|main|test|server|workstation|removed"
)
"""Names that so many machines share that they identify none, and words that results are full of."""

_CATALOGUE = frozenset((*KERNELS, *DTYPES, *(name for formats in MATRIX_FORMATS.values() for name in formats)))


def own_names(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what this machine and its user are called, as far as a run's system and device are not called so."""
    home, host = Path.home().name, socket.gethostname()
    names = {host, host.split(".")[0], home, *home.split()}
    with contextlib.suppress(KeyError, OSError):  # a container's user may have no name
        names.add(getpass.getuser())
    public = f"{record['system']} {record['device'].get('name')} {record['machine'].get('cpu_model_name')}".lower()
    private = {n for n in names if len(n) >= 3 and not _COMMON.fullmatch(n.lower()) and n.lower() not in public}
    return tuple(sorted(private - _CATALOGUE))


def clean_text(text: str, names: Sequence[str] = ()) -> tuple[str, list[tuple[str, str]]]:
    """Return a text without what is private, and what that was: kind and text.

    Args:
        text: any text of a result.
        names: further words that are private, also as a part of a longer word, such as own_names().
    """
    if len(text) > MAX_TEXT:
        return REMOVED, [(f"a text of {len(text)} characters", text)]
    removed: list[tuple[str, str]] = []
    own = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))) or "(?!)", re.IGNORECASE)
    for kind, pattern in (*_RULES, ("name of this machine or its user", own)):
        text = pattern.sub(partial(_replace, kind, removed), text)
    return text, removed


def _replace(kind: str, removed: list[tuple[str, str]], match: re.Match[str]) -> str:
    if (kind == "path" and not _is_path(match[0])) or (kind == "address" and not _is_address(match[0])):
        return match[0]
    removed.append((kind, match[0]))
    return REMOVED


def _is_path(word: str) -> bool:
    """Return whether a word is a path of the file system, or a URL with a user in it."""
    return bool((_PRIVATE_URL if "://" in word else _PATH).search(word))


def _is_address(word: str) -> bool:
    try:
        return bool(ipaddress.ip_address(word))
    except ValueError:
        return False
