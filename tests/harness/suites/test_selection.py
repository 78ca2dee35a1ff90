"""Kernels, formats and variants are selected by the options of a run."""

from __future__ import annotations

import pytest

from bandmark.errors import UsageError
from bandmark.options import RunOptions
from bandmark.suites.selection import (
    buffer_sets,
    check_variants,
    for_memory_alone,
    pick_kernels,
    planned_cases,
    selected_kernels,
)
from bandmark_kernels import CACHES, DEFAULT_KERNELS, DTYPES, KERNELS
from fakes import FakeBackend


def test_quantized_weights_take_the_place_of_gemv() -> None:
    """With weight formats gemv is in these; without gemv among the kernels they are refused."""
    kernels = selected_kernels(RunOptions(kernels=("copy", "gemv"), weights=("int8", "fp8")))
    assert [kernel.label for kernel in kernels] == ["copy", "gemv fp8", "gemv int8"]
    with pytest.raises(UsageError, match="--weights is for gemv"):
        selected_kernels(RunOptions(kernels=("copy",), weights=("int8",)))


def test_kernels_by_name() -> None:
    """Names come in the table's order, kv in all formats of a cache; all is every kernel, and no name the default."""
    assert [k.label for k in pick_kernels(["triad", "copy"])] == ["copy", "triad"]
    assert len(pick_kernels(["kv"])) == 1 + len(CACHES)
    assert len(pick_kernels(["all"])) == len(KERNELS) + len(CACHES)
    assert [k.name for k in selected_kernels(RunOptions())] == list(DEFAULT_KERNELS)


def test_heads_are_for_attention() -> None:
    """Heads change kv in all its cache formats, and are refused without kv or where no kernel has such heads."""
    kernels = selected_kernels(RunOptions(kernels=("copy", "kv"), heads=(14, 2, 64)))
    assert [k.identity.get("heads") for k in kernels] == [None, 14, 14]
    with pytest.raises(UsageError, match="--heads is for kv"):
        selected_kernels(RunOptions(kernels=("copy",), heads=(14, 2, 64)))
    with pytest.raises(UsageError, match="--heads 14,3,64"):
        selected_kernels(RunOptions(kernels=("kv",), heads=(14, 3, 64)))


def test_cases_are_planned_before_their_size() -> None:
    """Each backend has its default, then the variants asked for; a backend that can't has one case with the reason."""
    able = FakeBackend(name="one", forms=("plain", "wide"))
    cases = planned_cases(KERNELS["copy"], DTYPES["float32"], [able], ("wide",))
    assert [(c.variant, c.skip_reason, dict(c.columns)) for c in cases] == [(None, None, {}), ("wide", None, {})]
    with pytest.raises(UsageError, match="unknown variant 'narrow'"):
        check_variants(("narrow",), [KERNELS["copy"]], [able])


def test_a_variant_that_the_device_is_too_old_for_says_so() -> None:
    """Named it is a case with the reason and known by name; among all it is none, and a kernel without it has none."""
    old = FakeBackend(name="one", forms=("plain",), lacking={"wide": "wide needs a newer device"})
    for variants, expected in (
        (("wide",), [(None, None), ("wide", "wide needs a newer device")]),
        (("all",), [(None, None), ("plain", None)]),
    ):
        check_variants(variants, [KERNELS["copy"]], [old])
        cases = planned_cases(KERNELS["copy"], DTYPES["float32"], [old], variants)
        assert [(case.variant, case.skip_reason) for case in cases] == expected


def test_backends_of_one_memory_share_a_set() -> None:
    """Two backends of the host's memory need one set of arrays, two variants on a device need two."""
    host = [FakeBackend(name=name, memory_name="host") for name in ("one", "two")]
    assert buffer_sets(KERNELS["copy"], planned_cases(KERNELS["copy"], DTYPES["float32"], host, ())) == 1


def test_stores_past_the_cache_are_for_memory() -> None:
    """Of the variants that run unasked those after the first say on arrays in a cache why they do not run."""
    backend = FakeBackend(modes=("normal", "nt"), forms=("normal", "nt"))
    cases = planned_cases(KERNELS["copy"], DTYPES["float64"], [backend], ())
    assert [(case.variant, case.skip_reason) for case in cases] == [("normal", None), ("nt", None)]
    normal, nt = for_memory_alone(KERNELS["copy"], cases)
    assert normal.skip_reason is None and nt.skip_reason == "nt is for memory, and these arrays fit a cache"
