"""The fit of published rates: what the package ships is its result, and it finds what is known to be true."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest

import fit_decode
from bandmark.decoding.step import FITTED, UNCERTAINTY, Efficiency
from bandmark.decoding.text import ValidationRow
from bandmark.tables import read_table
from fit_decode import Fit, PublishedRate, fit, load_rates, step, validate

TRUE = Fit(Efficiency(share=0.8, dense_layer_s=3e-5, routed_layer_s=1e-4, sequence_cost=0.02))
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
    """The module's constants are those of the present rates and fit: `make decode-fit` writes them."""
    assert fit(USED).efficiency == FITTED
    assert pytest.approx(fit_decode.uncertainty(rows), rel=1e-9) == UNCERTAINTY


def test_the_package_has_the_table_of_errors(rows: list[ValidationRow]) -> None:
    """The shipped table is that of the present rates and fit, to eight figures."""
    shipped = read_table("decode_validation.csv", ValidationRow)
    assert len(shipped) == len(rows)
    for one, other in zip(shipped, rows, strict=True):
        for cell, value in zip(astuple(one), astuple(other), strict=True):
            assert cell == (pytest.approx(value, rel=1e-7) if isinstance(value, float) else value)


def test_what_is_written_is_what_is_shipped(rows: list[ValidationRow], tmp_path, monkeypatch) -> None:
    """Written anew, both files are the same again, except for the last figure of a number on another processor."""
    module, table = tmp_path / "step.py", tmp_path / "table.csv"
    module.write_text(fit_decode.MODULE.read_text())
    monkeypatch.setattr(fit_decode, "MODULE", module)
    monkeypatch.setattr(fit_decode, "TABLE", table)
    monkeypatch.setattr(fit_decode, "validate", lambda rates: rows)
    fit_decode.main()
    names: dict[str, object] = {}
    exec(compile(module.read_text(), str(module), "exec"), names)
    assert names["FITTED"] is not FITTED and repr(names["FITTED"]) == repr(FITTED)
    assert names["UNCERTAINTY"] == pytest.approx(UNCERTAINTY)
    assert (
        module.read_text().splitlines()[:-5] == (fit_decode.PACKAGE / "decoding/step.py").read_text().splitlines()[:-5]
    )
    assert table.read_text().splitlines()[0] == ",".join(ValidationRow.__slots__)
    assert len(table.read_text().splitlines()) == 1 + len(RATES)


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{rate.label} {rate.engine} {rate.batch}")
def test_every_rate_has_a_step(rate: PublishedRate) -> None:
    """A rate's step reads between a tenth and a hundred gigabytes, and takes the batch over the rate."""
    assert 1e8 < step(rate).bytes < 1e11
    assert rate.seconds == pytest.approx(step(rate).batch / rate.tokens_per_s)


def test_a_known_truth_is_found() -> None:
    """From rates that follow the rule without error, the fit predicts every row within 2 %."""
    fitted = fit(pretended(TRUE))
    for rate in pretended(TRUE):
        assert fitted.expected_s(rate) == pytest.approx(rate.seconds, rel=0.02)


def test_odd_rows_do_not_move_it() -> None:
    """Four rows that are wrong by a factor of three change what is expected of the others by less than 6 %."""
    rates = pretended(TRUE)
    odd = [replace(rate, tokens_per_s=rate.tokens_per_s / 3) if i % 10 == 0 else rate for i, rate in enumerate(rates)]
    fitted = fit(odd)
    for i, rate in enumerate(rates):
        if i % 10:
            assert fitted.expected_s(rate) == pytest.approx(rate.seconds, rel=0.06)


def test_an_engine_with_few_rows_is_drawn_to_the_others() -> None:
    """A slow engine's factor lies between 1 and its own errors, the nearer to them the more rows it has."""
    engines = fit(pretended(TRUE, slow_engine="ollama")).engines
    assert 1.15 < engines["ollama"] < 1.5
    assert engines["sglang"] == pytest.approx(1, abs=0.03)


def test_no_engine_is_faster_than_the_bytes() -> None:
    """An engine that is faster than the others still takes as long as its bytes at the peak."""
    rate = USED[0]
    roof_s = step(rate).roof_s(rate.peak_gbs)
    assert Fit(FITTED, {rate.engine: 0.1}).expected_s(rate) == roof_s < Fit(FITTED).expected_s(rate)


def test_held_out_errors_have_not_seen_their_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each held-out fit gets all rates but the one that it is judged by, and never one that is set aside."""
    fitted_to: list[list[PublishedRate]] = []

    def spy(rates: list[PublishedRate]) -> Fit:
        fitted_to.append(list(rates))
        return TRUE

    monkeypatch.setattr(fit_decode, "fit", spy)
    aside = next(rate for rate in RATES if rate.set_aside)
    some = USED[:3]
    validate([*some, aside])
    assert fitted_to == [some, some[1:], [some[0], some[2]], some[:2], some]
