"""Known keys of known shapes become public, names are those of the catalogue, and texts are scrubbed."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from bandmark.measure.measurement import Measurement
from bandmark.options import RunOptions
from bandmark.results.files import read_rows
from bandmark.results.privacy import Removal, check_private, clean_run, record_shape
from bandmark.results.row import Row, columns
from bandmark.results.scrub import REMOVED
from corpus import good_run
from fakes import make_result

RESULTS = Path(__file__).parents[3] / "results"

TEXT, RECORD = good_run(kernels=("copy",))


def clean_record(record: dict[str, Any]) -> tuple[dict[str, Any], list[Removal]]:
    """The record without what is private, and what that was; its rows are on two backends."""
    rows = [make_result(kernel="copy", backend=backend, variant=None) for backend in ("numpy", "torch")]
    _, cleaned, removed = clean_run(rows, record)
    return cleaned, removed


def clean_rows(rows: list[Row], names: tuple[str, ...] = ()) -> tuple[list[Row], list[Removal]]:
    """Rows without what is private, and what that was."""
    cleaned, _, removed = clean_run(rows, {}, names)
    return cleaned, removed


def test_records_lose_what_is_private() -> None:
    """Unknown keys go, facts that are private by name go, private parts of texts go, and each is told."""
    record = json.loads(json.dumps(RECORD))
    record["hostname"] = "box"
    record["machine"]["serial"] = "123"
    record["backends"]["numpy"]["user_name"] = "someone"
    record["backends"]["numpy"]["blas"] = [{"path": "/usr/lib/libblas.so", "version": "3"}]
    record["notes"] = ["built in /home/someone/src"]
    cleaned, removed = clean_record(record)
    assert {one.place for one in removed} == {
        "hostname",
        "machine.serial",
        "backends.numpy.user_name",
        "backends.numpy.blas[0].path",
        "notes[0]",
    }
    assert cleaned["notes"] == [f"built in {REMOVED}"]
    assert cleaned["backends"]["numpy"]["blas"] == [{"version": "3"}]
    assert "someone" not in json.dumps(cleaned) and "box" not in json.dumps(cleaned)
    assert record["hostname"] == "box", "the record itself is not changed"
    assert clean_record(cleaned) == (cleaned, [])


def test_good_records_stay() -> None:
    """A record of the harness is public as it is."""
    assert clean_record(RECORD) == (RECORD, [])


@pytest.mark.parametrize("version", ["0.1.0", "99.0"])
@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("more", 1),
        ("settings.more", "x"),
        ("machine.more", [1, "x"]),
        ("machine.environment.MY_HOST", "kermit"),
        ("device.uuid", "x"),
        ("peak.more", {"x": "y"}),
        ("backends.numpy.more", "x"),
        ("backends.other", {"version": "1"}),
        ("backends.numpy.blas", [{"filepath": "x"}]),
        ("samples.0.more", "x"),
        ("samples.0.seconds_per_launch", [0.5, {"user": "x"}]),
        ("notes", [{"user": "x"}]),
        ("machine.cpu_count", {"host": "x"}),
    ],
)
def test_unknown_keys_are_removed_at_every_depth(place: str, value: object, version: str) -> None:
    """Whatever the version of the record, a key that is not known does not become public, and is named."""
    record = json.loads(json.dumps(RECORD)) | {"bandmark_version": version}
    *path, last = place.split(".")
    inner = record
    for key in path:
        inner = inner[int(key)] if key.isdigit() else inner[key]
    inner[last] = value
    cleaned, removed = clean_record(record)
    assert [one.what for one in removed] == ["no part of a run record"]
    assert (
        '"x"' not in json.dumps(cleaned) and "kermit" not in json.dumps(cleaned) and "more" not in json.dumps(cleaned)
    )


def test_lists_are_cleaned_item_by_item() -> None:
    """A text among numbers is scrubbed like any other."""
    record = json.loads(json.dumps(RECORD))
    record["samples"][0]["clocks_mhz"] = [1.0, "user=kermit"]
    cleaned, removed = clean_record(record)
    assert cleaned["samples"][0]["clocks_mhz"] == [1.0, REMOVED]
    assert [one.place for one in removed] == ["samples[0].clocks_mhz[1]"]


def test_whatever_a_run_records_may_be_published() -> None:
    """A new option or measured value is public only once it is listed, so that nobody forgets to ask whether it may."""
    shape = record_shape(["numpy", "torch"])
    assert {field.name for field in fields(RunOptions)} <= set(shape["settings"])
    assert {field.name for field in fields(Measurement)} <= set(shape["samples"])
    assert set(RECORD) == set(shape) and clean_record(RECORD) == (RECORD, [])


@pytest.mark.parametrize(
    "names",
    [{"kernel": "a b"}, {"backend": "/home/kermit/x"}, {"dtype": "x" * 50}, {"variant": "node001"}, {"status": "?"}],
)
def test_names_that_identify_rows_are_refused(names: dict[str, str]) -> None:
    """A name that is none, or gives something away, is no text to scrub: it stays, and is refused."""
    (cleaned,), removed = clean_rows([make_result(**names)])
    assert cleaned == make_result(**names) and [one.refused for one in removed] == [True]
    entry = {**RECORD["samples"][0], **names}
    if set(names) <= set(RECORD["samples"][0]):
        assert [one.refused for one in clean_record(RECORD | {"samples": [entry]})[1]] == [True]


@pytest.mark.parametrize(
    "column",
    [
        c.name
        for c in columns()
        if c.type == "str"
        and c.name
        in {"device", "peak_source", "reason", "backend_version", "driver", "verdict", "layer", "bandmark_version"}
    ],
)
def test_every_free_text_is_scrubbed(column: str) -> None:
    """No column of free text is left out, also one of a version with a suffix."""
    (cleaned,), removed = clean_rows([make_result(**{column: "1.0+user=kermit"})], ("kermit",))
    assert "kermit" not in str(getattr(cleaned, column)) and removed[0].place == column


def test_columns_are_names_or_texts_or_chosen() -> None:
    """Each column of text is scrubbed, or takes the catalogue's names, or is one of those that a pattern confines."""
    odd = {c.name: "of kermit" for c in columns() if c.type == "str"}
    (cleaned,), removed = clean_rows([make_result(**odd)], ("kermit",))
    left = {name for name in odd if "kermit" in (getattr(cleaned, name) or "")}
    assert left - {one.place for one in removed if one.refused} == {"run_id", "system", "started_utc"}


