"""The document on the machine code: the figures that the kernels were designed for, and a table per kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from cuda_check import TABLE
from sass_figures import Figure
from sass_kv import BEFORE_SM_89, KV_FIGURES
from sass_packed import PACKED_FIGURES, headroom

if TYPE_CHECKING:
    from sass import Line

FULL = (80, 90, 100, 103)
"""Architectures whose multiprocessors hold 64 warps; the others hold 48."""

LEAST_IN_FLIGHT = {90: 48, 100: 64, 103: 64}


def _is(*kernels: str, variants: Sequence[str] = ("v16",), dtypes: Sequence[str] = ()) -> Callable[[Line], bool]:
    """Return whether a row is one of these."""
    return lambda row: row.kernel in kernels and row.variant in variants and (not dtypes or row.dtype in dtypes)


def _full(row: Line, full: int, other: int) -> int:
    return full if row.arch in FULL else other


FIGURES = (
    Figure("no stack, no local memory, no spills", lambda r: True, lambda r: r.measured.spills == 0),
    Figure(
        "at least 64 KiB in flight on sm_100 and sm_103, 48 on sm_90, 16 elsewhere (CUB)",
        lambda r: r.kernel != "write",
        lambda r: r.measured.kib_in_flight >= LEAST_IN_FLIGHT.get(r.arch, 16),
    ),
    Figure(
        "copy, scale: 4 read-only loads in a row, 4 stores",
        _is("copy", "scale"),
        lambda r: min(r.measured.loads, r.measured.constant, r.measured.stores) >= 4,
    ),
    Figure(
        "copy, scale: at most 32 registers for 64 warps, 40 for 48",
        _is("copy", "scale"),
        lambda r: r.measured.registers <= _full(r, 32, 40),
        "scale takes 34 to 40 registers on sm_100 and sm_103 (but for float64 on sm_103): its launch bound asks for 48 "
        "warps and so allows 40. That is 48 warps, 96 KiB in flight, at least half as much again as CUB asks for",
    ),
    Figure(
        "copy, v16 and v32: 128 KiB in flight at 64 warps, 96 at 48",
        _is("copy", variants=("v16", "v32")),
        lambda r: r.measured.kib_in_flight >= _full(r, 128, 96),
    ),
    Figure(
        "copy, v16-bulk: copies to shared memory and back by the device (UBLKCP); 64 KiB of loads in flight where a "
        "multiprocessor has 228 KiB of shared memory, 32 where it has 100",
        _is("copy", variants=("v16-bulk",)),
        lambda r: all(r.measured.bulk) and r.measured.kib_in_flight >= _full(r, 64, 32),
    ),
    Figure("add, triad: 8 loads in a row", _is("add", "triad"), lambda r: r.measured.loads >= 8),
    Figure(
        "add, triad: 256 KiB in flight at 32 registers, 192 at 40",
        _is("add", "triad"),
        lambda r: r.measured.kib_in_flight >= _full(r, 256, 192),
        "eight loads of 16 bytes fill 32 registers by themselves; with addresses and sums it takes 46 to 63, which "
        "leaves 32 to 40 warps and 128 to 160 KiB, twice CUB's figure and more",
    ),
    Figure(
        "v32: loads of 32 bytes on sm_100 and above",
        lambda r: r.variant == "v32" and r.kernel != "write",
        lambda r: r.arch >= 100 and r.measured.loads >= 2,
    ),
    Figure("dot: 8 loads in a row", _is("dot"), lambda r: r.measured.loads >= 8),
    Figure(
        "dot: 46 to 56 registers, 128 KiB in flight",
        _is("dot"),
        lambda r: r.measured.registers <= 56 and r.measured.kib_in_flight >= 128,
        "58 registers in float16 on sm_100 and sm_103; the grid brings 32 warps, which have room for 64, so "
        "it is 128 KiB all the same",
    ),
    Figure("gemv_t: 8 loads in a row", _is("gemv_t"), lambda r: r.measured.loads >= 8),
    Figure(
        "gemv_t: at most 64 registers, 128 KiB in flight",
        _is("gemv_t"),
        lambda r: r.measured.registers <= 64 and r.measured.kib_in_flight >= 128,
        "up to 76 registers, 24 warps, 96 KiB, at least half as much again as CUB asks for: asked for 32 warps, the "
        "compiler takes the loads apart (float16 on sm_103: 4 in a row, 64 KiB)",
    ),
    Figure(
        "gemv, half formats: 4 rows of 2 packs, 128 bytes of a thread in flight",
        _is("gemv", dtypes=("float16", "bfloat16")),
        lambda r: r.measured.loads >= 10,
    ),
    Figure(
        "gemv, half formats: 64 registers, 32 warps, 128 KiB in flight",
        _is("gemv", dtypes=("float16", "bfloat16")),
        lambda r: r.measured.registers <= 64 and r.measured.kib_in_flight >= 128,
        "72 registers on sm_100 and above, 28 warps, 112 KiB: asked for 32 warps, the compiler takes the loads apart "
        "(float16 on sm_103: 6 in a row, 64 KiB)",
    ),
    Figure(
        "gemv: at most 0.77 instructions per byte in float16, 1.52 in bfloat16",
        _is("gemv", dtypes=("float16", "bfloat16")),
        lambda r: r.measured.per_byte <= (0.77 if r.dtype == "float16" else 1.52),
        "float16 takes 1.3 to 1.7: its products are float32, as those of all half formats, where the figure multiplies "
        "pairs in float16. A B200 allows 3.7",
    ),
    Figure(
        "adamw, adamw_master: 8 loads in a row, 2 of them read-only",
        _is("adamw", "adamw_master"),
        lambda r: (r.measured.loads, r.measured.constant) == (8, 2),
    ),
    Figure(
        "adamw, adamw_master: at most 64 registers for 32 warps, 112 KiB in flight",
        _is("adamw", "adamw_master"),
        lambda r: r.measured.registers <= 64 and r.measured.kib_in_flight >= 112,
    ),
    *PACKED_FIGURES,
    *KV_FIGURES,
)


def figures(rows: Sequence[Line]) -> list[str]:
    """Return the section of the document on the figures of the design."""
    lines = [
        "## The figures of the design",
        "",
        "Of the default variant v16 where no other is named; rows are dtypes and architectures.",
        "",
        "| figure | rows that have it | where not |",
        "|---|--:|---|",
    ]
    for figure in FIGURES:
        about = [row for row in rows if figure.of(row)]
        have = sum(map(figure.met, about))
        lines.append(f"| {figure.what} | {have} of {len(about)} | {figure.unmet if have < len(about) else ''} |")
    return [*lines, "", *BEFORE_SM_89, "", *_CONTROLS]


_CONTROLS = (
    "Two controls fail the same checks, as they must (tests/cuda/test_sass.py): triad without `__restrict__` loses the",
    "read-only path, and a copy of single elements has no wide access. Pointer chases are not among these kernels.",
)


def markdown(found: Sequence[Line]) -> str:
    """Return the document: a table per kernel, a line per variant and architecture, the dtypes together."""
    lines = [*_INTRODUCTION, "", *figures(found), "", *headroom(found)]
    for name, kernel in TABLE.items():
        lines += ["", f"## {name}: {kernel.formula}", "", *_TABLE_HEAD]
        groups: dict[tuple[str, int], list[Line]] = {}
        for r in found:
            if r.kernel == name:
                groups.setdefault((r.variant, r.arch), []).append(r)
        lines += [_line(variant, arch, group) for (variant, arch), group in groups.items()]
    return "\n".join(lines)


def _line(variant: str, arch: int, group: list[Line]) -> str:
    seen = [r.measured for r in group]
    broken = [f"{r.dtype}: {'; '.join(r.faults)}" for r in group if r.faults]
    cells = (
        variant,
        f"sm_{arch}",
        _span(m.registers for m in seen),
        _span(m.warps for m in seen),
        _span(m.loads for m in seen),
        _span(m.constant for m in seen),
        _span(m.stores for m in seen),
        _span(round(m.kib_in_flight) for m in seen),
        _span(m.instructions for m in seen),
        _span(round(m.per_byte, 1) for m in seen),
        ", ".join(broken) or "ok",
    )
    return f"| {' | '.join(cells)} |"


def _span(values: Iterable[float]) -> str:
    low, *_, high = sorted(values) * 2
    return f"{low:g}" if low == high else f"{low:g}-{high:g}"


_TABLE_HEAD = (
    "| variant | arch | registers | warps/SM | loads in a run | read-only | wide stores | KiB in flight/SM "
    "| instructions | per byte | verdict |",
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|",
)

_INTRODUCTION = (
    "# What the CUDA kernels compile to",
    "",
    "Generated by `make sass` without a GPU: NVRTC compiles every kernel with CuPy's options, and these are the",
    "figures of its main function's machine code, over its dtypes (low-high where they differ). They show",
    "that the loads are wide and early; they say nothing about speed.",
    "",
    "- loads in a run: loads of the variant's width (16 or 32 bytes; half of it for the bfloat16 operands of",
    "  adamw_master) before the first instruction that needs one of them; read-only: those through the read-only path;",
    "  wide stores: of that width, the guarded last tile's included.",
    "- warps/SM: what fits a multiprocessor, or what the grid brings there where it is sized to the device.",
    "- KiB in flight per multiprocessor: warps x 32 threads x bytes of such a run (of a gemv without x). NVIDIA",
    "  CUB asks for 64 on sm_100 and sm_103, 48 on sm_90, 16 elsewhere.",
    "- instructions per byte of a thread: of the loop that has the loads, or of the shortest way through the function",
    "  that passes them, which a thread of a whole tile takes; of the whole function where it loads nothing. A",
    "  multiprocessor issues 128 a clock; to outrun the memory by a quarter at most 3.7 may be needed on sm_100 and",
    "  sm_103 (B200), 5.5 on sm_90 (H200), 7.6 elsewhere (A100).",
    "  Where weights of 8 and 4 bits take more, that is said below.",
    "- v32 is for sm_100 and above, the first with 32-byte loads. A write loads nothing; a sum stores no pack.",
    "- v16-bulk is for sm_90 and above. One thread of a block starts copies of 8 KiB (TMA); no register is loaded. In",
    "  flight are two of the four stages of its ring, of as many blocks as the shared memory holds.",
    "- kv is compiled for 32 query heads of 128 elements over 8 KV heads, like those of `bandmark run --kernel kv`.",
    "- Variants in -fp4 are for nvfp4 and mxfp4, compiled for sm_100a, sm_103a, sm_120a and sm_121a.",
    "- The verdict is ok where all loads of a round stand in one run, at full width and read-only unless the",
    "  kernel writes the array or must load it before a barrier (packed weights), stores have full width, enough is in",
    "  flight, few enough instructions are needed, and no function spills, the finishing ones included.",
)
