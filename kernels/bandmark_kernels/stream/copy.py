"""copy: b[i] = a[i]. What is the plainest transfer worth? One word read, one written."""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.core.kernel import Body, Kernel, Launch, Operand


def reference(a: Any) -> Any:
    """Return b for float64 a."""
    return a


def bind_numpy(a: Any, b: Any) -> Launch:
    """One memory copy of the whole slice (libc's memcpy, which streams past the cache when the slice is large)."""
    import numpy as np

    return partial(np.copyto, b, a)


def bind_torch(a: Any, b: Any) -> Launch:
    """Copy into the existing tensor; on CUDA this is a device-to-device memcpy."""
    return partial(b.copy_, a)


KERNEL = Kernel(
    name="copy",
    formula="b[i] = a[i]",
    operands=(Operand("a", "in"), Operand("b", "out")),
    flops=0,
    reference=reference,
    numpy=Body(bind_numpy, ("float64", "float32", "float16", "bfloat16")),
    torch=Body(bind_torch, ("float64", "float32", "float16", "bfloat16")),
    rounding=0.0,
)
