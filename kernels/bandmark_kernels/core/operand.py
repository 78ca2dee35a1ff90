"""The size of a problem, and the arrays that a kernel moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bandmark_kernels.core.dtypes import DTYPES, DType

Role = Literal["in", "scale", "out", "inout", "result"]
"""in: read once; scale: read once, a factor of quantized numbers; out: written once; inout: both; result: the one
number of a reduction, not counted."""

Extent = Literal["n", "m", "mn", "1"]
"""How many elements an operand has: n, m, m x n (row-major) or one."""

_ITEMSIZE = {"uint8": 1, "int8": 1, "uint16": 2, "float16": 2, "float32": 4}


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a problem: vectors of n elements, or an m x n matrix with its vectors."""

    n: int
    m: int | None = None

    def count(self, extent: Extent) -> int:
        """Return how many elements an operand of this extent has."""
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
    role: Role
    extent: Extent = "n"
    dtype: DType | None = None
    """The format of its elements where that is not the case's dtype."""
    storage: str | None = None
    """The NumPy dtype of quantized weights' codes and scales, such as "uint8"; None for elements of a DType."""
    elements_per_item: int = 1
    """Matrix elements that one stored element stands for: 2 for a byte of 4-bit codes, the group's size for a scale."""
    repeat: int = 1
    """How many times its extent's elements it has: the query heads of a KV head, for vectors of all query heads."""
    amplitude: float = 1.0
    """Its random magnitudes lie in [amplitude / 2, amplitude)."""

    def count(self, shape: Shape) -> int:
        """Return how many elements are stored."""
        return shape.count(self.extent) * self.repeat // self.elements_per_item

    def itemsize(self, dtype: DType) -> int:
        """Return the bytes of a stored element in a case of this dtype."""
        return _ITEMSIZE[self.storage] if self.storage else self.number(dtype).itemsize

    def nbytes(self, shape: Shape, dtype: DType) -> int:
        """Return the operand's bytes in a case of this dtype."""
        return self.count(shape) * self.itemsize(dtype)

    def stored_as(self, dtype: DType) -> str:
        """Return the NumPy dtype that holds its elements in a case of this dtype."""
        return self.storage or self.number(dtype).storage

    def torch_dtype(self, dtype: DType) -> str:
        """Return torch's name for the type of its elements in a case of this dtype."""
        return self.storage or self.number(dtype).name

    def number(self, dtype: DType) -> DType:
        """Return the format of its elements in a case of this dtype; of codes and scales that NumPy's dtype has."""
        return self.dtype or (dtype if self.storage is None else DTYPES[self.storage])

    @property
    def is_read(self) -> bool:
        """Whether every element must be read once per launch."""
        return self.role in ("in", "scale", "inout")

    @property
    def is_written(self) -> bool:
        """Whether every element must be written once per launch."""
        return self.role in ("out", "inout")
