"""The run record as it is written."""

from __future__ import annotations

import json
from dataclasses import fields

from bandmark.results.record import RunRecord
from corpus import good_run
from fakes import FakeBackend, make_group, make_session

KEYS = (
    "schema",
    "run_id",
    "bandmark_version",
    "started_utc",
    "finished_utc",
    "system",
    "complete",
    "settings",
    "machine",
    "device",
    "backends",
    "peak",
    "notes",
    "samples",
    "rows",
)
"""The keys that other tools read, in their order."""


def test_the_keys_of_the_json() -> None:
    """The fields are the keys, in the order in which published files have them."""
    backend = FakeBackend()
    record = make_session([make_group("copy", [backend])], [backend]).record()
    assert tuple(f.name for f in fields(RunRecord)) == tuple(record.to_json()) == tuple(good_run()[1]) == KEYS


def test_the_parts_of_the_json() -> None:
    """Machine, device and peak are objects of plain values; nothing is measured yet, so the run is not complete."""
    backend = FakeBackend()
    record = json.loads(json.dumps(make_session([make_group("copy", [backend])], [backend]).record().to_json()))
    assert record["machine"]["cpu_model_name"] == "Fake CPU @ 3 GHz"
    assert (record["device"]["name"], record["peak"]["gbs"]) == ("Fake GPU, 1 kB", 0.02)
    assert (record["complete"], record["samples"]) == (False, [])
