"""One decode step: bytes, bound and memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.decoding.step import FITTED, NARROW_BITS, Efficiency, Step, step_of
from bandmark.errors import UsageError
from bandmark.models.model import find_model, load_models
from bandmark.models.weights import FORMATS

NAMES = st.sampled_from(sorted(load_models()))


def bound(step: Step) -> float:
    """Return the upper bound of tokens per second at 1000 GB/s, of all sequences together."""
    return step.batch / step.roof_s(1000)


def test_a_step_by_hand() -> None:
    """An 8B model in bf16 after 1000 tokens reads its weights and 1000 tokens of cache."""
    step = step_of(find_model("llama-3.1-8b"), FORMATS["bf16"], context=1000)
    assert step.bytes == 2 * 7504924672 + 1000 * 131072
    assert step.roof_s(273) == pytest.approx(step.bytes / 273e9)
    assert step.roof_s(273, 100) == pytest.approx(step.weight_bytes / 273e9 + step.cache_bytes / 100e9)


@settings(deadline=None)
@given(NAMES, st.sampled_from(["fp16", "int8"]), st.integers(0, 10**6), st.integers(0, 10**5), st.integers(1, 64))
def test_more_context_is_never_faster(name: str, weights: str, context: int, more: int, batch: int) -> None:
    """A longer context never raises the bound and never needs less memory."""
    model, fmt = find_model(name), FORMATS[weights]
    short, long = (step_of(model, fmt, context=c, batch=batch) for c in (context, context + more))
    assert bound(long) <= bound(short) and long.needed_bytes >= short.needed_bytes


@settings(deadline=None)
@given(NAMES, st.integers(0, 10**5), st.integers(1, 200))
def test_a_batch_gives_more_in_all_and_less_each(name: str, context: int, batch: int) -> None:
    """One sequence more never lowers the bound of all together nor raises that of each."""
    few, more = (step_of(find_model(name), FORMATS["fp8"], context=context, batch=b) for b in (batch, batch + 1))
    assert bound(more) >= bound(few) * (1 - 1e-9)
    assert bound(more) / (batch + 1) <= bound(few) / batch * (1 + 1e-9)


@settings(deadline=None)
@given(NAMES, st.integers(0, 10**5))
def test_narrower_weights_are_never_slower(name: str, context: int) -> None:
    """The bound follows the order of the formats' bytes."""
    model = find_model(name)
    bounds = [bound(step_of(model, FORMATS[f], context=context)) for f in ("fp16", "int8", "int4", "mxfp4")]
    assert bounds == sorted(bounds)


@settings(deadline=None)
@given(NAMES, st.sampled_from(sorted(FORMATS)))
def test_what_is_read_is_in_memory(name: str, weights: str) -> None:
    """A step never reads more weights than are stored."""
    model = find_model(name)
    if not FORMATS[weights].refusal(model):
        step = step_of(model, FORMATS[weights], context=0)
        assert step.weight_bytes <= step.needed_bytes


@pytest.mark.parametrize(
    ("context", "batch", "named"),
    [(-1, 1, "--context -1"), (10**9, 1, "--context"), (0, 0, "--batch 0"), (0, 10**6, "--batch")],
)
def test_numbers_that_no_step_has(context: int, batch: int, named: str) -> None:
    """A negative context or an empty batch is refused, by the option's name."""
    with pytest.raises(UsageError, match=named):
        step_of(find_model("phi-4"), FORMATS["fp16"], context=context, batch=batch)


@settings(deadline=None)
@given(st.sampled_from(sorted(FITTED)), st.floats(10, 10000), st.integers(0, 10**5), st.integers(1, 64))
def test_never_faster_than_the_roof(name: str, gbs: float, context: int, batch: int) -> None:
    """What is expected never beats the bytes over the bandwidth, at the peak or as measured."""
    step = step_of(find_model("qwen3-8b"), FORMATS["int4"], context=context, batch=batch)
    roof = step.roof_s(gbs)
    assert FITTED[name].seconds(step, roof) >= roof
    assert FITTED[name].seconds(step, roof, measured=True) >= roof


PLAIN = Efficiency(
    device_class="card", reading=2.0,
    conversion=0.5, layer_s=1e-3, routed_layer_s=1e-2, recurrent_layer_s=1e-1, sequence_cost=0.1,
    spread=1.2, fastest_gbs=1000,
)  # fmt: skip
DENSE = Step(
    weight_bytes=8e9, cache_bytes=2e9, needed_bytes=9e9, layers=10, routed_layers=0, recurrent_layers=0, narrow=False,
    batch=3, active_parameters=1e9,
)  # fmt: skip


def test_a_time_by_hand() -> None:
    """Bytes over what is reached of the peak, costs per layer, and one per further sequence and parameter."""
    assert PLAIN.seconds(DENSE, 0.1) == pytest.approx(0.2 + 0.01 + 2 * 1e9 * 0.1 * 1e-11)
    assert PLAIN.seconds(replace(DENSE, narrow=True), 0.1) == pytest.approx(0.25 + 0.012)
    assert PLAIN.seconds(replace(DENSE, routed_layers=4), 0.1) == pytest.approx(0.2 + 0.05 + 0.002)
    assert PLAIN.seconds(replace(DENSE, recurrent_layers=2), 0.1) == pytest.approx(0.2 + 0.21 + 0.002)


def test_measured_bandwidth_is_nearer() -> None:
    """A step at the measured bandwidth of its own format pays no conversion, and less beyond its roof."""
    step = step_of(find_model("llama-3.3-70b"), FORMATS["int4"], context=0)
    roof = step.roof_s(200)
    for one in FITTED.values():
        assert roof < one.seconds(step, roof, measured=True) < one.seconds(step, roof)
    assert replace(PLAIN, reading=1.1, layer_s=0).seconds(step, roof, measured=True) == roof


@pytest.mark.parametrize(
    ("weights", "narrow"), [("q4_k_m", True), ("nvfp4", True), ("q8_0", False), ("mxfp4-gguf", False)]
)
def test_narrow_weights_are_told_by_the_bits_of_most(weights: str, narrow: bool) -> None:
    """A step converts where the matrices that every token reads have few bits."""
    model = find_model("gpt-oss-20b" if weights == "mxfp4-gguf" else "qwen3-8b")
    assert step_of(model, FORMATS[weights], context=0).narrow is narrow
    assert (FORMATS[weights].body_bits < NARROW_BITS) is narrow
