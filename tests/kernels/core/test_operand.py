"""Sizes of problems, and the elements and bytes of their arrays."""

from __future__ import annotations

import pytest

from bandmark_kernels import DTYPES, Operand, Shape
from bandmark_kernels.core.dtypes import FLOAT8

F16, F32 = DTYPES["float16"], DTYPES["float32"]


def test_elements_of_a_shape() -> None:
    """A matrix has m x n elements, a vector n."""
    assert Shape(5).n_elements == 5
    assert Shape(5, m=3).n_elements == 15
    assert [Shape(5, m=3).count(e) for e in ("n", "m", "mn", "1")] == [5, 3, 15, 1]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("operand", "count", "nbytes", "stored"),
    [
        (Operand("a", "in"), 128, 256, "float16"),
        (Operand("A", "in", "mn"), 1280, 2560, "float16"),
        (Operand("y", "out", "m"), 10, 20, "float16"),
        (Operand("w", "in", dtype=F32), 128, 512, "float32"),
        (Operand("codes", "in", "mn", storage="uint8", elements_per_item=2), 640, 640, "uint8"),
        (Operand("q", "in", repeat=4), 512, 1024, "float16"),
        (Operand("K", "in", "mn", FLOAT8), 1280, 1280, "uint8"),
        (Operand("k_scale", "scale", "1", F32), 1, 4, "float32"),
    ],
)
def test_elements_and_bytes_of_an_operand(operand: Operand, count: int, nbytes: int, stored: str) -> None:
    """They follow from extent, repeat, elements per stored one, and the operand's own format where it has one."""
    shape = Shape(128, m=10)
    assert (operand.count(shape), operand.nbytes(shape, F16), operand.stored_as(F16)) == (count, nbytes, stored)


@pytest.mark.parametrize(("role", "read", "written"), [("in", 1, 0), ("scale", 1, 0), ("inout", 1, 1), ("out", 0, 1)])
def test_roles(role: str, read: int, written: int) -> None:
    """What is read and what is written follows from the role; a reduction's one number is neither."""
    operand = Operand("a", role)  # type: ignore[arg-type]
    assert (operand.is_read, operand.is_written) == (bool(read), bool(written))
    assert not Operand("r", "result").is_read and not Operand("r", "result").is_written


def test_the_format_of_the_elements() -> None:
    """That of the case, or the operand's own."""
    assert Operand("a", "in").number(F32) == F32
    assert Operand("w", "in", storage="float16").number(F32) == F16
    assert Operand("K", "in", dtype=FLOAT8).number(F16) == FLOAT8
