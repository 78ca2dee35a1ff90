"""kv, executed on the CPU, is right for every form of its heads, every code of a cache, and scores of any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attention_check import PLACES, attend, every_code, exact, natively_converted, stored, wrong_codes
from cuda_check import awkward_shapes, call, geometry_of, make_program
from cuda_host import Host
from extremes_check import BELOW, SLOPES, small_weights_error, steep_error

from bandmark_kernels import DTYPES, Shape
from bandmark_kernels.attention.kv import _MAX_GROUP, _TILE_TOKENS, kv_kernel
from bandmark_kernels.core.cuda import Program, launches, variants

FORMS = [
    ((1, 1, 64, None), "bfloat16"),
    ((32, 2, 64, "fp8"), "float16"),
    ((24, 2, 128, None), "float16"),
    ((4, 2, 192, None), "float16"),
    ((24, 3, 192, "fp8"), "float16"),
    ((7, 1, 256, None), "bfloat16"),
    ((8, 1, 256, "fp8"), "float16"),
]
"""Beside the table's: heads of every size, one query head a group to sixteen, loads of V of 16 and of 8 bytes."""


PREFETCHED = [((1, 1, 64, None), "bfloat16"), ((32, 2, 64, None), "float16"), ((24, 3, 192, "fp8"), "float16")]
"""Of those that have two rounds in registers: one query head a group, sixteen, and loads of V of 8 bytes."""

VARIANTS = ("v16", "v16-prefetch")


def _program(*form: Any, dtype: str = "float16", variant: str = "v16") -> Program:
    return make_program(kv_kernel(*form), DTYPES[dtype], variant)


@pytest.fixture(scope="module")
def codes() -> Program:
    """A kernel whose rows have room for every code in every place."""
    return _program(16, 16, 64, "fp8")


@pytest.mark.parametrize(("form", "dtype"), FORMS)
def test_every_form_is_right_at_awkward_sizes(host: Host, form: tuple[Any, ...], dtype: str) -> None:
    """Heads of every size and groups of every kind are read once and attended to, to the last token."""
    prog = _program(*form, dtype=dtype)
    for shape in awkward_shapes(prog):
        assert call(host, prog, shape, sm_count=48).findings == (), f"{shape}"


@pytest.mark.parametrize(("form", "dtype"), PREFETCHED)
def test_prefetched_rounds_are_the_same_bit_by_bit(host: Host, form: tuple[Any, ...], dtype: str) -> None:
    """Whether a warp has no turn, an odd or an even number of them, out has the bits of the default variant."""
    plain, ahead = (_program(*form, dtype=dtype, variant=variant) for variant in VARIANTS)
    geometry = geometry_of(plain.kernel)
    assert geometry is not None
    round_ = _TILE_TOKENS * plain.layout.unroll * plain.layout.threads // 32
    for m in (1, round_ - 1, round_, 2 * round_ + 5, 3 * round_ - 1, 3 * round_ + 17, 6 * round_):
        outcomes = [call(host, p, Shape(geometry.columns, m), sm_count=1) for p in (plain, ahead)]
        assert [o.findings for o in outcomes] == [(), ()], m
        assert outcomes[0].outputs["out"].tobytes() == outcomes[1].outputs["out"].tobytes()


def test_rounds_are_prefetched_where_two_fit() -> None:
    """Heads for which the registers of a thread hold two rounds have the variant, others the default alone."""
    forms = [*PREFETCHED, *FORMS, ((), ""), ((32, 8, 128, "fp8"), "")]
    has = {form: "v16-prefetch" in variants(kv_kernel(*form), (9, 0)) for form, _ in forms}
    assert all(has[form] for form in ((), (32, 8, 128, "fp8"), *(form for form, _ in PREFETCHED)))
    assert not any(has[form] for form in ((24, 2, 128, None), (4, 2, 192, None), (7, 1, 256, None), (8, 1, 256, "fp8")))


def test_the_forms_are_all_there() -> None:
    """Each size of a head is there in 16 and in 8 bits or with another size's, and each with the largest group."""
    kernels = [kv_kernel(*form) for form, _ in FORMS] + [kv_kernel(), kv_kernel(cache_format="fp8")]
    forms = list(filter(None, map(geometry_of, kernels)))
    assert {(f.head_dim, f.cache_format) for f in forms} == {(d, c) for d in _MAX_GROUP for c in (None, "fp8")}
    assert {f.group for f in forms} >= {1, 2, 4, 8, 16} and {f.kv_heads for f in forms} >= {1, 2, 3, 8}
    assert {d for d, c in ((f.head_dim, f.group) for f in forms) if c > 8} == {64, 128}


