"""How fast are the NumPy bodies, and what does the harness add to a launch? Run by `make test-bench`.

As plain tests, with benchmarks disabled, each launches once and is verified.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bandmark.suites.sizing import shape_for
from bandmark_kernels import DTYPES, KERNELS, Shape
from bandmark_kernels.core.checks import make_inputs
from kernel_cases import numpy_cases

Bench = Callable[[Callable[[], object], int], None]

ARRAY_BYTES = 64 * 2**20
"""Bytes per array: more than the cache of most machines, and quickly filled. Figures of memory need `make bench`."""


@pytest.mark.parametrize(("kernel", "dtype"), numpy_cases())
def test_kernel(kernel: str, dtype: str, backend: Any, bandwidth: Bench, request: pytest.FixtureRequest) -> None:
    """A launch on the harness's own arrays and threads is right, and its bandwidth is shown."""
    found, number = KERNELS[kernel], DTYPES[dtype]
    size = ARRAY_BYTES if request.config.getoption("--benchmark-enable") else ARRAY_BYTES // 64
    inputs = make_inputs(found, number, shape_for(found, number, size), seed=1)
    workload = backend.prepare(inputs)
    moved = found.bytes_read(inputs.shape, number) + found.bytes_written(inputs.shape, number)
    with backend.blas.limit(limits=1):
        bandwidth(workload.launch, moved)
    assert workload.verify() <= 1
    workload.close()


def test_hand_off(backend: Any, benchmark: Any) -> None:
    """A launch on one element per sample costs what the hand-off to the threads costs, and is right."""
    workload = backend.prepare(make_inputs(KERNELS["copy"], DTYPES["float64"], Shape(1), seed=1))

    def sample() -> None:
        workload.start(1)
        workload.launch()
        workload.stop()

    benchmark(sample)
    assert workload.verify() == 0
    workload.close()
