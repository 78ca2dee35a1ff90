"""Is the JSON beside a result CSV a run record, and does it tell of the same run?"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bandmark import __version__
from bandmark.device.device import Device
from bandmark.device.machine import Machine
from bandmark.device.peaks import Peak
from bandmark.options import RunOptions
from bandmark.results.faults import Fault, FaultyFile, quote
from bandmark.results.row import SCHEMA, Row
from bandmark.results.sheet import decode
from bandmark.validation.cells import LONGEST, PATTERNS

DEEPEST = 12
"""Levels of nesting; a run record has five."""

BLOCKS = {"settings": RunOptions, "machine": Machine, "device": Device, "peak": Peak}
"""The parts of a run record that are dataclasses, by name."""

KEYS: dict[str, type] = {
    "schema": int,
    "run_id": str,
    "bandmark_version": str,
    "started_utc": str,
    "finished_utc": str,
    "system": str,
    "complete": bool,
    **dict.fromkeys(BLOCKS, dict),
    "backends": dict,
    "notes": list,
    "samples": list,
}
"""What a run record has, and of which type; see bandmark.session.session.Session.record."""

_NAMES = {str: "text", int: "a whole number", bool: "true or false", dict: "an object", list: "a list"}


def read_record(path: Path, data: bytes) -> dict[str, Any]:
    """Return the run record in a JSON; raises FaultyFile."""

    def fault(found: str, wanted: str, line: int | None = None) -> FaultyFile:
        return FaultyFile(Fault(file=path, line=line, found=found, wanted=wanted))

    text = decode(path, data)
    try:
        record = json.loads(text, parse_constant=_no_number, parse_int=_whole, object_pairs_hook=_once)
    except RecursionError as error:
        raise fault("nested too deeply", "a run record has five levels") from error
    except json.JSONDecodeError as error:
        raise fault(error.msg, "the JSON is truncated or was edited: copy it again", error.lineno) from error
    except ValueError as error:
        raise fault(str(error), "take the JSON as bandmark wrote it") from error
    if not isinstance(record, dict):
        raise fault(f"{quote(record)} is no run record", "a run record is an object")
    if isinstance(schema := record.get("schema"), int) and schema > SCHEMA:
        known = f"this is bandmark {__version__}, which knows schemas up to {SCHEMA}: update bandmark"
        raise fault(f"schema {quote(schema)} is newer", known)
    return record


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")


def _whole(text: str) -> int:
    if len(text) > 20:
        raise ValueError(f"a whole number of {len(text)} digits")
    return int(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for i, (name, _) in enumerate(pairs) if name in dict(pairs[:i]))
        raise ValueError(f"the key {quote(twice)} stands there twice")
    return found


def check_shape(file: Path, record: dict[str, Any]) -> list[Fault]:
    """Return what is wrong with the form of a run record: keys, types, times, texts."""
    found = [*_keys(record), *_texts("", record)]
    if not found:
        found = [*_blocks(record), *_times(record)]
    return [Fault(file=file, column=place, found=what, wanted=wanted) for place, what, wanted in found]


Found = tuple[str, str, str]


def _keys(record: dict[str, Any]) -> Iterator[Found]:
    for name, kind in KEYS.items():
        if name not in record:
            yield name, "nothing", f"{_NAMES[kind]}, as every run record has"
        elif not _is(record[name], kind):
            yield name, quote(record[name]), _NAMES[kind]


def _is(value: Any, kind: type) -> bool:
    """Return whether a value has this type; true is no number here."""
    return isinstance(value, kind) and isinstance(value, bool) == (kind is bool)


def _texts(place: str, value: Any, depth: int = 1) -> Iterator[Found]:
    """Yield texts that are no plain text, numbers that are none, and what lies too deep."""
    if depth > DEEPEST:
        yield place, "a value nested too deeply", f"at most {DEEPEST} levels"
    elif isinstance(value, dict):
        for name, inner in value.items():
            if not name.isprintable() or len(name) > 100:
                yield place, f"the key {quote(name)}", "a short name without control characters"
            yield from _texts(f"{place}.{quote(name)[1:-1]}" if place else quote(name)[1:-1], inner, depth + 1)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            if isinstance(inner, dict | list | str) or (isinstance(inner, float) and not math.isfinite(inner)):
                yield from _texts(f"{place}[{i}]", inner, depth + 1)
    elif isinstance(value, str) and not (value.isprintable() and len(value) <= LONGEST):
        yield place, quote(value), f"text on one line, without control characters, at most {LONGEST} characters"
    elif isinstance(value, float) and not math.isfinite(value):
        yield place, quote(value), "a number that a measurement can have"


def _blocks(record: dict[str, Any]) -> Iterator[Found]:
    """Yield values that the fields of the blocks' dataclasses can't hold."""
    for block, kind in BLOCKS.items():
        hints = get_type_hints(kind)
        for name, value in record[block].items():
            if name in hints and not _fits(value, hints[name]):
                yield f"{block}.{name}", quote(value), f"a value of type {_type_name(hints[name])}"
        for name in (f.name for f in fields(kind)):
            if name in ("name", "kind", "gbs") and name not in record[block]:
                yield f"{block}.{name}", "nothing", "a value, as every run record has"
    for name, facts in record["backends"].items():
        if not isinstance(facts, dict) or not isinstance(facts.get("version"), str):
            yield f"backends.{name}", quote(facts), "an object with the version"
    for i, note in enumerate(record["notes"]):
        if not isinstance(note, str):
            yield f"notes[{i}]", quote(note), "text"


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value read from JSON can have been a field of this type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in arguments)
    if origin is Literal:
        return value in arguments
    if origin in (tuple, list):
        return isinstance(value, list) and all(_fits(v, arguments[0]) for v in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(v, arguments[1]) for v in value.values())
    if hint is float and _is(value, int):
        return True
    return _is(value, hint) if isinstance(hint, type) else True


def _type_name(hint: Any) -> str:
    return getattr(hint, "__name__", None) or str(hint).replace("NoneType", "null").replace("None", "null")


def _times(record: dict[str, Any]) -> Iterator[Found]:
    for name in ("run_id", "system", "bandmark_version"):
        pattern, wanted = PATTERNS[name]
        if not pattern.fullmatch(record[name]):
            yield name, quote(record[name]), wanted
    pattern, wanted = PATTERNS["started_utc"]
    for name in ("started_utc", "finished_utc"):
        if not pattern.fullmatch(record[name]):
            yield name, quote(record[name]), wanted


def check_agreement(file: Path, record: dict[str, Any], rows: Sequence[Row]) -> list[Fault]:
    """Return where the JSON tells of another run than the CSV."""
    found: dict[str, Found] = {}
    for row in rows:
        for place, value, right, column in _pairs(record, row):
            if value != right:
                wanted = f"{quote(right)}, as the column {column} of the CSV has it"
                found.setdefault(place, (place, quote(value), wanted))
    return [Fault(file=file, column=place, found=what, wanted=wanted) for place, what, wanted in found.values()]


def _pairs(record: dict[str, Any], row: Row) -> Iterator[tuple[str, Any, Any, str]]:
    """Yield what stands in both files: the place in the JSON, its value, the row's, and the row's column."""
    for name in ("schema", "run_id", "system", "bandmark_version"):
        yield name, record[name], getattr(row, name), name
    yield "device.name", record["device"].get("name"), row.device, "device"
    if "llc_bytes" in record["device"]:
        yield "device.llc_bytes", record["device"]["llc_bytes"], row.llc_bytes, "llc_bytes"
    if "data" in record["settings"] and row.data is not None:
        yield "settings.data", record["settings"]["data"], row.data, "data"
    peak = record["peak"]
    yield "peak.gbs", _nine(peak.get("gbs")), row.peak_gbs, "peak_gbs"
    yield "peak.source", peak.get("source") or None, row.peak_source, "peak_source"
    facts = record["backends"].get(row.backend)
    if facts is None:
        yield f"backends.{row.backend}", None, row.backend, "backend"
    else:
        yield f"backends.{row.backend}.version", facts["version"], row.backend_version, "backend_version"
        yield f"backends.{row.backend}.driver", facts.get("driver"), row.driver, "driver"


def _nine(value: float | None) -> float | None:
    """Round as the CSV does."""
    return None if value is None else float(f"{value:.9g}")
