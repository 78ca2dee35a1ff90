"""Read the JSON beside a result CSV as a run record, and check its form against the types of RunRecord."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bandmark import __version__
from bandmark.measure.measurement import Measurement
from bandmark.options import RunOptions
from bandmark.results.reading import InvalidFile, JsonObject, Violation, parse_json
from bandmark.results.record import RunRecord, is_entry
from bandmark.results.row import SCHEMA
from bandmark.units import quote
from bandmark.validation.cells import MAX_TEXT, TEXT_FORMS, Finding

_MAX_DEPTH = 8
"""Levels of nesting; a run record has five."""

_FORMS = {"run_id": "run_id", "system": "system", "bandmark_version": "bandmark_version"} | dict.fromkeys(
    ("started_utc", "finished_utc"), "started_utc"
)
"""Keys whose text has a form, and the column that has the same."""

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}


def read_record(path: Path, data: bytes) -> JsonObject:
    """Return the run record in a JSON; raises InvalidFile."""
    record = parse_json(path, data)
    if not isinstance(record, dict):
        raise InvalidFile(Violation(path, f"{quote(record)} is no run record", "a run record is an object"))
    if isinstance(schema := record.get("schema"), int) and schema > SCHEMA:
        known = f"this is bandmark {__version__}, which knows schemas up to {SCHEMA}: update bandmark"
        raise InvalidFile(Violation(path, f"schema {quote(schema)} is newer", known))
    return record


def check_shape(file: Path, record: JsonObject) -> list[Violation]:
    """Return what is wrong with the form of a run record: keys, types, texts, entries of samples."""
    same_version = record.get("bandmark_version") == __version__
    findings = list(_check("", record, RunRecord, strict=same_version))
    if not findings:
        findings = [*_check("settings", record["settings"], RunOptions, strict=same_version), *_contents(record)]
    return [Violation(file, found, wanted, column=place) for place, found, wanted in findings]


def _check(place: str, value: Any, hint: Any, *, strict: bool) -> Iterator[Finding]:
    """Yield where a value read from JSON can't have been written from this type; strict: unknown keys are told."""
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        yield from _check_fields(place, value, hint, strict=strict)
    elif origin is Literal and value not in arguments:
        yield place, quote(value), f"one of {', '.join(map(str, arguments))}"
    elif origin in (Union, UnionType):
        if not any(not list(_check(place, value, one, strict=strict)) for one in arguments):
            yield place, quote(value), " or ".join(map(_type_name, arguments))
    elif origin in (tuple, list, Sequence, dict, Mapping):
        yield from _check_container(place, value, hint, strict=strict)
    elif hint is Any or (hint is str and isinstance(value, str)):
        yield from _check_plain(place, value)
    elif origin is not Literal and not _is(value, hint):
        yield place, quote(value), _type_name(hint)


def _check_container(place: str, value: Any, hint: Any, *, strict: bool) -> Iterator[Finding]:
    as_object = get_origin(hint) in (dict, Mapping)
    inner_hint = get_args(hint)[1 if as_object else 0]  # tuple[str, ...] has an ellipsis behind
    if as_object and isinstance(value, dict):
        for name, inner in value.items():
            yield from _check(f"{place}.{quote(name)[1:-1]}", inner, inner_hint, strict=strict)
    elif not as_object and isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _check(f"{place}[{i}]", inner, inner_hint, strict=strict)
    else:
        yield place, quote(value), "an object" if as_object else "a list"


def _check_fields(place: str, value: Any, hint: Any, *, strict: bool) -> Iterator[Finding]:
    if not isinstance(value, dict):
        yield place, quote(value), "an object"
        return
    hints = get_type_hints(hint)
    dot = f"{place}." if place else ""
    for field in fields(hint):
        if field.name in value:
            yield from _check(dot + field.name, value[field.name], hints[field.name], strict=strict)
        elif field.default is MISSING and type(None) not in get_args(hints[field.name]) and (strict or not place):
            yield dot + field.name, "nothing", f"{_type_name(hints[field.name])}, as every run record has"
    for name in value.keys() - hints.keys() if strict else ():
        yield dot + quote(name)[1:-1], "an unknown key", "the keys that bandmark writes"


def _check_plain(place: str, value: Any, depth: int = 1) -> Iterator[Finding]:
    """Yield texts that are no plain text, numbers that are none, and what lies too deep, whatever the type."""
    if depth > _MAX_DEPTH:
        yield place, "a value nested too deeply", f"at most {_MAX_DEPTH} levels"
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _check_plain(place, name, depth)
            yield from _check_plain(f"{place}.{quote(name)[1:-1]}", inner, depth + 1)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            if not _is(inner, float):
                yield from _check_plain(f"{place}[{i}]", inner, depth + 1)
    elif isinstance(value, str) and not (value.isprintable() and len(value) <= MAX_TEXT):
        yield place, quote(value), f"text on one line, without control characters, at most {MAX_TEXT} characters"
    elif isinstance(value, float) and not math.isfinite(value):
        yield place, quote(value), "a number that a measurement can have"


def _is(value: Any, hint: Any) -> bool:
    """Return whether a value has this type; true is no number here, and a whole number is a number."""
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, hint) and isinstance(value, bool) == (hint is bool)


def _type_name(hint: Any) -> str:
    return _NAMES.get(hint) or str(getattr(hint, "__name__", hint))


def _contents(record: JsonObject) -> Iterator[Finding]:
    """Yield names and times of another form than bandmark writes, and entries of samples that are none."""
    for name, column in _FORMS.items():
        pattern, wanted = TEXT_FORMS[column]
        if not pattern.fullmatch(record[name]):
            yield name, quote(record[name]), wanted
    for name, facts in record["backends"].items():
        if not isinstance(facts.get("version"), str):
            yield f"backends.{name}", quote(facts), "an object with the version"
    for i, entry in enumerate(record["samples"]):
        if not is_entry(entry):
            wanted = "backend, kernel, dtype, launches_per_sample and seconds_per_launch (positive numbers) of a case"
            yield f"samples[{i}]", quote(entry), wanted
        else:
            yield from _check_entry(f"samples[{i}]", entry)


def _check_entry(place: str, entry: JsonObject) -> Iterator[Finding]:
    """Yield where an entry of samples can't have been written from a Measurement."""
    hints = get_type_hints(Measurement) | {"max_error": float | Literal["inf", "nan"] | None}
    for name in entry.keys() & hints.keys():
        yield from _check(f"{place}.{name}", entry[name], hints[name], strict=False)


def to_record(record: JsonObject) -> RunRecord:
    """Return a record that `check_shape` accepts as a typed one; keys of other versions are left out."""
    hints = get_type_hints(RunRecord)
    return RunRecord(**{name: _typed(record.get(name), hint) for name, hint in hints.items()})


def _typed(value: Any, hint: Any) -> Any:
    """Return a value from JSON as a dataclass where the hint is one; unknown fields are None."""
    if not is_dataclass(hint):
        return value
    known = {f.name: value.get(f.name, None if f.default is MISSING else f.default) for f in fields(hint)}
    lists_as_tuples = {name: tuple(v) if isinstance(v, list) else v for name, v in known.items()}
    return hint(**lists_as_tuples)  # type: ignore[operator]
