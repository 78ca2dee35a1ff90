"""Read the JSON beside a result CSV as a run record, and check its form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bandmark import __version__
from bandmark.device.device import Device
from bandmark.device.machine import Machine
from bandmark.device.peaks import Peak
from bandmark.options import RunOptions
from bandmark.results.faults import Fault, FaultyFile, quote
from bandmark.results.reading import parse_json
from bandmark.results.record import RunRecord
from bandmark.results.row import SCHEMA
from bandmark.results.samples import is_entry
from bandmark.validation.cells import MAX_TEXT, TEXT_FORMS

MAX_DEPTH = 12
"""Levels of nesting; a run record has five."""

T = TypeVar("T")

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
"""What a run record has, and of which type; see bandmark.results.record.RunRecord."""

_NAMES = {str: "text", int: "a whole number", bool: "true or false", dict: "an object", list: "a list"}


def read_record(path: Path, data: bytes) -> dict[str, Any]:
    """Return the run record in a JSON; raises FaultyFile."""

    def fault(found: str, wanted: str, line: int | None = None) -> FaultyFile:
        return FaultyFile(Fault(file=path, line=line, found=found, wanted=wanted))

    record = parse_json(path, data)
    if not isinstance(record, dict):
        raise fault(f"{quote(record)} is no run record", "a run record is an object")
    if isinstance(schema := record.get("schema"), int) and schema > SCHEMA:
        known = f"this is bandmark {__version__}, which knows schemas up to {SCHEMA}: update bandmark"
        raise fault(f"schema {quote(schema)} is newer", known)
    return record


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
    if depth > MAX_DEPTH:
        yield place, "a value nested too deeply", f"at most {MAX_DEPTH} levels"
    elif isinstance(value, dict):
        for name, inner in value.items():
            if not name.isprintable() or len(name) > 100:
                yield place, f"the key {quote(name)}", "a short name without control characters"
            yield from _texts(f"{place}.{quote(name)[1:-1]}" if place else quote(name)[1:-1], inner, depth + 1)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            if isinstance(inner, dict | list | str) or (isinstance(inner, float) and not math.isfinite(inner)):
                yield from _texts(f"{place}[{i}]", inner, depth + 1)
    elif isinstance(value, str) and not (value.isprintable() and len(value) <= MAX_TEXT):
        yield place, quote(value), f"text on one line, without control characters, at most {MAX_TEXT} characters"
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
    for i, entry in enumerate(record["samples"]):
        if not is_entry(entry):
            wanted = "backend, kernel, dtype, launches_per_sample and seconds_per_launch (positive numbers) of a case"
            yield f"samples[{i}]", quote(entry), wanted


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
        pattern, wanted = TEXT_FORMS[name]
        if not pattern.fullmatch(record[name]):
            yield name, quote(record[name]), wanted
    pattern, wanted = TEXT_FORMS["started_utc"]
    for name in ("started_utc", "finished_utc"):
        if not pattern.fullmatch(record[name]):
            yield name, quote(record[name]), wanted


def to_record(record: dict[str, Any]) -> RunRecord:
    """Return a record that `check_shape` accepts as a typed one; keys of other versions are left out."""
    blocks: dict[str, Any] = {
        name: _block(kind, record[name]) for name, kind in BLOCKS.items() if kind is not RunOptions
    }
    return RunRecord(**{name: blocks.get(name, record[name]) for name in KEYS})


def _block(kind: type[T], values: dict[str, Any]) -> T:
    known = {f.name: values.get(f.name, f.default) for f in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: None if value is MISSING else _tupled(value) for name, value in known.items()})


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
