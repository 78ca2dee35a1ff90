"""add: 2 + 1 words per element, and the formula on an example worked out by hand."""

from __future__ import annotations

import numpy as np
import torch

from bandmark_kernels import DTYPES, Shape
from bandmark_kernels.stream.add import KERNEL

EXAMPLE = {"a": [1.0, 2.0, 3.0], "b": [10.0, 20.0, -3.0], "c": [0.0, 0.0, 0.0]}


def test_bytes() -> None:
    """A launch on n elements reads 2 n and writes 1 n words, whatever their width."""
    for name, width in (("float64", 8), ("float32", 4), ("float16", 2)):
        dtype = DTYPES[name]
        assert KERNEL.bytes_read(Shape(1001), dtype) == 2 * 1001 * width
        assert KERNEL.bytes_written(Shape(1001), dtype) == 1 * 1001 * width
        assert KERNEL.working_set(Shape(1001), dtype) == 3 * 1001 * width


def test_numpy_by_hand() -> None:
    """The NumPy body computes a small example that was worked out by hand."""
    given = {name: np.array(v) for name, v in EXAMPLE.items()}
    KERNEL.implementations["numpy"].bind(**given)()
    assert given["c"].tolist() == [11.0, 22.0, 0.0]


def test_torch_by_hand() -> None:
    """The torch body computes a small example that was worked out by hand."""
    given = {name: torch.tensor(v) if name != "s" else v for name, v in EXAMPLE.items()}
    KERNEL.implementations["torch"].bind(**given)()
    assert given["c"].tolist() == [11.0, 22.0, 0.0]
