"""Elements of every format, read and written by compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark_kernels.core.compiled import compile_body
from bandmark_kernels.core.dtypes import DTYPES, table
from bandmark_kernels.core.elements import load, store, zero

BITS = np.arange(2**16, dtype=np.uint16)


def _copy_numbers(numbers: Any, elements: Any) -> None:
    for i in range(len(elements)):
        numbers[i] = load(elements, i)


def _copy_elements(elements: Any, numbers: Any) -> None:
    for i in range(len(elements)):
        store(elements, i, numbers[i])


def _double(elements: Any, numbers: Any) -> None:
    total = zero(elements)
    for i in range(len(elements)):
        total += load(elements, i)
    numbers[0] = total


def loaded(elements: Any) -> Any:
    """The numbers that compiled code sees."""
    numbers = np.zeros(len(elements), np.float64 if elements.dtype == np.float64 else np.float32)
    compile_body(_copy_numbers)(numbers, elements)
    return numbers


@pytest.mark.parametrize(("name", "view"), [("float16", np.int16), ("bfloat16", np.uint16)])
def test_every_number_of_half_precision(name: str, view: Any) -> None:
    """All 65536 bit patterns are read as what they stand for, and written back unchanged unless they are NaN."""
    expected = DTYPES[name].decode(BITS.view(DTYPES[name].storage))
    assert np.array_equal(loaded(BITS.view(view)), expected.astype(np.float32), equal_nan=True)
    back, number = np.zeros_like(BITS).view(view), ~np.isnan(expected)
    compile_body(_copy_elements)(back, expected.astype(np.float32))
    assert np.array_equal(back.view(np.uint16)[number], BITS[number])


@given(st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=64))
def test_numbers_are_rounded_to_nearest(values: list[float]) -> None:
    """What is stored in half precision is rounded once, ties to even."""
    numbers = np.array(values, np.float32)
    for name, view in (("float16", np.int16), ("bfloat16", np.uint16)):
        stored = np.zeros(len(numbers), view)
        compile_body(_copy_elements)(stored, numbers)
        assert np.array_equal(stored.view(np.uint16), DTYPES[name].encode(numbers.astype(np.float64)).view(np.uint16))


def test_codes_of_eight_bits() -> None:
    """uint8 is e4m3, whose two codes of NaN do not occur in operands; int8 is a number."""
    codes = np.array([code for code in range(256) if code & 127 != 127], np.uint8)
    assert np.array_equal(loaded(codes), table("e4m3")[codes].astype(np.float32))
    assert np.array_equal(loaded(np.arange(-128, 128).astype(np.int8)), np.arange(-128, 128))


def test_sums_are_in_single_precision_at_least() -> None:
    """`zero` starts a sum in float32 where elements are narrower: 4096 elements of half precision add up exactly."""
    total = np.zeros(1, np.float32)
    compile_body(_double)(np.full(4097, 0x3C00, np.int16), total)
    assert total[0] == 4097
