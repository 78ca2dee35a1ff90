"""What of a run may become public: known keys, plain names, and texts without names, addresses and paths.

Names that identify a row are never changed, so that a user called copy can publish: one that gives something away is
refused. Every pattern has bounded repetitions, so that the time grows linearly with the text.
"""

from __future__ import annotations

import contextlib
import getpass
import ipaddress
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from bandmark.device.device import Device
from bandmark.device.machine import Machine
from bandmark.device.peaks import Peak
from bandmark.results.reading import JsonObject, Violation
from bandmark.results.row import Row, columns
from bandmark.units import quote
from bandmark_kernels import DTYPES, KERNELS, MATRIX_FORMATS

_REMOVED = "[removed]"
_MAX_TEXT = 10_000
"""Characters of a text that are looked at; a longer one is removed whole."""

_VALUE = r"(?:\"[^\"]{1,200}\"|'[^']{1,200}'|[^\s'\",;()\[\]{}<>|`]{1,200})"
_WORD = r"[^\s'\",;()\[\]{}<>|`]"

_LABELS = (
    r"(?:user|login|logname|account|owner|host|node_?name|serial|token|passw(?:or)?d|pwd|pass|secret|api[_-]?key|"
    r"(?:access|secret)[\w-]{0,20}key|home|cwd|e-?mail|uuid|mac)(?:_?name|_?addr(?:ess)?|_?id)?"
)

_PRIVATE = {
    # A word, with the words that a path with spaces may go on with; _is_path decides.
    "path": rf"{_WORD}{{1,1000}}(?:(?: [\w.-]{{1,40}}){{1,3}}[/\\]{_WORD}{{0,1000}})?",
    "access token": r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_|sk-|nvapi-|xox[a-z]-|A[KS]IA|AIza|eyJ|npm_|pypi-|"
    r"dckr_pat_|ya29\.)[\w.-]{12,200}|\b(?:bearer|basic)\s{1,3}[\w.+/=-]{8,200}",
    "e-mail address": r"[\w.+-]{1,64}@[a-z][\w-]{1,62}(?:\.[\w-]{1,63}){0,8}(?::[\w.~/-]{1,200})?",
    "name or secret": rf"\b[\w-]{{0,20}}?{_LABELS}['\"]?\s{{0,3}}[=:]\s{{0,3}}(?!\[){_VALUE}"
    r"|--?(?:user|login|host|password|token|api-key)(?:name)?\s{1,3}[\w.@-]{1,200}|\bpassword\s{1,3}[\w.@-]{1,200}",
    "UUID": r"(?<![0-9a-z])(?:(?:gpu|mig)-)?[0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12}(?![0-9a-z])"
    r"|\b(?:gpu|mig)-[0-9a-f]{8,40}",
    "hardware address": r"(?<![\w:.-])(?:[0-9a-f]{1,2}([:_-])(?:[0-9a-f]{1,2}\1){4,18}[0-9a-f]{1,2}"
    r"|(?=[0-9. ]{0,16}[a-f])[0-9a-f]{2}([ .])(?:[0-9a-f]{2}\2){4}[0-9a-f]{2}"
    r"|[0-9a-f]{4}([.-])[0-9a-f]{4}\3[0-9a-f]{4}"
    r"|(?=\d{0,11}[a-f])(?=[a-f]{0,11}\d)[0-9a-f]{12})(?![\w:]|[.-]\w)",
    "serial number": r"\b(?:serial(?:[ _-]?(?:number|num|no\.?|nr\.?))?|s/?n|(?:service|asset)[ _-]?tag)"
    r"\s{0,3}[:=#]?\s{0,3}(?=[\w-]{0,40}\d)[\w-]{4,60}",
    # IPv4 and IPv6; _is_address decides. Versions of some libraries have four numbers, too.
    "address": r"(?<![\w.])(?<!version )(?<!cudnn )(?<!driver )(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)"
    r"|(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9a-f]{0,4})(?![\w:])(?:%\w{1,20})?",
    "host name": r"(?<![\w./@-])(?!www\.)[a-z0-9][\w-]{0,62}(?:\.[\w-]{1,63}){1,8}"
    r"\.(?:edu|com|org|net|gov|mil|int|eu|uk|de|fr|ch|at|nl|it|es|se|jp|cn|kr|ca|au|ai|cloud|xyz|pl|nz|info|app)(?![\w/.-])"
    r"|\b[a-z0-9][\w-]{0,62}(?:\.[\w-]{1,63}){0,8}"
    r"\.(?:local|localdomain|lan|internal|intranet|corp|home|cluster|hpc|priv|private)\b"
    r"|\b(?:ip(?:-\d{1,3}){4}|(?:node|nid|compute|worker|login|head|cn|gn|gpu|host|server|rack|blade)"
    r"(?:[-_]?[a-z]?\d{2,8}|(?:[-_]\d{1,8})+)(?:[-_][a-z]?\d{1,8}){0,4}|(?:desktop|laptop)-[a-z0-9]{5,15}"
    r"|[\w-]{1,40}-(?:macbook|imac|mac-mini|mac-studio)(?:-[\w-]{1,20})?|x\d{4}c\d{1,2}s\d{1,2}b\d{1,2}n\d{1,2}"
    r"|r\d{2}n\d{2})\b",
}
_RULES = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _PRIVATE.items()]

