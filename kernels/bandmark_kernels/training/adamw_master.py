"""adamw_master: one step of the optimizer with weights and gradients in bfloat16 and a master copy in float32.

How mixed-precision training keeps its state (P. Micikevicius et al., arXiv:1710.03740, section 3.1): the step is taken
on the master copy, and the weights that the next forward pass reads are its rounding. As many bytes as in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from bandmark_kernels.core import np
from bandmark_kernels.core.checks import InPlace
from bandmark_kernels.core.dtypes import FLOAT32
from bandmark_kernels.core.kernel import Implementation, Kernel, Launch, unsupported
from bandmark_kernels.core.operand import Operand
from bandmark_kernels.stream import cache_blocks, elementwise
from bandmark_kernels.training import adamw


def _reference(g: Any, master: Any, m: Any, v: Any, **scalars: float) -> Mapping[str, Any]:
    """Return the new p, master, m and v for float64 operands; p holds what master does, but for its rounding."""
    new = adamw.reference(master, g, m, v, **scalars)
    return {**new, "master": new["p"]}


def _bounds(g: Any, master: Any, m: Any, v: Any, **scalars: float) -> Mapping[str, Any]:
    """Return how far float32 arithmetic may take each output from the reference, in half-epsilons: as for adamw."""
    errors = adamw.bounds(master, g, m, v, **scalars)
    return {**errors, "master": errors["p"]}


def _numpy(p: Any, g: Any, master: Any, m: Any, v: Any, **factors: Any) -> Launch:
    """Per block: widen g, take the step in float32, round the master copy to p; all of it within the cache."""
    blocks = cache_blocks(p, g, master, m, v, block_bytes=adamw.BLOCK_BYTES)
    wide, scratch = (np.empty(len(blocks[0][0]), np.float32) for _ in range(2))
    steps = []
    for p_block, g_block, w, m_block, v_block in blocks:
        x, t = wide[: len(w)], scratch[: len(w)]
        steps += [
            partial(widen, g_block, x.view(np.uint32)),
            partial(adamw.take_step, p=w, g=x, m=m_block, v=v_block, t=t, **factors),
            partial(narrow, w.view(np.uint32), p_block, t.view(np.uint32)),
        ]

    def launch() -> None:
        for step in steps:
            step()

    return launch


def widen(stored: Any, bits: Any) -> None:
    """Turn bfloat16 into the bits of float32, whose upper half they are."""
    np.copyto(bits, stored)
    np.left_shift(bits, 16, bits)


def narrow(bits: Any, stored: Any, t: Any) -> None:
    """Round the bits of finite float32 numbers to bfloat16, to nearest and ties to even, with t for scratch."""
    np.right_shift(bits, 16, t)
    np.bitwise_and(t, 1, t)
    np.add(t, 0x7FFF, t)
    np.add(t, bits, t)
    np.right_shift(t, 16, t)
    np.copyto(stored, t, casting="unsafe")


KERNEL = Kernel(
    name="adamw_master",
    formula="w, m, v = step(w, g, m, v); p = w",
    operands=(
        Operand("p", "out"),
        Operand("g", "in"),
        *(Operand(name, "inout", dtype=FLOAT32) for name in ("master", "m", "v")),
    ),
    flops=15,
    suite="training",
    default=False,
    dtypes=("bfloat16",),
    scalars=adamw.SCALARS,
    reference=_reference,
    check=InPlace(scalars=adamw.CHECK_SCALARS, stable_inputs=adamw.stable_inputs, bounds=_bounds),
    implementations={
        "numpy": Implementation(_numpy, constants=adamw.coefficients),
        "torch": unsupported(
            "torch's fused AdamW takes weights, gradients and moments of one dtype: with a float32 master copy it "
            "is three ops and 40 bytes per parameter instead of 28"
        ),
        "cupy": elementwise("adamw_master", bytes_per_thread=32, element="float32", constants=adamw.coefficients),
    },
)
