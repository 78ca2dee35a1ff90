"""The fit of published rates: what the package ships is its result, and it finds what is known to be true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest

import fit_decode
from bandmark.decoding.step import FITTED, Efficiency
from bandmark.decoding.text import ValidationRow
from bandmark.tables import parse_table, read_table
from fit_decode import CLASSES, LIKELY, Fit, PublishedRate, efficiencies, fit, load_rates, step, validate

TRUE = Fit({name: (LIKELY * factor).tolist() for name, factor in zip(CLASSES, (1, 1.1, 1.2, 0.95, 1.05), strict=True)})
RATES = load_rates()
USED = [rate for rate in RATES if not rate.set_aside]


@pytest.fixture(scope="module")
def rows() -> list[ValidationRow]:
    """The table of errors, made now."""
    return validate(RATES)


def pretended(truth: Fit, slow_engine: str = "") -> list[PublishedRate]:
    """Return the published rates as a known truth gives them, one engine taking half as long again."""
    seconds = [truth.expected_s(rate) * (1.5 if rate.engine == slow_engine else 1) for rate in USED]
    return [replace(rate, tokens_per_s=rate.batch / s) for rate, s in zip(USED, seconds, strict=True)]


def test_the_package_has_the_fitted_constants(rows: list[ValidationRow]) -> None:
    """The shipped constants are those of the present rates and fit: `make decode-fit` writes them."""
    for one, shipped in zip(efficiencies(USED, rows), FITTED.values(), strict=True):
        assert one.device_class == shipped.device_class
        assert astuple(one)[1:] == pytest.approx(astuple(shipped)[1:], rel=1e-3)


def test_the_package_has_the_table_of_errors(rows: list[ValidationRow]) -> None:
    """The shipped table is that of the present rates and fit."""
    shipped = read_table("decode_validation.csv", ValidationRow)
    assert len(shipped) == len(rows)
    for one, other in zip(shipped, rows, strict=True):
        for cell, value in zip(astuple(one), astuple(other), strict=True):
            assert cell == (pytest.approx(value, rel=1e-4, abs=1e-6) if isinstance(value, float) else value)


def test_what_is_written_is_what_is_shipped(
    rows: list[ValidationRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written anew, both files are the same again, except for the last figure of a number on another processor."""
    constants, table = tmp_path / "constants.csv", tmp_path / "table.csv"
    monkeypatch.setattr(fit_decode, "CONSTANTS", constants)
    monkeypatch.setattr(fit_decode, "TABLE", table)
    monkeypatch.setattr(fit_decode, "validate", lambda rates: rows)
    fit_decode.main()
    written = parse_table(constants.read_text(), Efficiency, file="constants.csv")
    assert [one.device_class for one in written] == list(FITTED)
    assert table.read_text().splitlines()[0] == ",".join(ValidationRow.__slots__)
    assert len(table.read_text().splitlines()) == 1 + len(RATES)


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{rate.label} {rate.engine} {rate.batch}")
def test_every_rate_has_a_step(rate: PublishedRate) -> None:
    """A rate's step reads between a tenth and two hundred gigabytes, and takes the batch over the rate."""
    assert 1e8 < step(rate).bytes < 2e11
    assert rate.seconds == pytest.approx(step(rate).batch / rate.tokens_per_s)


def test_a_known_truth_is_found() -> None:
    """From rates that follow the rule without error, the fit predicts half of the rows within 1 %, all within 5 %."""
    fitted = fit(pretended(TRUE))
    errors = [fitted.expected_s(rate) / rate.seconds - 1 for rate in pretended(TRUE)]
    assert np.abs(errors).max() < 0.05 and np.median(np.abs(errors)) < 0.01


def test_odd_rows_do_not_move_it() -> None:
    """Four rows that are wrong by a factor of three change what is expected of the others by less than 8 %."""
    rates = pretended(TRUE)
    odd = [replace(rate, tokens_per_s=rate.tokens_per_s / 3) if i % 10 == 0 else rate for i, rate in enumerate(rates)]
    fitted = fit(odd)
    for i, rate in enumerate(rates):
        if i % 10:
            assert fitted.expected_s(rate) == pytest.approx(rate.seconds, rel=0.08)


def test_an_engine_with_few_rows_is_drawn_to_the_others() -> None:
    """A slow engine's factor lies between 1 and its own errors, the nearer to them the more rows it has."""
    engines = fit(pretended(TRUE, slow_engine="ollama")).engines
    assert 1.15 < engines["ollama"] < 1.5
    assert engines["sglang"] == pytest.approx(1, abs=0.03) and engines["llama.cpp"] == 1


def test_no_engine_is_faster_than_the_bytes() -> None:
    """An engine that is faster than the others still takes as long as its bytes at the peak."""
    rate = USED[0]
    roof_s = step(rate).roof_s(rate.peak_gbs)
    assert Fit(TRUE.classes, {rate.engine: 0.1}).expected_s(rate) == roof_s < TRUE.expected_s(rate)


def test_held_out_errors_have_not_seen_their_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each held-out fit gets all rates but the one that it is judged by, and never one that is set aside."""
    fitted_to: list[list[PublishedRate]] = []

    def spy(rates: Sequence[PublishedRate]) -> Fit:
        fitted_to.append(list(rates))
        return TRUE

    monkeypatch.setattr(fit_decode, "fit", spy)
    aside = next(rate for rate in RATES if rate.set_aside)
    some = USED[:3]
    validate([*some, aside])
    assert fitted_to == [some, some[1:], [some[0], some[2]], some[:2], some]


def test_a_class_with_few_rows_keeps_to_the_others() -> None:
    """A class without any row has what all classes share; one with many rows has its own."""
    some = [rate for rate in pretended(TRUE) if rate.device_class != "hbm"]
    fitted = fit(some)
    others = [np.asarray(values) for name, values in fitted.classes.items() if name != "hbm"]
    low, high = np.min(others, axis=0), np.max(others, axis=0)
    assert (low <= np.asarray(fitted.classes["hbm"]) + 1e-12).all()
    assert (np.asarray(fitted.classes["hbm"]) <= high + 1e-12).all()


@pytest.mark.parametrize("by", ["device", "label"])
def test_devices_and_models_that_the_fit_has_not_seen(by: str) -> None:
    """Left out by whole devices or models, the median error is at most 10 %, and at most 15 % in every class."""
    errors: dict[str, list[float]] = {name: [] for name in CLASSES}
    for value in sorted({getattr(rate, by) for rate in USED}):
        fitted = fit([rate for rate in USED if getattr(rate, by) != value])
        for rate in (rate for rate in USED if getattr(rate, by) == value):
            errors[rate.device_class].append(abs(rate.seconds / fitted.expected_s(rate) - 1))
    assert np.median([error for own in errors.values() for error in own]) <= 0.10
    assert max(float(np.median(own)) for own in errors.values()) <= 0.15
