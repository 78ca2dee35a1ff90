"""Every implementation of every kernel computes its formula, at every awkward size and in every dtype."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from bandmark_kernels import DTYPES, KERNELS, Implementation, Shape
from bandmark_kernels.core.checks import make_inputs
from kernel_cases import numpy_cases, operands, peak_of, run_numpy, run_torch, shapes_of, torch_cases


@pytest.mark.parametrize(("kernel", "dtype"), numpy_cases())
def test_numpy_agrees_with_the_reference(kernel: str, dtype: str) -> None:
    """The NumPy implementation is right at every awkward size."""
    for shape in shapes_of(KERNELS[kernel]):
        assert run_numpy(KERNELS[kernel], DTYPES[dtype], shape) <= 1, shape


@pytest.mark.parametrize(("kernel", "dtype"), torch_cases())
def test_torch_agrees_with_the_reference(kernel: str, dtype: str) -> None:
    """Torch's implementation is right at every awkward size."""
    for shape in shapes_of(KERNELS[kernel]):
        assert run_torch(KERNELS[kernel], DTYPES[dtype], shape) <= 1, shape


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_not_run_has_a_reason(kernel: str) -> None:
    """An implementation that leaves dtypes out says why, in one clause without a full stop, since rows join several."""
    found = KERNELS[kernel]
    assert list(found.implementations) == ["numpy", "numba", "torch", "cupy"]
    for backend, dtype, on_cpu in product(found.implementations, found.dtypes, (True, False)):
        reason = found.unsupported_reason(backend, DTYPES[dtype], on_cpu=on_cpu)
        assert reason is None or (reason and reason.strip() == reason and not re.search(r"\n|\.$", reason))


def test_a_backend_without_an_implementation_is_a_reason() -> None:
    """A kernel does not run on a backend that it has no implementation for, and says so."""
    without = replace(KERNELS["copy"], implementations={})
    assert without.unsupported_reason("jax", DTYPES["float32"]) == "copy is not implemented for jax"
    with pytest.raises(NotImplementedError):
        Implementation().bind(a=1)


@pytest.mark.parametrize(("kernel", "dtype"), numpy_cases())
def test_numpy_allocates_nothing_in_the_timed_region(kernel: str, dtype: str) -> None:
    """A launch allocates no array: NumPy's buffers are traced, and 64 KiB would be a small one."""
    found = KERNELS[kernel]
    shape = Shape(1024, m=1024) if found.is_matrix else Shape(1 << 20)
    inputs = make_inputs(found, DTYPES[dtype], shape, seed=1)
    encoded = found.implementations["numpy"].encoded_constants(DTYPES[dtype], found.check_scalars)
    assert peak_of(found.implementations["numpy"].bind(**operands(inputs), **encoded)) < 1 << 16


def test_the_allocation_test_sees_a_temporary() -> None:
    """Negative control: `a = b + s * c` in plain NumPy is caught."""
    a, b, c = (np.zeros(1 << 20) for _ in range(3))

    def launch() -> Any:
        a[:] = b + 3.0 * c

    assert peak_of(launch) > 1 << 20
