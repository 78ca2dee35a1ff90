"""Which figures was attention over a KV cache designed for, and on which devices?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sass_figures import Figure

if TYPE_CHECKING:
    from sass import Line


def _kv(row: Line) -> bool:
    """Return whether the row is of attention's default variant on a device that has all instructions for it."""
    return row.variant == "v16" and (row.kernel == "kv" or (_fp8(row) and row.arch >= 89))


def _fp8(row: Line) -> bool:
    return row.kernel == "kv fp8"


BEFORE_SM_89 = (
    "kv's figures are those of devices that convert e4m3 by an instruction. On sm_80 and sm_86 a cache of codes takes",
    "5.5 instructions per byte, and 64 KiB are in flight: the conversion has the registers of a third of the warps.",
)

KV_FIGURES = (
    Figure(
        "kv: a round's 16 loads in a row, read-only: 256 bytes of a thread",
        _kv,
        lambda r: min(r.measured.loads, r.measured.constant) >= 16,
    ),
    Figure(
        "kv: 96 KiB in flight",
        _kv,
        lambda r: r.measured.kib_in_flight >= 96,
    ),
    Figure(
        "kv: a product on the tensor cores per 16 bytes of a 16-bit cache, two of codes: none is made elsewhere",
        _kv,
        lambda r: r.measured.products == (2 if _fp8(r) else 1),
    ),
    Figure(
        "kv fp8 from sm_89 on: 8 conversions of e4m3 per 16 bytes",
        lambda r: _fp8(r) and _kv(r),
        lambda r: r.measured.fp8 == 8,
    ),
    Figure(
        "kv: at most 1 instruction per byte, of codes 2.1",
        _kv,
        lambda r: r.measured.per_byte <= (2.1 if _fp8(r) else 1.0),
    ),
    Figure(
        "kv, v16-prefetch: two rounds in at most 255 registers: 8 warps have 64 KiB of the next round in flight while "
        "they make the products of the present one",
        lambda r: r.variant == "v16-prefetch",
        lambda r: (r.measured.loads, r.measured.warps, round(r.measured.kib_in_flight)) == (16, 8, 64),
    ),
)
