"""From which CUDA source is a kernel compiled, and with which macros?

Nothing here needs a device or CuPy. A backend compiles `Program.source` with `Program.options`; cuda_launch.py says
what to launch then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bandmark_kernels.core.dtypes import DType
from bandmark_kernels.core.kernel import Attention, Kernel

VARIANTS = ("v16", "v32", "v16-stream", "v16-gridstride")
"""v16: 16 bytes a load, a tile a block. v32: 32 bytes a load. stream: with cache hints for data that is used once.
gridstride: as many blocks as are resident at once, each of which walks over tiles."""

FP4 = "-fp4"
"""What the name of a variant ends in that converts e2m1 codes by the device's own instruction; the others do it by
arithmetic on integers and bits. The weights are the same."""

Capability = tuple[int, int]

MIN_CAPABILITY: Capability = (8, 0)
WIDE_CAPABILITY: Capability = (10, 0)
"""The first compute capability with 32-byte loads (PTX ISA, ld: .v8.b32 needs sm_100)."""

FP8_CAPABILITY: Capability = (8, 9)
"""The first compute capability that converts e4m3 by an instruction (PTX ISA, cvt: .e4m3x2 needs sm_89)."""

FP4_TARGETS: dict[Capability, str] = {(10, 0): "sm_100a", (10, 3): "sm_103a", (12, 0): "sm_120a", (12, 1): "sm_121a"}
"""What to compile for where there is an instruction that converts e2m1 (PTX ISA, cvt: .e2m1x2 needs a target of one
architecture alone). Compilers before CUDA 13 refuse it beside the -arch that CuPy adds: `fp4_probe` tells."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a kernel's work is cut: the macros of prelude.cu."""

    threads: int
    unroll: int
    blocks_per_sm: int
    rows: int = 1
    groups: int = 1


@dataclass(frozen=True, slots=True)
class Program:
    """One kernel's source with its compiler options: one compilation per dtype, format of weights and variant."""

    kernel: Kernel
    dtype: DType
    variant: str
    capability: Capability
    source: str
    options: tuple[str, ...]
    entries: tuple[str, ...]
    """The names of its __global__ functions."""
    layout: Layout
    pack_bytes: int
    """Bytes of one load, and the alignment that every operand's first element must have."""

    @property
    def native_fp4(self) -> bool:
        """Whether e2m1 codes are converted by an instruction of their own."""
        return self.variant.endswith(FP4)

    @property
    def lanes(self) -> int:
        """Elements of the largest operand in one load: 4-bit weights are elements, too."""
        return 8 * self.pack_bytes // self.kernel.element_bits(self.dtype)


def variants(kernel: Kernel, capability: Capability, *, fp4: bool = True) -> tuple[str, ...]:
    """Return the variants that differ for a kernel on a device, the default first.

    The default is always published: 16 bytes a load everywhere, so that figures compare, with FP4 where there is one.
    Reductions always walk over tiles and matrices are not cut into tiles, so "gridstride" is for the others.
    Attention has one form: what a lane loads must be what the tensor cores want it to hold.

    Args:
        kernel: the kernel.
        capability: the device's compute capability.
        fp4: whether what `fp4_probe` returns compiles.
    """
    if kernel.attention is not None:
        return VARIANTS[:1]
    wide = capability >= WIDE_CAPABILITY
    tiled = not (kernel.is_reduction or kernel.is_matrix)
    offered = {"v16": True, "v32": wide, "v16-stream": True, "v16-gridstride": tiled}
    names = tuple(name for name in VARIANTS if offered[name])
    native = fp4 and capability in FP4_TARGETS and kernel.weights is not None and kernel.weights.code == "e2m1"
    return (*(name + FP4 for name in names), *names) if native else names


def fp4_probe(capability: Capability) -> tuple[str, tuple[str, ...], str] | None:
    """Return source, options and entry point of what compiles where variants with FP4 do; None where none can."""
    target = FP4_TARGETS.get(capability)
    return None if target is None else (source("fp4", prelude=False), (f"-arch={target}",), "bandmark_fp4")


