"""The parts of a run that may become public: known keys of known shapes, and texts without names, addresses and paths.

Free text is scrubbed. Names that identify a row are never scrubbed, so that a user called copy can publish: the
validator compares those of rows with the catalogue, and a name that gives something away is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bandmark.device.device import Device
from bandmark.device.machine import Machine
from bandmark.device.peaks import Peak
from bandmark.results.faults import Fault, quote
from bandmark.results.row import Row, columns
from bandmark.results.scrub import clean_text

_CHOSEN = ("run_id", "system", "started_utc", "finished_utc", "settings.system")
"""Texts that are confined by a pattern of the validator; the name of a system is chosen to be public."""

_TEXT_IDENTITY = ("device", "layer")
"""Columns that identify a row by free text."""

_PLAIN_NAME = re.compile(r"[\w.+-]{1,40}", re.ASCII)

_Shape = Mapping[str, Any]
"""The keys that an object may have, each with the shape of its values; a list has the shape of its items."""

_LEAF: _Shape = {}
"""The shape of texts, numbers and lists of them."""

_NAME: _Shape = {}
"""The shape of names that identify a row."""


def _keys(names: str, shape: _Shape = _LEAF) -> dict[str, _Shape]:
    return dict.fromkeys(names.split(), shape)


_RUN = "schema run_id bandmark_version started_utc finished_utc system complete notes"

_SETTINGS = _keys("suites kernels backends dtypes variants weights", _NAME) | _keys(
    "size_bytes device layer heads quick time_limit_s threads seed data peak system"
)

_BACKEND = _keys(
    "version driver cuda git threads device_free_bytes cuda_runtime cuda_driver nvrtc fp4_conversion "
    "device_max_clock_mhz ecc mig max_sm_clock_mhz max_memory_clock_mhz"
) | {"blas": _keys("internal_api version architecture")}

_ENVIRONMENT = _keys(
    "OMP_NUM_THREADS OMP_PROC_BIND OMP_PLACES OMP_SCHEDULE OMP_DYNAMIC OMP_WAIT_POLICY OMP_THREAD_LIMIT OMP_STACKSIZE "
    "OMP_MAX_ACTIVE_LEVELS OMP_NESTED GOMP_CPU_AFFINITY GOMP_SPINCOUNT KMP_AFFINITY KMP_BLOCKTIME KMP_HW_SUBSET "
    "KMP_SETTINGS MKL_NUM_THREADS MKL_DYNAMIC MKL_DEBUG_CPU_TYPE MKL_ENABLE_INSTRUCTIONS OPENBLAS_NUM_THREADS "
    "OPENBLAS_CORETYPE BLIS_NUM_THREADS VECLIB_MAXIMUM_THREADS CUDA_LAUNCH_BLOCKING PYTHON_CPU_COUNT"
)

_MEASUREMENT = _keys(
    "launches_per_sample seconds_per_launch stop_reason warmed_up max_error copies started_utc clocks_mhz "
    "sensor_clocks_mhz braked_samples clock_mhz max_clock_mhz memory_clock_mhz temperature_c power_w others_share "
    "warnings note"
)


def record_shape(backends: Sequence[str]) -> _Shape:
    """Return what a run record may hold when it becomes public."""
    machine, device, peak = (dict.fromkeys((f.name for f in fields(kind)), _LEAF) for kind in (Machine, Device, Peak))
    names = _name_columns()
    identity = {c.name: _NAME if c.name in names else _LEAF for c in columns() if c.identity}
    return _keys(_RUN) | {
        "settings": _SETTINGS,
        "machine": {**machine, "environment": _ENVIRONMENT},
        "device": device | _keys("pci_id"),  # of 0.1.0
        "backends": dict.fromkeys(backends, _BACKEND),
        "peak": peak,
        "samples": identity | _MEASUREMENT,
    }


def _name_columns() -> set[str]:
    """Return the columns whose texts are names and no free text."""
    named = {c.name for c in columns() if c.identity or c.values} | {"suite", "data"}
    return named - set(_TEXT_IDENTITY)


@dataclass(frozen=True, slots=True)
class Removal:
    """Something that must not become public: where it is, and what it is."""

    place: str
    what: str
    text: str
    refused: bool = False
    """Whether nothing can take its place, so that the run can't be published."""


def clean_run(
    rows: Sequence[Row], record: dict[str, Any], names: Sequence[str] = ()
) -> tuple[list[Row], dict[str, Any], list[Removal]]:
    """Return the rows and the record of a run without what is private or no part of them, and what was removed.

    Args:
        rows: the rows of the run.
        record: its JSON.
        names: further words that are private, such as own_names().
    """
    cleaner = _Cleaner(names)
    cleaned = [cleaner.row(row) for row in rows]
    shape = record_shape(sorted({row.backend for row in rows}))
    return cleaned, cleaner.value(shape, record, ""), list(dict.fromkeys(cleaner.removed))


class _Cleaner:
    """Cleans values, and collects what was removed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._name_columns = _name_columns()
        self.removed: list[Removal] = []

    def row(self, row: Row) -> Row:
        """Return a row with scrubbed texts."""
        before = {c.name: row.get(c.name) for c in columns() if c.type == "str" and row.get(c.name) is not None}
        after = {
            n: self._name(text, n) if n in self._name_columns else self._text(text, n) for n, text in before.items()
        }
        return row if after == before else Row.of({c.name: row.get(c.name) for c in columns()} | after)

    def value(self, shape: _Shape, value: Any, place: str) -> Any:
        """Return a value with nothing but what its shape has."""
        if isinstance(value, list):
            return [self.value(shape, item, f"{place}[{i}]") for i, item in enumerate(value)]
        if isinstance(value, dict):
            return self._object(shape, value, f"{place}." if place else "")
        if isinstance(value, str):
            return self._name(value, place) if shape is _NAME else self._text(value, place)
        return value

    def _object(self, shape: _Shape, value: dict[str, Any], place: str) -> dict[str, Any]:
        known = {}
        for key, inner in value.items():
            where = place + quote(key)[1:-1]
            if key in shape:
                known[key] = self.value(shape[key], inner, where)
            else:
                self.removed.append(Removal(where, "no part of a run record", quote(inner)))
        return known

    def _text(self, text: str, place: str) -> str:
        if place in _CHOSEN:
            return text
        cleaned, parts = clean_text(text, self._names)
        self.removed += [Removal(place, kind, quote(part)) for kind, part in parts]
        return cleaned

    def _name(self, text: str, place: str) -> str:
        if not _PLAIN_NAME.fullmatch(text) or clean_text(text)[1]:
            self.removed.append(Removal(place, "not a plain name", quote(text), refused=True))
        return text


def check_private(csv: Path, json: Path, rows: Sequence[Row], record: dict[str, Any]) -> Iterator[Fault]:
    """Yield what a published run gives away; the names of the machine that checks do not matter."""
    wanted = "nothing private: take the run out of the folder, and `bandmark publish` it from there"
    texts = {c.name for c in columns()}
    for one in clean_run(rows, record)[2]:
        file = csv if one.place in texts else json
        yield Fault(file=file, column=one.place, found=f"{one.text} ({one.what})", wanted=wanted)
