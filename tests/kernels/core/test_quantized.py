"""Codes and scales of every format stand for exactly the numbers that other libraries read in them."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import torch

from bandmark_kernels.core.dtypes import COLUMN_MULTIPLE, FLOAT8, FORMATS, dequantize, random_weights, table

SCALED = [f for f in FORMATS.values() if f.scale]
OTHERS = {
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e8m0": ml_dtypes.float8_e8m0fnu,
    "e2m1": ml_dtypes.float4_e2m1fn,
}
BITS = {"fp16": 16, "bf16": 16, "fp8": 8, "int8": 8, "int4": 4.5, "nvfp4": 4.5, "mxfp4": 4.25}
"""Bits per weight with group scales (row and tensor scales left out), as the formats' authors give them."""


def scale_arrays(form, rows: int, groups: int):
    """Return scales that are all 1, of the shapes that a format has."""
    one = {"float32": 1.0, "float16": 1.0, "e4m3": 0x38, "e8m0": 127}.get(form.scale)
    shape = (rows,) if form.group is None else (rows, groups)
    arrays = {} if one is None else {"scales": np.full(shape, one, form.scale_storage)}
    return arrays | ({"tensor_scale": np.ones(1, np.float32)} if form.tensor_scale else {})


@pytest.mark.parametrize("kind", OTHERS)
def test_every_code_is_that_of_ml_dtypes(kind: str) -> None:
    """All codes of e4m3, e8m0 and e2m1, NaN and signed zeros among them, have ml_dtypes' values."""
    values = table(kind)
    theirs = np.arange(len(values), dtype=np.uint8).view(OTHERS[kind]).astype(np.float64)
    assert np.array_equal(values, theirs, equal_nan=True)
    assert np.array_equal(np.signbit(values)[values == 0], np.signbit(theirs)[theirs == 0])


def test_every_e4m3_and_e8m0_code_is_that_of_torch() -> None:
    """PyTorch reads the same numbers in all 256 codes."""
    codes = torch.arange(256, dtype=torch.uint8)
    for kind, dtype in (("e4m3", torch.float8_e4m3fn), ("e8m0", torch.float8_e8m0fnu)):
        assert np.array_equal(table(kind), codes.view(dtype).double().numpy(), equal_nan=True)


def test_rounding_is_that_of_ml_dtypes() -> None:
    """Every number, every middle between two and its neighbours round as ml_dtypes rounds: to nearest, ties to even."""
    finite = np.unique(table("e4m3")[np.isfinite(table("e4m3"))])
    middles = (finite[1:] + finite[:-1]) / 2
    single = middles.astype(np.float32)  # exact; ml_dtypes rounds float64 to float32 first
    beside = [np.nextafter(single, np.float32(way)) for way in (np.inf, -np.inf)]
    points = np.concatenate([finite, middles, *beside])
    theirs = points.astype(OTHERS["e4m3"]).astype(np.float64)
    assert np.array_equal(FLOAT8.decode(FLOAT8.encode(points)), theirs)


def test_rounding_saturates() -> None:
    """What is beyond the largest number becomes the largest, of its sign."""
    assert FLOAT8.decode(FLOAT8.encode(np.array([1e30, -1e30, 448 * 1.5]))).tolist() == [448, -448, 448]


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_every_code_unpacks_to_its_value(form) -> None:
    """With scales of 1, each of the 2 ** bits codes unpacks to its own value, in its own column."""
    count = max(2**form.bits, 256)
    codes = np.arange(count, dtype=np.uint32).astype(np.uint8 if form.bits < 16 else np.uint16)
    packed = {"codes": codes.view(form.code_storage)[None, :], **scale_arrays(form, 1, 2 * count // (form.group or 1))}
    wide = np.arange(count)
    if form.bits == 4:
        wanted = table(form.code)[np.stack([wide % 16, wide // 16], -1).reshape(-1)]
    elif form.code == "e4m3":
        wanted = table("e4m3")
    elif form.code == "int8":
        wanted = np.where(wide < 128, wide, wide - 256)
    else:
        with np.errstate(invalid="ignore"):
            wanted = codes.view(np.float16 if form.code == "float16" else ml_dtypes.bfloat16).astype(np.float64)
    assert np.array_equal(dequantize(form, packed)[0], wanted, equal_nan=True)


@pytest.mark.parametrize("form", SCALED, ids=lambda f: f.name)
def test_every_scale_multiplies_its_own_weights(form) -> None:
    """Every 8-bit scale and every float16, NaN and the extremes too, multiplies its group, exactly, and no other."""
    every = {"e4m3": table("e4m3"), "e8m0": table("e8m0")}.get(form.scale)
    if form.scale == "float16":
        stored = np.arange(65536, dtype=np.uint32).astype(np.uint16).view(np.float16)
    elif form.scale == "float32":
        stored = np.array([0, 1e-45, 1e-38, 1, -2, 3.4e38, np.inf, np.nan], np.float32)
    else:
        stored = np.arange(256, dtype=np.uint8)
    values = stored.astype(np.float64) if every is None else every
    one = {"e4m3": 0x38, "int8": 1, "int4": 0x99, "e2m1": 0x22}[form.code]
    size = form.group or COLUMN_MULTIPLE
    rows = len(stored) if form.group is None else 1
    codes = np.full((rows, len(stored) * size // rows // form.codes_per_item), one, form.code_storage)
    packed = scale_arrays(form, 1, 1) | {"codes": codes, "scales": stored if form.group is None else stored[None, :]}
    if form.tensor_scale:
        packed["tensor_scale"] = np.array([0.25], np.float32)
        values = values / 4
    assert np.array_equal(dequantize(form, packed).reshape(-1), np.repeat(values, size), equal_nan=True)


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_random_weights_cover_every_code(form) -> None:
    """Random weights are all finite and have the format's shapes; up to 8 bits, every code that is a number occurs."""
    packed = random_weights(form, 61, 256, np.random.default_rng(1))
    assert np.isfinite(dequantize(form, packed)).all()
    extra = 61 * 4 if form.scale == "float32" else 4 * form.tensor_scale
    assert sum(a.nbytes for a in packed.values()) - extra == 61 * 256 * BITS[form.name] / 8
    codes = packed["codes"].view(np.uint8)
    if form.bits == 4:
        assert len(np.unique(codes & 15)) == len(np.unique(codes >> 4)) == 16
    elif form.bits == 8:
        assert len(np.unique(codes)) == (254 if form.code == "e4m3" else 256)
    else:
        assert len(np.unique(packed["codes"])) > (1000 if form.code == "float16" else 250)
