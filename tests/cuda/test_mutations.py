"""The checks of test_host.py find broken kernels: each of many textual changes is caught, and rightly named."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from cuda_check import TABLE, awkward_shapes, call, host_source, make_program, wrong_roundings
from cuda_host import Host
from mutations import MUTATIONS, ROUNDINGS, Mutation
from mutations_packed import DECODING, PACKED_MUTATIONS
from packed_check import wrong_weights

from bandmark_kernels import DTYPES, KERNELS, PACKED
from bandmark_kernels.cuda import Program


def broken(mutation: Mutation) -> Program:
    """Return the program of a mutated kernel."""
    kernel = TABLE[mutation.kernel]
    prog = make_program(kernel, kernel.dtypes_among([DTYPES[mutation.dtype]])[0])
    assert mutation.old in prog.source, f"{mutation.label}: what is to be replaced is not in {mutation.kernel} any more"
    changed = prog.source.replace(mutation.old, mutation.new)
    return replace(prog, source=changed, options=(*prog.options, "-w"))


@pytest.fixture(scope="module")
def compiled(host: Host) -> Host:
    """Every mutant, compiled."""
    host.compile(host_source(broken(m)) for m in (*MUTATIONS, *ROUNDINGS, *PACKED_MUTATIONS, *DECODING))
    return host


@pytest.mark.parametrize(
    "mutation", [*MUTATIONS, *PACKED_MUTATIONS], ids=lambda m: f"{m.kernel}-{m.label}".replace(" ", "_")
)
def test_broken_kernel_is_caught(compiled: Host, mutation: Mutation) -> None:
    """A broken kernel fails at one of the awkward sizes, for the reason that its change makes."""
    prog = broken(mutation)
    found: list[str] = []
    for shape in awkward_shapes(prog):
        found += call(compiled, prog, shape, sm_count=48).findings
        if any(re.search(mutation.finds, finding) for finding in found):
            return
    pytest.fail(f"found {found or 'nothing'}, not {mutation.finds!r}")


@pytest.mark.parametrize("mutation", ROUNDINGS, ids=lambda m: f"{m.dtype}-{m.label}".replace(" ", "_"))
def test_broken_rounding_is_caught(compiled: Host, mutation: Mutation) -> None:
    """A conversion that is wrong for a few bit patterns alone is caught by the test of all."""
    assert any(wrong_roundings(compiled, broken(mutation), s) > 0 for s in (1.0, 1 / 3, 7.0))


@pytest.mark.parametrize("mutation", DECODING, ids=lambda m: f"{m.kernel}-{m.label}".replace(" ", "_"))
def test_broken_decoding_is_caught(compiled: Host, mutation: Mutation) -> None:
    """Weights that are decoded wrongly for a few codes or scales alone are caught by the test of all."""
    assert wrong_weights(compiled, broken(mutation)) != []


def test_every_kernel_is_broken_in_many_ways() -> None:
    """No kernel of the table goes without mutations, so a new one must bring its own, and each format some."""
    assert {name: sum(m.kernel == name for m in MUTATIONS) >= 8 for name in KERNELS} == dict.fromkeys(KERNELS, True)
    formats = [kernel.label for kernel in PACKED.values()]
    assert {m.kernel for m in PACKED_MUTATIONS} == set(formats) and len(PACKED_MUTATIONS) > 30
