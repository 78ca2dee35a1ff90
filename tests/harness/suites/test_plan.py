"""Which cases a run has and how large they are, for the systems that people have."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bandmark.device.memory import MemoryBudget, device_budget, host_budget, unified_budget
from bandmark.errors import UsageError
from bandmark.judge.warnings import regime
from bandmark.models.matrices import Matrix
from bandmark.suites.plan import LEAST_BYTES, QUICK_LEAST_BYTES, Sizing, array_bytes, plan, shape_for
from bandmark.units import parse_bytes
from bandmark_kernels import DTYPES, KERNELS, PACKED, Kernel, Shape
from fakes import PLENTY, FakeBackend
from kernel_cases import cases

GIB, MIB = 2**30, 2**20
ALL_KERNELS = list(KERNELS.values())

# Last-level cache, peak and budget as such machines report them.
SYSTEMS = {
    "DGX Spark": Sizing(llc_bytes=24 * MIB, peak_gbs=273.0, budget=unified_budget(110 * GIB)),
    "RTX PRO 5000": Sizing(llc_bytes=96 * MIB, peak_gbs=1344.0, budget=device_budget(47 * GIB)),
    "DGX Station": Sizing(llc_bytes=126 * MIB, peak_gbs=7100.0, budget=device_budget(250 * GIB)),
    "DGX Station, announced": Sizing(llc_bytes=126 * MIB, peak_gbs=8000.0, budget=device_budget(270 * GIB)),
    "laptop": Sizing(llc_bytes=12 * MIB, peak_gbs=76.8, budget=host_budget(10 * GIB)),
    "laptop, peak unknown": Sizing(llc_bytes=16 * MIB, peak_gbs=None, budget=host_budget(12 * GIB)),
    "Apple, cache unknown": Sizing(llc_bytes=None, peak_gbs=None, budget=host_budget(8 * GIB)),
}


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("kernel", ALL_KERNELS, ids=lambda k: k.name)
def test_sizes_measure_memory_and_fit(name: str, quick: bool, copies: int, kernel: Kernel) -> None:
    """On each named system and on laptops every case is in the dram regime, lasts 1 ms at the peak, and fits."""
    sizing = replace(SYSTEMS[name], quick=quick)
    size = array_bytes(kernel, sizing, copies)
    (dtype, *_) = kernel.dtypes_among([DTYPES["float32"]])
    shape = shape_for(kernel, dtype, size)
    held = kernel.working_set(shape, dtype)
    vectors = held - sum(o.nbytes(shape, dtype) for o in kernel.large)
    assert (held - vectors) * copies <= sizing.budget.default_bytes
    assert sizing.llc_bytes is None or regime(held, sizing.llc_bytes) == "dram"
    moved = kernel.bytes_read(shape, dtype) + kernel.bytes_written(shape, dtype)
    if sizing.peak_gbs:
        assert moved / (sizing.peak_gbs * 1e9) >= 0.99e-3
    if not quick:
        assert size >= max(8 * (sizing.llc_bytes or 0), 256 * MIB)


@pytest.mark.parametrize(
    ("name", "triad", "quick"),
    [
        # Eight caches below 256 MiB; a millisecond of 273 GB/s is less.
        ("DGX Spark", LEAST_BYTES, math.ceil(273e6 / 3)),
        ("RTX PRO 5000", 8 * 96 * MIB, math.ceil(1344e6 / 3)),
        # A millisecond of 7.1 TB/s in three words.
        ("DGX Station", math.ceil(7100e6 / 3), math.ceil(7100e6 / 3)),
        ("laptop", LEAST_BYTES, QUICK_LEAST_BYTES),
        ("Apple, cache unknown", LEAST_BYTES, QUICK_LEAST_BYTES),
    ],
)
def test_sizes_of_triad(name: str, triad: int, quick: int) -> None:
    """The largest of eight caches (quick: the border of the dram regime), the least size, and 1 ms of traffic."""
    sizing = SYSTEMS[name]
    assert array_bytes(KERNELS["triad"], sizing) == triad
    assert array_bytes(KERNELS["triad"], replace(sizing, quick=True)) == quick


def test_quick_cases_stay_just_in_the_dram_regime() -> None:
    """A quick case on a large cache has the smallest working set that still counts as memory, with 5 % to spare."""
    sizing = Sizing(llc_bytes=480 * MIB, peak_gbs=None, budget=host_budget(32 * GIB), quick=True)
    for kernel in ALL_KERNELS:
        total = array_bytes(kernel, sizing) * kernel.footprint
        assert 4.0 * 480 * MIB < total < 4.3 * 480 * MIB


@given(
    st.sampled_from(ALL_KERNELS),
    st.integers(0, 2 * GIB),
    st.floats(0, 1e4),
    st.integers(1000, 2**36),
    st.integers(1, 3),
    st.booleans(),
)
def test_no_default_size_exceeds_the_budget(
    kernel: Kernel, llc: int, peak: float, budget: int, copies: int, quick: bool
) -> None:
    """Whatever cache and peak ask for, all large arrays together stay within the budget."""
    sizing = Sizing(llc_bytes=llc, peak_gbs=peak, budget=MemoryBudget(budget, budget, ""), quick=quick)
    assert array_bytes(kernel, sizing, copies) * kernel.footprint * copies <= budget


def test_a_size_asked_for_is_taken_as_it_is() -> None:
    """--size within the limit is used, below the default sizes too and above the default budget."""
    budget = MemoryBudget(100, 10 * GIB, "")
    for size in (8, 5 * MIB, 3 * GIB):
        sizing = Sizing(llc_bytes=GIB, peak_gbs=None, budget=budget, asked_bytes=size)
        assert array_bytes(KERNELS["triad"], sizing) == size


@given(st.sampled_from(ALL_KERNELS), st.integers(100, 2**40), st.integers(1, 2**42), st.integers(1, 2))
def test_a_size_that_does_not_fit_is_refused_with_one_that_does(
    kernel: Kernel, limit: int, asked: int, copies: int
) -> None:
    """The message has the size, the need, the limit and a size; that size, given in turn, is accepted."""
    arrays = kernel.footprint * copies
    assume(asked * arrays > limit)
    sizing = Sizing(
        llc_bytes=None, peak_gbs=None, budget=MemoryBudget(10, limit, "so much is available"), asked_bytes=asked
    )
    with pytest.raises(UsageError) as refused:
        array_bytes(kernel, sizing, copies)
    advice = re.search(r"Give --size (\S+) or less", str(refused.value))
    assert advice is not None
    better = replace(sizing, asked_bytes=parse_bytes(advice[1]))
    assert array_bytes(kernel, better, copies) * arrays <= limit


def test_the_message_of_a_size_that_does_not_fit() -> None:
    """The sentence as a user reads it."""
    sizing = Sizing(llc_bytes=None, peak_gbs=None, budget=host_budget(16 * GIB), asked_bytes=4 * GIB)
    with pytest.raises(UsageError) as refused:
        array_bytes(KERNELS["triad"], sizing)
    assert str(refused.value) == (
        "--size 4 GiB needs 12 GiB for the 3 arrays of triad, but 16 GiB of system memory are available, and half of "
        "that may be used: 8 GiB. Give --size 2730MiB or less."
    )


@given(st.sampled_from(cases()), st.integers(1, 2**36))
def test_shapes_hold_whole_elements_and_no_more_than_asked(case: tuple[str, str], size: int) -> None:
    """Large arrays have at most the bytes asked for, and lose less than one element, or one row and a cache line.

    There is always one element; of a matrix whose kernel says how many columns there are, one row.
    """
    kernel, dtype = KERNELS[case[0]], DTYPES[case[1]]
    shape = shape_for(kernel, dtype, size)
    itemsize = kernel.element(dtype).itemsize
    assert shape.n >= 1
    least = kernel.columns or 1
    assert shape.n_elements * itemsize <= max(size, least * itemsize)
    lost = max(least, size // itemsize) - shape.n_elements
    assert lost == 0 if shape.m is None else 0 <= lost < shape.n


@given(st.integers(1, 2**36))
def test_matrices_are_nearly_square(size: int) -> None:
    """Rows and columns differ by little, and rows of 64 elements and more are a multiple of 64 long."""
    shape = shape_for(KERNELS["gemv"], DTYPES["float32"], size)
    assert shape.m is not None
    assert shape.n < 64 or shape.n % 64 == 0
    assert shape.n <= shape.m
    # Rounding n down to a multiple of 64 costs at most half of it.
    assert shape.m <= 4 * shape.n + 3
    assert size < 10**8 or shape.m <= 1.04 * shape.n


def test_a_kernel_with_one_dtype_runs_in_that() -> None:
    """Whatever dtypes are asked for, adamw runs once, in float32, and its master form in bfloat16."""
    kernels = [KERNELS[name] for name in ("copy", "adamw", "adamw_master")]
    groups = plan(kernels, [DTYPES["float64"], DTYPES["float16"]], [numpy_like()], SIZING)
    assert [(g.kernel.name, g.dtype.name) for g in groups] == [
        ("copy", "float64"),
        ("copy", "float16"),
        ("adamw", "float32"),
        ("adamw_master", "bfloat16"),
    ]


def test_a_size_is_that_of_the_widest_arrays() -> None:
    """Of a kernel with bfloat16 and float32 arrays, --size is that of the latter, and the former count as half."""
    sizing = Sizing(llc_bytes=None, peak_gbs=None, budget=MemoryBudget(1, 4 * MIB, "so much"), asked_bytes=MIB)
    (group,) = plan([KERNELS["adamw_master"]], [], [numpy_like()], sizing)
    assert group.shape == Shape(MIB // 4)
    assert group.kernel.working_set(group.shape, group.dtype) == 4 * MIB
    with pytest.raises(UsageError, match=r"--size 2 MiB needs 8 MiB for the 5 arrays of adamw_master.*--size 1MiB or"):
        plan([KERNELS["adamw_master"]], [], [numpy_like()], replace(sizing, asked_bytes=2 * MIB))


def test_a_copy_in_a_layout_of_its_own_counts() -> None:
    """Torch lays fp16 weights out anew: two sets have half the room each, and a --size without room is refused."""
    torch = FakeBackend(name="torch", memory_name="host")
    budget = MemoryBudget(8 * MIB, 8 * MIB, "so much")
    sizing = Sizing(llc_bytes=None, peak_gbs=None, budget=budget)
    for name, most in (("fp16", 4), ("bf16", 8)):
        (group,) = plan([PACKED[name]], [DTYPES["float32"]], [numpy_like(), torch], sizing)
        assert 0.9 * most * MIB < group.kernel.working_set(group.shape, group.dtype) < 1.01 * most * MIB
    with pytest.raises(UsageError, match="Give --size 4MiB or less"):
        plan([PACKED["fp16"]], [], [numpy_like(), torch], replace(sizing, asked_bytes=5 * MIB))


def numpy_like(**changes: object) -> FakeBackend:
    """A backend of the host's memory."""
    return FakeBackend(name="one", memory_name="host", **changes)  # type: ignore[arg-type]


