"""The table of errors: the promise on the published rates, what breaks it, and how it is shown."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bandmark.decoding.step import UNCERTAINTY
from bandmark.decoding.validation import Validation, ValidationRow, load_validation, show_validation
from bandmark.device.catalog import load_catalog

VALIDATION = load_validation()
ROWS = (*VALIDATION.checked, *VALIDATION.set_aside)


def test_the_promise_holds() -> None:
    """Held-out errors have a median of at most 10 %, no bound is exceeded and at most two rows are set aside."""
    assert VALIDATION.median_error <= 0.10 and VALIDATION.over_bound == [] and len(VALIDATION.set_aside) <= 2
    assert VALIDATION.holds and len(ROWS) >= 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.label} {row.engine} {row.batch} {row.context}")
def test_every_row_is_whole(row: ValidationRow) -> None:
    """A row has a rate, an expected rate below the bound, and a source that is no one's memory."""
    assert row.published > 0 and 0 < row.expected <= row.bound
    assert row.source and not row.source.startswith("memory")


def test_peaks_are_those_of_the_catalog() -> None:
    """The peak beside a rate is the one that the catalog gives for the device."""
    known = {row.id: row.published_gbs for row in load_catalog()}
    for row in VALIDATION.checked:
        if row.device in known:
            assert row.peak_gbs == pytest.approx(known[row.device]), row.device
    assert {"dgx-spark-gb10", "rtx-5070"} <= set(known)


def test_the_uncertainty_covers_four_of_five() -> None:
    """At least 80 % of the held-out rows lie within the stated factor, and it is not idly wide."""
    ratios = [1 + row.held_out_error for row in VALIDATION.checked]
    inside = [ratio for ratio in ratios if 1 / UNCERTAINTY - 1e-6 <= ratio <= UNCERTAINTY + 1e-6]
    assert len(inside) >= 0.8 * len(ratios)
    assert 1.05 < UNCERTAINTY < 1.35


def test_what_breaks_the_promise() -> None:
    """A rate above its bound, a third row set aside, or a median error above the limit fails the validation."""
    first, *others = VALIDATION.checked
    wrong = replace(first, published=first.bound * 1.01)
    broken = Validation((wrong, *others), VALIDATION.set_aside)
    assert broken.over_bound == [wrong] and not broken.holds
    assert not Validation(VALIDATION.checked, tuple(replace(row, set_aside="x") for row in ROWS[:3])).holds
    off = tuple(replace(row, held_out_error=0.11) for row in VALIDATION.checked)
    assert not Validation(off, VALIDATION.set_aside).holds


def test_the_worst_row_is_the_worst() -> None:
    """The row that is shown as the worst has the largest held-out error of all."""
    assert abs(VALIDATION.worst.held_out_error) == max(abs(row.held_out_error) for row in VALIDATION.checked)


def test_json_has_every_row() -> None:
    """For programs: each row with both rates, its bound, errors and source."""
    plain = VALIDATION.as_json()
    assert len(plain["rows"]) + len(plain["set_aside"]) == len(ROWS)
    for row in plain["rows"]:
        assert row["expected"] / row["published"] - 1 == pytest.approx(row["error"])
        assert row["bound"] >= row["published"] and row["source"]


def test_every_row_and_the_verdict_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A line per row with published, expected and bound; the median, the worst row and why rows are set aside."""
    show_validation(VALIDATION)
    text = capsys.readouterr().out
    for row in VALIDATION.checked:
        table = text.split(f"{row.device} ({row.peak_gbs:g} GB/s), {row.engine}\n")[1].split("\n\n")[0]
        figures = [str(row.batch), str(row.context), f"{row.published:.2f}", f"{row.expected:.2f}"]
        figures += [f"{row.error:+.1%}", f"{row.held_out_error:+.1%}", f"{row.bound:.1f}"]
        assert [row.label, *figures] in [re.split(r"\s{2,}", line) for line in table.splitlines()]
    for words in ("two machines", "median absolute error, held out: ", "worst row, held out: ", "at most 10%"):
        assert words in text
    assert text.endswith("the validation holds\n")


def test_a_broken_bound_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    """A row above its bound says so on its line, and the verdict fails."""
    first, *others = VALIDATION.checked
    show_validation(Validation((replace(first, published=1e4), *others), VALIDATION.set_aside))
    text = capsys.readouterr().out
    assert text.count("  above the bound\n") == 1 and text.endswith("the validation FAILS\n")
