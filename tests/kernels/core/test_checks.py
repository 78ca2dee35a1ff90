"""The error of an output is what it should be, in units of the tolerance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark_kernels import DTYPES, KERNELS, Kernel, Operand, Shape
from bandmark_kernels.core.checks import _CHUNK_ELEMENTS, Elementwise, make_inputs, max_error
from kernel_cases import operands

F32 = DTYPES["float32"]


def output_of(name: str, shape: Shape, dtype: str = "float32") -> tuple[object, np.ndarray]:
    """Return inputs and a correct output of a kernel."""
    kernel, found = KERNELS[name], DTYPES[dtype]
    inputs = make_inputs(kernel, found, shape, seed=1)
    arrays = operands(inputs)
    values = {o.name: found.decode(arrays[o.name]) for o in kernel.inputs}
    return inputs, found.encode(np.asarray(kernel.reference(**values, **kernel.check_scalars)))


def error(inputs: object, out: np.ndarray, **options: object) -> float:
    """Return the error of a flat output."""
    return max_error(inputs, lambda name, a, b: out[a:b], **options)  # type: ignore[arg-type]


def test_a_correct_output_has_no_error() -> None:
    """The reference rounded once is exact."""
    assert error(*output_of("add", Shape(3 * _CHUNK_ELEMENTS + 5))) == 0


def test_nan_is_infinitely_wrong() -> None:
    """A NaN anywhere, as the poison leaves it, is no rounding error."""
    inputs, out = output_of("scale", Shape(1000))
    out[500] = np.nan
    assert error(inputs, out) == math.inf


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 3 * _CHUNK_ELEMENTS - 1))
def test_one_wrong_element_is_found_anywhere(index: int) -> None:
    """Every element counts, in whatever chunk it stands."""
    inputs, out = output_of("copy", Shape(3 * _CHUNK_ELEMENTS))
    out[index] = np.nextafter(out[index], np.float32(2))
    assert error(inputs, out) == math.inf


def test_copy_and_write_must_be_exact() -> None:
    """Where nothing is rounded, the last bit counts."""
    for name in ("copy", "write"):
        inputs, out = output_of(name, Shape(1000), "float16")
        exact = np.broadcast_to(out, 1000).copy()
        assert error(inputs, exact) == 0
        exact.view(np.uint16)[7] ^= 1
        assert error(inputs, exact) == math.inf


def test_zeros_of_either_sign_are_equal() -> None:
    """The bits of half precision are compared first, and numbers where they differ: -0 is no error."""
    inputs = make_inputs(KERNELS["copy"], DTYPES["float16"], Shape(1000), seed=1, pattern="zeros")
    out = np.zeros(1000, np.float16)
    out[::3] = -0.0
    assert error(inputs, out) == 0
    out[5] = 2.0**-24
    assert error(inputs, out) == math.inf


@pytest.mark.parametrize(("steps", "passes"), [(1, True), (3, False)])
def test_element_wise_kernels_may_differ_in_their_last_bits(steps: int, passes: bool) -> None:
    """Triad may round twice, so one step beside the reference is allowed, and three are not."""
    inputs, out = output_of("triad", Shape(1000))
    index = int(np.argmax(abs(out)))
    for _ in range(steps):
        out[index] = np.nextafter(out[index], np.float32(np.inf))
    assert (error(inputs, out) <= 1) == passes


def test_threads_see_the_same_error() -> None:
    """Comparing with several workers gives the same answer."""
    inputs, out = output_of("triad", Shape(5 * _CHUNK_ELEMENTS))
    out[-3] += 1e-5
    assert error(inputs, out, workers=4) == error(inputs, out) > 1


@pytest.mark.parametrize("name", ["gemv", "gemv_t"])
def test_rows_in_the_wrong_order_are_found(name: str) -> None:
    """Each row of the tile is unlike the others, and the tile's length is prime."""
    inputs, out = output_of(name, Shape(300, m=300))
    assert error(inputs, out) <= 1
    assert error(inputs, np.concatenate([out[64:], out[:64]])) > 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_may_be_added_up_in_any_order(dtype: str) -> None:
    """Forwards, backwards and pairwise float32 sums of memory-like length are all accepted."""
    kernel = KERNELS["dot"]
    found = DTYPES[dtype]
    inputs = make_inputs(kernel, found, Shape(2_000_003), seed=1)
    arrays = operands(inputs)
    terms = (found.decode(arrays["a"]) * found.decode(arrays["b"])).astype(found.accumulator)
    result = DTYPES[found.accumulator]
    for total in (np.sum(terms), np.cumsum(terms)[-1], np.cumsum(terms[::-1])[-1]):
        assert error(inputs, np.atleast_1d(total), result=result) <= 1


def two_outputs(**changes: Any) -> Kernel:
    """A kernel that works on a in place and leaves its half, as float32, in b."""
    return Kernel(
        **{
            "name": "halve",
            "formula": "a[i] *= 3, b[i] = a[i] / 2",
            "operands": (Operand("a", "inout"), Operand("b", "out", dtype=F32)),
            "flops": 2,
            "reference": lambda a: {"a": 3 * a, "b": 1.5 * a},
            "check": Elementwise(),
            "implementations": {},
        }
        | changes
    )


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_every_output_counts(dtype: str) -> None:
    """Of a kernel with several outputs, each in a format of its own, one wrong element in any fails."""
    kernel, number = two_outputs(), DTYPES[dtype]
    inputs = make_inputs(kernel, number, Shape(1000), seed=1)
    a = number.decode(operands(inputs)["a"])
    right = {"a": number.encode(3 * a), "b": (1.5 * a).astype(np.float32)}
    assert max_error(inputs, lambda name, start, stop: right[name][start:stop]) <= 1
    for name in right:
        spoiled = {k: v.copy() for k, v in right.items()}
        spoiled[name][700] = right[name][701]
        assert max_error(inputs, lambda name, start, stop, s=spoiled: s[name][start:stop]) > 1  # type: ignore[misc]


@pytest.mark.parametrize(("off", "passes"), [(0.9, True), (1.1, False)])
def test_bounds_of_a_kernel_replace_those_of_its_terms(off: float, passes: bool) -> None:
    """A kernel may say itself how many half-epsilons of its arithmetic each output may be off."""
    kernel = two_outputs(check=Elementwise(bounds=lambda a: {"a": 1000 * abs(a), "b": 1000 * abs(a)}))
    inputs = make_inputs(kernel, DTYPES["float64"], Shape(1000), seed=1)
    a = operands(inputs)["a"]
    out = {"a": 3 * a, "b": (1.5 * a).astype(np.float32)}
    out["a"] += off * 1000 * abs(a) * 2.0**-53
    assert (max_error(inputs, lambda name, start, stop: out[name][start:stop]) <= 1) == passes


def test_storing_in_a_narrow_format_rounds_once_more() -> None:
    """Where arithmetic is float32 and the output bfloat16, half a step of bfloat16 is allowed besides the bound."""
    kernel = two_outputs(check=Elementwise(bounds=lambda a: {"a": 0 * a, "b": 0 * a}))
    inputs = make_inputs(kernel, DTYPES["bfloat16"], Shape(1000), seed=1)
    a = DTYPES["bfloat16"].decode(operands(inputs)["a"])
    out = {"a": DTYPES["bfloat16"].encode(3 * a), "b": (1.5 * a).astype(np.float32)}
    assert max_error(inputs, lambda name, start, stop: out[name][start:stop]) <= 1
    out["a"] += np.uint16(1)
    assert max_error(inputs, lambda name, start, stop: out[name][start:stop]) > 1
