"""How large arrays are on the systems that people have, and over how many buffer sets launches rotate."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bandmark.device.memory import MemoryBudget, device_budget, host_budget, unified_budget
from bandmark.errors import UsageError
from bandmark.judge.warnings import DRAM_FROM, regime
from bandmark.suites.sizing import (
    _MIN_BYTES,
    _QUICK_MIN_BYTES,
    _ROTATED_CACHES,
    HIDDEN_LLC_BYTES,
    MAX_SETS,
    Sizing,
    array_bytes,
    halved,
    max_traffic,
    repacked_sets,
    rotation_sets,
    shape_for,
)
from bandmark.units import parse_bytes
from bandmark_kernels import DTYPES, KERNELS, QUANTIZED, Kernel, Shape
from fakes import FakeBackend
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
@pytest.mark.parametrize("sets", [1, 2])
@pytest.mark.parametrize("kernel", ALL_KERNELS, ids=lambda k: k.name)
def test_sizes_measure_memory_and_fit(name: str, quick: bool, sets: int, kernel: Kernel) -> None:
    """On each named system and on laptops every case is in the dram regime, lasts 1 ms at the peak, and fits."""
    sizing = replace(SYSTEMS[name], quick=quick)
    size = array_bytes(kernel, sizing, sets)
    (dtype, *_) = kernel.dtypes_among([DTYPES["float32"]])
    shape = shape_for(kernel, dtype, size)
    held = kernel.working_set(shape, dtype)
    vectors = held - sum(o.nbytes(shape, dtype) for o in kernel.large)
    assert (held - vectors) * sets <= sizing.budget.default_bytes
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
        ("DGX Spark", _MIN_BYTES, math.ceil(273e6 / 3)),
        ("RTX PRO 5000", 8 * 96 * MIB, math.ceil(1344e6 / 3)),
        # A millisecond of 7.1 TB/s in three words.
        ("DGX Station", math.ceil(7100e6 / 3), math.ceil(7100e6 / 3)),
        ("laptop", _MIN_BYTES, _QUICK_MIN_BYTES),
        ("Apple, cache unknown", _MIN_BYTES, _QUICK_MIN_BYTES),
    ],
)
def test_sizes_of_triad(name: str, triad: int, quick: int) -> None:
    """The largest of eight caches (quick: the border of the dram regime), the least size, and 1 ms of traffic."""
    sizing = SYSTEMS[name]
    assert array_bytes(KERNELS["triad"], sizing) == triad
    assert array_bytes(KERNELS["triad"], replace(sizing, quick=True)) == quick


def test_reductions_move_what_three_milliseconds_do() -> None:
    """A reduction has a second launch, so it moves three times as much as the 1 ms of others, where that is more."""
    sizing = Sizing(llc_bytes=50 * MIB, peak_gbs=3350.0, budget=device_budget(80 * GIB))
    copy, read, dot = (KERNELS[name].traffic * array_bytes(KERNELS[name], sizing) for name in ("copy", "read", "dot"))
    assert (copy, read, dot) == tuple(pytest.approx(ms * 3.35e9, rel=1e-6) for ms in (1, 3, 3))


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
    kernel: Kernel, llc: int, peak: float, budget: int, sets: int, quick: bool
) -> None:
    """Whatever cache and peak ask for, all large arrays together stay within the budget."""
    sizing = Sizing(llc_bytes=llc, peak_gbs=peak, budget=MemoryBudget(budget, budget, ""), quick=quick)
    assert array_bytes(kernel, sizing, sets) * kernel.footprint * sets <= budget


def test_a_size_asked_for_is_taken_as_it_is() -> None:
    """--size within the limit is used, below the default sizes too and above the default budget."""
    budget = MemoryBudget(100, 10 * GIB, "")
    for size in (8, 5 * MIB, 3 * GIB):
        sizing = Sizing(llc_bytes=GIB, peak_gbs=None, budget=budget, size_bytes=size)
        assert array_bytes(KERNELS["triad"], sizing) == size


@given(st.sampled_from(ALL_KERNELS), st.integers(100, 2**40), st.integers(1, 2**42), st.integers(1, 2))
def test_a_size_that_does_not_fit_is_refused_with_one_that_does(
    kernel: Kernel, limit: int, asked: int, sets: int
) -> None:
    """The message has the size, the need, the limit and a size; that size, given in turn, is accepted."""
    arrays = kernel.footprint * sets
    assume(asked * arrays > limit)
    sizing = Sizing(
        llc_bytes=None, peak_gbs=None, budget=MemoryBudget(10, limit, "so much is available"), size_bytes=asked
    )
    with pytest.raises(UsageError) as refused:
        array_bytes(kernel, sizing, sets)
    advice = re.search(r"Give --size (\S+) or less", str(refused.value))
    assert advice is not None
    better = replace(sizing, size_bytes=parse_bytes(advice[1]))
    assert array_bytes(kernel, better, sets) * arrays <= limit


def test_the_message_of_a_size_that_does_not_fit() -> None:
    """The sentence as a user reads it."""
    sizing = Sizing(llc_bytes=None, peak_gbs=None, budget=host_budget(16 * GIB), size_bytes=4 * GIB)
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
    itemsize = kernel.element_bits(dtype) // 8
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


@pytest.mark.parametrize("kernel", QUANTIZED.values(), ids=QUANTIZED)
@pytest.mark.parametrize("size", [1, 5000, 10**6, 256 * 2**20])
def test_quantized_rows_are_whole_groups(kernel: Kernel, size: int) -> None:
    """Rows of quantized weights are whole scale groups; codes have at most the size asked for, or are one short row."""
    shape = shape_for(kernel, DTYPES["float32"], size)
    assert shape.m and shape.n % 64 == 0
    codes = kernel.large[0].nbytes(shape, DTYPES["float32"])
    assert len(kernel.large) == 1 and (codes <= size or shape == Shape(64, m=1))
    assert size < 10**6 or codes > 0.98 * size


@pytest.mark.parametrize("kernel", ALL_KERNELS, ids=lambda k: k.name)
def test_time_bounds_the_size_down_to_the_dram_regime(kernel: Kernel) -> None:
    """Where launches would take too long arrays become smaller, but the working set stays memory's."""
    room = MemoryBudget(64 * GIB, 64 * GIB, "")
    sizing = Sizing(llc_bytes=480 * MIB, peak_gbs=None, budget=room, max_traffic_bytes=1.0)
    quick = replace(sizing, quick=True)
    assert array_bytes(kernel, sizing) == array_bytes(kernel, quick)
    assert array_bytes(kernel, sizing) * kernel.footprint > DRAM_FROM * 480 * MIB
    roomy = replace(sizing, max_traffic_bytes=math.inf)
    assert array_bytes(kernel, roomy) == 8 * 480 * MIB
    middle = replace(sizing, max_traffic_bytes=kernel.traffic * 4 * 480 * MIB)
    assert array_bytes(kernel, middle) == max(4 * 480 * MIB, array_bytes(kernel, quick))


