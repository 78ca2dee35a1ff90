"""What bandmark measures: one module per kernel, with its formula, its byte count, its reference and its bodies.

This package knows nothing of timing, files or the terminal.
"""

from __future__ import annotations

from bandmark_kernels import add, copy, dot, gemv, gemv_t, nstream, read, scale, triad, write
from bandmark_kernels.dtypes import DTYPES, DType
from bandmark_kernels.spec import Body, Kernel, Launch, Operand, Shape

KERNELS: dict[str, Kernel] = {
    module.KERNEL.name: module.KERNEL for module in (copy, scale, add, triad, nstream, dot, read, write, gemv, gemv_t)
}
"""The kernel table, in the order in which it is shown."""

__all__ = ["DTYPES", "KERNELS", "Body", "DType", "Kernel", "Launch", "Operand", "Shape"]
