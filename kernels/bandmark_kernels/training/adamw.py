"""adamw and adamw_master: one step of the optimizer, the part of training that memory bounds.

AdamW (I. Loshchilov and F. Hutter, arXiv:1711.05101, algorithm 2, with the learning rate as its only schedule) visits
every parameter once a step: it reads the parameter p, its gradient g and the moments m and v, and writes p, m and v.

adamw keeps all state in float32. adamw_master keeps weights and gradients in bfloat16 and a master copy in float32, as
mixed-precision training does (P. Micikevicius et al., arXiv:1710.03740, section 3.1): the step is taken on the master
copy, and the weights that the next forward pass reads are its rounding. As many bytes as in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import sqrt
from typing import Any

from bandmark_kernels.core import np, torch
from bandmark_kernels.core.checks import Elementwise
from bandmark_kernels.core.compiled import compiled
from bandmark_kernels.core.dtypes import FLOAT32
from bandmark_kernels.core.elements import load, store
from bandmark_kernels.core.kernel import Implementation, Kernel, Launch, unsupported
from bandmark_kernels.core.operand import Operand
from bandmark_kernels.stream import cache_blocks, elementwise

_BLOCK_BYTES = 256 * 1024
"""Bytes per array and block: the arrays of a step and its scratch stay in 2 MiB of second-level cache together."""

_SCALARS = {"lr": 2.0**-30, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01, "step": 1000.0}
"""The usual ones, but for the learning rate: a timed step moves p by less than half the distance to the next float32,
so p keeps its random bits, while m tends to g and v to g * g, however many steps there are."""

_CHECK_SCALARS = {"lr": 0.25, "beta1": 0.75, "beta2": 0.875, "eps": 0.125, "weight_decay": 0.5, "step": 3.0}
"""Every one of them changes every p by far more than rounding does."""


def _reference(p: Any, g: Any, m: Any, v: Any, **scalars: float) -> Mapping[str, Any]:
    """Return the new p, m and v; `step` counts from 1 and corrects the moments' bias towards zero."""
    lr, beta1, beta2, step = (scalars[name] for name in ("lr", "beta1", "beta2", "step"))
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    update = m / (1 - beta1**step) / (np.sqrt(v / (1 - beta2**step)) + scalars["eps"])
    return {"p": p - lr * scalars["weight_decay"] * p - lr * update, "m": m, "v": v}


def _coefficients(
    *, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, step: float
) -> dict[str, float]:
    """Return what a step needs per element: p = decay * p - m / (root * sqrt(v) + floor), m and v by their gains."""
    rate = lr / (1 - beta1**step)
    root = 1 / (rate * sqrt(1 - beta2**step))
    return {"decay": 1 - lr * weight_decay, "gain1": 1 - beta1, "gain2": 1 - beta2, "root": root, "floor": eps / rate}


def _bounds(p: Any, g: Any, m: Any, v: Any, **scalars: float) -> Mapping[str, Any]:
    """Return how far float32 arithmetic may take p, m and v from the reference, in half-epsilons (u below).

    To first order, each operation and each coefficient that is rounded to float32 adds a relative u. m and v may be
    computed as beta m + (1 - beta) g or as m + (1 - beta) (g - m), p decayed by a factor or by a subtraction: the
    counts cover both. A quotient's relative errors add up (N. J. Higham, Accuracy and Stability of Numerical
    Algorithms, section 3.1); only that of v' enters in full and not to first order: where a small gradient replaces a
    large v, nothing of v' may be left, and the divisor is then the floor.
    """
    factors, u = _coefficients(**scalars), FLOAT32.eps / 2
    new = _reference(p, g, m, v, **scalars)
    m_error = 4 * (abs(m) + factors["gain1"] * (abs(g) + abs(m)))
    v_error = 5 * (v + factors["gain2"] * (g * g + v))
    divisor = factors["root"] * np.sqrt(new["v"]) + factors["floor"]
    least = factors["root"] * np.sqrt(np.maximum(new["v"] - u * v_error, 0.0)) + factors["floor"]
    update_error = (m_error + 8 * abs(new["m"])) / least + abs(new["m"]) * (1 / least - 1 / divisor) / u
    decay_error = 4 * (1 + scalars["lr"] * scalars["weight_decay"]) * abs(p)
    return {"p": decay_error + update_error, "m": m_error, "v": v_error}


def _of_master(function: Callable[..., Mapping[str, Any]]) -> Callable[..., Mapping[str, Any]]:
    """Return a function of the master copy in place of p; what holds for p holds for both."""

    def of_master(g: Any, master: Any, m: Any, v: Any, **scalars: float) -> Mapping[str, Any]:
        results = function(master, g, m, v, **scalars)
        return {**results, "master": results["p"]}

    return of_master


def _numpy(p: Any, g: Any, m: Any, v: Any, **factors: Any) -> Launch:
    """Call thirteen ufuncs per block, with one block of scratch: DRAM sees one pass, the caches see thirteen."""
    blocks = cache_blocks(p, g, m, v, block_bytes=_BLOCK_BYTES)
    scratch = np.empty_like(blocks[0][0])
    return _in_turn([partial(_take_step, p=p, g=g, m=m, v=v, t=scratch[: len(p)], **factors) for p, g, m, v in blocks])


