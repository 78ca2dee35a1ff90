"""kv: the bytes of the cache, softmax attention as libraries define it, and a bound that right kernels keep."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from bandmark_kernels import CACHES, DTYPES, Kernel, Shape
from bandmark_kernels.attention import Attention, Geometry, reference
from bandmark_kernels.attention.kv import _CODE_SCALE, _MAX_GROUP, KERNEL, kv_kernel
from bandmark_kernels.core.checks import TILE_ROWS, make_inputs
from kernel_cases import error_of, operands, reference_bind, run_torch, run_wrong

F16, BF16 = DTYPES["float16"], DTYPES["bfloat16"]
FORMS = [(KERNEL, F16), (KERNEL, BF16), (CACHES["fp8"], F16)]
IDS = ["float16", "bfloat16", "fp8"]
GEOMETRIES = [(32, 8, 128), (8, 8, 64), (64, 4, 64), (8, 1, 256), (14, 2, 64), (6, 3, 192)]


def geometry_of(kernel: Kernel) -> Geometry:
    """Return the geometry of a kernel."""
    assert isinstance(kernel.check, Attention)
    return kernel.check.geometry


@pytest.mark.parametrize(("kernel", "width", "scales"), [(KERNEL, 2, 0), (CACHES["fp8"], 1, 8)], ids=["plain", "fp8"])
def test_bytes(kernel: Kernel, width: int, scales: int) -> None:
    """K and V of every token are read, and q with the scales beside them; only out is written."""
    shape = Shape(8 * 128, m=1009)
    assert kernel.bytes_read(shape, F16) == 2 * 1009 * 8 * 128 * width + 32 * 128 * 2 + scales
    assert kernel.bytes_written(shape, F16) == 32 * 128 * 2
    assert kernel.working_set(shape, F16) == kernel.bytes_read(shape, F16) + kernel.bytes_written(shape, F16)
    assert (kernel.words, kernel.traffic, kernel.footprint) == ((2, 0), 2.0, 2.0)
    assert kernel.element_bits(F16) == 8 * width


@pytest.mark.parametrize(("heads", "kv_heads", "head_dim"), GEOMETRIES)
def test_reference_is_the_attention_of_libraries(heads: int, kv_heads: int, head_dim: int) -> None:
    """In float64 it agrees with torch's attention with grouped heads."""
    rng, form = np.random.default_rng(1), geometry_of(kv_kernel(heads, kv_heads, head_dim))
    q, K, V = rng.normal(size=heads * head_dim), *rng.normal(size=(2, 77, kv_heads * head_dim))
    query = torch.from_numpy(q).view(1, heads, 1, head_dim)
    keys, values = (torch.from_numpy(x).view(1, 77, kv_heads, head_dim).transpose(1, 2) for x in (K, V))
    wanted = scaled_dot_product_attention(query, keys, values, enable_gqa=True).reshape(-1).numpy()
    np.testing.assert_allclose(reference(form, q=q, K=K, V=V), wanted, rtol=1e-12, atol=1e-14)


def test_scales_multiply_the_codes() -> None:
    """The scale of K and that of V act on what the codes stand for."""
    rng, form = np.random.default_rng(2), geometry_of(KERNEL)
    q, K, V = rng.normal(size=4096), *rng.normal(size=(2, 9, 1024))
    scaled = reference(form, q=q, K=K, V=V, k_scale=0.25, v_scale=np.array([3.0]))
    np.testing.assert_allclose(scaled, reference(form, q=q, K=K / 4, V=3 * V), rtol=1e-12)


def test_times_are_copies() -> None:
    """A row that stands in the cache several times weighs as much as its copies."""
    rng, form = np.random.default_rng(3), geometry_of(KERNEL)
    q, K, V = rng.normal(size=4096), *rng.normal(size=(2, 3, 1024))
    copies = np.array([5, 1, 2])
    whole = reference(form, q=q, K=np.repeat(K, copies, axis=0), V=np.repeat(V, copies, axis=0))
    np.testing.assert_allclose(reference(form, q=q, K=K, V=V, times=copies), whole, rtol=1e-12)


@pytest.mark.parametrize("m", [TILE_ROWS + 1, 5000, 10**6])
@pytest.mark.parametrize(("kernel", "dtype"), FORMS, ids=IDS)
def test_the_last_token_weighs_as_much_as_all_others(kernel: Kernel, dtype: Any, m: int) -> None:
    """For every query head its weight is near a half, so that no cache is too long for a dropped tail to show."""
    inputs, form = make_inputs(kernel, dtype, Shape(1024, m=m), seed=7), geometry_of(kernel)
    values, last = inputs.values(), inputs.last_values()["K"]
    scale = values.get("k_scale", 1.0)
    queries = values["q"].reshape(form.kv_heads, form.group, form.head_dim)

    def scores(keys: Any) -> Any:
        by_head = (keys * scale).reshape(-1, form.kv_heads, form.head_dim).transpose(1, 2, 0)
        return queries @ by_head / math.sqrt(form.head_dim)

    rows = np.bincount(np.arange(m - 1) % len(values["K"]), minlength=len(values["K"]))
    others = (rows * np.exp(scores(values["K"]))).sum(axis=-1)
    own = np.exp(scores(last))[..., 0]
    share = own / (own + others)
    assert share.min() > 0.3 and share.max() < 0.7


