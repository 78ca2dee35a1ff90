"""Predicted rates: never above the bound, honest about memory and about what is not covered."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.decoding.measured import MeasuredSystem
from bandmark.decoding.predict import NAMED, System, choose, measured_system, predict, published_system
from bandmark.decoding.step import UNCERTAINTY
from bandmark.errors import UsageError
from bandmark.judge.references import REFERENCES
from bandmark.models.model import find_model
from bandmark.models.weights import FORMATS
from fakes import make_result

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


def test_the_range_is_doubled_where_nothing_was_published() -> None:
    """For a kind of memory that no published rate covers, the range is twice as wide."""
    known, unknown = (
        predict(replace(SYSTEM, device_class=c), LLAMA, FORMATS["bf16"], context=0) for c in ("unified", "hbm")
    )
    assert known.expected / known.low == pytest.approx(UNCERTAINTY)
    assert unknown.expected / unknown.low == pytest.approx(1 + 2 * (UNCERTAINTY - 1))


def test_a_format_that_the_model_cannot_have() -> None:
    """Such a format is refused, and the JSON of a prediction is strict."""
    with pytest.raises(UsageError, match="dense"):
        predict(SYSTEM, LLAMA, FORMATS["mxfp4-gguf"], context=0)
    plain = predict(SYSTEM, LLAMA, FORMATS["fp8"], context=0).as_json()
    assert json.loads(json.dumps(plain, allow_nan=False))["kv_bytes_per_token"] == 131072


HERE = MeasuredSystem("my-box", "Fake GPU", (make_result(kernel="gemv", bandwidth_gbs=50.0),), 64 * 10**9)


def test_peaks_and_memory_of_the_named_systems() -> None:
    """The published peaks, the Station's twice: shipping and announced; memory sizes and sources from the catalog."""
    systems = [published_system(named) for named in NAMED]
    assert [s.weight_gbs for s in systems] == [273, 1344, 7100, 8000]
    assert [s.memory_bytes for s in systems] == [128e9, 48e9, 252e9, 252e9]
    assert [s.device_class for s in systems] == ["unified", "card", "hbm", "hbm"]
    assert all(s.source and not s.measured for s in systems)
    assert "shipping" in systems[2].notes[0] and "announced" in systems[3].notes[0]
    assert systems[3].weight_gbs == next(r.published_gbs for r in REFERENCES if r.key == "dgx_station")


def test_a_measured_system_says_what_was_measured() -> None:
    """Its bandwidths are the rows', and the notes say of which kernel."""
    system = measured_system(HERE, FORMATS["fp8"])
    assert (system.weight_gbs, system.cache_gbs, system.measured, system.memory_bytes) == (50, 50, True, 64e9)
    assert "no gemv row in fp8" in system.notes[0] and "no kv or read row" in system.notes[1]


def test_one_system_by_name() -> None:
    """Without a name all are chosen; with one, that one; an unknown one brings the nearest."""
    assert choose([HERE], None) == ([HERE], list(NAMED))
    assert choose([HERE], "my-box") == ([HERE], [])
    assert choose([HERE], "dgx-spark") == ([], [NAMED[0]])
    with pytest.raises(UsageError, match="Did you mean 'dgx-station'"):
        choose([HERE], "dgx-statoin")
