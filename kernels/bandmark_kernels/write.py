"""write: a[i] = s. No word read, one written: what does a fill reach?"""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.spec import Body, Kernel, Launch, Operand


def reference(s: float) -> Any:
    """Return the value of every element of a."""
    return s


def bind_numpy(a: Any, s: Any) -> Launch:
    """One fill of the whole slice."""
    return partial(a.fill, s)


def bind_torch(a: Any, s: float) -> Launch:
    """One fill of the tensor."""
    return partial(a.fill_, s)


KERNEL = Kernel(
    name="write",
    formula="a[i] = s",
    operands=(Operand("a", "out"),),
    flops=0,
    scalars={"s": 0.5},
    reference=reference,
    numpy=Body(bind_numpy, ("float64", "float32", "float16", "bfloat16")),
    torch=Body(bind_torch, ("float64", "float32", "float16", "bfloat16")),
    rounding=0.0,
)