# An absolute path has two components at least, so that "read/write" and "1 / 2" are none; /proc and /sys are alike on
# all machines.
_PATH = re.compile(
    r"(?:^|[^\w/.~]|-[a-z])(?:~[\w.-]*|\.\.?)?(?!/(?:proc|sys)/)(?:/[\w.@+~%-]+){2}"
    r"|(?:^|[^\w/])(?:~[\w.-]*[/\\]|\.\.[/\\]|[a-z]:\\|\\\\\w|\$\{?home\b)|^~[a-z][\w.-]*$"
    r"|[/\\](?:home|users|root|export|scratch|lustre|gpfs)[/\\]\w",
    re.IGNORECASE,
)
_PRIVATE_URL = re.compile(
    r"^(?:file|smb|s3|gs|ssh|nfs):|@|/home/|/users/|/~|^https?://(?:[\w-]+(?:[:/]|$)|[^/]*:\d)", re.IGNORECASE
)

_COMMON = re.compile(
    "root|admin|user|ubuntu|debian|nvidia|dgx|spark|jetson|runner|jenkins|docker|localhost|localdomain|host|gpu|cpu|"
    "cuda|torch|numpy|cupy|python|linux|main|test|server|workstation|removed"
)
"""Names that so many machines share that they identify none, and words that results are full of."""

_CATALOGUE = frozenset((*KERNELS, *DTYPES, *(name for formats in MATRIX_FORMATS.values() for name in formats)))


_CHOSEN = ("run_id", "system", "started_utc", "finished_utc", "settings.system")
"""Texts that are confined by a pattern of the validator; the name of a system is chosen to be public."""

_PATTERNS = ("pattern", "samples.pattern")
"""Names of suites' own making, such as node-0-to-node-1, and checked by those."""

_PLAIN_NAME = re.compile(r"[\w.+-]{1,40}", re.ASCII)

_KEYS = {
    "": "schema run_id bandmark_version started_utc finished_utc system complete settings machine device backends peak "
    "notes samples rows",
    "settings": "suites kernels backends dtypes variants weights size_bytes device layer heads quick time_limit_s "
    "duration_s threads cpus seed data peak system",
    "machine.environment": "OMP_NUM_THREADS OMP_PROC_BIND OMP_PLACES OMP_SCHEDULE OMP_DYNAMIC OMP_WAIT_POLICY "
    "OMP_THREAD_LIMIT OMP_STACKSIZE OMP_MAX_ACTIVE_LEVELS OMP_NESTED GOMP_CPU_AFFINITY GOMP_SPINCOUNT KMP_AFFINITY "
    "KMP_BLOCKTIME KMP_HW_SUBSET KMP_SETTINGS MKL_NUM_THREADS MKL_DYNAMIC MKL_DEBUG_CPU_TYPE MKL_ENABLE_INSTRUCTIONS "
    "OPENBLAS_NUM_THREADS OPENBLAS_CORETYPE BLIS_NUM_THREADS VECLIB_MAXIMUM_THREADS CUDA_LAUNCH_BLOCKING "
    "PYTHON_CPU_COUNT",
    "machine.core_caches": "L1 L2 L3",
    "device": "pci_id",  # of 0.1.0
    "backends.*": "version driver cuda git threads device_free_bytes cuda_runtime cuda_driver nvrtc fp4_conversion "
    "device_max_clock_mhz ecc mig max_sm_clock_mhz max_memory_clock_mhz application_clock_mhz power_limit_w "
    "default_power_limit_w pcie_width max_pcie_width pcie_generation max_pcie_generation pcie_replays "
    "c2c nvlink_generation nvlinks nvlink_mbs ecc_uncorrected rows_remapped_correctable rows_remapped_uncorrectable "
    "row_remap_pending row_remap_failed blas cpus llvmlite llvm target thread_pools",
    "backends.*.blas": "internal_api version architecture",
    "backends.*.thread_pools": "internal_api num_threads",
    "samples": "launches_per_sample seconds_per_launch stop_reason warmed_up max_error copies started_utc clocks_mhz "
    "sensor_clocks_mhz braked_samples clock_mhz max_clock_mhz memory_clock_mhz temperature_c power_w others_share "
    "warnings note preempted_s load_gbs pages energy_j idle_power_w",
}
"""Keys of the record that may become public, by the key of the object that holds them; * is the name of a backend."""


