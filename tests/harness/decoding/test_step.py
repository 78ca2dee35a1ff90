"""One decode step: bytes, bound and memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.decoding.step import FITTED, Efficiency, Step, step_of
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
@given(st.floats(10, 10000), st.integers(0, 10**5), st.integers(1, 64))
def test_never_faster_than_the_roof(gbs: float, context: int, batch: int) -> None:
    """What is expected never beats the bytes over the bandwidth, at the peak or as measured."""
    step = step_of(find_model("qwen3-8b"), FORMATS["int4"], context=context, batch=batch)
    roof = step.roof_s(gbs)
    assert FITTED.seconds(step, roof) >= roof
    assert FITTED.seconds(step, roof, measured=True) >= roof


def test_a_time_by_hand() -> None:
    """Bytes over the share of the bandwidth, a cost per layer, and one per further sequence and parameter."""
    efficiency = Efficiency(share=0.5, dense_layer_s=1e-3, routed_layer_s=1e-2, sequence_cost=0.1)
    step = Step(
        weight_bytes=8e9, cache_bytes=2e9, needed_bytes=9e9, layers=10, routed=False, batch=3, active_parameters=1e9
    )
    assert efficiency.seconds(step, 0.1) == pytest.approx(0.2 + 0.01 + 2 * 1e9 * 0.1 * 1e-11)
    assert efficiency.seconds(replace(step, routed=True), 0.1) == pytest.approx(0.3 + 0.002)


def test_measured_bandwidth_is_nearer() -> None:
    """A step at a measured bandwidth takes less beyond its roof than one at the peak of the same figure."""
    step = step_of(find_model("llama-3.3-70b"), FORMATS["int4"], context=0)
    roof = step.roof_s(200)
    assert roof < FITTED.seconds(step, roof, measured=True) < FITTED.seconds(step, roof)
    assert replace(FITTED, share=0.9, dense_layer_s=0).seconds(step, roof, measured=True) == roof
