"""What bandmark measures: one module per kernel, with its formula, its byte count, its reference and its bodies.

This package knows nothing of timing, files or the terminal.
"""

from __future__ import annotations

from bandmark_kernels import add, copy, dot, gemv, gemv_t, kv, nstream, read, scale, triad, write
from bandmark_kernels.dtypes import DTYPES, DType
from bandmark_kernels.formats import FORMATS
from bandmark_kernels.gemv_packed import PACKED
from bandmark_kernels.spec import Body, Kernel, Launch, Operand, Shape

KERNELS: dict[str, Kernel] = {
    module.KERNEL.name: module.KERNEL for module in (copy, scale, add, triad, nstream, dot, read, write, gemv, gemv_t)
}
"""The kernel table, in the order in which it is shown."""

ON_REQUEST: dict[str, tuple[Kernel, ...]] = {"kv": (kv.KERNEL, kv.FP8)}
"""Kernels that run only when they are asked for by name, in all their formats."""


def find_kernel(
    name: str, weights: str | None = None, heads: int | None = None, kv_heads: int | None = None, head_dim: int | None = None
) -> Kernel:
    """Return a kernel of the table, gemv with packed weights, or kv for a number and size of heads.

    Raises:
        KeyError: an unknown name, or a format that the kernel does not have.
        ValueError: there is no kv kernel for such heads.
    """
    if name == "kv":
        if weights not in (None, "fp8"):
            raise KeyError(weights)
        given = {"heads": heads, "kv_heads": kv_heads, "head_dim": head_dim}
        return kv.kv_kernel(**{key: value for key, value in given.items() if value is not None}, cache_format=weights)
    if weights is None:
        return KERNELS[name]
    if name != "gemv":
        raise KeyError(weights)
    return PACKED[weights]


__all__ = [
    "DTYPES",
    "FORMATS",
    "KERNELS",
    "ON_REQUEST",
    "PACKED",
    "Body",
    "DType",
    "Kernel",
    "Launch",
    "Operand",
    "Shape",
    "find_kernel",
]
