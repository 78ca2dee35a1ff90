"""Suites of the kernel table: their cases, over how many buffer sets these rotate, and what a stored row was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bandmark.device.memory import MemoryBudget
from bandmark.device.peaks import Peak
from bandmark.errors import UsageError
from bandmark.options import RunOptions
from bandmark.session.rows import Outcome, build_rows
from bandmark.suites import SUITES
from bandmark.suites.kernels import KernelGroup, _percentages
from bandmark.suites.selection import kernel_of
from bandmark.suites.table import bandwidth_columns
from bandmark_kernels import CACHES, DTYPES, KERNELS, QUANTIZED, Shape
from fakes import FAKE_GPU, PLENTY, FakeBackend, group_of, make_facts, make_group, make_peak, make_result, make_target

GIB, MIB = 2**30, 2**20
BANDWIDTH = SUITES["bandwidth"]


def plan(
    backends: list[FakeBackend], *, llc_bytes: int | None = MIB, budget: MemoryBudget = PLENTY, **options: Any
) -> list[KernelGroup]:
    """The groups of a run on fake backends whose peak is unknown."""
    for backend in backends:
        backend.device, backend.room = replace(backend.device, llc_bytes=llc_bytes), budget
    groups: Any = BANDWIDTH.plan(RunOptions(**options), make_target(backends, peak=make_peak(None)))
    return list(groups)


def host(name: str = "one", **changes: Any) -> FakeBackend:
    """A backend of the host's memory."""
    return FakeBackend(name=name, memory_name="host", **changes)


def test_a_kernel_with_one_dtype_runs_in_that() -> None:
    """Whatever dtypes are asked for, adamw runs once, in float32, and its master form in bfloat16."""
    groups = plan([host()], kernels=("copy", "adamw", "adamw_master"), dtypes=("float64", "float16"))
    assert [(g.kernel.name, g.dtype.name) for g in groups] == [
        ("copy", "float64"),
        ("copy", "float16"),
        ("adamw", "float32"),
        ("adamw_master", "bfloat16"),
    ]


