"""What bandmark measures: one module per kernel, with its formula, its byte count, its reference and its bodies.

This package knows nothing of timing, files or the terminal.
"""

from __future__ import annotations

from bandmark_kernels.attention import kv
from bandmark_kernels.core.dtypes import DTYPES, DType
from bandmark_kernels.core.kernel import DEFAULT_SUITES, Body, Kernel, Launch, Operand, Shape
from bandmark_kernels.core.quantized import FORMATS
from bandmark_kernels.gemv import gemv, gemv_t
from bandmark_kernels.gemv.quantized import PACKED
from bandmark_kernels.stream import add, copy, dot, nstream, read, scale, triad, write
from bandmark_kernels.training import adamw, adamw_master

KERNELS: dict[str, Kernel] = {
    module.KERNEL.name: module.KERNEL
    for module in (copy, scale, add, triad, nstream, dot, read, write, gemv, gemv_t, adamw, adamw_master, kv)
}
"""The kernel table, in the order in which it is shown."""

DEFAULT_KERNELS = tuple(name for name, kernel in KERNELS.items() if kernel.suite in DEFAULT_SUITES)
"""The kernels of a run that names none."""

CACHES: dict[str, Kernel] = {"fp8": kv.FP8}
"""kv over a cache in a format that is no dtype, by format."""

MATRIX_FORMATS: dict[str, dict[str, Kernel]] = {"gemv": PACKED, "kv": CACHES}
"""By kernel, the formats that its matrices may have beside the dtypes."""


def find_kernel(name: str, matrix_format: str | None = None, heads: tuple[int, int, int] | None = None) -> Kernel:
    """Return a kernel of the table, also with a matrix in a format that is no dtype, or kv for other heads.

    Args:
        name: the kernel's name.
        matrix_format: a format of MATRIX_FORMATS.
        heads: for kv, query heads, KV heads, and elements of a head.

    Raises:
        KeyError: an unknown name, or a format that the kernel does not have.
        ValueError: there is no kv kernel for such heads.
    """
    found = KERNELS[name] if matrix_format is None else MATRIX_FORMATS.get(name, {})[matrix_format]
    return found if heads is None else kv.kv_kernel(*heads, cache_format=matrix_format)


__all__ = [
    "CACHES",
    "DEFAULT_KERNELS",
    "DTYPES",
    "FORMATS",
    "KERNELS",
    "MATRIX_FORMATS",
    "PACKED",
    "Body",
    "DType",
    "Kernel",
    "Launch",
    "Operand",
    "Shape",
    "find_kernel",
]
