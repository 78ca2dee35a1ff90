"""Which figures was gemv with packed weights designed for, and how fast can a device issue what it takes?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sass_figures import Figure

from bandmark_kernels import QUANTIZED
from bandmark_kernels.core.cuda import _FP4

if TYPE_CHECKING:
    from sass import Line


@dataclass(frozen=True, slots=True)
class Part:
    """A device: its multiprocessors and highest clock, and the bandwidth that they have to keep up with."""

    name: str
    arch: int
    multiprocessors: int
    clock_ghz: float
    gbs: int

    def headroom(self, per_byte: float) -> float:
        """Return how many times its memory's bandwidth it can issue: a multiprocessor takes 128 threads a clock."""
        return self.multiprocessors * self.clock_ghz * 128 / per_byte / self.gbs


PARTS = (
    Part("A100", 80, 108, 1.41, 2039),
    Part("H100", 90, 132, 1.98, 3352),
    Part("H200", 90, 132, 1.98, 4800),
    Part("B200", 100, 148, 1.965, 8000),
    Part("GB10", 121, 48, 2.418, 273),
)


def _packed(row: Line) -> bool:
    return row.kernel.removeprefix("gemv ") in QUANTIZED


def _e2m1(row: Line) -> bool:
    return row.kernel in ("gemv nvfp4", "gemv mxfp4")


def _native(row: Line) -> bool:
    return row.variant.endswith(_FP4)


_FLOAT32 = "x is float32 and so are all products, where the figure multiplies pairs in float16"

PACKED_FIGURES = (
    Figure(
        "packed weights: 128 bytes of a thread's codes in flight, loaded in front of a barrier",
        _packed,
        lambda r: r.measured.loads * (32 if "32" in r.variant else 16) >= 128,
    ),
    Figure(
        "packed weights: no sum or product takes subnormal numbers for zero, though CuPy asks for that",
        _packed,
        lambda r: r.measured.flushing == 0,
    ),
    Figure("nvfp4, mxfp4, -fp4: 16 conversions of e2m1 per 16 bytes", _native, lambda r: r.measured.fp4 == 16),
    Figure(
        "nvfp4, mxfp4, others: none, so that plain targets do",
        lambda r: _e2m1(r) and not _native(r),
        lambda r: r.measured.fp4 == 0,
    ),
    Figure(
        "fp8 from sm_89 on: 8 conversions of e4m3 per 16 bytes",
        lambda r: r.kernel == "gemv fp8" and r.arch >= 89,
        lambda r: r.measured.fp8 == 8,
    ),
    Figure(
        "fp8 from sm_89 on: at most 1.95 instructions per byte",
        lambda r: r.kernel == "gemv fp8" and r.arch >= 89,
        lambda r: r.measured.per_byte <= 1.95,
        f"2.6 to 3.5: {_FLOAT32}",
    ),
    Figure(
        "nvfp4, -fp4: at most 3.1 instructions per byte of codes and scales",
        lambda r: r.kernel == "gemv nvfp4" and _native(r),
        lambda r: r.measured.per_byte <= 3.1,
        f"4.6 on sm_100 and sm_103, which multiply two float32 at once, 5.5 on sm_120 and sm_121: {_FLOAT32}",
    ),
    Figure(
        "nvfp4, others: at most 5.6",
        lambda r: r.kernel == "gemv nvfp4" and not _native(r),
        lambda r: r.measured.per_byte <= 5.6,
        f"6.2 to 7.8 by e4m3's conversion, 9.1 on sm_80 and sm_86, which have none: {_FLOAT32}",
    ),
    Figure(
        "nvfp4, -fp4: 72 KiB in flight on sm_100 and sm_103, 68 elsewhere",
        lambda r: r.kernel == "gemv nvfp4" and _native(r),
        lambda r: r.measured.kib_in_flight >= (72 if r.arch in (100, 103) else 68),
    ),
    Figure(
        "nvfp4, -fp4: at most 64 registers",
        lambda r: r.kernel == "gemv nvfp4" and _native(r),
        lambda r: r.measured.registers <= 64,
        "84 to 96: four rows share the loads of x where the figure has two; 20 warps",
    ),
)


def headroom(rows: Sequence[Line]) -> list[str]:
    """Return the section on how many times its memory's bandwidth a device can issue, of each default variant."""
    lines = [*_HEADROOM, "", f"| weights | {' | '.join(p.name for p in PARTS)} |", f"|---|{'--:|' * len(PARTS)}"]
    first: dict[tuple[str, int], Line] = {}
    for row in rows:
        first.setdefault((row.kernel, row.arch), row)
    for name, kernel in QUANTIZED.items():
        found = [first.get((kernel.label, part.arch)) for part in PARTS]
        cells = [f"{p.headroom(r.measured.per_byte):.2f}" if r else "" for p, r in zip(PARTS, found, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, "", *_PAIRS_OF_HALVES]


_HEADROOM = (
    "## Packed weights: what a device can issue",
    "",
    "How many times the published bandwidth of its memory a device could read weights, if issuing instructions were",
    "all that it does: multiprocessors x clock x 128 / (instructions per byte). Below 1 the kernel does not reach the",
    "memory's bandwidth there, around 1 it may not; the bandwidth measured is then that of the conversion. Other parts",
    "have more instructions per byte of bandwidth than those: a GB10 is shown for comparison.",
)

_PAIRS_OF_HALVES = (
    "### Why products are not made in pairs of float16",
    "",
    "`HFMA2` multiplies two weights at once and needs none of them widened. For nvfp4 and mxfp4 it was tried in the",
    "same kernel, with x rounded to float16 and the codes as they are decoded. Instructions per byte:",
    "",
    "| weights | products, sums within a group | sm_80 | sm_90 | sm_100, -fp4 | sm_121, -fp4 |",
    "|---|---|--:|--:|--:|--:|",
    "| nvfp4 | float32, float32 (as it is) | 9.0 | 7.8 | 4.6 | 5.5 |",
    "| nvfp4 | float16, float16 | 7.7 | 5.6 | 3.3 | 3.3 |",
    "| nvfp4 | float16, float32 | 6.4 | 8.9 | 6.6 | 6.6 |",
    "| mxfp4 | float32, float32 (as it is) | 8.7 | 8.3 | 4.9 | 5.8 |",
    "| mxfp4 | float16, float16 | 7.1 | 5.8 | 3.4 | 3.3 |",
    "| mxfp4 | float16, float32 | 6.3 | 9.4 | 7.0 | 7.0 |",
    "",
    "Sums in float16 would lift an H200 from 0.9 to 1.2 of its memory's bandwidth and a B200 from 1.0 to 1.4. But",
    "then x is no float32 any more. Rounding x is off by 2^-11 of each term, and a chain of k fused products and",
    "sums by k x 2^-11 of their magnitudes (N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,",
    "section 3.1): with 8 of 16 weights in each half of a pair 9 x 2^-11 or 0.4 %, with 16 of 32 0.8 %, where this",
    "kernel's check allows 8 x 2^-24. Random operands of 64 to 4096 columns were off by 60 to 900 times what is",
    "allowed, and an x above 65504 is infinite. A check that allows so much sees no wrong weight among a few",
    "hundred. With sums in float32, too, random operands were off by 40 to 300 times what is allowed, and every",
    "product is widened in place of every weight: more instructions than now from sm_90 on. So there is no such",
    "variant. On sm_80 the codes are lifted out of the subnormal numbers by a multiplication, without which products",
    "lose bits.",
)
