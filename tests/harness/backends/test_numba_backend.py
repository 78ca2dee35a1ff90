"""Numba on the CPU: every kernel right on several threads and in both modes, and wrong loops found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bandmark.backends.host import HostMemory
from bandmark.backends.numba_backend import NumbaBackend
from bandmark.backends.team import Team
from bandmark.measure.sampling import take
from bandmark_kernels import DTYPES, KERNELS, QUANTIZED, Kernel, Shape
from bandmark_kernels.core import intrinsics
from bandmark_kernels.core.checks import make_inputs
from bandmark_kernels.core.compiled import bind, compile_body, compiled
from bandmark_kernels.core.kernel import Implementation
from fakes import make_machine
from kernel_cases import shape_of

RUN = {name: kernel for name, kernel in (KERNELS | QUANTIZED).items() if kernel.implementations["numba"].dtypes}


@pytest.fixture(scope="module")
def backend() -> Iterator[NumbaBackend]:
    """A backend on two threads of one processor."""
    with Team([0, 0]) as team:
        yield NumbaBackend(make_machine().as_device(), HostMemory(team))


def error(backend: NumbaBackend, kernel: Kernel, variant: str | None = None, dtype: str = "float64") -> float:
    """The error of a kernel after a window of launches."""
    number = kernel.dtypes_among([DTYPES[dtype]])[0]
    shape = Shape(64, m=53) if kernel.column_multiple > 1 else shape_of(kernel, 3001, Shape(61, m=53))
    workload = backend.prepare(make_inputs(kernel, number, shape, seed=3), variant)
    assert take(workload, 2).seconds > 0 and workload.variant == variant
    return workload.verify()


@pytest.mark.parametrize("name", RUN)
def test_every_kernel_is_right_in_every_mode(backend: NumbaBackend, name: str) -> None:
    """Parts are unequal, rows no multiple of eight, sizes no multiple of a cache line."""
    for variant in backend.default_variants(RUN[name]):
        assert error(backend, RUN[name], variant) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", RUN)
def test_every_kernel_is_right_in_every_dtype(backend: NumbaBackend, name: str, dtype: str) -> None:
    """Half precision is computed in float32 and rounded once."""
    for variant in backend.default_variants(RUN[name]):
        assert error(backend, RUN[name], variant, dtype) <= 1


def broken(name: str, body: Callable[..., Any]) -> Kernel:
    """A kernel whose loop is another."""
    kernel = KERNELS[name]
    return replace(kernel, implementations=dict(kernel.implementations) | {"numba": compiled(body)})


def _without_last(r: Any, a: Any) -> None:
    total = 0.0
    for i in range(len(a) - 1):
        total += a[i]
    r[()] = total


def _without_last_row(y: Any, A: Any, x: Any) -> None:
    for i in range(A.shape[0] - 1):
        y[i] = 0.0
        for j in range(A.shape[1]):
            y[i] += A[i, j] * x[j]


@pytest.mark.parametrize(("name", "body"), [("read", _without_last), ("gemv", _without_last_row)])
def test_a_loop_that_stops_early_is_found(backend: NumbaBackend, name: str, body: Callable[..., Any]) -> None:
    """A reduction without its last element, and a product without its last row, fail verification."""
    assert not error(backend, broken(name, body)) <= 1


_same = compile_body(lambda i, a: a[i])
_stream_line = intrinsics.LINE_STORES["nt"]


def _past_cache_without_tail(b: Any, a: Any) -> None:
    count = np.uint64(8)
    head = np.uint64(-b.ctypes.data % 64 // 8)
    for k in range(head, head + (np.uint64(b.size) - head) // count * count, count):
        _stream_line(_same, b, k, a)


def test_a_store_past_the_cache_that_misses_the_tail_is_found(backend: NumbaBackend) -> None:
    """Elements that fill no line stay poisoned, and verification sees them."""
    wrong = Implementation(lambda **operands: bind(_past_cache_without_tail, **operands))
    kernel = replace(KERNELS["copy"], implementations={"numba": wrong})
    assert not error(backend, kernel) <= 1


def test_the_compiler_is_recorded(backend: NumbaBackend) -> None:
    """The run record names the compiler, and the processor that it compiles for."""
    facts = backend.facts()
    assert set(facts) == {"llvmlite", "llvm", "target"} and all(facts.values())


def test_torch_and_numba_in_one_process(backend: NumbaBackend) -> None:
    """Their launches take turns on the same arrays; both stay right, whichever threads the other has."""
    torch_backend = pytest.importorskip("bandmark.backends.torch_backend")
    torch = torch_backend.open_on_cpu(backend.device, backend.memory)
    inputs = make_inputs(KERNELS["triad"], DTYPES["float64"], Shape(50_000), seed=3)
    workloads = [library.prepare(inputs) for library in (torch, backend)]
    for _ in range(3):
        for workload in workloads:
            take(workload, 2)
            assert workload.verify() <= 1