SIZING = Sizing(llc_bytes=MIB, peak_gbs=None, budget=PLENTY)


def test_a_group_has_every_backend_in_turn() -> None:
    """Kernels outside, dtypes within: a group per pair, a case per backend, all of one shape."""
    one, two = numpy_like(), FakeBackend(name="two", memory_name="host")
    kernels = [KERNELS[name] for name in ("copy", "gemv")]
    dtypes = [DTYPES["float64"], DTYPES["float32"]]
    groups = plan(kernels, dtypes, [one, two], SIZING)
    assert [(g.kernel.name, g.dtype.name) for g in groups] == [
        ("copy", "float64"),
        ("copy", "float32"),
        ("gemv", "float64"),
        ("gemv", "float32"),
    ]
    for group in groups:
        assert [case.backend.name for case in group.cases] == ["one", "two"]
        assert {(case.shape, case.variant, case.skip_reason) for case in group.cases} == {(group.shape, None, None)}
        assert group.runnable == group.cases


def test_variants_are_cases_of_their_own() -> None:
    """What is asked for by name runs beside the default of each backend that has it; `all` means every one."""
    one = numpy_like(forms=("plain", "wide"))
    two = FakeBackend(name="two", memory_name="host", unsupported={"dot": "no"}, forms=("wide",))
    asked = plan([KERNELS["copy"]], [DTYPES["float64"]], [one, two], SIZING, ["wide"])[0]
    assert [(c.backend.name, c.variant) for c in asked.cases] == [
        ("one", None),
        ("one", "wide"),
        ("two", None),
        ("two", "wide"),
    ]
    every = plan([KERNELS["dot"]], [DTYPES["float64"]], [one, two], SIZING, ["all"])[0]
    assert [(c.backend.name, c.variant) for c in every.cases] == [
        ("one", None),
        ("one", "plain"),
        ("one", "wide"),
        ("two", None),
    ]


