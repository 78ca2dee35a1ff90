"""Which packed weights does a CUDA kernel decode unlike its format's tables, executed on the CPU?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from cuda_check import host_source, weights_of
from cuda_host import Host, allocate
from numpy.typing import NDArray

from bandmark_kernels import DTYPES, Shape
from bandmark_kernels.core.cuda import Program, launches
from bandmark_kernels.core.dtypes import COLUMN_MULTIPLE, WeightFormat, dequantize

F32 = DTYPES["float32"]
ROW_SCALES = np.array(
    [0x00000001, 0x007FFFFF, 0x00800000, 0x3F800000, 0xBFA00001, 0x7F7FFFFF, 0x7F800000, 0x7FC00000], np.uint32
).view(np.float32)
"""Subnormal, the least normal, one, a negative one with a long fraction, the largest, infinity and NaN."""

ONE = {"float16": np.float16(1), "e4m3": np.uint8(0x38), "e8m0": np.uint8(127)}
"""The scale 1 of each kind of group scale."""

NAN = {"float16": np.float16(np.nan), "e4m3": np.uint8(0xFF), "e8m0": np.uint8(0xFF)}
"""One that is no number."""


def pairs(form: WeightFormat) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return every code with every scale; of numbers of 16 and 32 bits some, which test_host.py converts all."""
    sixteen = np.unique(np.append(np.arange(0, 1 << 16, 97), [0x0001, 0x7BFF, 0x7C00, 0xFC00, 0x7E00])).astype(
        np.uint16
    )
    codes = sixteen if form.bits == 16 else np.arange(1 << form.bits)
    scales: NDArray[Any] = {
        None: np.ones(1),
        "float32": ROW_SCALES,
        "float16": sixteen.view(np.float16),
    }.get(form.scale, np.arange(256, dtype=np.uint8))
    return np.tile(codes, len(scales)), np.repeat(scales, len(codes))


def matrix(form: WeightFormat) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
    """Return packed weights with one pair a row, beside weights that are 0, and in which columns the pairs are.

    Every code is in every place of a word. Further rows have no weight that is 0, in one group a scale that is NaN.
    """
    codes, scales = pairs(form)
    m, places = len(codes), 32 // form.bits
    rows = np.arange(m)
    words = np.random.default_rng(3).integers(0, COLUMN_MULTIPLE // places, m)
    column = words * places + (codes + rows // len(np.unique(codes))) % places
    spread = np.full((m, COLUMN_MULTIPLE), 8 if form.code == "int4" else 0)
    spread[rows, column] = codes
    stored = spread[:, ::2] | spread[:, 1::2] << 4 if form.bits == 4 else spread
    packed = {"codes": stored.astype(f"u{form.bits // 8 or 1}").view(form.code_storage)}
    if form.group:
        packed["scales"] = np.full((m, COLUMN_MULTIPLE // form.group), ONE[str(form.scale)])
        packed["scales"][rows, column // form.group] = scales
        for index in range(COLUMN_MULTIPLE // form.group):
            more = np.where(
                np.arange(COLUMN_MULTIPLE // form.group) == index, NAN[str(form.scale)], ONE[str(form.scale)]
            )
            packed["scales"] = np.vstack([packed["scales"], more])
            packed["codes"] = np.vstack([packed["codes"], np.full_like(packed["codes"][:1], 0x22)])
    elif form.scale:
        packed["scales"] = scales
    return packed, column


def other_conversion(prog: Program, macro: str) -> Program:
    """Return a program whose e2m1 codes are converted in the way that a macro chooses."""
    options = [o for o in prog.options if not o.startswith(f"-D{macro}=")]
    return replace(prog, options=(*options, f"-D{macro}=1"))


def sums(host: Host, prog: Program, packed: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Return W times a vector of ones, as the kernel computes it."""
    shape = Shape(COLUMN_MULTIPLE, len(packed["codes"]))
    operands = {o.name: (o.count(shape), o.stored_as(F32)) for o in prog.kernel.operands}
    arrays = allocate(operands | {"workspace": (1, "float32")})
    for name, array in packed.items():
        arrays[name][:] = array.reshape(-1)
    arrays["x"][:] = 1
    error, _ = host.run(host_source(prog), launches(prog, shape, sm_count=1).steps, arrays)
    assert error == ""
    return arrays["y"].astype(np.float32)


def wrong_weights(host: Host, prog: Program, *, tensor_scale: float = 1.0) -> list[str]:
    """Return the rows of `matrix` whose one weight the kernel decodes unlike the format's tables."""
    form = weights_of(prog.kernel)
    assert form is not None
    packed, column = matrix(form)
    if form.tensor_scale:
        packed["tensor_scale"] = np.array([tensor_scale], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        exact = dequantize(form, packed)
        # a row's scale multiplies the sum, and so no weight that is 0
        expected = (exact.sum(axis=1) if form.group else exact[np.arange(len(column)), column]).astype(np.float32)
    got = sums(host, prog, packed)
    wrong = np.flatnonzero((got != expected) & ~(np.isnan(got) & np.isnan(expected)))
    return [f"row {i}, codes {packed['codes'][i].tolist()}: {got[i]} instead of {expected[i]}" for i in wrong]
