"""One decode step: bytes, bound and memory."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.decoding.step import memory_bytes, step_of
from bandmark.errors import UsageError
from bandmark.models.catalog import find_model, load_models
from bandmark.models.weights import FORMATS, check_format

NAMES = st.sampled_from(sorted(load_models()))


def test_a_step_by_hand() -> None:
    """An 8B model in bf16 after 1000 tokens reads its weights and 1000 tokens of cache."""
    step = step_of(find_model("llama-3.1-8b"), FORMATS["bf16"], context=1000)
    assert step.bytes == 2 * 7504924672 + 1000 * 131072
    assert step.bound(273) == pytest.approx(273e9 / step.bytes)
    assert step.bound(273, 100) == pytest.approx(1 / (step.weight_bytes / 273e9 + step.cache_bytes / 100e9))


@settings(deadline=None)
@given(NAMES, st.sampled_from(["fp16", "int8"]), st.integers(0, 10**6), st.integers(0, 10**5), st.integers(1, 64))
def test_more_context_is_never_faster(name: str, weights: str, context: int, more: int, batch: int) -> None:
    """A longer context never raises the bound and never needs less memory."""
    model, fmt = find_model(name), FORMATS[weights]
    short, long = (step_of(model, fmt, context=c, batch=batch) for c in (context, context + more))
    assert long.bound(1000) <= short.bound(1000)
    sizes = [memory_bytes(model, fmt, context=c, batch=batch) for c in (context, context + more)]
    assert sizes[0] <= sizes[1]


@settings(deadline=None)
@given(NAMES, st.integers(0, 10**5), st.integers(1, 200))
def test_a_batch_gives_more_in_all_and_less_each(name: str, context: int, batch: int) -> None:
    """One sequence more never lowers the bound of all together nor raises that of each."""
    few, more = (step_of(find_model(name), FORMATS["fp8"], context=context, batch=b) for b in (batch, batch + 1))
    assert more.bound(1000) >= few.bound(1000) * (1 - 1e-9)
    assert more.bound(1000) / (batch + 1) <= few.bound(1000) / batch * (1 + 1e-9)


@settings(deadline=None)
@given(NAMES, st.integers(0, 10**5))
def test_narrower_weights_are_never_slower(name: str, context: int) -> None:
    """The bound follows the order of the formats' bytes."""
    model = find_model(name)
    bounds = [step_of(model, FORMATS[f], context=context).bound(1000) for f in ("fp16", "int8", "int4", "mxfp4")]
    assert bounds == sorted(bounds)


@settings(deadline=None)
@given(NAMES, st.sampled_from(sorted(FORMATS)))
def test_what_is_read_is_in_memory(name: str, weights: str) -> None:
    """A step never reads more weights than are stored."""
    model = find_model(name)
    try:
        check_format(model, FORMATS[weights])
    except UsageError:
        return
    assert step_of(model, FORMATS[weights], context=0).weight_bytes <= memory_bytes(model, FORMATS[weights], context=0)


@pytest.mark.parametrize(
    ("context", "batch", "named"),
    [(-1, 1, "--context -1"), (10**9, 1, "--context"), (0, 0, "--batch 0"), (0, 10**6, "--batch")],
)
def test_numbers_that_no_step_has(context: int, batch: int, named: str) -> None:
    """A negative context or an empty batch is refused, by the option's name."""
    with pytest.raises(UsageError, match=named):
        step_of(find_model("phi-4"), FORMATS["fp16"], context=context, batch=batch)
