"""The fit of published rates: it finds what is known to be true, and is not moved by a few odd rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.decoding.fit import READ_SHARE, Efficiency, expected_s, fit, fitted
from bandmark.decoding.published import Published, at_rate, load_published, usable
from bandmark.decoding.step import step_of
from bandmark.models.catalog import find_model
from bandmark.models.weights import FORMATS

TRUE = Efficiency(0.8, 3e-5, 1e-4, 0.02)
ROWS = usable(load_published())


def pretended(truth: Efficiency, slow_engine: str = "") -> list[Published]:
    """Return the published rows with the rates that a known truth gives, one engine taking half as long again."""
    seconds = [expected_s(truth, row) * (1.5 if row.engine == slow_engine else 1) for row in ROWS]
    return [at_rate(row, row.step.batch / s) for row, s in zip(ROWS, seconds, strict=True)]


def test_a_known_truth_is_found() -> None:
    """From rates that follow the rule without error, the fit predicts every row within 2 %."""
    found = fit(pretended(TRUE))
    for row in pretended(TRUE):
        assert expected_s(found, row) == pytest.approx(row.seconds, rel=0.02)


def test_odd_rows_do_not_move_it() -> None:
    """Four rows that are wrong by a factor of three change what is expected of the others by less than 6 %."""
    rows = pretended(TRUE)
    odd = [at_rate(row, row.tokens_per_s / 3) if i % 10 == 0 else row for i, row in enumerate(rows)]
    found = fit(odd)
    for i, row in enumerate(rows):
        if i % 10:
            assert expected_s(found, row) == pytest.approx(row.seconds, rel=0.06)


def test_an_engine_with_few_rows_is_drawn_to_the_others() -> None:
    """A slow engine's factor lies between 1 and its own errors, the nearer to them the more rows it has."""
    found = fit(pretended(TRUE, slow_engine="ollama"))
    assert 1.15 < found.engines["ollama"] < 1.5
    assert found.engines["sglang"] == pytest.approx(1, abs=0.03)


@settings(deadline=None)
@given(st.floats(10, 10000), st.integers(0, 10**5), st.integers(1, 64))
def test_never_faster_than_the_roof(gbs: float, context: int, batch: int) -> None:
    """What is expected never beats the bytes over the bandwidth, at the peak or as measured."""
    step = step_of(find_model("qwen3-8b"), FORMATS["int4"], context=context, batch=batch)
    roof = step.roof_s(gbs)
    assert fitted().seconds(step, roof) >= roof
    assert fitted().seconds(step, roof, measured=True) >= roof


def test_the_roof_holds_for_a_fast_engine() -> None:
    """An engine that is faster than the others is still not faster than the bytes."""
    step = step_of(find_model("qwen3-8b"), FORMATS["int4"], context=0)
    fast = Efficiency(0.9, 0.0, 0.0, 0.0, {"fast": 0.5})
    assert fast.seconds(step, 1.0, "fast") == 1.0 < fast.seconds(step, 1.0)
    assert fast.seconds(step, 1.0, measured=True) == 1.0


def test_measured_bandwidth_is_nearer() -> None:
    """A step at a measured bandwidth takes less beyond its roof than one at the peak of the same figure."""
    step = step_of(find_model("llama-3.3-70b"), FORMATS["int4"], context=0)
    roof = step.roof_s(200)
    at_peak, measured = fitted().seconds(step, roof), fitted().seconds(step, roof, measured=True)
    assert roof < measured < at_peak
    assert replace(fitted(), share=0.9, dense_layer_s=0).seconds(step, roof, measured=True) == roof
    assert abs(READ_SHARE - 232.5 / 273) < 0.01


def test_large_batches_are_bound_by_their_own_work() -> None:
    """The batch at which reading is no longer the larger part is tens of sequences, and smaller in narrower formats."""
    model = find_model("llama-3.1-8b")
    wide, narrow = (fitted().full_batch(step_of(model, FORMATS[f], context=0)) for f in ("bf16", "int4"))
    assert 10 < narrow < wide < 1000
