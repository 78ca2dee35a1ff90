"""What bandmark measures: one module per kernel, with its formula, its byte count, its reference and its bodies.

This package knows nothing of timing, files or the terminal.
"""

from __future__ import annotations

from bandmark_kernels import adamw, adamw_master, add, copy, dot, gemv, gemv_t, nstream, read, scale, triad, write
from bandmark_kernels.dtypes import DTYPES, DType
from bandmark_kernels.formats import FORMATS
from bandmark_kernels.gemv_packed import PACKED
from bandmark_kernels.spec import DEFAULT_SUITES, Body, Kernel, Launch, Operand, Shape

KERNELS: dict[str, Kernel] = {
    module.KERNEL.name: module.KERNEL
    for module in (copy, scale, add, triad, nstream, dot, read, write, gemv, gemv_t, adamw, adamw_master)
}
"""The kernel table, in the order in which it is shown."""

DEFAULT_KERNELS = tuple(name for name, kernel in KERNELS.items() if kernel.suite in DEFAULT_SUITES)
"""The kernels of a run that names none."""


def find_kernel(name: str, weights: str | None = None) -> Kernel:
    """Return a kernel of the table, or gemv with packed weights; raises KeyError for an unknown name or format."""
    if weights is None:
        return KERNELS[name]
    if name != "gemv":
        raise KeyError(weights)
    return PACKED[weights]


__all__ = [
    "DEFAULT_KERNELS",
    "DTYPES",
    "FORMATS",
    "KERNELS",
    "PACKED",
    "Body",
    "DType",
    "Kernel",
    "Launch",
    "Operand",
    "Shape",
    "find_kernel",
]