def test_traffic_that_leaves_time_for_every_sample() -> None:
    """Two cases of 20 samples at 10 GB/s share 4 s of a group: each launch may move 60 % of 1/40 of 40 GB."""
    assert max_traffic(10.0, 4.0, 2, 20) == pytest.approx(0.6e9)


def test_half_a_vector_and_half_a_matrix() -> None:
    """Vectors lose half their elements, matrices half their rows, and the last row half its columns."""
    gemv = KERNELS["gemv"]
    assert halved(KERNELS["copy"], Shape(7)) == Shape(3)
    assert halved(gemv, Shape(60, m=50)) == Shape(60, m=25)
    assert halved(gemv, Shape(60, m=1)) == Shape(30, m=1)


def test_rows_of_scale_groups_are_never_cut() -> None:
    """The last row of quantized weights stays whole: there is nothing left to halve."""
    assert halved(QUANTIZED["int8"], Shape(64, m=1)) == Shape(64, m=1)


def test_sets_that_a_library_lays_out_anew() -> None:
    """Torch copies fp16 weights into a layout of its own, and no other library and format does."""
    torch, other = FakeBackend(name="torch"), FakeBackend(name="cupy")
    assert repacked_sets(QUANTIZED["fp16"], [other, torch]) == 1
    assert repacked_sets(QUANTIZED["fp16"], [other]) == repacked_sets(KERNELS["copy"], [torch]) == 0


@pytest.mark.parametrize(
    ("set_bytes", "llc_bytes", "room_bytes", "sets"),
    [
        (4 * MIB, MIB, 2**30, 1),
        (4 * MIB - 1, MIB, 2**30, 3),
        (MIB // 8, MIB, 2**30, 41),
        (1000, MIB, 2**30, MAX_SETS),
        (MIB // 8, MIB, MIB, 8),
        (MIB // 8, MIB, 0, 1),
        (1000, None, 2**30, 1),
    ],
)
def test_how_many(set_bytes: int, llc_bytes: int | None, room_bytes: int, sets: int) -> None:
    """Five caches and a set, at most 64 sets and what has room; one set where the cache is small or unknown."""
    assert rotation_sets(set_bytes, llc_bytes, room_bytes, MAX_SETS) == sets


@given(set_bytes=st.integers(1, 2**36), llc=st.integers(0, 2**28), room=st.integers(0, 2**36))
def test_enough_and_not_too_much(set_bytes: int, llc: int, room: int) -> None:
    """Where neither room nor number bounds it, what lies between two uses of a set fills five caches."""
    sets = rotation_sets(set_bytes, llc, room, MAX_SETS)
    assert sets == 1 or sets * set_bytes <= room
    bounded = sets == MAX_SETS or (sets + 1) * set_bytes > room
    assert set_bytes >= DRAM_FROM * llc or bounded or (sets - 1) * set_bytes >= _ROTATED_CACHES * llc


@pytest.mark.parametrize("name", ["read", "copy", "triad", "gemv"])
def test_quick_sizes_stay_out_of_a_hidden_cache(name: str) -> None:
    """A quick working set on a CPU is four times the largest cache that a system is known to hide."""
    sizing = Sizing(
        llc_bytes=8 * MIB, peak_gbs=None, budget=host_budget(32 * GIB), quick=True, hidden_llc_bytes=HIDDEN_LLC_BYTES
    )
    kernel = KERNELS[name]
    working_set = array_bytes(kernel, sizing) * kernel.footprint
    assert 4 * 96 * MIB <= working_set <= 4.3 * 96 * MIB
    assert array_bytes(kernel, replace(sizing, llc_bytes=480 * MIB)) * kernel.footprint >= 4 * 480 * MIB