def test_an_unknown_variant_is_refused() -> None:
    """A variant that no backend has gets the nearest name and the list."""
    with pytest.raises(UsageError, match=r"unknown variant 'wid'. Did you mean 'wide'\? Choose from wide, all"):
        plan([KERNELS["copy"]], [DTYPES["float64"]], [numpy_like(forms=("wide",))], SIZING, ["wid"])


def test_variants_on_a_device_need_arrays_of_their_own() -> None:
    """Every case on a device holds its own arrays; on the host all work on the same ones."""
    sizing = Sizing(llc_bytes=GIB, peak_gbs=None, budget=PLENTY)
    for threads, sets in ((None, 3), (2, 1)):
        backend = numpy_like(threads=threads, forms=("plain", "wide"))
        (group,) = plan([KERNELS["copy"]], [DTYPES["float32"]], [backend], sizing, ["all"])
        assert group.shape.n == GIB // 4 // 2 // sets


def test_arrays_are_shared_or_counted_twice() -> None:
    """Backends of the same memory share a set of arrays; of different memories each has its own within the budget."""
    shared = [numpy_like(), FakeBackend(name="two", memory_name="host")]
    apart = [numpy_like(), FakeBackend(name="two", memory_name="device")]
    sizing = Sizing(llc_bytes=GIB, peak_gbs=None, budget=PLENTY)
    (one,) = plan([KERNELS["copy"]], [DTYPES["float32"]], shared, sizing)
    (two,) = plan([KERNELS["copy"]], [DTYPES["float32"]], apart, sizing)
    assert one.shape.n * 4 * 2 == GIB
    assert two.shape == Shape(one.shape.n // 2)


def test_a_backend_that_does_not_run_a_case_takes_no_room() -> None:
    """An unsupported case stays in the group with its reason, is not measured, and needs no arrays."""
    backends = [numpy_like(), FakeBackend(name="two", memory_name="device", unsupported={"copy": "two passes"})]
    sizing = Sizing(llc_bytes=GIB, peak_gbs=None, budget=PLENTY)
    (group,) = plan([KERNELS["copy"]], [DTYPES["float32"]], backends, sizing)
    assert group.shape.n * 4 * 2 == GIB
    assert [case.skip_reason for case in group.cases] == [None, "two passes"]
    assert [case.backend.name for case in group.runnable] == ["one"]


def test_a_group_that_nobody_runs_still_has_a_shape() -> None:
    """With every case unsupported the group stays, so that its rows can say why."""
    (group,) = plan([KERNELS["dot"]], [DTYPES["float16"]], [numpy_like(unsupported={"dot": "no"})], SIZING)
    assert group.runnable == () and group.shape.n > 0


@pytest.mark.parametrize("kernel", PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("size", [1, 5000, 10**6, 256 * 2**20])
def test_packed_rows_are_whole_groups(kernel: Kernel, size: int) -> None:
    """Rows of packed weights are whole groups, and the codes have at most the size asked for, or are one short row."""
    shape = shape_for(kernel, DTYPES["float32"], size)
    assert shape.m and shape.n % 64 == 0
    codes = kernel.large[0].nbytes(shape, DTYPES["float32"])
    assert len(kernel.large) == 1 and (codes <= size or shape == Shape(64, m=1))
    assert size < 10**6 or codes > 0.98 * size


MATRICES = (Matrix("my-model", "qkv", 640, 128, 4), Matrix("my-model", "down", 128, 200, 4))


def test_a_models_matrices_are_groups_of_their_own() -> None:
    """A matrix is planned once per format, with its rows and columns, in every format; other kernels are as ever."""
    sizing = Sizing(llc_bytes=1000, peak_gbs=None, budget=PLENTY, matrices=MATRICES)
    kernels = [KERNELS["read"], KERNELS["gemv"], PACKED["int8"]]
    groups = plan(kernels, [DTYPES["float32"]], [FakeBackend()], sizing)
    assert [(g.kernel.label, g.shape) for g in groups[1:]] == [
        ("gemv", Shape(128, m=640)),
        ("gemv", Shape(200, m=128)),
        ("gemv int8", Shape(128, m=640)),
        ("gemv int8", Shape(200, m=128)),
    ]
    assert [g.is_layer for g in groups] == [False, True, True, True, True]
    assert [g.cases[0].layer for g in groups] == [None, *MATRICES, *MATRICES]
    assert groups[0].shape.m is None and groups[0].shape.n_elements * 4 >= LEAST_BYTES


def test_what_can_not_be_packed_says_so() -> None:
    """Rows of packed weights are whole groups: 200 weights are none, and the row is unsupported; plain ones run."""
    sizing = Sizing(llc_bytes=1000, peak_gbs=None, budget=PLENTY, matrices=MATRICES)
    able, unable = FakeBackend(), FakeBackend(name="none", unsupported={"gemv": "has no op"})
    plain = plan([KERNELS["gemv"]], [DTYPES["float32"]], [able, unable], sizing)
    packed = plan([PACKED["int8"]], [DTYPES["float32"]], [able, unable], sizing)
    assert all(group.cases[0].skip_reason is None for group in (*plain, packed[0]))
    case, other = packed[1].cases
    assert case.skip_reason == "its rows have 200 weights, and packed rows a multiple of 64"
    assert (case.skip_status, other.skip_status, other.skip_reason) == ("unsupported", "unsupported", "has no op")


def test_a_matrix_without_room_is_skipped() -> None:
    """A model's matrix is measured as it is or not at all: what exceeds the limit is left out, with need and limit."""
    budget = MemoryBudget(10**9, 400_000, "so much is free")
    sizing = Sizing(llc_bytes=1000, peak_gbs=None, budget=budget, matrices=MATRICES)
    large, small = plan([KERNELS["gemv"]], [DTYPES["float32"]], [FakeBackend()], sizing)
    assert small.runnable and large.runnable
    two = [FakeBackend(name="one", memory_name="one"), FakeBackend(name="two", memory_name="two")]
    large, small = plan([KERNELS["gemv"]], [DTYPES["float32"]], two, sizing)
    assert small.runnable and not large.runnable
    assert {case.skip_status for case in large.cases} == {"skipped"}
    assert large.cases[0].skip_reason == "it needs 646 KiB, but so much is free: 391 KiB"
