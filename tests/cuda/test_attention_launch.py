"""Programs and launches of kv follow from its heads, the tokens and the device."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cuda_check import geometry_of, workspace_bytes
from hypothesis import given
from hypothesis import strategies as st

from bandmark_kernels import CACHES, DTYPES, KERNELS, Kernel, Shape
from bandmark_kernels.attention.kv import _MAX_GROUP, _MIN_SPLIT_ROUNDS, _TILE_TOKENS, kv_kernel
from bandmark_kernels.core.cuda import Program, launches, program

MIB = 1 << 20
sm_counts = st.integers(1, 160)
caches = pytest.mark.parametrize("kernel", [KERNELS["kv"], CACHES["fp8"]], ids=lambda k: k.label)


@st.composite
def forms(draw: st.DrawFn) -> Kernel:
    """Return a kernel for heads of any number and size."""
    head_dim, kv_heads = draw(st.sampled_from(list(_MAX_GROUP))), draw(st.integers(1, 64))
    group = draw(st.integers(1, _MAX_GROUP[head_dim]))
    return kv_kernel(group * kv_heads, kv_heads, head_dim, draw(st.sampled_from([None, "fp8"])))


def _program(kernel: Kernel) -> Program:
    return program(kernel, DTYPES["float16"], "v16", capability=(10, 3))


@given(forms(), st.integers(1, 1 << 22), sm_counts)
def test_tokens_are_split_as_far_as_the_device_has_room(kernel: Kernel, m: int, sm_count: int) -> None:
    """A KV head is a block, times as many ranges as are resident at once, of four rounds at least."""
    prog = _program(kernel)
    plan = launches(prog, Shape(kernel.columns or 0, m), sm_count=sm_count)
    (heads, ranges, _), resident = plan.steps[0].grid, sm_count * prog.layout.blocks_per_sm
    least = _MIN_SPLIT_ROUNDS * _TILE_TOKENS * prog.layout.unroll * prog.layout.threads // 32
    geometry = geometry_of(kernel)
    assert geometry and heads == geometry.kv_heads
    assert ranges == 1 or (heads * ranges <= resident and m // ranges >= least)
    assert heads * (ranges + 1) > resident or m // (ranges + 1) < least
    assert len(plan.steps) == (2 if ranges > 1 else 1)


@given(forms(), st.integers(1, 1 << 22), sm_counts)
def test_the_finish_has_a_thread_for_each_word_of_out(kernel: Kernel, m: int, sm_count: int) -> None:
    """Its blocks cover out and no block is idle; the workspace has room for each range's sums, tops and weights."""
    prog = _program(kernel)
    plan = launches(prog, Shape(kernel.columns or 0, m), sm_count=sm_count)
    form = geometry_of(kernel)
    assert form is not None
    if len(plan.steps) == 2:
        ranges = plan.steps[0].grid[1]
        assert plan.steps[1].grid == (-(-form.heads * form.head_dim // (2 * prog.layout.threads)), 1, 1)
        assert plan.workspace_elements == ranges * form.heads * (form.head_dim + 2)
        assert [int(a) for a in plan.steps[1].arguments(_arrays(kernel))[2:]] == [form.heads, ranges]


@given(forms(), sm_counts)
def test_workspace_is_below_one_percent_at_memory_size(kernel: Kernel, sm_count: int) -> None:
    """From 256 MiB of keys on, writing and reading the workspace moves less than 1 % of the counted bytes."""
    dtype, columns = DTYPES["float16"], kernel.columns or 0
    shape = Shape(columns, -(-8 * 256 * MIB // (columns * kernel.element_bits(dtype))))
    plan = launches(_program(kernel), shape, sm_count=sm_count)
    assert 2 * workspace_bytes(plan) < (kernel.bytes_read(shape, dtype) + kernel.bytes_written(shape, dtype)) / 100


@caches
def test_scales_that_a_cache_has_not_are_null(kernel: Kernel) -> None:
    """Every cache's kernel takes the same arguments, and null for scales that it does not have."""
    step = launches(_program(kernel), Shape(1024, 5), sm_count=1).steps[0]
    assert [a.name for a in step.args] == ["K", "V", "k_scale", "v_scale", "q", "out", "workspace", "m"]
    scales = step.arguments(_arrays(kernel))[2:4]
    if kernel.weight_format:
        assert all(isinstance(a, np.ndarray) and a.dtype == np.float32 for a in scales)
    else:
        assert all(a == np.uint64(0) and a.dtype == np.uint64 for a in scales)


@given(forms())
def test_macros_say_how_the_heads_lie(kernel: Kernel) -> None:
    """The source is told the geometry, the unit of a score, and a layout that fits what the tensor cores hold."""
    form, prog = geometry_of(kernel), _program(kernel)
    assert form is not None
    macros = dict(o.removeprefix("-D").split("=") for o in prog.options if o.startswith("-D"))
    assert [int(macros[n]) for n in ("HEAD_DIM", "KV_HEADS", "GROUP")] == [form.head_dim, form.kv_heads, form.group]
    assert (macros["FP8"], macros["ELEMENT"]) == ("1" if form.cache_format else "0", "float16")
    assert float(macros["SCORE_UNIT"].rstrip("f")) == pytest.approx(math.log2(math.e) / form.head_dim**0.5, rel=1e-8)
    bytes_in_flight = prog.layout.unroll * form.head_dim * kernel.element_bits(DTYPES["float16"]) // 8
    assert bytes_in_flight >= 192
    assert prog.layout.unroll == 1 or bytes_in_flight == 256


def _arrays(kernel: Kernel) -> dict[str, np.ndarray]:
    """Return an array for each argument that is one."""
    dtype = DTYPES["float16"]
    return {o.name: np.zeros(4, o.stored_as(dtype)) for o in kernel.operands} | {"workspace": np.zeros(4, np.float32)}
