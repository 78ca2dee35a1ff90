"""Rows are rebuilt from the record and compared: an untouched run has no difference, a touched one names the column."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandmark import __version__
from bandmark.results.record import RunRecord
from bandmark.results.row import Row, columns
from bandmark.validation.replay import replay, written
from bandmark.validation.validate import check
from stored_runs import stored_run

RESULTS = Path(__file__).parents[3] / "results"


def differences(record: RunRecord, rows: list[Row]) -> list[tuple[str, str, str]]:
    """The column, the stored value and the right one of each difference."""
    numbered = [(line, row) for line, row in enumerate(rows, start=2)]
    return [(column, found, wanted) for _, _, column, found, wanted in replay(record, numbered)]


@given(gbs=st.floats(0.01, 70.0), samples=st.integers(1, 60), seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_an_untouched_run_replays_exactly(gbs: float, samples: int, seed: int) -> None:
    """Whatever the samples, the rows that a record gives are those that were made from the measurement."""
    assert differences(*stored_run(gbs=gbs, samples=samples, seed=seed)) == []


def test_published_runs_replay() -> None:
    """The published runs of version 0.1.0 are valid."""
    checked = check([RESULTS])
    assert [str(violation) for one in checked for violation in one.violations] == []
    assert sum(bool(one.rows) for one in checked) >= 2


NUMBERS = [c.name for c in columns() if c.type in ("int", "float")]
UNCHECKED = {"schema"}
"""Columns whose other values are refused before rows are rebuilt."""


@pytest.mark.parametrize("name", sorted(set(NUMBERS) - UNCHECKED - {c.name for c in columns() if c.identity}))
def test_every_number_is_checked(name: str) -> None:
    """A change of any number of a row by a part in a million, or its removal, is a difference in that column."""
    record, rows = stored_run()
    row = next((r for r in rows if r.get(name) is not None), None)
    if row is None:
        changed = replace(rows[0], **{name: 1})
        position = 0
    else:
        value = row.get(name)
        changed = replace(row, **{name: value * (1 + 2e-6) if isinstance(value, float) else value + 1})
        position = rows.index(row)
    rows[position] = changed
    assert name in {column for column, _, _ in differences(record, rows)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "suspect"),
        ("verified", False),
        ("regime", "cache"),
        ("stop_reason", "time_limit"),
        ("peak_source", "published"),
        ("device", "Another CPU"),
        ("system", "another"),
        ("backend_version", "1.0"),
        ("driver", "580"),
        ("suite", "gemv"),
        ("data", "zeros"),
        ("reason", "because"),
        ("verdict", "normal"),
    ],
)
def test_words_are_checked(name: str, value: Any) -> None:
    """A changed word is a difference."""
    record, rows = stored_run()
    rows[0] = replace(rows[0], **{name: value})
    assert differences(record, rows)


def test_the_right_value_is_told_with_its_formula() -> None:
    """A wrong bandwidth is named with the right one and what the column holds."""
    record, rows = stored_run()
    rows[0] = replace(rows[0], bandwidth_gbs=58.0)
    (found,) = [d for d in differences(record, rows) if d[0] == "bandwidth_gbs"]
    right = f"{stored_run()[1][0].bandwidth_gbs:.9g}"
    assert found == ("bandwidth_gbs", "58", f"{right} ((bytes_read + bytes_written) / time_median_s / 1e9)")


def test_changed_samples_are_noticed() -> None:
    """A sample that was changed in the JSON alone makes the statistics of its row differ."""
    record, rows = stored_run()
    entry = dict(record.samples[0])
    entry["seconds_per_launch"] = [s * 0.9 for s in entry["seconds_per_launch"]]
    changed = replace(record, samples=[entry, *record.samples[1:]])
    assert {"time_median_s", "bandwidth_gbs"} <= {column for column, _, _ in differences(changed, rows)}


def test_samples_that_are_missing_or_twice() -> None:
    """A timed row has one list of samples: none, and two, are told."""
    record, rows = stored_run()
    for samples in (record.samples[1:], [*record.samples, record.samples[0]]):
        count = sum(e["kernel"] == record.samples[0]["kernel"] for e in samples)
        assert any(
            f"it has {count} lists" in wanted for _, _, wanted in differences(replace(record, samples=samples), rows)
        )


def test_a_case_that_does_not_exist() -> None:
    """A row whose identity no suite has is named, and the others are still compared."""
    record, rows = stored_run()
    rows[0] = replace(rows[0], dtype="float16", weight_format="fp8")
    assert any(column == "kernel" for column, _, _ in differences(record, rows))


def test_judgements_of_other_versions_are_not_repeated() -> None:
    """Status, reason and verdict are compared within a version; of others the status must merely be possible."""
    record, rows = stored_run()
    older = [replace(r, bandmark_version="0.1.9", status="suspect", reason="by older rules") for r in rows]
    assert differences(replace(record, bandmark_version="0.1.9"), older) == []
    impossible = [replace(older[0], verified=False), *older[1:]]
    assert "verified" in {c for c, _, _ in differences(replace(record, bandmark_version="0.1.9"), impossible)}
    silent = [replace(older[0], reason=None), *older[1:]]
    assert "reason" in {c for c, _, _ in differences(replace(record, bandmark_version="0.1.9"), silent)}
    assert __version__ != "0.1.9"


def test_older_files_replay_within_their_rounding() -> None:
    """Statistics in files from before 0.2.0 may be off by a part in 1e9, and not by a part in 1e6."""
    record, rows = stored_run()
    record = replace(record, bandmark_version="0.1.0")
    old = [replace(r, bandmark_version="0.1.0", time_median_s=(r.time_median_s or 0) * (1 + 1e-9)) for r in rows]
    assert differences(record, old) == []
    off = [replace(r, time_median_s=(r.time_median_s or 0) * (1 + 1e-6)) for r in old]
    assert "time_median_s" in {c for c, _, _ in differences(record, off)}


@given(value=st.one_of(st.none(), st.booleans(), st.floats(allow_nan=True), st.text(), st.integers()))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_value_is_written_in_one_line(value: Any) -> None:
    """Messages hold any value, short and on one line."""
    text = written(value)
    assert text.isprintable() and len(text) < 100


def test_rows_have_no_field_that_is_no_column() -> None:
    """Every field of a row but `extra` is a column, so that nothing of a row escapes the comparison."""
    assert {f.name for f in fields(Row)} - {c.name for c in columns()} == {"extra"}


def test_a_case_twice_is_compared_once() -> None:
    """Two rows of one case, which is an error of its own, do not end the comparison."""
    record, rows = stored_run()
    assert differences(record, [*rows, rows[0]]) == []
