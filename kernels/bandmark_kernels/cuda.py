"""From which CUDA source is a kernel compiled, and with which macros?

Nothing here needs a device or CuPy. A backend compiles `Program.source` with `Program.options`; cuda_launch.py says
what to launch then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bandmark_kernels.dtypes import DType
from bandmark_kernels.spec import Attention, Kernel

VARIANTS = ("v16", "v32", "v16-stream", "v16-gridstride")
"""v16: 16 bytes a load, a tile a block. v32: 32 bytes a load. stream: with cache hints for data that is used once.
gridstride: as many blocks as are resident at once, each of which walks over tiles."""

Capability = tuple[int, int]

MIN_CAPABILITY: Capability = (8, 0)
WIDE_CAPABILITY: Capability = (10, 0)
"""The first compute capability with 32-byte loads (PTX ISA, ld: .v8.b32 needs sm_100)."""


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
    """One kernel's source with its compiler options: one compilation per dtype and variant."""

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
    def lanes(self) -> int:
        """Elements of the largest operand in one load."""
        return 8 * self.pack_bytes // self.kernel.element_bits(self.dtype)


def variants(kernel: Kernel, capability: Capability) -> tuple[str, ...]:
    """Return the variants that differ for a kernel on a device, the default first.

    Reductions always walk over tiles and matrices are not cut into tiles, so "gridstride" is for the others. Attention
    uses what it loads where it was loaded, which fits the tensor cores' layout for 16 bytes a load.
    """
    wide = capability >= WIDE_CAPABILITY and kernel.attention is None
    tiled = not (kernel.is_reduction or kernel.is_matrix)
    offered = {"v16": True, "v32": wide, "v16-stream": True, "v16-gridstride": tiled}
    return tuple(name for name in VARIANTS if offered[name])


def default_variant(kernel: Kernel, capability: Capability) -> str:
    """Return the variant that is always published: the same everywhere, so that figures compare."""
    return variants(kernel, capability)[0]


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
            f"no variant {variant!r} of {kernel.name} on compute capability {_dotted(capability)}; "
            f"choose one of {', '.join(offered)}"
        )
    pack_bytes = 32 if variant == "v32" else 16
    form = kernel.attention
    layout = _attention_layout(form, kernel.element_bits(dtype)) if form else _layout(kernel, pack_bytes)
    macros = {
        "ELEMENT": dtype.name,
        "PACK_BYTES": pack_bytes,
        "UNROLL": layout.unroll,
        "THREADS": layout.threads,
        "BLOCKS_PER_SM": layout.blocks_per_sm,
        "ROWS": layout.rows,
        "GROUPS": layout.groups,
        "GRID_STRIDE": int(variant == "v16-gridstride" or kernel.is_reduction),
        "STREAMING": int(variant == "v16-stream"),
        **(_attention_macros(form) if form else {}),
    }
    return Program(
        kernel,
        dtype,
        variant,
        capability,
        source(kernel.name),
        ("-std=c++17", *(f"-D{name}={value}" for name, value in macros.items())),
        _entries(kernel),
        layout,
        pack_bytes,
    )


@cache
def source(name: str, *, prelude: bool = True) -> str:
    """Return a .cu file's text, behind prelude.cu's, with #line so that compiler messages name the right file."""
    folder = Path(__file__).parent
    names = ("prelude", name) if prelude else (name,)
    return "".join(f'#line 1 "{part}.cu"\n{(folder / f"{part}.cu").read_text("utf-8")}' for part in names)


def _layout(kernel: Kernel, pack_bytes: int) -> Layout:
    """Return what keeps enough loads in flight without spilling registers: docs/sass.md has the figures."""
    if kernel.name == "gemv":
        return Layout(threads=128, unroll=32 // pack_bytes, blocks_per_sm=6, rows=4)
    if kernel.name == "gemv_t":
        return Layout(threads=256, unroll=128 // pack_bytes, blocks_per_sm=3 if pack_bytes == 16 else 2, groups=4)
    unroll = (128 if kernel.name == "read" else 64) // pack_bytes
    blocks = {"copy": 6, "scale": 6, "write": 6, "dot": 4}.get(kernel.name, 3)
    return Layout(threads=256, unroll=unroll, blocks_per_sm=blocks)


def _attention_layout(form: Attention, bits: int) -> Layout:
    """Return a layout in which a thread has 256 bytes in flight, or a head's 16 tokens where these are more."""
    tile_bytes = form.head_dim * bits // 8  # of a thread: its part of 16 tokens of K and of V
    unroll, columns = max(1, 256 // tile_bytes), 2 if form.group > 8 else 1
    # what is loaded; sums and query, and scores, for each eight query heads
    registers = unroll * tile_bytes // 4 + columns * (3 * form.head_dim // 8 + 4 * unroll)
    return Layout(threads=128, unroll=unroll, blocks_per_sm=4 if registers <= 96 else 3 if registers <= 128 else 2)


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
    return "_".join(filter(None, ("bandmark", kernel.name, part)))


def _entries(kernel: Kernel) -> tuple[str, ...]:
    ragged = (entry(kernel, "ragged"),) if kernel.is_matrix and not kernel.attention else ()
    finish = (entry(kernel, "finish"),) if kernel.is_matrix or kernel.is_reduction else ()
    return (entry(kernel), *ragged, *finish)


def _dotted(capability: Capability) -> str:
    return ".".join(map(str, capability))