def test_a_size_is_that_of_the_widest_arrays() -> None:
    """Of a kernel with bfloat16 and float32 arrays, --size is that of the latter, and the former count as half."""
    room = MemoryBudget(1, 4 * MIB, "so much")
    (group,) = plan([host()], llc_bytes=None, budget=room, kernels=("adamw_master",), size_bytes=MIB)
    assert group.shape == Shape(MIB // 4)
    assert group.kernel.working_set(group.shape, group.dtype) == 4 * MIB
    with pytest.raises(UsageError, match=r"--size 2 MiB needs 8 MiB for the 5 arrays of adamw_master.*--size 1MiB or"):
        plan([host()], llc_bytes=None, budget=room, kernels=("adamw_master",), size_bytes=2 * MIB)


def test_a_copy_in_a_layout_of_its_own_counts() -> None:
    """Torch lays fp16 weights out anew: two sets have half the room each, and a --size without room is refused."""
    backends = [host(), host("torch")]
    options: dict[str, Any] = {"llc_bytes": None, "budget": MemoryBudget(8 * MIB, 8 * MIB, "so much")}
    for name, most in (("fp16", 4), ("bf16", 8)):
        (group,) = plan(backends, **options, kernels=("gemv",), weights=(name,))
        assert 0.9 * most * MIB < group.kernel.working_set(group.shape, group.dtype) < 1.01 * most * MIB
    with pytest.raises(UsageError, match="Give --size 4MiB or less"):
        plan(backends, **options, kernels=("gemv",), weights=("fp16",), size_bytes=5 * MIB)


def test_a_group_has_every_backend_in_turn() -> None:
    """Kernels outside, dtypes within: a group per pair, a case per backend, all of one shape."""
    groups = plan([host(), host("two")], kernels=("gemv", "copy"), dtypes=("float64", "float32"))
    assert [group.label for group in groups] == ["copy float64", "copy float32", "gemv float64", "gemv float32"]
    for group in groups:
        assert [case.backend.name for case in group.cases] == ["one", "two"]
        assert [case.columns["backend"] for case in group.cases] == ["one", "two"]
        assert {(c.columns["m"], c.columns["n"]) for c in group.cases} == {(group.shape.m, group.shape.n)}
        assert {(case.variant, case.skip_reason) for case in group.cases} == {(None, None)}
        assert group.runnable == group.cases and group.min_time_s is None


def test_variants_are_cases_of_their_own() -> None:
    """What is asked for by name runs beside the default of each backend that has it; `all` means every one."""
    one = host(forms=("plain", "wide"))
    two = host("two", unsupported={"dot": "no"}, forms=("wide",))
    (asked,) = plan([one, two], kernels=("copy",), dtypes=("float64",), variants=("wide",))
    assert [(c.backend.name, c.variant) for c in asked.cases] == [
        ("one", None),
        ("one", "wide"),
        ("two", None),
        ("two", "wide"),
    ]
    (every,) = plan([one, two], kernels=("dot",), dtypes=("float64",), variants=("all",))
    assert [(c.backend.name, c.variant) for c in every.cases] == [
        ("one", None),
        ("one", "plain"),
        ("one", "wide"),
        ("two", None),
    ]


def test_variants_that_are_always_measured() -> None:
    """A variant beside the default is a case even if nobody asks for it, and one case if somebody does."""
    one = host(forms=("plain", "wide"), modes=(None, "wide"))
    for variants, expected in (((), [None, "wide"]), (("wide",), [None, "wide"]), (("all",), [None, "wide", "plain"])):
        (group,) = plan([one], kernels=("copy",), dtypes=("float64",), variants=variants)
        assert [case.variant for case in group.cases] == expected


def test_both_percentages_are_shown_where_the_peaks_differ() -> None:
    """On a B200 clock x bus is 4 % below the published peak: rows have both percentages, elsewhere one."""
    for derived, cell in ((7672.0, "91/94"), (7990.0, "91"), (None, "91")):
        facts = replace(make_facts(), peak=Peak(gbs=8000.0, derived_gbs=derived, explanation=""))
        values = _percentages(7245.0, "read", facts)
        row = make_result(**{k: v for k, v in values.items() if k.startswith("percent")})
        (column,) = (c for c in bandwidth_columns(weights=False) if c.title == "%peak")
        assert column.text(row) == cell
        assert ("clock x bus width" in BANDWIDTH.legend([row])) == ("/" in cell)


def test_an_unknown_variant_is_refused() -> None:
    """A variant that no backend has gets the nearest name and the list."""
    with pytest.raises(UsageError, match=r"unknown variant 'wid'. Did you mean 'wide'\? Choose from wide, all"):
        plan([host(forms=("wide",))], kernels=("copy",), variants=("wid",))


def test_variants_on_a_device_need_arrays_of_their_own() -> None:
    """Every case on a device holds its own arrays; on the host all work on the same ones."""
    for threads, sets in ((None, 3), (2, 1)):
        backend = host(threads=threads, forms=("plain", "wide"))
        (group,) = plan([backend], llc_bytes=GIB, kernels=("copy",), dtypes=("float32",), variants=("all",))
        assert group.shape.n == GIB // 4 // 2 // sets


def test_arrays_are_shared_or_counted_twice() -> None:
    """Backends of the same memory share a set of arrays; of different memories each has its own within the budget."""
    apart = [host(), FakeBackend(name="two", memory_name="device")]
    (one,) = plan([host(), host("two")], llc_bytes=GIB, kernels=("copy",), dtypes=("float32",))
    (two,) = plan(apart, llc_bytes=GIB, kernels=("copy",), dtypes=("float32",))
    assert one.shape.n * 4 * 2 == GIB
    assert two.shape == Shape(one.shape.n // 2)


def test_a_backend_that_does_not_run_a_case_takes_no_room() -> None:
    """An unsupported case stays in the group with its reason, is not measured, and needs no arrays."""
    backends = [host(), FakeBackend(name="two", memory_name="device", unsupported={"copy": "two passes"})]
    (group,) = plan(backends, llc_bytes=GIB, kernels=("copy",), dtypes=("float32",))
    assert group.shape.n * 4 * 2 == GIB
    assert [(case.skip_reason, case.skip_status) for case in group.cases] == [
        (None, "unsupported"),
        ("two passes", "unsupported"),
    ]
    assert [case.backend.name for case in group.runnable] == ["one"]


def test_a_group_that_nobody_runs_still_has_a_shape() -> None:
    """With every case unsupported the group stays, so that its rows can say why."""
    (group,) = plan([host(unsupported={"dot": "no"})], kernels=("dot",), dtypes=("float16",))
    assert group.runnable == () and group.shape.n > 0 and group.copies() == 1


def test_launches_share_the_room() -> None:
    """Each of two cases takes half of it for its buffer sets; a case that can't run takes none."""
    room = MemoryBudget(960_000, 960_000, "pretend")
    device = replace(FAKE_GPU, llc_bytes=10**6)
    one, two = (FakeBackend(name=name, device=device, room=room) for name in ("one", "two"))
    none = FakeBackend(name="none", device=device, room=room, unsupported={"copy": "no"})
    assert make_group("copy", [one]).copies() == 20
    assert make_group("copy", [one, two]).copies() == 10
    assert make_group("copy", [one, none]).copies() == 20
    assert make_group("copy", [none]).copies() == 1


def test_sets_in_a_layout_of_its_own_share_the_room_too() -> None:
    """Weights that torch copies into a layout of its own leave half of the room for buffer sets."""
    room, device = MemoryBudget(10**6, 10**6, "pretend"), replace(FAKE_GPU, llc_bytes=10**6)
    shape = Shape(128, m=128)
    sets = {
        name: group_of(QUANTIZED["fp16"], [FakeBackend(name=name, device=device, room=room)], shape=shape).copies()
        for name in ("cupy", "torch")
    }
    assert sets["torch"] == sets["cupy"] // 2 > 1


def test_on_a_cpu_nothing_rotates() -> None:
    """A small size on a CPU means to measure the cache, as STREAM's users do."""
    device = replace(FAKE_GPU, llc_bytes=10**6)
    assert make_group("gemv", [FakeBackend(threads=2, device=device)]).copies() == 1


def test_half_a_group_is_half_of_each_case() -> None:
    """Sizes and bytes of all cases follow the shape; one element can't be halved."""
    group = make_group("copy", [FakeBackend(name="one"), FakeBackend(name="two")], shape=Shape(7))
    half: Any = group.halved()
    assert half.shape == Shape(3) and group.halved_what == "the size"
    assert [(c.columns["n"], c.columns["bytes_read"], c.columns["backend"]) for c in half.cases] == [
        (3, 24, "one"),
        (3, 24, "two"),
    ]
    assert half.halved().halved() is None


def test_half_a_group_rotates_over_no_more_sets() -> None:
    """Smaller sets would rotate over more of them, and take the room that halving has just made."""
    device = replace(FAKE_GPU, llc_bytes=10**6)
    group: Any = make_group("copy", [FakeBackend(device=device)], shape=Shape(2**14))
    sets = group.copies()
    assert sets == -(-5 * 10**6 // 2**18) + 1 > 1
    assert make_group("copy", [FakeBackend(device=device)], shape=Shape(2**13)).copies() > sets
    while (group := group.halved()) is not None:
        assert group.copies() == sets


@pytest.mark.parametrize("kernel", [*KERNELS.values(), *QUANTIZED.values(), *CACHES.values()], ids=lambda k: k.label)
def test_a_stored_row_gives_its_case_again(kernel: Any) -> None:
    """For every kernel, format and dtype the columns of a case follow from the identity of its row."""
    for dtype in kernel.dtypes:
        group = group_of(kernel, [FakeBackend()], dtype=dtype, shape=Shape(kernel.columns or 128, m=64))
        columns = group.cases[0].columns
        (row,) = build_rows([Outcome(suite=BANDWIDTH, columns=columns, reason="x")], make_facts())
        assert BANDWIDTH.owns(row) and BANDWIDTH.case_columns(row) == columns


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel": "stencil"},
        {"n": None},
        {"dtype": "float8"},
        {"kernel": "adamw", "dtype": "float64"},
        {"kernel": "copy", "weight_format": "int8"},
        {"kernel": "gemv", "weight_format": "int9", "m": 8},
        {"kernel": "kv", "dtype": "float16", "n": 100, "m": 8, "heads": 32, "head_dim": 64},
        {"kernel": "kv", "dtype": "float16", "n": 128, "m": 8},
        {"kernel": "kv", "dtype": "float16", "n": 300, "m": 8, "heads": 32, "head_dim": 100},
    ],
)
def test_a_row_of_no_known_case(changes: dict[str, Any]) -> None:
    """A kernel, dtype, format or shape of heads that is not in the table has no columns, and is no error."""
    assert BANDWIDTH.case_columns(make_result(**changes)) is None


def test_the_kernel_of_a_row() -> None:
    """Name, format and heads tell which kernel of the table a row is of."""
    assert kernel_of(make_result()) is KERNELS["triad"]
    assert kernel_of(make_result(kernel="gemv", weight_format="int8", m=8)) is QUANTIZED["int8"]
    attention = kernel_of(make_result(kernel="kv", dtype="float16", n=128, m=8, heads=14, head_dim=64))
    assert attention is not None and (attention.identity, attention.columns) == ({"heads": 14, "head_dim": 64}, 128)


def test_dtypes_that_no_kernel_has() -> None:
    """The default dtypes are those of the device; an unknown one is refused."""
    assert [g.dtype.name for g in plan([host()], kernels=("copy",))] == ["float32", "float16"]
    with pytest.raises(UsageError, match="unknown dtype 'float46'"):
        BANDWIDTH.check(RunOptions(dtypes=("float46",)))
    assert set(DTYPES) == {"float64", "float32", "float16", "bfloat16"}