def simulated(form: Geometry, dtype: Any, order: Any, **values: Any) -> Any:
    """Attention as kernels compute it: float32 scores, weights rounded to the operands' dtype, sums in some order."""
    f32 = np.float32
    q = values["q"].astype(f32).reshape(form.kv_heads, form.group, form.head_dim)
    K, V = (values[n].astype(f32)[order].reshape(-1, form.kv_heads, form.head_dim) for n in ("K", "V"))
    unit = f32(math.log2(math.e) / math.sqrt(form.head_dim)) * f32(values.get("k_scale", [1.0])[0])
    scores = np.einsum("hgd,mhd->hgm", q, K) * unit
    weights = np.exp2(scores - scores.max(axis=-1, keepdims=True) + f32(15))
    rounded = dtype.decode(dtype.encode(weights.astype(np.float64))).astype(f32)
    out = np.einsum("hgm,mhd->hgd", rounded, V) * f32(values.get("v_scale", [1.0])[0])
    return (out / weights.sum(axis=-1, keepdims=True, dtype=f32)).reshape(-1)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(FORMS), st.integers(1, 700), st.integers(0, 2**32))
def test_the_bound_holds(form: tuple[Kernel, Any], m: int, seed: int) -> None:
    """Float32 arithmetic with rounded weights stays within it, whatever the order of the tokens."""
    kernel, dtype = form
    order = np.random.default_rng(seed).permutation(m)
    inputs = make_inputs(kernel, dtype, Shape(1024, m=m), seed=seed)
    arrays = operands(inputs)
    values = {o.name: o.number(dtype).decode(arrays[o.name]) for o in kernel.inputs}
    out = simulated(geometry_of(kernel), dtype, order, **values)
    arrays["out"][...] = dtype.encode(out.astype(np.float64))
    assert error_of(inputs, arrays) <= 1


@pytest.mark.parametrize("m", [1, 15, 307])
@pytest.mark.parametrize(("kernel", "dtype"), FORMS, ids=IDS)
def test_the_reference_is_right(kernel: Kernel, dtype: Any, m: int) -> None:
    """Positive control: the reference, rounded once, passes in every format."""
    inputs = make_inputs(kernel, dtype, Shape(1024, m=m), seed=7)
    arrays = operands(inputs)
    reference_bind(kernel, dtype)(**arrays)()
    assert error_of(inputs, arrays) <= 1


@pytest.mark.parametrize("dtype", [F16, BF16], ids=lambda d: d.name)
@pytest.mark.parametrize(("heads", "kv_heads", "head_dim"), GEOMETRIES)
def test_torchs_attention_is_right(heads: int, kv_heads: int, head_dim: int, dtype: Any) -> None:
    """The library's op on strided views passes for all geometries, though on a CPU it is too slow to be measured."""
    kernel = kv_kernel(heads, kv_heads, head_dim)
    assert run_torch(kernel, dtype, Shape(kv_heads * head_dim, m=523)) <= 1
    assert kernel.unsupported_reason("torch", dtype, on_cpu=True)
    assert kernel.unsupported_reason("torch", dtype) is None


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("No available kernel. Aborting execution.", NotImplementedError),
        ("No viable backend for scaled_dot_product_attention was found.", NotImplementedError),
        ("CUDA error: out of memory", RuntimeError),
    ],
)
def test_a_device_without_fused_attention(monkeypatch: pytest.MonkeyPatch, said: str, kind: type) -> None:
    """Where torch has none it is told before anything is timed; any other error is passed on."""

    def refuse(*operands: Any) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", refuse)
    with pytest.raises(kind, match="fused SDPA" if kind is NotImplementedError else "out of memory"):
        run_torch(KERNEL, F16, Shape(1024, m=10))


def test_zeros_are_verified() -> None:
    """With zeros for inputs every weight is equal, and the output is exactly zero."""
    for kernel, dtype in FORMS:
        inputs = make_inputs(kernel, dtype, Shape(1024, m=100), seed=7, pattern="zeros")
        arrays = operands(inputs)
        reference_bind(kernel, dtype)(**arrays)()
        assert error_of(inputs, arrays) == 0
        arrays["out"][5] = dtype.encode(np.array(2.0**-10))
        assert error_of(inputs, arrays) > 1


Wrong = Callable[..., Any]


def on(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Geometry], Wrong]:
    """A mistake that is the right attention on other operands."""
    return lambda form: lambda **given: reference(form, **{**given, **change(given)})


def without_root(form: Geometry) -> Wrong:
    """Scores are not divided by the root of a head's size."""
    return lambda q, **given: reference(form, q=q * math.sqrt(form.head_dim), **given)


def in_base_2(form: Geometry) -> Wrong:
    """Weights are powers of 2 instead of e."""
    return lambda q, **given: reference(form, q=q * math.log(2), **given)