def test_a_validator_names_what_is_private() -> None:
    """Each private part of a published pair is a fault of its file, with its place."""
    record = RECORD | {"more": 1}
    rows = [make_result(kernel="copy", backend=b, reason="user=kermit") for b in ("numpy", "torch")]
    faults = list(check_private(Path("a.csv"), Path("a.json"), rows, record))
    assert [(str(fault.file), fault.column) for fault in faults] == [("a.csv", "reason"), ("a.json", "more")]


def test_published_runs_are_public_as_they_are() -> None:
    """Keys of earlier versions stay in the list, so that published files stay valid."""
    for csv in RESULTS.glob("*/*.csv"):
        record = json.loads(csv.with_suffix(".json").read_text())
        assert list(check_private(csv, csv.with_suffix(".json"), read_rows(csv), record)) == []


def test_rows_lose_what_is_private() -> None:
    """Texts of rows are cleaned, equal findings told once; nothing else changes."""
    rows = [make_result(status="error", reason="OSError: /home/someone/x is missing"), make_result()] * 2
    cleaned, removed = clean_rows(rows)
    assert [row.reason for row in cleaned[:2]] == [f"OSError: {REMOVED} is missing", None]
    assert cleaned[1] is rows[1]
    assert [one.text for one in removed] == ["'/home/someone/x'"]


def test_a_models_name_is_looked_at() -> None:
    """A config.json's folder may be called after its owner."""
    cleaned, removed = clean_rows([make_result(layer="mine-of-jane.doe@example.org qkv", layer_uses=1)])
    assert cleaned[0].layer == f"{REMOVED} qkv" and len(removed) == 1
