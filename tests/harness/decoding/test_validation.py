"""The validation of predictions: the promise on the published rows, and that a wrong rule would break it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bandmark.decoding import fit as fitting
from bandmark.decoding import validation
from bandmark.decoding.published import at_rate, load_published
from bandmark.decoding.validation import Validation, check, validate

ROWS = load_published()


def test_the_promise_holds() -> None:
    """Held-out errors have a median of at most 10 %, no bound is exceeded and at most two rows are set aside."""
    checked = validate()
    assert checked.median_error <= 0.10 and checked.over_bound == [] and len(checked.set_aside) <= 2
    assert checked.holds
    assert len(checked.checked) + len(checked.set_aside) == len(ROWS)


def test_a_row_above_its_bound_breaks_the_promise() -> None:
    """One rate beyond the bound is found, and the validation fails."""
    good = validate().checked
    wrong = replace(good[0], row=at_rate(good[0].row, good[0].row.bound * 1.01))
    broken = Validation((wrong, *good[1:]), validate().set_aside)
    assert broken.over_bound == [wrong] and not broken.holds


def test_a_third_row_set_aside_breaks_the_promise() -> None:
    """More rows set aside than allowed fail the validation, and so does a median error above the limit."""
    checked = validate()
    assert not Validation(checked.checked, tuple(replace(r, set_aside="x") for r in ROWS[:3])).holds
    off = tuple(replace(c, held_out=0.11) for c in checked.checked)
    assert not Validation(off, checked.set_aside).holds


def test_held_out_errors_have_not_seen_their_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each held-out fit gets all rows but the one that it is judged by."""
    seen: list[list[str]] = []
    real = fitting.fitted()

    def spy(rows: list[object]) -> fitting.Efficiency:
        seen.append([str(r) for r in rows])
        return real

    monkeypatch.setattr(fitting, "fit", spy)
    some = [row for row in ROWS if not row.set_aside][:4]
    check(some)
    assert [len(rows) for rows in seen] == [3] * 4
    assert all(str(row) not in rows for row, rows in zip(some, seen, strict=True))


def test_the_worst_row_is_the_worst() -> None:
    """The row that is shown as the worst has the largest held-out error of all."""
    checked = validate()
    assert abs(checked.worst.held_out) == max(abs(c.held_out) for c in checked.checked)


def test_json_has_every_row() -> None:
    """For programs: each row with both rates, its bound, errors and source."""
    plain = validation.validate().as_json()
    assert len(plain["rows"]) + len(plain["set_aside"]) == len(ROWS)
    for row in plain["rows"]:
        assert row["expected"] / row["published"] - 1 == pytest.approx(row["error"])
        assert row["bound"] >= row["published"] and row["source"]
