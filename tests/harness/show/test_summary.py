"""The answer of a run: best figures, percentages, verdict, place, and what was flagged, in lines that can be quoted."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.show.summary import best_of_kernels, headline_rows, merge_numbers, ranked, summary
from bandmark.suites import registered
from fakes import make_result
from report_runs import Latency


def test_the_answer_with_a_peak() -> None:
    """Every kernel's best, then read and copy with percent and verdict, the place, and that nothing was flagged."""
    rows = [
        make_result(kernel=kernel, bandwidth_gbs=gbs, peak_gbs=273.0, percent_of_peak=gbs / 2.73, verdict=verdict)
        for kernel, gbs, verdict in (
            ("copy", 220.0, "normal for LPDDR5X (78-95 %)"),
            ("read", 231.4, "normal for LPDDR5X (78-95 %)"),
            ("write", 250.0, None),
        )
    ]
    assert summary(rows) == [
        "best bandwidth of each kernel, GB/s: read 231.4, copy 220.0, write 250.0",
        "read 231.4 GB/s (numpy f64), 85 % of the peak of 273 GB/s: normal for LPDDR5X, where 213-259 GB/s is normal",
        "copy 220.0 GB/s (numpy f64), 81 % of the peak of 273 GB/s: normal for LPDDR5X, where 213-259 GB/s is normal",
        "read is below the DGX Spark (273 GB/s): 85 % of its published peak",
        "flagged: nothing in 3 rows",
    ]


def test_the_answer_without_a_peak_says_how_to_give_one() -> None:
    """No percentage and no verdict is made up."""
    lines = summary([make_result(kernel="read", bandwidth_gbs=36.78)])
    assert "percent of peak and verdict unknown: --peak GBS, or --peak 2x5600, gives the peak" in lines
    assert not any("normal" in line for line in lines)


def test_the_best_is_ok_verified_and_from_memory() -> None:
    """Faster rows that are suspect, unverified, from the cache or without a sound figure are never the best."""
    slow = make_result(bandwidth_gbs=1.0)
    faster = [
        make_result(bandwidth_gbs=9.0, status="suspect"),
        make_result(bandwidth_gbs=9.0, verified=None),
        make_result(bandwidth_gbs=9.0, regime="cache"),
        make_result(bandwidth_gbs=float("inf")),
        make_result(bandwidth_gbs=None),
    ]
    assert ranked([*faster, slow]) == [slow] == headline_rows([*faster, slow])
    assert best_of_kernels(faster) == {} == dict.fromkeys(headline_rows(faster))
    assert "no figure to quote: no row is ok" in summary(faster)[0]


def test_the_lowest_is_best_where_lower_is_better() -> None:
    """A suite of latencies is ranked by its metric, and has no peaks and no place."""
    with registered(Latency()):
        rows = [
            make_result(suite="access-time", kernel="chase", regime=None, time_median_s=seconds, variant=str(seconds))
            for seconds in (3.0, 2.0)
        ]
        assert [row.time_median_s for row in ranked(rows)] == [2.0, 3.0]
        assert summary(rows) == ["best latency of each kernel, s: chase 2.00", "flagged: nothing in 2 rows"]


def test_what_was_flagged_is_one_sentence() -> None:
    """Counts by status and the most frequent reason, with the range of its numbers; unsupported is no flag."""
    reason = "other programs used {} % of the processors while sampling"
    rows = [make_result(status="suspect", reason=reason.format(n)) for n in (51, 77, 60)]
    rows += [make_result(status="skipped", reason="no time"), make_result(status="unsupported", reason="no op")]
    assert summary(rows)[-1] == (
        "flagged: 3 suspect, 1 skipped of 5 rows; "
        "other programs used 51-77 % of the processors while sampling in 3 of them"
    )


@pytest.mark.parametrize(
    ("notes", "merged"),
    [
        (["used 51 %", "used 77 %", "used 60.5 %"], "used 51-77 %"),
        (["variant block8", "variant block16"], None),
        (["of 64x32", "of 64x16"], None),
        (["version 2.4.6", "version 2.4.7"], None),
        (["a 1", "b 2"], None),
    ],
)
def test_notes_that_differ_in_numbers_are_one(notes: list[str], merged: str | None) -> None:
    """Numbers of their own become ranges; those in names, sizes and versions tell notes apart."""
    assert merge_numbers(notes) == (dict.fromkeys(notes, merged) if merged else {note: note for note in notes})


@given(st.lists(st.text("ab 1234.%x-", max_size=12), max_size=8))
def test_merging_loses_no_note_and_no_words(notes: list[str]) -> None:
    """Every note has what it is merged into, which keeps its words; a note without like stays as it is."""
    merged = merge_numbers(notes)
    assert set(merged) == set(notes)
    for note, text in merged.items():
        assert re.sub(r"[\d.-]", "", text) == re.sub(r"[\d.-]", "", note)
        if list(merged.values()).count(text) == 1:
            assert text == note