@pytest.mark.parametrize(("form", "dtype"), [FORMS[0], *FORMS[4:6]])
def test_out_has_the_same_bits_whatever_the_order_of_threads(host: Host, form: tuple[Any, ...], dtype: str) -> None:
    """Warps and ranges are added up in their own order, not in that of their arrival."""
    prog = _program(*form, dtype=dtype)
    shape = awkward_shapes(prog)[-1]
    assert len(launches(prog, shape, sm_count=48).steps) == 2
    outs = [call(host, prog, shape, sm_count=48, backwards=b).outputs["out"].tobytes() for b in (False, True)]
    assert outs[0] == outs[1]


def test_every_code_is_exact(host: Host, codes: Program) -> None:
    """Each e4m3 code, subnormal and NaN, too, is decoded to its value in every place of a word, however converted."""
    row = every_code(1024)
    assert len(set(zip(row.tolist(), (np.arange(1024) % PLACES).tolist(), strict=True))) == 256 * PLACES
    assert wrong_codes(host, codes)[:5] == []
    assert wrong_codes(host, natively_converted(codes))[:5] == []


def test_both_conversions_are_equal(host: Host, codes: Program) -> None:
    """By the device's instruction and by bits, out has the same bits: units are powers of two."""
    shape = Shape(1024, 300)
    outcomes = [call(host, p, shape, sm_count=48) for p in (codes, natively_converted(codes))]
    assert [o.findings for o in outcomes] == [(), ()]
    assert outcomes[0].outputs["out"].tobytes() == outcomes[1].outputs["out"].tobytes()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("slope", SLOPES)
def test_scores_of_any_size_are_weighed(host: Host, slope: float, dtype: str, variant: str) -> None:
    """Scores in the thousands do not overflow, whether the highest grows along the tokens, falls, or both."""
    assert steep_error(host, _program(2, 1, 64, None, dtype=dtype, variant=variant), slope) <= 1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("slope", [0.02, 1.0])
def test_scores_far_below_zero_are_weighed(host: Host, slope: float, dtype: str, variant: str) -> None:
    """Where the highest score is a thousand below zero, nothing but it sets the scale of the weights."""
    assert steep_error(host, _program(2, 1, 64, None, dtype=dtype, variant=variant), slope, base=BELOW) <= 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_small_weights_keep_their_bits(host: Host, variant: str) -> None:
    """Tokens that weigh a millionth of the heaviest add up to what they should, in float16, too."""
    assert small_weights_error(host, _program(2, 1, 64, None, variant=variant)) <= 1


@pytest.mark.parametrize(("cache", "token"), [(None, 0), (None, 300), (None, 522), ("fp8", 0), ("fp8", 522)])
@pytest.mark.parametrize("name", ["q", "K", "V"])
def test_nan_spreads_no_further_than_its_head(host: Host, name: str, cache: str | None, token: int) -> None:
    """NaN in q reaches its query head, in K its group's heads, in V its element of those: all else keeps its bits."""
    prog = _program(8, 2, 64, cache)
    rng = np.random.default_rng(token)
    given = stored(prog, q=rng.normal(size=8 * 64), K=rng.normal(size=(523, 128)), V=rng.normal(size=(523, 128)))
    before = attend(host, prog, given)
    nan = np.zeros((8, 64), bool)
    place = (5 * 64 + 3,) if name == "q" else (token, 64 + 3)
    nan[{"q": np.s_[5], "K": np.s_[4:], "V": np.s_[4:, 3]}[name]] = True
    given[name][place] = np.nan if given[name].dtype == np.float16 else 0xFF
    after = attend(host, prog, given)
    assert np.array_equal(np.isnan(after), nan)
    assert np.array_equal(after[~nan], before[~nan])


def test_zeros_of_both_signs_weigh_the_same(host: Host) -> None:
    """Scores of 0 and -0 give the mean, and values of -0 give 0."""
    prog = _program(2, 1, 64, None)
    signs = np.where(np.arange(96)[:, None] % 2, -0.0, 0.0) * np.ones(64)
    values = np.repeat(np.arange(96.0)[:, None] % 3, 64, axis=1)
    given = stored(prog, q=np.ones(128), K=signs, V=values)
    assert (attend(host, prog, given) == 1).all()
    assert (attend(host, prog, given | stored(prog, V=signs)) == 0).all()


def test_the_check_itself_is_right(host: Host) -> None:
    """With one token out is its value, exactly; the reference says the same."""
    prog = _program(4, 2, 64, None)
    given = stored(prog, q=np.ones(256), K=np.ones((1, 128)), V=np.arange(128.0)[None])
    wanted = np.repeat(np.arange(128.0).reshape(2, 64), 2, axis=0)
    assert np.array_equal(attend(host, prog, given), wanted) and np.array_equal(exact(prog, given), wanted)
