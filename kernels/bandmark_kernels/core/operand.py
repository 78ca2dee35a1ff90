"""The arrays of a kernel and the size of its problem.

Byte counts are not written down anywhere: they follow from the operands' roles and extents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bandmark_kernels.core.dtypes import DTYPES, DType

_Role = Literal["in", "scale", "out", "inout", "result"]
"""in: read once; scale: read once, a factor of quantized numbers; out: written once; inout: both; result: the one
number of a reduction, not counted."""

_Extent = Literal["n", "m", "mn", "1"]
"""Elements of an operand: n, m, m x n (row-major) or one."""

_ITEMSIZE = {"uint8": 1, "int8": 1, "uint16": 2, "float16": 2, "float32": 4}


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a problem: vectors of n elements, or an m x n matrix with its vectors."""

    n: int
    m: int | None = None

    def count(self, extent: _Extent) -> int:
        """Return how many elements an operand has."""
        rows = 1 if self.m is None else self.m
        return {"n": self.n, "m": rows, "mn": rows * self.n, "1": 1}[extent]

    @property
    def n_elements(self) -> int:
        """Elements of the largest operand: n for vectors, m x n for matrices."""
        return self.n if self.m is None else self.m * self.n


@dataclass(frozen=True, slots=True)
class Operand:
    """One array of a kernel."""

    name: str
    role: _Role
    extent: _Extent = "n"
    dtype: DType | None = None  # the format of its elements where that is not the case's dtype
    storage: str | None = None
    """The NumPy dtype of quantized weights' codes and scales; None for elements of a DType."""
    elements_per_item: int = 1
    """Matrix elements that one stored element stands for: 2 for a byte of 4-bit codes, the group's size for a scale."""
    repeat: int = 1  # how many times its extent's elements it has
    amplitude: float = 1.0  # its random magnitudes lie in [amplitude / 2, amplitude)

    def count(self, shape: Shape) -> int:
        """Return how many elements are stored."""
        return shape.count(self.extent) * self.repeat // self.elements_per_item

    def itemsize(self, dtype: DType) -> int:
        """Return the bytes of a stored element."""
        return _ITEMSIZE[self.storage] if self.storage else self.number(dtype).itemsize

    def nbytes(self, shape: Shape, dtype: DType) -> int:
        """Return the operand's bytes."""
        return self.count(shape) * self.itemsize(dtype)

    def stored_as(self, dtype: DType) -> str:
        """Return the NumPy dtype that holds its elements."""
        return self.storage or self.number(dtype).storage

    def torch_dtype(self, dtype: DType) -> str:
        """Return torch's name for the type of its elements."""
        return self.storage or self.number(dtype).name

    def number(self, dtype: DType) -> DType:
        """Return the format of its elements; for codes and scales, that of their storage."""
        return self.dtype or (dtype if self.storage is None else DTYPES[self.storage])

    @property
    def is_read(self) -> bool:
        """Whether a launch must read every element."""
        return self.role in ("in", "scale", "inout")

    @property
    def is_written(self) -> bool:
        """Whether a launch must write every element."""
        return self.role in ("out", "inout")