def program(kernel: Kernel, dtype: DType, variant: str, *, capability: Capability) -> Program:
    """Return the source and options of one variant for a device.

    Raises:
        ValueError: the device is too old, or the kernel has no such variant on it.
    """
    offered = variants(kernel, capability)
    if capability < MIN_CAPABILITY:
        raise ValueError(
            f"compute capability {_dotted(capability)}: the kernels need {_dotted(MIN_CAPABILITY)} or above"
        )
    if variant not in offered:
        raise ValueError(
            f"no variant {variant!r} of {kernel.label} on compute capability {_dotted(capability)}; "
            f"choose one of {', '.join(offered)}"
        )
    form = variant.removesuffix(FP4)
    pack_bytes = 32 if form == "v32" else 16
    native = variant.endswith(FP4)
    heads = kernel.attention
    layout = (
        _attention_layout(heads, kernel.element_bits(dtype), crowded=capability < FP8_CAPABILITY)
        if heads
        else _layout(kernel, pack_bytes, native=native)
    )
    macros = {
        "ELEMENT": kernel.element(dtype).name,
        "PACK_BYTES": pack_bytes,
        "UNROLL": layout.unroll,
        "THREADS": layout.threads,
        "BLOCKS_PER_SM": layout.blocks_per_sm,
        "ROWS": layout.rows,
        "GROUPS": layout.groups,
        "GRID_STRIDE": int(form == "v16-gridstride" or kernel.is_reduction),
        "STREAMING": int(form == "v16-stream"),
        **({"WEIGHTS": kernel.weights.name, "NATIVE_FP4": int(native)} if kernel.weights else {}),
        **(_attention_macros(heads) if heads else {}),
    }
    return Program(
        kernel,
        dtype,
        variant,
        capability,
        source(*_parts(kernel)),
        (
            "-std=c++17",
            *(f"-D{name}={value}" for name, value in macros.items()),
            *([f"-arch={FP4_TARGETS[capability]}"] if native else []),
        ),
        _entries(kernel),
        layout,
        pack_bytes,
    )


@cache
def source(*names: str, prelude: bool = True) -> str:
    """Return .cu files' text, behind prelude.cu's, with #line so that compiler messages name the right file."""
    parts = ("prelude", *names) if prelude else names
    return "".join(f'#line 1 "{part}.cu"\n{_file(part).read_text("utf-8")}' for part in parts)


def _file(name: str) -> Path:
    """Return the .cu file of this name, in whichever folder of the package it is."""
    (file,) = Path(__file__).parents[1].glob(f"*/{name}.cu")
    return file


def _parts(kernel: Kernel) -> tuple[str, ...]:
    """Return the files that a kernel's source consists of, behind prelude.cu."""
    if kernel.attention:
        return "tensor", kernel.name
    return ("weights", "gemv_packed") if kernel.weights else (kernel.name,)


def _layout(kernel: Kernel, pack_bytes: int, *, native: bool) -> Layout:
    """Return what keeps enough loads in flight without spilling registers: docs/sass.md has the figures."""
    if kernel.weights:
        crowded = kernel.weights.bits == 4 and (native or pack_bytes == 32 or kernel.weights.code == "int4")
        return Layout(threads=128, unroll=32 // pack_bytes, blocks_per_sm=5 if crowded else 6, rows=4)
    if kernel.name == "gemv":
        return Layout(threads=128, unroll=32 // pack_bytes, blocks_per_sm=6, rows=4)
    if kernel.name == "gemv_t":
        return Layout(threads=256, unroll=128 // pack_bytes, blocks_per_sm=3 if pack_bytes == 16 else 2, groups=4)
    unroll = {"read": 128, "adamw": 32, "adamw_master": 32}.get(kernel.name, 64) // pack_bytes
    blocks = {"copy": 6, "scale": 6, "write": 6, "dot": 4}.get(kernel.name, 3)
    return Layout(threads=256, unroll=unroll, blocks_per_sm=blocks)


def _attention_layout(form: Attention, bits: int, *, crowded: bool) -> Layout:
    """Return a layout in which a thread has 256 bytes in flight, or a head's 16 tokens where these are more.

    Args:
        form: the geometry.
        bits: those of a number of the cache.
        crowded: whether the device has no instruction that converts e4m3, and so needs more registers for it.
    """
    tile_bytes = form.head_dim * bits // 8  # of a thread: its part of 16 tokens of K and of V
    unroll, columns = max(1, 256 // tile_bytes), 2 if form.group > 8 else 1
    # what is loaded; sums and query, and scores, for each eight query heads
    registers = unroll * tile_bytes // 4 + columns * (3 * form.head_dim // 8 + 4 * unroll)
    blocks = 2 if registers > 128 or (crowded and form.cache_format) else 4 if registers <= 96 else 3
    return Layout(threads=128, unroll=unroll, blocks_per_sm=blocks)


def _attention_macros(form: Attention) -> dict[str, object]:
    """Return the macros of kv.cu."""
    return {
        "HEAD_DIM": form.head_dim,
        "KV_HEADS": form.kv_heads,
        "GROUP": form.group,
        "FP8": int(form.cache_format is not None),
        "SCORE_UNIT": f"{math.log2(math.e) / math.sqrt(form.head_dim):.9g}f",
    }


def entry(kernel: Kernel, part: str = "") -> str:
    """Return the name of a __global__ function: the kernel's own, or that of a part ("ragged", "finish").

    The prefix keeps `read` and `write` apart from the C library's, and names the suite in a profiler's list.
    """
    return "_".join(filter(None, ("bandmark", _parts(kernel)[-1], part)))


def _entries(kernel: Kernel) -> tuple[str, ...]:
    ragged = (entry(kernel, "ragged"),) if kernel.suite == "gemv" and not kernel.weights else ()
    finish = (entry(kernel, "finish"),) if kernel.is_matrix or kernel.is_reduction else ()
    return (entry(kernel), *ragged, *finish)


def _dotted(capability: Capability) -> str:
    return ".".join(map(str, capability))
