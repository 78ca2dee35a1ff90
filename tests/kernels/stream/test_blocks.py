"""Blocks and stacks cover each element once, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark_kernels import DTYPES, KERNELS, Shape, stream
from bandmark_kernels.core.checks import make_inputs
from bandmark_kernels.stream import triad
from kernel_cases import error_of, operands

TRIAD = KERNELS["triad"]
MATMUL = TRIAD.implementations["numpy"].variants["matmul"]
WIDTH = 4
"""Elements per row of the small stacks that are tried here."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make rows of four float64, so that short vectors have all the parts that long ones have."""
    monkeypatch.setattr(triad, "_ROW_BYTES", WIDTH * 8)
    monkeypatch.setattr(triad, "_MIN_BLOCKS", 1)


def arena(n: int, gap: int, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a, b and c of n elements in one piece of memory, `gap` elements apart, and all of that NaN."""
    pitch = n + gap
    memory = np.full(3 * pitch, np.nan, dtype)
    a, b, c = (memory[k * pitch : k * pitch + n] for k in range(3))
    return a, b, c


@given(n=st.integers(1, 5000), block=st.sampled_from([8, 64, 4096]))
def test_cache_blocks_cover_every_element_once(n: int, block: int) -> None:
    """The blocks of a vector are its elements, in order, none longer than a block."""
    cut = stream.cache_blocks(np.arange(float(n)), np.arange(float(n)) + 1, block_bytes=block)
    first, second = (np.concatenate(parts) for parts in zip(*cut, strict=True))
    assert first.tolist() == list(range(n))
    assert second.tolist() == list(range(1, n + 1))
    assert max(len(x) for x, _ in cut) * 8 <= block


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_padded_numbers_share_no_cache_line(dtype: str) -> None:
    """On both sides of the number its own array goes on for two lines."""
    number = stream._padded_number(np.dtype(dtype))
    start = number.base.ctypes.data
    end = start + number.base.nbytes
    assert number.shape == ()
    assert number.ctypes.data - start >= 256
    assert end - number.ctypes.data - number.itemsize >= 256


@settings(max_examples=300, deadline=None)
@given(n=st.integers(1, 400), gap=st.integers(0, 2 * WIDTH), parts=st.integers(1, 5))
def test_the_threads_of_a_product_share_the_elements(n: int, gap: int, parts: int) -> None:
    """Each element is written by exactly one thread, and no element of the gap by any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(triad, "_ROW_BYTES", WIDTH * 8)
        patch.setattr(triad, "_MIN_BLOCKS", 1)
        a, b, c = arena(n, gap)
        b[:], c[:] = 1, 2
        launches = MATMUL(parts, a, b, c, np.float64(0.5))
    if launches is None:
        return
    written = np.zeros(n)
    for launch in launches:
        a[:] = np.nan
        launch()
        written += ~np.isnan(a)
    assert written.tolist() == [1.0] * n
    assert np.isnan(a.base[n : n + gap]).all()


@pytest.mark.parametrize(
    ("gap", "why"),
    [(1, "61 is a multiple of neither row count"), (3 * WIDTH, "the gap is longer than a block")],
)
def test_vectors_that_do_not_stack(small: None, gap: int, why: str) -> None:
    """Vectors at an odd distance, or far apart, are no stack."""
    assert MATMUL(1, *arena(60, gap), 0.5) is None, why


def test_vectors_in_the_wrong_order_do_not_stack(small: None) -> None:
    """The second vector must lie behind the first."""
    a, b, c = arena(60, 0)
    assert MATMUL(1, a, b, c, 0.5) is not None
    assert MATMUL(1, a, c, b, 0.5) is None
    assert MATMUL(1, a[1:], b[1:], b[:-1], 0.5) is None


def test_short_vectors_do_not_stack() -> None:
    """Below a few blocks per thread there is no stack, and so no product."""
    n = triad._MIN_BLOCKS * 2 * 3 * triad._ROW_BYTES // 8
    assert MATMUL(2, *arena(n, 0), 0.5) is not None
    assert MATMUL(2, *arena(n - 3, 0), 0.5) is None


def run_matmul(n: int, gap: int, parts: int, dtype: str = "float64", wrong: Any = None) -> float | None:
    """Return the error of triad's product in tolerances, or None where there is none."""
    found = DTYPES[dtype]
    inputs = make_inputs(TRIAD, found, Shape(n), seed=3)
    filled = operands(inputs)
    a, b, c = arena(n, gap, dtype)
    b[:], c[:] = filled["b"], filled["c"]
    scalars = {name: found.encode(np.array(value))[()] for name, value in TRIAD.check_scalars.items()}
    launches = MATMUL(parts, a, b, c, **scalars)
    if launches is None:
        return None
    assert len(launches) == parts
    for launch in launches[::-1] if wrong is None else wrong(launches):
        launch()
    assert np.isnan(a.base[n : n + gap]).all()
    return error_of(inputs, {"a": a})


@settings(max_examples=200, deadline=None)
@given(
    n=st.integers(1, 2000),
    gap=st.integers(0, WIDTH),
    parts=st.integers(1, 5),
    dtype=st.sampled_from(["float64", "float32"]),
)
def test_the_product_is_triad_at_every_size(n: int, gap: int, parts: int, dtype: str) -> None:
    """Where b and c stack, the product computes the formula, by any number of threads in any order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(triad, "_ROW_BYTES", WIDTH * np.dtype(dtype).itemsize)
        patch.setattr(triad, "_MIN_BLOCKS", 1)
        error = run_matmul(n, gap, parts, dtype)
    assert error is None or error <= 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("extra", "gap"), [(0, 0), (1, 2), (1537, 1536 - 1537 % 1536)])
def test_the_product_is_triad_at_its_real_block_size(dtype: str, extra: int, gap: int) -> None:
    """With blocks of the size that runs use, rows of any length are right."""
    n = 3 * 40 * triad._ROW_BYTES // DTYPES[dtype].itemsize + extra
    error = run_matmul(n, gap, 2, dtype)
    assert error is not None
    assert error <= 1


def test_a_thread_that_does_nothing_is_seen() -> None:
    """Negative control: without one thread's launch the product fails verification."""
    n = 3 * 40 * triad._ROW_BYTES // 8
    error = run_matmul(n, 0, 2, wrong=lambda launches: launches[:1])
    assert error is not None
    assert not error <= 1
