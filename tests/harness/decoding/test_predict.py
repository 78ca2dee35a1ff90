"""Predicted rates: never above the bound, honest about memory and about what is not covered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.decoding import predict as module
from bandmark.decoding.measured import MeasuredSystem
from bandmark.decoding.predict import (
    System,
    described_system,
    find_systems,
    known_systems,
    measured_system,
    named_systems,
    predict,
)
from bandmark.decoding.step import FITTED
from bandmark.device.peaks import load_catalog
from bandmark.errors import UsageError
from bandmark.judge.bands import REFERENCES
from bandmark.models.model import find_model
from bandmark.models.weights import FORMATS
from fakes import make_result

SYSTEM = System(
    name="box",
    weight_gbs=273,
    cache_gbs=273,
    bound_gbs=273,
    measured=False,
    memory_bytes=128e9,
    device_class="unified",
    source="x",
)
LLAMA = find_model("llama-3.1-8b")


@settings(deadline=None)
@given(st.floats(5, 2e4), st.booleans(), st.integers(0, 10**5), st.integers(1, 32), st.sampled_from(["fp16", "int4"]))
def test_rates_are_in_order(gbs: float, measured: bool, context: int, batch: int, weights: str) -> None:
    """Low, expected, high and bound follow each other, and more bandwidth is never slower."""
    system = replace(SYSTEM, weight_gbs=gbs, cache_gbs=gbs, bound_gbs=gbs, measured=measured)
    found = predict(system, LLAMA, FORMATS[weights], context=context, batch=batch)
    assert found.bound and 0 < found.low < found.expected <= found.high <= found.bound
    faster = replace(system, weight_gbs=2 * gbs, cache_gbs=2 * gbs, bound_gbs=2 * gbs)
    assert predict(faster, LLAMA, FORMATS[weights], context=context, batch=batch).expected > found.expected


@settings(deadline=None)
@given(st.sampled_from(["qwen3-8b", "gpt-oss-20b", "deepseek-v3"]), st.integers(0, 10**5), st.integers(0, 10**5))
def test_more_context_is_never_faster(name: str, context: int, more: int) -> None:
    """The expected rate falls with the context, or stays."""
    short, long = (predict(SYSTEM, find_model(name), FORMATS["fp8"], context=c) for c in (context, context + more))
    assert long.expected <= short.expected and (long.bound or 0) <= (short.bound or 0)


def test_memory() -> None:
    """A model fits if weights and cache leave a tenth of the memory; unknown memory is no verdict."""
    found = predict(SYSTEM, LLAMA, FORMATS["bf16"], context=1000)
    assert found.step.needed_bytes == 2 * LLAMA.parameters + 131072 * 1000
    edge = found.step.needed_bytes / 0.9
    for size, fits in ((edge * 1.001, True), (edge * 0.999, False), (None, None)):
        assert predict(replace(SYSTEM, memory_bytes=size), LLAMA, FORMATS["bf16"], context=1000).fits is fits


def test_times_and_shares_by_hand() -> None:
    """Weights and cache take their bytes over their bandwidths; the bound is that of all bytes at the fastest."""
    found = predict(replace(SYSTEM, cache_gbs=100, bound_gbs=300), LLAMA, FORMATS["bf16"], context=10000)
    weights, cache = 2 * LLAMA.active_parameters / 273e9, 131072 * 10000 / 100e9
    assert found.weights_s == pytest.approx(weights)
    assert found.cache_share == pytest.approx(cache / (weights + cache))
    assert found.bound == pytest.approx(300e9 / (2 * LLAMA.active_parameters + 131072 * 10000))


def test_a_slow_kernel_limits_the_expected_rate_alone() -> None:
    """A library's slow conversion or attention leaves the bound and the upper end of the range where a read is."""
    slow, fast = (
        predict(replace(SYSTEM, weight_gbs=w, cache_gbs=c, measured=True), LLAMA, FORMATS["nvfp4"], context=4096)
        for w, c in ((7.0, 20.0), (273.0, 273.0))
    )
    assert slow.bound == fast.bound and slow.expected < fast.expected / 10
    assert slow.high == pytest.approx(slow.expected * SYSTEM.spread)


def test_no_bound_and_a_low_one() -> None:
    """Without a bound there is none, and nothing is cut off; no rate exceeds one that is there."""
    unknown = predict(replace(SYSTEM, bound_gbs=None, measured=True), LLAMA, FORMATS["fp8"], context=0)
    assert unknown.bound is None and unknown.as_json()["bound_tokens_per_s"] is None
    assert unknown.high == pytest.approx(unknown.expected * SYSTEM.spread)
    low = predict(replace(SYSTEM, bound_gbs=100, measured=True), LLAMA, FORMATS["fp8"], context=0)
    assert low.expected == low.high == low.bound


@pytest.mark.parametrize(
    ("device_class", "gbs", "covered"),
    [("unified", 273, True), ("hbm", 3350, True), ("hbm", 4800, False), ("hbm", 8000, False), ("cpu", 50, False),
     ("intel", 456, False), ("unknown", 800, False)],
)  # fmt: skip
def test_the_range_is_doubled_where_nothing_was_published(device_class: str, gbs: float, covered: bool) -> None:
    """Of a class or a bandwidth that no published rate covers, the range is twice the worst, and JSON says so."""
    system = replace(SYSTEM, device_class=device_class, weight_gbs=gbs, cache_gbs=gbs, bound_gbs=gbs)
    rate = predict(system, LLAMA, FORMATS["bf16"], context=0)
    worst = max(one.spread for one in FITTED.values())
    spread = FITTED[device_class].spread if covered else 2 * worst - 1
    assert rate.as_json()["covered"] is system.is_covered is covered
    assert rate.expected / rate.low == pytest.approx(spread)