def _public_keys(backends: Sequence[str]) -> set[str]:
    """Return the keys that a published record may hold, each with the keys above it."""
    groups = [(group, keys.split()) for group, keys in _KEYS.items()]
    groups += [("samples", [column.name for column in columns() if column.identity]), ("backends", list(backends))]
    for group, kind in (("machine", Machine), ("device", Device), ("peak", Peak)):
        groups.append((group, [field.name for field in fields(kind)]))
    keys = {f"{group}.{key}".lstrip(".") for group, names in groups for key in names}
    return {key.replace("*", name) for key in keys for name in (*backends, "*")}


def _name_keys() -> set[str]:
    """Return the columns and keys whose texts are names and no free text."""
    identity = {column.name for column in columns() if column.identity} - {"device", "layer"}
    named = {column.name for column in columns() if column.values} | {"suite", "data"}
    settings = ("suites", "kernels", "backends", "dtypes", "variants", "weights")
    return identity | named | {f"samples.{name}" for name in identity} | {f"settings.{name}" for name in settings}


@dataclass(frozen=True, slots=True)
class Removal:
    """Something that must not become public: where it is, and what it is."""

    place: str
    what: str
    text: str
    refused: bool = False
    """Whether nothing can take its place, so that the run can't be published."""


def clean_run(
    rows: Sequence[Row], record: Mapping[str, Any], names: Sequence[str] = ()
) -> tuple[list[Row], JsonObject, list[Removal]]:
    """Return the rows and the record of a run without what is private or no part of them, and what was removed.

    The names are further words that are private, such as own_names().
    """
    cleaner = _Cleaner({column.name for column in columns()}, names)
    cleaned = []
    for row in rows:
        before = row.values()
        after = cleaner.value(before)
        cleaned.append(row if after == before else Row.of(after))
    cleaner.public = _public_keys(sorted({row.backend for row in rows}))
    return cleaned, cleaner.value(record), list(dict.fromkeys(cleaner.removed))


class _Cleaner:
    def __init__(self, public: set[str], names: Sequence[str]) -> None:
        self.public = public
        self.removed: list[Removal] = []
        self._names = names
        self._name_keys = _name_keys()

    def value(self, value: Any, place: str = "", key: str = "") -> Any:
        """Return a value without private parts; its key is its place without positions in lists."""
        if isinstance(value, list):
            return [self.value(item, f"{place}[{i}]", key) for i, item in enumerate(value)]
        if isinstance(value, Mapping):
            return self._object(value, place, key)
        return self._text(value, place, key) if isinstance(value, str) and place not in _CHOSEN else value

    def _object(self, value: Mapping[str, Any], place: str, key: str) -> dict[str, object]:
        known: dict[str, object] = {}
        for name, inner in value.items():
            inner_place, inner_key = f"{place}.{quote(name)[1:-1]}".lstrip("."), f"{key}.{name}".lstrip(".")
            if inner_key in self.public and "." not in name:
                known[name] = self.value(inner, inner_place, inner_key)
            else:
                self.removed.append(Removal(inner_place, "no part of a run record", quote(inner)))
        return known

    def _text(self, text: str, place: str, key: str) -> str:
        if key not in self._name_keys:
            cleaned, parts = clean_text(text, self._names)
            self.removed += [Removal(place, kind, quote(part)) for kind, part in parts]
            return cleaned
        if not _PLAIN_NAME.fullmatch(text) or (key not in _PATTERNS and clean_text(text)[1]):
            self.removed.append(Removal(place, "not a plain name", quote(text), refused=True))
        return text


def check_private(csv: Path, json: Path, rows: Sequence[Row], record: Mapping[str, Any]) -> Iterator[Violation]:
    """Yield what a published run gives away; the names of the machine that checks do not matter."""
    wanted = "nothing private: take the run out of the folder, and `bandmark publish` it from there"
    for one in clean_run(rows, record)[2]:
        file = csv if one.place in {column.name for column in columns()} else json
        yield Violation(file=file, column=one.place, found=f"{one.text} ({one.what})", wanted=wanted)


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

    The names are further words that are private, also as a part of a longer word, such as own_names().
    """
    if len(text) > _MAX_TEXT:
        return _REMOVED, [(f"a text of {len(text)} characters", text)]
    removed: list[tuple[str, str]] = []
    own = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))) or "(?!)", re.IGNORECASE)
    for kind, pattern in (*_RULES, ("name of this machine or its user", own)):
        text = pattern.sub(partial(_replace, kind, removed), text)
    return text, removed


def _replace(kind: str, removed: list[tuple[str, str]], match: re.Match[str]) -> str:
    if (kind == "path" and not _is_path(match[0])) or (kind == "address" and not _is_address(match[0])):
        return match[0]
    removed.append((kind, match[0]))
    return _REMOVED


def _is_path(word: str) -> bool:
    return bool((_PRIVATE_URL if "://" in word else _PATH).search(word))


def _is_address(word: str) -> bool:
    try:
        return bool(ipaddress.ip_address(word))
    except ValueError:
        return False
