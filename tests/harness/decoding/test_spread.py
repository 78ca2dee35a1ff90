"""The stated uncertainty: what is kept is what the published rows give, and changed rows are not passed over."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from bandmark.decoding import spread
from bandmark.decoding.spread import FOLLOWS_FROM, KEPT, digests, uncertainty, work_out
from bandmark.decoding.validation import validate


def kept() -> dict[str, object]:
    """What the file holds."""
    found: dict[str, object] = json.loads(files("bandmark").joinpath("data", KEPT).read_text(encoding="utf-8"))
    return found


def test_what_is_kept_is_what_is_worked_out() -> None:
    """The file is that of the present rows and fit: `python -m bandmark.decoding.spread` renews it."""
    assert kept()["uncertainty"] == pytest.approx(work_out(), rel=1e-9)
    assert kept()["sha256"] == digests() and set(digests()) == set(FOLLOWS_FROM)
    assert json.loads(spread.text()) == {"uncertainty": pytest.approx(work_out()), "sha256": digests()}


def test_the_kept_one_is_used_and_nothing_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prediction does not wait for a fit to each published row."""
    uncertainty.cache_clear()
    monkeypatch.setattr(spread, "validate", lambda: pytest.fail("fitted"))
    assert uncertainty() == kept()["uncertainty"]


def test_changed_data_are_worked_out_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the rows are not those that the file names, what it says is not believed."""
    uncertainty.cache_clear()
    monkeypatch.setattr(spread, "digests", lambda: {"published_decode.csv": "another"})
    monkeypatch.setattr(spread, "work_out", lambda: 1.5)
    assert uncertainty() == 1.5
    uncertainty.cache_clear()


def test_the_uncertainty_covers_four_of_five() -> None:
    """At least 80 % of the held-out rows lie within the stated factor, and it is not idly wide."""
    factor = uncertainty()
    inside = [
        c
        for c in validate().checked
        if 1 / factor <= (1 + c.held_out) * (1 + 1e-9) and 1 + c.held_out <= factor * (1 + 1e-9)
    ]
    assert len(inside) >= 0.8 * len(validate().checked)
    assert 1.05 < factor < 1.35