def not_normalised(form: Geometry) -> Wrong:
    """Weights are not divided by their sum."""
    return lambda K, V, **given: len(K) * reference(form, K=K, V=V, **given)


def without_softmax(form: Geometry) -> Wrong:
    """All tokens weigh the same."""
    return lambda q, **given: reference(form, q=0 * q, **given)


def next_kv_head(form: Geometry) -> Wrong:
    """Query heads use the KV head beside theirs."""
    turn = form.head_dim
    return lambda K, V, **given: reference(form, K=np.roll(K, turn, axis=1), V=np.roll(V, turn, axis=1), **given)


def interleaved_groups(form: Geometry) -> Wrong:
    """Query head h uses KV head h modulo their number instead of h divided by the group."""

    def compute(q: Any, **given: Any) -> Any:
        turned = q.reshape(form.group, form.kv_heads, form.head_dim).transpose(1, 0, 2).reshape(-1)
        out = reference(form, q=turned, **given).reshape(form.kv_heads, form.group, form.head_dim)
        return out.transpose(1, 0, 2).reshape(-1)

    return compute


MISTAKES = {
    "last token dropped": on(lambda g: {"K": g["K"][:-1], "V": g["V"][:-1]}),
    "first half dropped": on(lambda g: {"K": g["K"][len(g["K"]) // 2 :], "V": g["V"][len(g["V"]) // 2 :]}),
    "every other token": on(lambda g: {"K": g["K"][1::2], "V": g["V"][1::2]}),
    "half a head of K": on(lambda g: {"K": np.where(np.arange(128) % 64 < 32, g["K"], 0)}),
    "one column of V": on(lambda g: {"V": np.where(np.arange(128) == 70, 0, g["V"])}),
    "K and V swapped": on(lambda g: {"K": g["V"], "V": g["K"]}),
    "K for V": on(lambda g: {"V": g["K"]}),
    "one query head": on(lambda g: {"q": np.where(np.arange(512) // 64 == 3, 0, g["q"])}),
    "tokens of V shifted": on(lambda g: {"V": np.roll(g["V"], 1, axis=0)}),
    "no root": without_root,
    "powers of 2": in_base_2,
    "not normalised": not_normalised,
    "plain mean": without_softmax,
    "KV head beside": next_kv_head,
    "groups interleaved": interleaved_groups,
}


@pytest.mark.parametrize(("form", "dtype"), [(None, F16), (None, BF16), ("fp8", F16)], ids=IDS)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_attention_is_rejected(mistake: str, form: str | None, dtype: Any) -> None:
    """Each mistake fails in every format, with some tokens and with many."""
    kernel = kv_kernel(8, 2, 64, form)
    for m in (307, 12_007):
        assert not run_wrong(kernel, dtype, Shape(128, m=m), MISTAKES[mistake](geometry_of(kernel))) <= 1


@pytest.mark.parametrize("scale", ["k_scale", "v_scale"])
def test_a_scale_that_is_ignored_is_rejected(scale: str) -> None:
    """A cache of codes that are taken for values, of K or of V, fails."""
    kernel = CACHES["fp8"]
    ignored = on(lambda _: {scale: np.ones(1)})
    assert not run_wrong(kernel, F16, Shape(1024, m=307), ignored(geometry_of(kernel))) <= 1


def test_codes_of_a_cache_are_all_there() -> None:
    """Every e4m3 code but NaN stands in K and in V, with scales that bring values near 1."""
    inputs = make_inputs(CACHES["fp8"], F16, Shape(1024, m=100), seed=1)
    for name in ("K", "V"):
        assert inputs.tiles[name].shape == (TILE_ROWS, 1024)
        assert set(inputs.tiles[name].ravel().tolist()) == set(range(256)) - {0x7F, 0xFF}
    for name in ("k_scale", "v_scale"):
        assert _CODE_SCALE / 2 <= inputs.tiles[name][0] < _CODE_SCALE


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((32, 8, 96), "heads of 96 elements: there are kernels for 64, 128, 192, 256"),
        ((32, 5, 128), "32 query heads over 5 KV heads: each KV head must be shared by equally many, 1 to 16 "),
        ((32, 2, 256), "1 to 8 where a head has 256 elements"),
        ((0, 1, 64), "0 query heads over 1 KV heads"),
        ((8, 8, 64, "int4"), "a cache in 'int4': take 'fp8', or None for the operands' dtype"),
    ],
)
def test_what_there_is_no_kernel_for(given: tuple[Any, ...], words: str) -> None:
    """Heads and formats without a kernel are refused with what there is."""
    with pytest.raises(ValueError, match=words):
        kv_kernel(*given)


def test_every_size_of_a_head_that_is_offered() -> None:
    """Each size takes groups from one head up to its most, and its own number of columns."""
    for head_dim, most in _MAX_GROUP.items():
        for group in (1, most):
            kernel = kv_kernel(3 * group, 3, head_dim)
            assert (kernel.columns, kernel.column_multiple, geometry_of(kernel).group) == (
                3 * head_dim,
                3 * head_dim,
                group,
            )
