"""What no honest run shows is told: figures beyond physics, contradictions, samples that no clock took."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bandmark.device.device import Device
from bandmark.results.record import Entries, RunRecord
from bandmark.results.row import Row
from bandmark.validation import plausibility
from bandmark.validation.plausibility import check_record, check_rows
from stored_runs import stored_run


def of_rows(record: RunRecord, rows: list[Row]) -> list[str]:
    """Column and expectation of everything implausible in rows."""
    return [f"{column}: {wanted}" for _, _, column, _, wanted in check_rows(record, list(enumerate(rows, start=2)))]


def of_record(record: RunRecord, rows: list[Row]) -> list[str]:
    """Place and expectation of everything implausible in the run."""
    return [f"{place}: {wanted}" for place, _, wanted in check_record(record, rows)]


def test_an_honest_run_is_plausible() -> None:
    """Random samples of a sensible speed raise nothing."""
    record, rows = stored_run()
    assert of_rows(record, rows) == of_record(record, rows) == []


def test_more_than_threads_can_move() -> None:
    """Two threads do not move 300 GB/s of memory."""
    record, rows = stored_run(gbs=300.0)
    ok = [replace(row, status="ok") for row in rows]
    assert all("2 threads move at most 200 GB/s" in text for text in of_rows(record, ok))
    assert len(of_rows(record, ok)) == len(ok)


def test_more_than_the_published_peak_allows() -> None:
    """A DGX Spark does not move 400 GB/s."""
    record, rows = stored_run(gbs=400.0)
    spark = Device(kind="gpu", name="NVIDIA GB10", integrated=True, memory_bytes=128 * 2**30, llc_bytes=24 * 2**20)
    ok = [replace(row, status="ok", threads=None, device=spark.name) for row in rows]
    assert any("273 GB/s is published" in text for text in of_rows(replace(record, device=spark), ok))


def test_more_than_any_memory_moves() -> None:
    """No device moves 60 000 GB/s."""
    record, rows = stored_run(gbs=60_000.0)
    ok = [replace(row, status="ok", threads=None) for row in rows]
    assert any("no memory moves 50000 GB/s" in text for text in of_rows(record, ok))


@pytest.mark.parametrize(
    ("settings", "column"),
    [({"kernels": ["triad"]}, "kernel"), ({"backends": ["torch"]}, "backend"), ({"dtypes": ["float32"]}, "dtype")],
)
def test_rows_that_were_not_asked_for(settings: dict[str, Any], column: str) -> None:
    """A kernel, backend or dtype that the settings leave out is told."""
    record, rows = stored_run(kernels=("copy",))
    changed = replace(record, settings={**record.settings, **settings})
    assert [text.split(":")[0] for text in of_rows(changed, rows)] == [column]


def test_more_threads_than_processors() -> None:
    """A run on two processors has no 64 threads."""
    record, rows = stored_run(kernels=("copy",))
    (text,) = of_rows(record, [replace(rows[0], threads=64)])
    assert text.startswith("threads: at most 2")


def test_less_memory_than_arrays() -> None:
    """Arrays of 1 GiB do not fit a device of 1 MiB."""
    record, rows = stored_run(kernels=("copy",))
    (text,) = of_rows(replace(record, device=replace(record.device, memory_bytes=2**20)), rows)
    assert text.startswith("working_set_bytes")


def with_samples(record: RunRecord, seconds: list[float]) -> RunRecord:
    """The record with other samples of its first case."""
    return replace(record, samples=[{**record.samples[0], "seconds_per_launch": seconds}, *record.samples[1:]])


@pytest.mark.parametrize(
    ("seconds", "why"),
    [
        ([0.01] * 12, "1 different times"),
        ([0.01, 0.02] * 6, "2 different times"),
        ([0.010000001, 0.010000007, 0.010000011, 0.01000004] * 4, "repeat themselves"),
        ([0.01 + 0.001 * i for i in range(12)], "the same time"),
        ([0.01 * k for k in (3, 5, 4, 9, 7, 2, 8, 6, 1, 11, 13)], "multiples of"),
    ],
)
def test_computed_samples(seconds: list[float], why: str) -> None:
    """Samples that are equal, repeat, grow by a rule or share a coarse tick were not measured."""
    record, rows = stored_run(kernels=("copy",))
    assert any(why in text for text in of_rows(with_samples(record, seconds), rows))


def test_samples_of_another_row() -> None:
    """Two cases do not have the same samples to the last digit."""
    record, rows = stored_run(kernels=("copy", "read"))
    copied = [{**record.samples[1], "seconds_per_launch": record.samples[0]["seconds_per_launch"]}]
    assert any(
        "samples of its own" in text for text in of_rows(replace(record, samples=[record.samples[0], *copied]), rows)
    )


def test_samples_without_a_row() -> None:
    """Rows that were cut off leave their samples behind, and these are told."""
    record, rows = stored_run(kernels=("copy", "read"))
    (text,) = of_record(replace(record, rows=1), rows[:1])
    assert text == "samples[1]: a row in the CSV with times"


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"started_utc": "2026-11-27T10:16:00Z"}, "started_utc"),
        ({"finished_utc": "2026-11-27T10:14:00Z"}, "finished_utc"),
        ({"finished_utc": "2026-11-27T10:15:00Z"}, "samples"),
        ({"run_id": "20261399T101500Z-3f2a"}, "run_id"),
        ({"run_id": "20991127T101500Z-3f2a", "started_utc": "2099-11-27T10:15:00Z",
          "finished_utc": "2099-11-27T10:25:00Z"}, "started_utc"),
    ],
)  # fmt: skip
def test_times_that_contradict_each_other(changes: dict[str, str], place: str) -> None:
    """The run's name, its start and its end agree, lie in the past, and leave time for the samples."""
    record, rows = stored_run()
    slow = [{**e, "launches_per_sample": 1000} for e in record.samples] if place == "samples" else record.samples
    found = of_record(replace(record, samples=slow, **changes), rows)
    assert place in [text.split(":")[0] for text in found]


