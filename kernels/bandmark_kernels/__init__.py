"""What bandmark measures: one module per kernel, with its formula, its operands, its implementations and its check.

This package knows nothing of timing, files or the terminal.
"""

from __future__ import annotations

from bandmark_kernels.attention import kv
from bandmark_kernels.core.dtypes import DTYPES, FORMATS, DType
from bandmark_kernels.core.kernel import Implementation, Kernel, Launch
from bandmark_kernels.core.operand import Operand, Shape
from bandmark_kernels.gemv import gemv, gemv_t
from bandmark_kernels.gemv.quantized import QUANTIZED
from bandmark_kernels.stream import add, copy, dot, nstream, read, scale, triad, write
from bandmark_kernels.training import adamw

_MODULES = (copy, scale, add, triad, nstream, dot, read, write, gemv, gemv_t, adamw)

KERNELS: dict[str, Kernel] = {
    kernel.name: kernel for kernel in (*(module.KERNEL for module in _MODULES), adamw.MASTER, kv.KERNEL)
}
"""The kernel table, in the order in which it is shown."""

DEFAULT_KERNELS = tuple(name for name, kernel in KERNELS.items() if kernel.default)
"""The kernels of a run that names none."""

SUITES = tuple(dict.fromkeys(kernel.suite for kernel in KERNELS.values()))

CACHES: dict[str, Kernel] = {"fp8": kv.kv_kernel(cache_format="fp8")}
"""kv over a quantized cache, by format."""

MATRIX_FORMATS: dict[str, dict[str, Kernel]] = {"gemv": QUANTIZED, "kv": CACHES}
"""By kernel, the formats that its matrices may have beside the dtypes, each with its kernel."""


def find_kernel(name: str, matrix_format: str | None = None, heads: tuple[int, int, int] | None = None) -> Kernel:
    """Return a kernel of the table, in a format of MATRIX_FORMATS, or kv for query heads, KV heads and a head's size.

    Raises:
        KeyError: an unknown name, or a format that the kernel does not have.
        ValueError: there is no kv kernel for such heads.
    """
    kernel = KERNELS[name] if matrix_format is None else MATRIX_FORMATS.get(name, {})[matrix_format]
    return kernel if heads is None else kv.kv_kernel(*heads, cache_format=matrix_format)


__all__ = [
    "CACHES",
    "DEFAULT_KERNELS",
    "DTYPES",
    "FORMATS",
    "KERNELS",
    "MATRIX_FORMATS",
    "QUANTIZED",
    "SUITES",
    "DType",
    "Implementation",
    "Kernel",
    "Launch",
    "Operand",
    "Shape",
    "find_kernel",
]
