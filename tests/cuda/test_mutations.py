"""The checks of test_host.py find broken kernels: each of many textual changes is caught, and rightly named.

One of each kind is a test of `make test`, all are `make mutants`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from attention_check import wrong_codes
from cuda_check import TABLE, awkward_shapes, call, make_program, many_tiles, wrong_roundings
from cuda_host import Host
from extremes_check import BELOW, SLOPES, small_weights_error, steep_error
from mutations import MUTATIONS, RINGS, ROUNDINGS, Mutation
from mutations_kv import KV_DECODING, KV_EXTREMES, KV_MUTATIONS
from mutations_packed import DECODING, PACKED_MUTATIONS
from packed_check import wrong_weights

from bandmark_kernels import CACHES, DTYPES, KERNELS, QUANTIZED, Kernel
from bandmark_kernels.attention.kv import kv_kernel
from bandmark_kernels.core.cuda import Program

ORDINARY = [*MUTATIONS, *PACKED_MUTATIONS, *KV_MUTATIONS]


def one_of_each(mutations: Sequence[Mutation], kind: Callable[[Mutation], str]) -> list[Any]:
    """Return the mutations as parameters: the first of each kind is tested always."""
    firsts = {kind(m): m for m in reversed(mutations)}.values()
    return [
        pytest.param(m, marks=[] if m in firsts else pytest.mark.mutants, id=f"{m.kernel}-{m.label}".replace(" ", "_"))
        for m in mutations
    ]


FEW_HEADS = {kernel.label: kernel for kernel in (kv_kernel(8, 2, 128), kv_kernel(8, 2, 128, "fp8"))}
"""Attention with a quarter of the heads, which takes a quarter of the time."""


def broken(mutation: Mutation, kernel: Kernel | None = None) -> Program:
    """Return the program of a mutated kernel: of the table, or for other heads."""
    kernel = kernel or FEW_HEADS.get(mutation.kernel) or TABLE[mutation.kernel]
    prog = make_program(kernel, kernel.dtypes_among([DTYPES[mutation.dtype]])[0], mutation.variant)
    assert mutation.old in prog.source, f"{mutation.label}: what is to be replaced is not in {mutation.kernel} any more"
    changed = prog.source.replace(mutation.old, mutation.new)
    return replace(prog, source=changed, options=(*prog.options, "-w"))


@pytest.mark.parametrize("mutation", one_of_each(ORDINARY, lambda m: m.finds))
def test_broken_kernel_is_caught(host: Host, mutation: Mutation) -> None:
    """A broken kernel fails at one of the awkward sizes, for the reason that its change makes."""
    prog = broken(mutation)
    found: list[str] = []
    for shape in awkward_shapes(prog):
        found += call(host, prog, shape, sm_count=48).findings
        if any(re.search(mutation.finds, finding) for finding in found):
            return
    pytest.fail(f"found {found or 'nothing'}, not {mutation.finds!r}")


@pytest.mark.parametrize("mutation", one_of_each(RINGS, lambda m: m.variant))
def test_broken_ring_is_caught(host: Host, mutation: Mutation) -> None:
    """A ring of stages that is right for its first round is caught where a block has many tiles."""
    prog = broken(mutation)
    assert call(host, prog, many_tiles(prog), sm_count=1).findings != ()


@pytest.mark.parametrize("mutation", one_of_each(ROUNDINGS, lambda m: m.dtype))
def test_broken_rounding_is_caught(host: Host, mutation: Mutation) -> None:
    """A conversion that is wrong for a few bit patterns alone is caught by the test of all."""
    assert any(wrong_roundings(host, broken(mutation), s) > 0 for s in (1.0, 1 / 3, 7.0))


@pytest.mark.parametrize("mutation", one_of_each(DECODING, lambda m: m.finds))
def test_broken_decoding_is_caught(host: Host, mutation: Mutation) -> None:
    """Weights that are decoded wrongly for a few codes or scales alone are caught by the test of all."""
    assert wrong_weights(host, broken(mutation)) != []


@pytest.mark.parametrize("mutation", one_of_each(KV_DECODING, lambda m: m.kernel))
def test_broken_decoding_of_a_cache_is_caught(host: Host, mutation: Mutation) -> None:
    """Codes of a cache that are decoded wrongly, however few, are caught by the test of all."""
    assert wrong_codes(host, broken(mutation, kv_kernel(16, 16, 64, "fp8"))) != []


@pytest.mark.parametrize("mutation", one_of_each(KV_EXTREMES, lambda m: m.kernel))
def test_broken_softmax_is_caught(host: Host, mutation: Mutation) -> None:
    """A softmax that is right while scores are close together is caught by those that are far apart."""
    prog = broken(mutation, kv_kernel(2, 1, 64))
    errors = (steep_error(host, prog, *case) for case in (*((slope,) for slope in SLOPES), (0.02, BELOW)))
    assert small_weights_error(host, prog) > 1 or any(error > 1 for error in errors)


def test_every_kernel_is_broken_in_many_ways() -> None:
    """No kernel of the table goes without mutations, so a new one must bring its own, and each format some."""
    counts = {name: sum(m.kernel == name for m in ORDINARY) for name in (*KERNELS, *(k.label for k in CACHES.values()))}
    assert [name for name, count in counts.items() if count < 8] == []
    formats = [kernel.label for kernel in QUANTIZED.values()]
    assert {m.kernel for m in PACKED_MUTATIONS} == set(formats) and len(PACKED_MUTATIONS) > 30