def test_a_row_from_another_day() -> None:
    """Sampling began during the run, give or take a day."""
    record, rows = stored_run(kernels=("copy",))
    (text,) = of_rows(record, [replace(rows[0], started_utc="2026-11-20T10:15:00Z")])
    assert text.startswith("started_utc: a time during the run")


def test_entries_are_sorted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of thousands of rows is read in a time that grows with their number, not with its square."""
    record, rows = stored_run()
    sorted_entries = []
    monkeypatch.setattr(plausibility, "Entries", lambda samples: sorted_entries.append(samples) or Entries(samples))
    assert len(rows) > 2 and not [*check_record(record, rows)] and len(sorted_entries) == 1


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"device": "cuda:1"}, "settings.device"),
        ({"system": "another"}, "settings.system"),
        ({"suites": ["latency"]}, "suite"),
        ({"threads": 1}, "threads"),
    ],
)
def test_settings_contradict_the_run(settings: dict[str, Any], place: str) -> None:
    """What was asked for is what the rows and the machine have."""
    record, rows = stored_run()
    record = replace(record, settings={**record.settings, **settings})
    assert any(text.startswith(f"{place}:") for text in [*of_rows(record, rows), *of_record(record, rows)])


@pytest.mark.parametrize(
    ("changes", "place"),
    [({"cpu_usable": 99}, "machine.cpu_usable"), ({"cpu_quota": 0.0}, "machine.cpu_quota")],
)
def test_a_machine_contradicts_itself(changes: dict[str, Any], place: str) -> None:
    """No more processors can be used than there are, and a quota grants some time."""
    record, rows = stored_run()
    record = replace(record, machine=replace(record.machine, **changes))
    assert any(text.startswith(f"{place}:") for text in of_record(record, rows))


def test_a_run_that_ends_in_the_future() -> None:
    """Neither the start nor the end may be a time that has not come."""
    record, rows = stored_run()
    later = replace(record, finished_utc="2099-01-01T00:00:00Z")
    assert any("a time that has come" in text for text in of_record(later, rows))


def test_caches_have_bounds_too() -> None:
    """A figure of a cache is believed up to what so many cores can move."""
    record, rows = stored_run(kernels=("copy",))
    (text,) = of_rows(record, [replace(rows[0], regime="cache", bandwidth_gbs=1e7)])
    assert text.startswith("bandwidth_gbs: less: no caches")


def test_a_pattern_is_found_in_linear_time() -> None:
    """Periods that almost repeat, thousands of samples long, are looked through once."""
    seconds = [1e-3, 1.1e-3, 1.2e-3] * 20_000
    assert plausibility._period(seconds) == 3
    assert plausibility._period([*seconds, 9e-3]) == len(seconds) + 1