def test_a_format_that_the_model_cannot_have() -> None:
    """Such a format is refused, and the JSON of a prediction is strict."""
    with pytest.raises(UsageError, match="dense"):
        predict(SYSTEM, LLAMA, FORMATS["mxfp4-gguf"], context=0)
    plain = predict(SYSTEM, LLAMA, FORMATS["fp8"], context=0).as_json()
    assert json.loads(json.dumps(plain, allow_nan=False))["kv_bytes_per_token"] == 131072


HERE = MeasuredSystem("my-box", "Fake GPU", (make_result(kernel="gemv", bandwidth_gbs=50.0),), 64 * 10**9)


def test_peaks_and_memory_of_the_named_systems() -> None:
    """The published peaks, the Station's twice: shipping and announced; memory sizes and sources from the catalog."""
    systems = list(named_systems().values())
    assert [s.weight_gbs for s in systems] == [273, 1344, 7100, 8000]
    assert [s.memory_bytes for s in systems] == [128e9, 48e9, 252e9, 252e9]
    assert [s.device_class for s in systems] == ["unified", "card", "hbm", "hbm"]
    assert all(s.source and not s.measured for s in systems)
    assert "shipping" in systems[2].notes[0] and "announced" in systems[3].notes[0]
    assert systems[3].weight_gbs == next(r.published_gbs for r in REFERENCES if r.key == "dgx_station")


def test_a_measured_system_says_what_was_measured() -> None:
    """Its bandwidths are the rows', and the notes say of which kernel, the bound's as well."""
    system = measured_system(HERE, FORMATS["fp8"])
    assert (system.weight_gbs, system.cache_gbs, system.measured, system.memory_bytes) == (50, 50, True, 64e9)
    assert system.bound_gbs == 50 and "the fastest verified row, 50 GB/s: gemv float64" in system.notes[2]
    assert "no gemv row in fp8" in system.notes[0] and "no kv or read row" in system.notes[1]
    cached = replace(HERE, rows=(make_result(kernel="gemv", bandwidth_gbs=50.0, regime="cache"),))
    system = measured_system(cached, FORMATS["fp8"])
    assert system.bound_gbs is None and "no bound: no row is verified" in system.notes[2]


def test_the_bound_of_the_published_runs() -> None:
    """The Xeon's memory is read at 36.8 GB/s, so the slow conversions of NumPy's gemv bound no 4-bit model at 1.3."""
    runs = (Path(__file__).parents[3] / "results" / "xeon-vm-2-vcpu").glob("*.csv")
    (xeon,), _ = find_systems(sorted(map(str, runs)), ["xeon-vm-2-vcpu"], ())
    rate = predict(measured_system(xeon, FORMATS["nvfp4"]), LLAMA, FORMATS["nvfp4"], context=4096)
    assert rate.bound == pytest.approx(6.67, rel=0.01) and rate.expected == pytest.approx(1.30, rel=0.01)


def test_systems_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without names this machine and four are chosen, with names those; "here" measures, an unknown one never."""
    monkeypatch.setattr(module, "measure_here", lambda kernels, weights: HERE)
    named = named_systems()
    assert find_systems(None, [], ("gemv",)) == ([HERE], list(named.values()))
    assert find_systems(None, ["here", "rtx-4090"], ("gemv",)) == ([HERE], [known_systems()["rtx-4090"]])
    monkeypatch.setattr(module, "measure_here", lambda kernels, weights: pytest.fail("measured"))
    assert find_systems(None, ["dgx-spark"], ("gemv",)) == ([], [named["dgx-spark"]])
    for names in (["dgx-statoin"], ["here", "dgx-statoin"]):
        with pytest.raises(UsageError, match=r"Did you mean 'dgx-station'.*--list"):
            find_systems(None, names, ("gemv",))


def test_every_device_with_a_peak_is_a_system() -> None:
    """Each row of the catalogue that is safe to use is known by its id, with its class, memory and source."""
    known = known_systems()
    for row in load_catalog():
        usable = row.published_gbs is not None and row.confidence != "low"
        assert (row.id in known) is usable, row.id
        if usable:
            assert known[row.id].bound_gbs == row.published_gbs and known[row.id].source == row.source
    assert len(known) > 140 and known["rtx-5060-ti"].memory_bytes is None
    assert known["apple-m4-pro"].is_covered and not known["h200-sxm"].is_covered


def test_a_system_by_its_bandwidth() -> None:
    """--peak and --memory describe a system of no known class; nonsense is refused by the option's name."""
    system = described_system("2x5600", 64.0)
    assert (system.bound_gbs, system.memory_bytes, system.is_covered) == (89.6, 64e9, False)
    assert described_system("800", None).memory_bytes is None
    assert any("76800 MB/s is meant" in note for note in described_system("76800", None).notes)
    for peak, memory in (("0", None), ("x", None), ("800", 0.0), ("800", -1.0), ("800", float("nan")), ("800", 1e9)):
        with pytest.raises(UsageError, match="--peak" if memory is None else "--memory"):
            described_system(peak, memory)
