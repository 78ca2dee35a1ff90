"""Does gemv with packed weights move what its format counts, and compute unpack, then multiply?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bandmark_kernels import FORMATS, PACKED, Shape, find_kernel
from bandmark_kernels.dtypes import FLOAT32
from bandmark_kernels.formats import unpack
from bandmark_kernels.gemv_packed import NUMPY, bind_reference
from bandmark_kernels.inputs import make_inputs
from kernel_cases import error_of, operands, run_numpy

SHAPES = (Shape(64, m=1), Shape(64, m=129), Shape(128, m=2), Shape(1024, m=307))
"""Single rows, the shortest rows, and more rows than a tile or a block of the NumPy body has."""

PER_MATRIX = {"fp16": 2, "bf16": 2, "fp8": 1, "int8": 1, "int4": 0.5625, "nvfp4": 0.5625, "mxfp4": 0.53125}
"""Bytes per weight, group scales included, worked out by hand."""

PER_ROW = {"fp8": 4, "int8": 4}
PER_TENSOR = {"nvfp4": 4}


def run_reference(name: str, shape: Shape, spoil: Any = None) -> float:
    """Run the reference body of a format on operands that `spoil` has changed, and return its error."""
    inputs = make_inputs(PACKED[name], FLOAT32, shape, seed=7)
    arrays = operands(inputs)
    if spoil:
        spoil(arrays)
    bind_reference(FORMATS[name], **arrays)()
    return error_of(inputs, arrays)


@pytest.mark.parametrize("name", PACKED)
def test_bytes(name: str) -> None:
    """A launch reads codes, scales and x, and writes y; the format counts the same bytes as the operands."""
    m, n = 77, 1024
    shape = Shape(n, m=m)
    matrix = m * n * PER_MATRIX[name] + m * PER_ROW.get(name, 0) + PER_TENSOR.get(name, 0)
    assert FORMATS[name].nbytes(m, n) == matrix
    assert PACKED[name].bytes_read(shape, FLOAT32) == matrix + 4 * n
    assert PACKED[name].bytes_written(shape, FLOAT32) == 4 * m
    assert PACKED[name].working_set(shape, FLOAT32) == sum(
        a.nbytes for a in operands(make_inputs(PACKED[name], FLOAT32, shape, seed=1)).values()
    )


@pytest.mark.parametrize("name", PACKED)
def test_the_reference_is_right(name: str) -> None:
    """Positive control: unpack, then multiply, passes verification in every format and shape."""
    assert all(run_reference(name, shape) <= 1 for shape in SHAPES)


@pytest.mark.parametrize("name", NUMPY)
def test_numpy_agrees_with_the_reference(name: str) -> None:
    """The NumPy bodies are right at every awkward size."""
    assert all(run_numpy(PACKED[name], FLOAT32, shape) <= 1 for shape in SHAPES)


@pytest.mark.parametrize("name", PACKED)
def test_a_wrong_code_is_seen(name: str) -> None:
    """Bytes of codes that stand one place too far fail verification."""

    def spoil(arrays: Any) -> None:
        arrays["codes"][...] = np.roll(arrays["codes"], 1, axis=1)

    assert run_reference(name, SHAPES[-1], spoil) > 1


@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if f.scale])
def test_a_wrong_scale_is_seen(name: str) -> None:
    """Scales of the neighbouring row, or of the neighbouring group, fail verification."""
    axes = (0,) if FORMATS[name].group is None else (0, 1)
    for axis in axes:

        def spoil(arrays: Any, axis: int = axis) -> None:
            arrays["scales"][...] = np.roll(arrays["scales"], 1, axis=axis)

        assert run_reference(name, SHAPES[-1], spoil) > 1


def test_a_tensor_scale_left_out_is_seen() -> None:
    """Nvfp4 without its tensor's scale fails verification."""
    assert run_reference("nvfp4", SHAPES[-1], lambda arrays: arrays["tensor_scale"].fill(1.0)) > 1


@pytest.mark.parametrize("name", PACKED)
def test_zeros_are_zeros(name: str) -> None:
    """With data zeros every code and scale is zero, and so is every weight."""
    inputs = make_inputs(PACKED[name], FLOAT32, Shape(128, m=3), seed=1, pattern="zeros")
    assert not any(tile.any() for tile in inputs.tiles.values())
    packed = {k: v for k, v in inputs.tiles.items() if k != "x"}
    assert not unpack(FORMATS[name], packed).any()


def test_kernels_are_found_by_name_and_format() -> None:
    """Plain gemv is the plain kernel, with a format the packed one; other kernels have no formats."""
    assert find_kernel("gemv").weights is None
    assert find_kernel("gemv", "nvfp4").label == "gemv nvfp4"
    with pytest.raises(KeyError):
        find_kernel("copy", "nvfp4")
