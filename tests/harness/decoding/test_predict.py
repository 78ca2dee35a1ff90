"""Predicted rates: never above the bound, honest about memory and about what is not covered."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.decoding.predict import System, predict
from bandmark.decoding.spread import uncertainty
from bandmark.errors import UsageError
from bandmark.models.catalog import find_model
from bandmark.models.weights import FORMATS

SYSTEM = System(
    name="box", weight_gbs=273, cache_gbs=273, measured=False, memory_bytes=128e9, device_class="unified", source="x"
)
LLAMA = find_model("llama-3.1-8b")


@settings(deadline=None)
@given(st.floats(5, 2e4), st.booleans(), st.integers(0, 10**5), st.integers(1, 32), st.sampled_from(["fp16", "int4"]))
def test_rates_are_in_order(gbs: float, measured: bool, context: int, batch: int, weights: str) -> None:
    """Low, expected, high and bound follow each other, and more bandwidth is never slower."""
    system = replace(SYSTEM, weight_gbs=gbs, cache_gbs=gbs, measured=measured)
    found = predict(system, LLAMA, FORMATS[weights], context=context, batch=batch)
    assert 0 < found.low < found.expected <= found.high <= found.bound
    faster = replace(system, weight_gbs=2 * gbs, cache_gbs=2 * gbs)
    assert predict(faster, LLAMA, FORMATS[weights], context=context, batch=batch).expected > found.expected


@settings(deadline=None)
@given(st.sampled_from(["qwen3-8b", "gpt-oss-20b", "deepseek-v3"]), st.integers(0, 10**5), st.integers(0, 10**5))
def test_more_context_is_never_faster(name: str, context: int, more: int) -> None:
    """The expected rate falls with the context, or stays."""
    short, long = (predict(SYSTEM, find_model(name), FORMATS["fp8"], context=c) for c in (context, context + more))
    assert long.expected <= short.expected and long.bound <= short.bound


def test_memory() -> None:
    """A model fits if weights and cache leave a tenth of the memory; unknown memory is no verdict."""
    found = predict(SYSTEM, LLAMA, FORMATS["bf16"], context=1000)
    assert found.needed_bytes == 2 * LLAMA.parameters + 131072 * 1000
    edge = found.needed_bytes / 0.9
    for size, fits in ((edge * 1.001, True), (edge * 0.999, False), (None, None)):
        assert predict(replace(SYSTEM, memory_bytes=size), LLAMA, FORMATS["bf16"], context=1000).fits is fits


def test_times_and_shares_by_hand() -> None:
    """Reading the weights takes their bytes over the bandwidth; the cache's share is the rest of the least time."""
    found = predict(replace(SYSTEM, cache_gbs=100), LLAMA, FORMATS["bf16"], context=10000)
    weights, cache = 2 * LLAMA.active_parameters / 273e9, 131072 * 10000 / 100e9
    assert found.weights_s == pytest.approx(weights)
    assert found.cache_share == pytest.approx(cache / (weights + cache))
    assert found.bound == pytest.approx(1 / (weights + cache))


def test_the_spread_is_doubled_where_nothing_was_published() -> None:
    """For a kind of memory that no published rate covers, the spread is twice as wide."""
    known, unknown = (
        predict(replace(SYSTEM, device_class=c), LLAMA, FORMATS["bf16"], context=0) for c in ("unified", "hbm")
    )
    assert known.expected / known.low == pytest.approx(uncertainty())
    assert unknown.expected / unknown.low == pytest.approx(1 + 2 * (uncertainty() - 1))


def test_a_format_that_the_model_cannot_have() -> None:
    """Such a format is refused, and the JSON of a prediction is strict."""
    with pytest.raises(UsageError, match="dense"):
        predict(SYSTEM, LLAMA, FORMATS["mxfp4-gguf"], context=0)
    plain = predict(SYSTEM, LLAMA, FORMATS["fp8"], context=0).as_json()
    assert json.loads(json.dumps(plain, allow_nan=False))["kv_bytes_per_token"] == 131072
