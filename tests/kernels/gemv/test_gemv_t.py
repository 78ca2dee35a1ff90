"""gemv_t: m * n + m words read and n written, and the formula on an example worked out by hand."""

from __future__ import annotations

import numpy as np
import torch

from bandmark_kernels import DTYPES, Shape
from bandmark_kernels.gemv.gemv_t import KERNEL

EXAMPLE = {"A": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "x": [1.0, 2.0, 3.0], "y": [0.0, 0.0]}


def test_bytes() -> None:
    """A launch on an m x n matrix reads m * n + m and writes n words, whatever their width."""
    m, n = 77, 1001
    for name, width in (("float64", 8), ("float32", 4), ("float16", 2)):
        dtype = DTYPES[name]
        assert KERNEL.bytes_read(Shape(n, m=m), dtype) == (m * n + m) * width
        assert KERNEL.bytes_written(Shape(n, m=m), dtype) == n * width
        assert KERNEL.working_set(Shape(n, m=m), dtype) == (m * n + m + n) * width


def test_numpy_by_hand() -> None:
    """The NumPy body computes a small example that was worked out by hand."""
    given = {name: np.array(v) for name, v in EXAMPLE.items()}
    KERNEL.implementations["numpy"].bind(**given)()
    assert given["y"].tolist() == [22.0, 28.0]


def test_torch_by_hand() -> None:
    """The torch body computes a small example that was worked out by hand."""
    given = {name: torch.tensor(v) for name, v in EXAMPLE.items()}
    KERNEL.implementations["torch"].bind(**given)()
    assert given["y"].tolist() == [22.0, 28.0]
