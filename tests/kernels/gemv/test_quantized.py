"""gemv with quantized weights moves what its format counts, and computes the product with the dequantized matrix."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bandmark_kernels import FORMATS, QUANTIZED, Shape, find_kernel
from bandmark_kernels.core.checks import make_inputs
from bandmark_kernels.core.dtypes import FLOAT32, dequantize
from bandmark_kernels.gemv import quantized
from kernel_cases import error_of, operands, peak_of, reference_bind, run_numpy

NUMPY = ("fp16", "bf16", "int8")
TORCH = {name: QUANTIZED[name].implementations["torch"].bind for name in ("fp16", "int8")}

SHAPES = (Shape(64, m=1), Shape(64, m=129), Shape(128, m=2), Shape(1024, m=307))
"""Single rows, the shortest rows, and more rows than a tile or a block of the NumPy body has."""

PER_MATRIX = {"fp16": 2, "bf16": 2, "fp8": 1, "int8": 1, "int4": 0.5625, "nvfp4": 0.5625, "mxfp4": 0.53125}
"""Bytes per weight, group scales included, worked out by hand."""

PER_ROW = {"fp8": 4, "int8": 4}
PER_TENSOR = {"nvfp4": 4}


def run_reference(name: str, shape: Shape, spoil: Any = None) -> float:
    """Run the reference of a format on operands that `spoil` has changed, and return its error."""
    inputs = make_inputs(QUANTIZED[name], FLOAT32, shape, seed=7)
    arrays = operands(inputs)
    if spoil:
        spoil(arrays)
    reference_bind(QUANTIZED[name], FLOAT32)(**arrays)()
    return error_of(inputs, arrays)


@pytest.mark.parametrize("name", QUANTIZED)
def test_bytes(name: str) -> None:
    """A launch reads codes, scales and x, and writes y; the format counts the same bytes as the operands."""
    m, n = 77, 1024
    shape = Shape(n, m=m)
    matrix = m * n * PER_MATRIX[name] + m * PER_ROW.get(name, 0) + PER_TENSOR.get(name, 0)
    assert QUANTIZED[name].bytes_read(shape, FLOAT32) == matrix + 4 * n
    assert QUANTIZED[name].bytes_written(shape, FLOAT32) == 4 * m
    assert QUANTIZED[name].working_set(shape, FLOAT32) == sum(
        a.nbytes for a in operands(make_inputs(QUANTIZED[name], FLOAT32, shape, seed=1)).values()
    )


@pytest.mark.parametrize("name", QUANTIZED)
def test_the_reference_is_right(name: str) -> None:
    """Positive control: dequantizing, then multiplying, passes verification in every format and shape."""
    assert all(run_reference(name, shape) <= 1 for shape in SHAPES)


@pytest.mark.parametrize("name", NUMPY)
def test_numpy_agrees_with_the_reference(name: str) -> None:
    """The NumPy implementations are right at every awkward size."""
    assert all(run_numpy(QUANTIZED[name], FLOAT32, shape) <= 1 for shape in SHAPES)


@pytest.mark.parametrize("name", NUMPY)
def test_numpy_agrees_whatever_the_block(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of several rows with a shorter one at the end, and blocks of a single row, are right, too."""
    for block_bytes in (1, 7 * 4 * SHAPES[-1].n):
        monkeypatch.setattr(quantized, "_BLOCK_BYTES", block_bytes)
        assert run_numpy(QUANTIZED[name], FLOAT32, SHAPES[-1]) <= 1


@pytest.mark.parametrize("name", NUMPY)
def test_numpy_allocates_nothing_in_the_timed_region(name: str) -> None:
    """A launch makes no array of its own: the block that it converts into was there before."""
    inputs = make_inputs(QUANTIZED[name], FLOAT32, Shape(1024, m=1024), seed=1)
    assert peak_of(QUANTIZED[name].implementations["numpy"].bind(**operands(inputs))) < 1 << 16


def test_numpy_converts_every_finite_float16_exactly() -> None:
    """Subnormal numbers, zeros and the largest ones keep their values: a row times one at their place returns them."""
    codes = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    codes = codes[np.isfinite(codes)]
    spread = np.zeros((len(codes), 64), np.float16)
    spread[:, 5] = codes
    x, y = np.zeros(64, np.float32), np.empty(len(codes), np.float32)
    x[5] = 1
    QUANTIZED["fp16"].implementations["numpy"].bind(codes=spread, x=x, y=y)()
    np.testing.assert_array_equal(y, codes.astype(np.float32))


def run_torch(name: str, shape: Shape, spoil: Any = None) -> float:
    """Run torch's op for a format on a CPU, on operands that `spoil` has changed, and return its error."""
    inputs = make_inputs(QUANTIZED[name], FLOAT32, shape, seed=7)
    arrays = operands(inputs)
    if spoil:
        spoil(arrays)
    TORCH[name](**{key: torch.from_numpy(array) for key, array in arrays.items()})()
    return error_of(inputs, arrays)


needs_fbgemm = pytest.mark.skipif(
    torch.backends.quantized.engine not in ("x86", "fbgemm"), reason="torch does not use FBGEMM here"
)
OPS = [pytest.param(name, marks=needs_fbgemm if name == "fp16" else ()) for name in TORCH]


