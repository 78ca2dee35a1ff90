"""What does kv compute from operands of one's own, executed on the CPU, and which codes of a cache does it misread?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from cuda_check import geometry_of, host_source
from cuda_host import Host, allocate
from numpy.typing import NDArray

from bandmark_kernels import Shape
from bandmark_kernels.attention import reference
from bandmark_kernels.core.cuda import Program, launches
from bandmark_kernels.core.dtypes import table

PLACES = 4
"""Codes of a word."""

_NATIVE_IF = "defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890"
_NATIVE = 'asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"((u16)(high ? word >> 16 : word)));'
_DEFINED = "halves = e4m3_pair((u16)(high ? word >> 16 : word));"
_DEFINITION = """
// What cvt.rn.f16x2.e4m3x2 makes of two codes (PTX ISA): the lower code comes to the lower half.
inline u32 e4m3_pair(u16 codes)
{
    u32 both = 0;
    for (int i = 0; i < 2; ++i) {
        const int code = codes >> 8 * i & 0xff, exponent = code >> 3 & 15, fraction = code & 7;
        const float power = exponent ? __uint_as_float((exponent + 117u) << 23) : 0x1p-9f;
        const float size = power * (fraction + (exponent ? 8 : 0));
        const u32 bits = (code & 0x7f) == 0x7f ? 0x7fffu : narrow<float16>(size).bits;
        both |= (bits | (code & 0x80u) << 8) << 16 * i;
    }
    return both;
}
"""


def natively_converted(prog: Program) -> Program:
    """Return an fp8 program as sm_89 and above take it, with the conversion's definition in the instruction's place."""
    for text in (_NATIVE_IF, _NATIVE):
        assert text in prog.source
    changed = prog.source.replace(_NATIVE_IF, "1").replace(_NATIVE, _DEFINED)
    return replace(prog, source=changed.replace("#if FP8\n// The e4m3", _DEFINITION + "#if FP8\n// The e4m3"))


def attend(
    host: Host, prog: Program, given: Mapping[str, NDArray[Any]], *, sm_count: int = 48, backwards: bool = False
) -> NDArray[np.float64]:
    """Return out by query head for stored q, K and V, and the scales of an fp8 cache."""
    form = geometry_of(prog.kernel)
    assert form is not None
    shape = Shape(form.columns, len(given["K"]))
    plan = launches(prog, shape, sm_count=sm_count)
    counts = {o.name: (o.count(shape), o.stored_as(prog.dtype)) for o in prog.kernel.operands}
    arrays = allocate(counts | {"workspace": (max(1, plan.workspace_elements), plan.workspace_dtype)})
    for name, stored in given.items():
        arrays[name][:] = stored.reshape(-1)
    error, _ = host.run(host_source(prog), plan.steps, arrays, backwards=backwards)
    assert error == ""
    return prog.dtype.decode(arrays["out"]).reshape(form.heads, form.head_dim)


def stored(prog: Program, **values: Any) -> dict[str, NDArray[Any]]:
    """Return operands as they are stored; the scales of an fp8 cache are 1."""
    operands = {o.name: o for o in prog.kernel.inputs}
    given = {name: np.ones(1, np.float32) for name in ("k_scale", "v_scale") if name in operands}
    return given | {name: operands[name].number(prog.dtype).encode(np.asarray(v)) for name, v in values.items()}


def exact(prog: Program, given: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return what `attend` should, in float64."""
    form = geometry_of(prog.kernel)
    assert form is not None
    numbers = {o.name: o.number(prog.dtype) for o in prog.kernel.inputs}
    values = {name: numbers[name].decode(array) for name, array in given.items()}
    out: NDArray[np.float64] = reference(form, **values)
    return out.reshape(form.heads, form.head_dim)


def every_code(columns: int) -> NDArray[np.uint8]:
    """Return a row with every code in every place of a word, different ones side by side."""
    column = np.arange(columns)
    return ((column // PLACES + 67 * (column % PLACES)) % 256).astype(np.uint8)


def wrong_codes(host: Host, prog: Program) -> list[str]:
    """Return the codes that the kernel decodes unlike the format's table: of one token, out is the row of V."""
    form = geometry_of(prog.kernel)
    assert form is not None and form.columns >= 256 * PLACES
    codes = every_code(form.columns)
    blank = stored(prog, q=np.zeros(form.heads * form.head_dim), K=np.zeros((1, form.columns)))
    got = attend(host, prog, blank | {"V": codes[None]})
    wanted = np.repeat(table("e4m3")[codes].reshape(form.kv_heads, form.head_dim), form.group, axis=0)
    wrong = (got != wanted) & ~(np.isnan(got) & np.isnan(wanted))
    return [f"{got[i]} instead of {wanted[i]}" for i in map(tuple, np.argwhere(wrong))]
