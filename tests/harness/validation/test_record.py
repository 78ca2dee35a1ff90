"""The JSON beside a CSV: only a run record of the same run passes."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from bandmark.results.reading import InvalidFile
from bandmark.results.record import RunRecord
from bandmark.validation.record import check_shape, read_record
from corpus import good_run
from stored_runs import stored_run

FILE = Path("run.json")
_, RECORD = good_run(kernels=("copy",))
KEYS = tuple(f.name for f in fields(RunRecord))


def changed(**changes: Any) -> dict[str, Any]:
    """The good record with other values at its top."""
    return json.loads(json.dumps(RECORD)) | changes


@pytest.mark.parametrize("depth", [20, 500, 10_000, 1_000_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":[', b"]}")])
def test_nesting_ends(opening: bytes, closing: bytes, depth: int) -> None:
    """However deep, nesting is a violation and no crash; where Python's reader gives up does not matter."""
    with pytest.raises(InvalidFile, match=r"nested too deeply|truncated"):
        read_record(FILE, opening * depth)
    record = changed()
    record["backends"]["numpy"]["git"] = "DEEP"
    data = json.dumps(record).encode().replace(b'"DEEP"', opening * depth + closing * depth)
    try:
        violations = check_shape(FILE, read_record(FILE, data))
    except InvalidFile as error:
        violations = [error.violation]
    assert any("nested too deeply" in str(violation) for violation in violations)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": -Infinity}', "-Infinity is no JSON number"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands there twice"),
        (b'{"a": ' + b"7" * 5000 + b"}", "a whole number of 5000 digits"),
        (b'{"a": 1', r"run\.json:1: .* truncated"),
        (b'{"a":\n\n oops}', r"run\.json:3: "),
        (b"[]", "no run record"),
        (b'"x"', "no run record"),
        (b'{"schema": 99}', "99 is newer"),
    ],
)
def test_what_is_no_record(data: bytes, said: str) -> None:
    """What JSON allows and a run record does not is named."""
    with pytest.raises(InvalidFile, match=said):
        read_record(FILE, data)


def test_a_good_record_has_no_violation() -> None:
    """What the harness writes has the right shape; a schema of another kind has not."""
    assert check_shape(FILE, RECORD) == []


@pytest.mark.parametrize("name", sorted({*KEYS} - {"rows"}))
def test_each_key_has_its_type(name: str) -> None:
    """A missing key and a value of another type are violations at that key."""
    without = changed()
    del without[name]
    assert [(f.column, f.found) for f in check_shape(FILE, without)] == [(name, "nothing")]
    assert name in [f.column for f in check_shape(FILE, changed(**{name: 1.5}))]
    assert name in [f.column for f in check_shape(FILE, changed(**{name: None}))]


def test_the_number_of_rows_may_be_missing() -> None:
    """Versions before 0.2.0 did not count the rows; a number of another type is a violation."""
    without = changed()
    del without["rows"]
    assert check_shape(FILE, without) == check_shape(FILE, changed(rows=None)) == []
    assert [f.column for f in check_shape(FILE, changed(rows=1.5))] == ["rows"]


@pytest.mark.parametrize(
    ("block", "name", "value"),
    [
        ("machine", "cpu_count", 2.5),
        ("machine", "cpu_count", True),
        ("machine", "is_wsl", 1),
        ("machine", "environment.OMP_NUM_THREADS", 4),
        ("machine", "environment", "OMP_NUM_THREADS=4"),
        ("device", "kind", "toaster"),
        ("device", "compute_capability", "12.1"),
        ("device", "memory_bytes", "a lot"),
        ("peak", "gbs", "273"),
        ("settings", "kernels", "copy"),
        ("settings", "quick", None),
    ],
)
def test_blocks_hold_what_their_fields_can(block: str, name: str, value: Any) -> None:
    """The parts of a record hold values of the dataclasses' types."""
    record = changed()
    first, _, second = name.partition(".")
    record[block][first] = {second: value} if second else value
    assert [f.column for f in check_shape(FILE, record)] == [f"{block}.{name}"]


@pytest.mark.parametrize("name", ["run_id", "system", "bandmark_version", "started_utc", "finished_utc"])
def test_names_and_times_have_their_form(name: str) -> None:
    """What the CSV writes in a certain form, the JSON writes in that form."""
    assert name in [f.column for f in check_shape(FILE, changed(**{name: "My 1"}))]


def test_further_keys() -> None:
    """Keys that this version does not write are violations in its files, and left to `publish` in those of others."""
    record = changed(more=1)
    record["machine"]["more"] = "x"
    assert {f.column for f in check_shape(FILE, record)} == {"more", "machine.more"}
    assert check_shape(FILE, record | {"bandmark_version": "9.0.0"}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("copies", [1]),
        ("stop_reason", "bored"),
        ("max_error", "huge"),
        ("warnings", [1]),
        ("clocks_mhz", ["x"]),
        ("note", 3),
    ],
)
def test_a_measurement_of_other_types(name: str, value: Any) -> None:
    """Every field of a stored measurement has the type that a run writes."""
    record = stored_run()[0].to_json()
    record["samples"][0][name] = value
    places = [violation.column or "" for violation in check_shape(Path("run.json"), json.loads(json.dumps(record)))]
    assert [place for place in places if place.startswith("samples[0]")]
