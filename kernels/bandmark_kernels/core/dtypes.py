"""Which number formats can the operands of a kernel have, and how are their bits handled?

NumPy has no bfloat16, so its values are stored as the 16-bit patterns that every library agrees on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class DType:
    """One number format: its width in bytes, its machine epsilon and how NumPy stores it."""

    name: str
    itemsize: int
    eps: float
    """Distance from 1 to the next larger number: 2 ** -(fraction bits)."""
    storage: str
    """The NumPy dtype that holds the bits."""
    accumulator: str
    """The dtype in which dot, read and GEMV add up, as cuBLAS does: half types accumulate in float32."""

    @property
    def smallest(self) -> float:
        """The smallest normal number; only half precision is narrow enough for it to matter."""
        return 2.0**-14 if self.name == "float16" else 2.0**-126

    def encode(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """Round float64 values to this format (to nearest, ties to even) and return their stored form."""
        import numpy as np

        if self.name == "float8_e4m3fn":
            from bandmark_kernels.core.quantized import nearest

            return nearest(np.asarray(values, np.float64), "e4m3")
        if self.name != "bfloat16":
            return np.asarray(values).astype(self.storage)
        bits = np.asarray(values, np.float32).view(np.uint32)
        rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        return (rounded >> np.uint32(16)).astype(np.uint16)

    def decode(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        """Return the exact float64 values of stored elements."""
        import numpy as np

        if self.name == "float8_e4m3fn":
            from bandmark_kernels.core.quantized import table

            values: NDArray[np.float64] = table("e4m3")[np.asarray(stored)]
            return values
        if self.name != "bfloat16":
            return np.asarray(stored).astype(np.float64)
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            return (np.asarray(stored).astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)


FLOAT64 = DType("float64", 8, 2.0**-52, "float64", "float64")
FLOAT32 = DType("float32", 4, 2.0**-23, "float32", "float32")
FLOAT16 = DType("float16", 2, 2.0**-10, "float16", "float32")
BFLOAT16 = DType("bfloat16", 2, 2.0**-7, "uint16", "float32")

FLOAT8 = DType("float8_e4m3fn", 1, 2.0**-3, "uint8", "float32")
"""The codes of an fp8 cache, which alone are never a case's dtype; named as torch names them."""

DTYPES: dict[str, DType] = {d.name: d for d in (FLOAT64, FLOAT32, FLOAT16, BFLOAT16)}
