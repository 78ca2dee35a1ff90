"""Does every body of every kernel compute its formula, at every awkward size and in every dtype?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bandmark_kernels import DTYPES, KERNELS, Shape
from bandmark_kernels.core.inputs import make_inputs
from kernel_cases import numpy_cases, operands, peak_of, run_numpy, run_torch, scalars_of, shapes_of, torch_cases


@pytest.mark.parametrize(("kernel", "dtype"), numpy_cases())
def test_numpy_agrees_with_the_reference(kernel: str, dtype: str) -> None:
    """The NumPy body is right at every awkward size."""
    for shape in shapes_of(KERNELS[kernel]):
        assert run_numpy(KERNELS[kernel], DTYPES[dtype], shape) <= 1, shape


@pytest.mark.parametrize(("kernel", "dtype"), torch_cases())
def test_torch_agrees_with_the_reference(kernel: str, dtype: str) -> None:
    """The torch body is right at every awkward size."""
    for shape in shapes_of(KERNELS[kernel]):
        assert run_torch(KERNELS[kernel], DTYPES[dtype], shape) <= 1, shape


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_not_run_has_a_reason(kernel: str) -> None:
    """A body that leaves dtypes out says why, in one sentence."""
    for body in (KERNELS[kernel].numpy, KERNELS[kernel].torch):
        left_out = [d for d in KERNELS[kernel].dtypes if not body.runs(DTYPES[d], on_cpu=True)]
        assert bool(left_out) <= bool(body.why_not)
        assert not body.why_not.endswith(".")


@pytest.mark.parametrize(("kernel", "dtype"), numpy_cases())
def test_numpy_allocates_nothing_in_the_timed_region(kernel: str, dtype: str) -> None:
    """A launch allocates no array: NumPy's buffers are traced, and 64 KiB would be a small one."""
    found = KERNELS[kernel]
    shape = Shape(1024, m=1024) if found.is_matrix else Shape(1 << 20)
    inputs = make_inputs(found, DTYPES[dtype], shape, seed=1)
    encoded = found.encoded_constants(DTYPES[dtype], scalars_of(found))
    assert peak_of(found.numpy.bind(**operands(inputs), **encoded)) < 1 << 16


def test_the_allocation_test_sees_a_temporary() -> None:
    """Negative control: `a = b + s * c` in plain NumPy is caught."""
    a, b, c = (np.zeros(1 << 20) for _ in range(3))

    def launch() -> Any:
        a[:] = b + 3.0 * c

    assert peak_of(launch) > 1 << 20