def _numpy_master(p: Any, g: Any, master: Any, m: Any, v: Any, **factors: Any) -> Launch:
    """Per block: widen g, take the step in float32, round the master copy to p; all of it within the cache."""
    blocks = cache_blocks(p, g, master, m, v, block_bytes=_BLOCK_BYTES)
    wide, scratch = (np.empty(len(blocks[0][0]), np.float32) for _ in range(2))
    steps: list[Launch] = []
    for p_block, g_block, w, m_block, v_block in blocks:
        x, t = wide[: len(w)], scratch[: len(w)]
        steps += [
            partial(_widen, g_block, x.view(np.uint32)),
            partial(_take_step, p=w, g=x, m=m_block, v=v_block, t=t, **factors),
            partial(_narrow, w.view(np.uint32), p_block, t.view(np.uint32)),
        ]
    return _in_turn(steps)


def _in_turn(steps: Sequence[Launch]) -> Launch:
    def launch() -> None:
        for step in steps:
            step()

    return launch


def _take_step(
    *, p: Any, g: Any, m: Any, v: Any, t: Any, decay: Any, gain1: Any, gain2: Any, root: Any, floor: Any
) -> None:
    """Take a step on one block of p, m and v in place, with t for scratch; all are float32."""
    np.subtract(g, m, t)
    np.multiply(t, gain1, t)
    np.add(m, t, m)
    np.multiply(g, g, t)
    np.subtract(t, v, t)
    np.multiply(t, gain2, t)
    np.add(v, t, v)
    np.sqrt(v, t)
    np.multiply(t, root, t)
    np.add(t, floor, t)
    np.divide(m, t, t)
    np.multiply(p, decay, p)
    np.subtract(p, t, p)


def _widen(stored: Any, bits: Any) -> None:
    """Turn bfloat16 into the bits of float32, whose upper half they are."""
    np.copyto(bits, stored)
    np.left_shift(bits, 16, bits)


def _narrow(bits: Any, stored: Any, t: Any) -> None:
    """Round the bits of finite float32 numbers to bfloat16, to nearest and ties to even, with t for scratch."""
    np.right_shift(bits, 16, t)
    np.bitwise_and(t, 1, t)
    np.add(t, 0x7FFF, t)
    np.add(t, bits, t)
    np.right_shift(t, 16, t)
    np.copyto(stored, t, casting="unsafe")


def _numba(  # noqa: PLR0917 - compiled code takes no keywords
    p: Any, g: Any, m: Any, v: Any, decay: Any, gain1: Any, gain2: Any, root: Any, floor: Any
) -> None:
    for i in range(len(p)):
        m[i] += gain1 * (g[i] - m[i])
        v[i] += gain2 * (g[i] * g[i] - v[i])
        p[i] = decay * p[i] - m[i] / (root * sqrt(v[i]) + floor)


def _numba_master(  # noqa: PLR0917
    p: Any, g: Any, master: Any, m: Any, v: Any, decay: Any, gain1: Any, gain2: Any, root: Any, floor: Any
) -> None:
    for i in range(len(p)):
        gradient = load(g, i)
        m[i] += gain1 * (gradient - m[i])
        v[i] += gain2 * (gradient * gradient - v[i])
        master[i] = decay * master[i] - m[i] / (root * sqrt(v[i]) + floor)
        store(p, i, master[i])


def _torch(p: Any, g: Any, m: Any, v: Any, step: float, **scalars: float) -> Launch:
    """Call the op behind torch.optim.AdamW(fused=True), in place; it neither counts steps nor clears the gradient."""
    steps = torch.tensor(step, dtype=torch.float32, device=p.device)
    return partial(torch._fused_adamw_, [p], [g], [m], [v], [], [steps], amsgrad=False, maximize=False, **scalars)


# v is a mean of squares: its root is real, and stays so
_CHECK = Elementwise(scalars=_CHECK_SCALARS, stable_inputs=lambda v, **_: {"v": abs(v)}, bounds=_bounds)

KERNEL = Kernel(
    name="adamw",
    formula="p, m, v = step(p, g, m, v)",
    operands=(Operand("p", "inout"), Operand("g", "in"), Operand("m", "inout"), Operand("v", "inout")),
    flops=15,
    suite="training",
    default=False,
    dtypes=("float32",),
    scalars=_SCALARS,
    reference=_reference,
    check=_CHECK,
    implementations={
        "numpy": Implementation(_numpy, constants=_coefficients),
        "numba": compiled(_numba, constants=_coefficients),
        "torch": Implementation(_torch),
        "cupy": elementwise("adamw", bytes_per_thread=32, constants=_coefficients),
    },
)

MASTER = replace(
    KERNEL,
    name="adamw_master",
    formula="w, m, v = step(w, g, m, v); p = w",
    operands=(
        Operand("p", "out"),
        Operand("g", "in"),
        *(Operand(name, "inout", dtype=FLOAT32) for name in ("master", "m", "v")),
    ),
    dtypes=("bfloat16",),
    reference=_of_master(_reference),
    check=replace(_CHECK, bounds=_of_master(_bounds)),
    implementations={
        "numpy": Implementation(_numpy_master, constants=_coefficients),
        "numba": compiled(_numba_master, constants=_coefficients),
        "torch": unsupported(
            "torch's fused AdamW takes weights, gradients and moments of one dtype: with a float32 master copy it "
            "is three ops and 40 bytes per parameter instead of 28"
        ),
        "cupy": elementwise("adamw_master", bytes_per_thread=32, element="float32", constants=_coefficients),
    },
)
