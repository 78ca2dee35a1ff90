"""Are deliberately wrong kernels rejected? What the checks can't catch, they don't verify."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from bandmark_kernels import DTYPES, KERNELS, Shape
from kernel_cases import run_wrong

Wrong = Callable[..., Any]


def right(kernel: str) -> Wrong:
    """Return the kernel's reference, made to return a reduction's number."""
    found = KERNELS[kernel]
    if found.is_reduction:
        return lambda **given: np.sum(found.reference(**given))
    return lambda **given: found.reference(**given) if kernel != "write" else np.full(10_007, found.reference(**given))


def tail_dropped(kernel: str) -> Wrong:
    """The last element is never computed."""
    if KERNELS[kernel].is_reduction:
        return lambda **given: np.sum(KERNELS[kernel].reference(**given)[:-1])

    def compute(**given: Any) -> Any:
        out = np.array(right(kernel)(**given))
        out[-1] = np.nan
        return out

    return compute


def half_read(kernel: str) -> Wrong:
    """Only every other element, or every other column or row, enters."""
    if KERNELS[kernel].is_reduction:
        return lambda **given: 2 * np.sum(KERNELS[kernel].reference(**given)[: 10_007 // 2])
    return lambda A, x: KERNELS[kernel].reference(A=A, x=np.where(np.arange(len(x)) % 2, x, 0.0))


def shifted(kernel: str) -> Wrong:
    """Every result stands one place too far."""
    return lambda **given: np.roll(right(kernel)(**given), 1)


def nothing(kernel: str) -> Wrong:
    """The kernel returns at once and leaves what was there."""
    return lambda **given: None


def unchanged(kernel: str) -> Wrong:
    """A kernel in place returns at once: its output is its input."""
    return lambda **given: given["a"]


def wrong_scalar(kernel: str) -> Wrong:
    """The scalar is a tenth off: a hundredth would be within bfloat16's rounding of a sum."""
    return lambda s, **given: right(kernel)(s=s * 1.1, **given)


def swapped(kernel: str) -> Wrong:
    """The last two inputs have changed places."""
    return lambda b, c, **given: right(kernel)(b=c, c=b, **given)


def added_twice(kernel: str) -> Wrong:
    """The result is accumulated into twice."""
    return lambda **given: 2 * right(kernel)(**given)


def one_element_off(kernel: str) -> Wrong:
    """A single element in the middle holds its neighbour's result."""

    def compute(**given: Any) -> Any:
        out = np.array(right(kernel)(**given))
        middle = len(out) // 2
        out[middle] = out[middle + 1]
        return out

    return compute


def cases() -> Iterator[tuple[str, Callable[[str], Wrong]]]:
    """Yield every wrong variant of every kernel that it applies to."""
    for name, kernel in KERNELS.items():
        yield from ((name, wrong) for wrong in (tail_dropped, nothing))
        if name != "write":
            yield name, added_twice
        if kernel.is_reduction or kernel.is_matrix:
            yield name, half_read
        if not kernel.is_reduction and name != "write":
            yield from ((name, wrong) for wrong in (shifted, one_element_off))
        if kernel.scalars:
            yield name, wrong_scalar
        if name in ("triad", "nstream"):
            yield name, swapped
        if kernel.output.role == "inout":
            yield name, unchanged


SHAPE = {True: Shape(251, m=307), False: Shape(10_007)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kernel", "wrong"), list(cases()), ids=lambda x: getattr(x, "__name__", x))
def test_a_wrong_kernel_is_rejected(kernel: str, wrong: Callable[[str], Wrong], dtype: str) -> None:
    """Each class of mistake fails verification, in every dtype."""
    found = KERNELS[kernel]
    assert not run_wrong(found, DTYPES[dtype], SHAPE[found.is_matrix], wrong(kernel)) <= 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_right_kernel_is_accepted(kernel: str, dtype: str) -> None:
    """Positive control: the reference itself, rounded once, passes in every dtype."""
    found = KERNELS[kernel]
    assert run_wrong(found, DTYPES[dtype], SHAPE[found.is_matrix], right(kernel)) <= 1


@pytest.mark.parametrize("n", [10_007, 50_000_000])
def test_a_sum_without_its_last_element_fails_at_any_length(n: int) -> None:
    """The spike in the last element shows in float32 sums of memory-sized arrays, where one term would drown."""
    read = KERNELS["read"]
    assert run_wrong(read, DTYPES["float32"], Shape(n), lambda a: np.sum(a[:-1])) > 1
    assert run_wrong(read, DTYPES["float32"], Shape(n), lambda a: np.sum(a.astype(np.float32))) <= 1
