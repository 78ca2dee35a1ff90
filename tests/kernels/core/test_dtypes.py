"""Are the number formats those that every other library has?"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bandmark_kernels import DTYPES


def test_every_bfloat16_pattern_decodes_as_ml_dtypes_does() -> None:
    """All 65536 patterns stand for the value that ml_dtypes gives them."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    np.testing.assert_array_equal(DTYPES["bfloat16"].decode(bits), bits.view(ml_dtypes.bfloat16).astype(np.float64))


def test_every_bfloat16_value_survives_a_round_trip() -> None:
    """Decoding and encoding gives the same bits back, for every pattern but NaN."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    values = DTYPES["bfloat16"].decode(bits)
    kept = ~np.isnan(values)
    np.testing.assert_array_equal(DTYPES["bfloat16"].encode(values[kept]), bits[kept])


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=64))
def test_bfloat16_rounds_to_nearest_even(values: list[float]) -> None:
    """Encoding float32 values rounds as torch does."""
    expected = torch.tensor(values, dtype=torch.float32).to(torch.bfloat16).view(torch.uint16).numpy()
    np.testing.assert_array_equal(DTYPES["bfloat16"].encode(np.array(values)), expected)


def test_bfloat16_ties() -> None:
    """A value half-way between two neighbours goes to the even one."""
    one = 0x3F80
    assert DTYPES["bfloat16"].encode(np.array([1 + 2.0**-8]))[()] == one
    assert DTYPES["bfloat16"].encode(np.array([1 + 3 * 2.0**-8]))[()] == one + 2


def test_every_float16_pattern_decodes_exactly() -> None:
    """All 65536 patterns stand for the value that torch gives them."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    expected = torch.from_numpy(bits).view(torch.float16).to(torch.float64).numpy()
    np.testing.assert_array_equal(DTYPES["float16"].decode(bits.view(np.float16)), expected)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_epsilon_and_width(dtype: object) -> None:
    """The machine epsilon is the distance from 1 to the next number, and the width that of the stored elements."""
    name = dtype.name  # type: ignore[attr-defined]
    found = DTYPES[name]
    info = torch.finfo(getattr(torch, name))
    assert found.eps == info.eps
    assert found.itemsize * 8 == info.bits
    assert np.dtype(found.storage).itemsize == found.itemsize


def test_half_types_accumulate_in_float32() -> None:
    """Sums of half-precision terms are kept in float32, those of wider ones in their own format."""
    assert {d.name: d.accumulator for d in DTYPES.values()} == {
        "float64": "float64",
        "float32": "float32",
        "float16": "float32",
        "bfloat16": "float32",
    }