@pytest.mark.parametrize("name", OPS)
def test_torch_agrees_with_the_reference(name: str) -> None:
    """Torch's ops are right at every awkward size, also where they have no row for want of speed."""
    assert all(run_torch(name, shape) <= 1 for shape in SHAPES)


@pytest.mark.parametrize("name", OPS)
def test_torch_agrees_whatever_the_part(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that an op takes in several parts, the last one shorter, are right, too."""
    monkeypatch.setattr(quantized, "_PART_BYTES", 1)
    monkeypatch.setattr(quantized, "_MAX_CODES", 5 * SHAPES[-1].n + 1)
    assert all(run_torch(name, shape) <= 1 for shape in SHAPES)


@pytest.mark.parametrize("name", OPS)
def test_a_wrong_code_shows_through_torch(name: str) -> None:
    """An op that reads the code beside the right one fails verification."""

    def spoil(arrays: Any) -> None:
        arrays["codes"][...] = np.roll(arrays["codes"], 1, axis=1)

    assert run_torch(name, SHAPES[-1], spoil) > 1


def test_a_vector_in_half_precision_is_seen() -> None:
    """Why fp16 and bf16 weights with a rounded x get no row: verification of float32 vectors refuses the result."""

    def spoil(arrays: Any, kind: torch.dtype) -> None:
        arrays["x"][...] = torch.from_numpy(arrays["x"]).to(kind).float().numpy()

    assert run_reference("fp16", SHAPES[-1], lambda arrays: spoil(arrays, torch.float16)) > 1
    assert run_reference("bf16", SHAPES[-1], lambda arrays: spoil(arrays, torch.bfloat16)) > 1


def test_without_fbgemm_fp16_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """On processors where torch uses another engine the row says so, before anything is laid out."""
    monkeypatch.setattr(torch.backends, "quantized", SimpleNamespace(engine="qnnpack"))
    with pytest.raises(NotImplementedError, match="FBGEMM"):
        TORCH["fp16"](torch.zeros(1, 64).half(), torch.zeros(64), torch.zeros(1))


def test_without_its_op_int8_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device for which torch has no such op the row says so in one line."""

    def refuse(*given: Any) -> None:
        raise NotImplementedError("Could not run it.\nThese backends can.")

    monkeypatch.setattr(torch, "_weight_int8pack_mm", refuse)
    with pytest.raises(NotImplementedError, match=r"^torch [^\n]* has no product with int8 weights here$"):
        run_torch("int8", SHAPES[0])


@pytest.mark.parametrize("name", QUANTIZED)
def test_torch_has_a_row_or_a_reason(name: str) -> None:
    """On an accelerator and on a CPU: a row where torch has an op for the format, else its own reason."""
    on_cpu = "int8" if quantized._ARM else "fp16"
    for kind, supported in ((False, "int8"), (True, on_cpu)):
        reason = QUANTIZED[name].unsupported_reason("torch", FLOAT32, on_cpu=kind)
        assert (reason is None) == (name == supported)
        assert reason is None or "torch's product" in reason


@pytest.mark.parametrize("name", QUANTIZED)
def test_numpy_has_a_row_or_a_reason(name: str) -> None:
    """NumPy has rows for the formats that it converts, and a reason for each of the others."""
    reason = QUANTIZED[name].unsupported_reason("numpy", FLOAT32, on_cpu=True)
    assert (reason is None) == (name in NUMPY)
    assert reason is None or "NumPy has no " in reason


@pytest.mark.parametrize("name", [name for name in QUANTIZED if name not in TORCH])
def test_torch_has_no_product_of_such_weights_and_a_float32_vector(name: str) -> None:
    """Mixed dtypes are refused on a CPU: a torch that learns one should get a row."""
    kinds = {"fp16": "float16", "bf16": "bfloat16", "fp8": "float8_e4m3fn", "int4": "uint8"}
    codes = torch.zeros(64, 64, dtype=torch.uint8).view(getattr(torch, kinds.get(name, "float4_e2m1fn_x2")))
    for product in (torch.mv, lambda w, x: torch.nn.functional.linear(x[None], w)):
        with pytest.raises((RuntimeError, NotImplementedError)):
            product(codes, torch.zeros(codes.shape[1]))


@pytest.mark.parametrize("name", QUANTIZED)
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


@pytest.mark.parametrize("name", QUANTIZED)
def test_zeros_are_zeros(name: str) -> None:
    """With data zeros every code and scale is zero, and so is every weight."""
    inputs = make_inputs(QUANTIZED[name], FLOAT32, Shape(128, m=3), seed=1, pattern="zeros")
    assert not any(tile.any() for tile in inputs.tiles.values())
    packed = {k: v for k, v in inputs.tiles.items() if k != "x"}
    assert not dequantize(FORMATS[name], packed).any()


def test_kernels_are_found_by_name_and_format() -> None:
    """Plain gemv is the plain kernel, with a format the packed one; other kernels have no formats."""
    assert find_kernel("gemv").weight_format is None
    assert find_kernel("gemv", "nvfp4").label == "gemv nvfp4"
    with pytest.raises(KeyError):
        find_kernel("copy", "nvfp4")
