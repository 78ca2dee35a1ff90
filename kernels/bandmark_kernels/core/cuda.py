"""CUDA implementations: from which source and with which macros a kernel is compiled, and what is launched.

Nothing here needs a device or CuPy: a backend compiles `Program.source` with `Program.options`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bandmark_kernels.core import np
from bandmark_kernels.core.dtypes import DType
from bandmark_kernels.core.kernel import Implementation, Kernel
from bandmark_kernels.core.launch import Arg, GridLaunch, Launches, source
from bandmark_kernels.core.operand import Operand, Shape

VARIANTS = ("v16", "v32", "v16-stream", "v32-stream", "v16-gridstride")
"""v16: 16 bytes a load, a tile a block. v32: 32 bytes a load. v8: 8 bytes a store. stream: with cache hints for data
that is used once. gridstride: as many blocks as are resident at once, each of which walks over tiles. bulk: as those,
but the tiles pass through shared memory, in copies that the device makes by itself (TMA). prefetch: what the next turn
takes is loaded before the products of the present one."""

_FP4 = "-fp4"
"""What the name of a variant ends in that converts e2m1 codes by the device's own instruction."""

_Capability = tuple[int, int]

MIN_CAPABILITY: _Capability = (8, 0)
_WIDE_CAPABILITY: _Capability = (10, 0)
"""The first compute capability with 32-byte loads (PTX ISA, ld: .v8.b32 needs sm_100)."""

_BULK_CAPABILITY: _Capability = (9, 0)
"""The first with bulk copies (PTX ISA, cp.async.bulk needs sm_90)."""

WIDE_PTX_NVRTC = (12, 9)
"""The first compiler that takes .v8.b32 in inline PTX (PTX ISA 8.8)."""

_WIDE_TOO: tuple[_Capability, ...] = ((10, 0), (10, 3))
"""Where 32 bytes a load are measured beside the default: kernels gain 2 to 12 % from them on a GB200
(github.com/triton-lang/triton, pull requests 9868 and 9671)."""

_FP4_TARGETS: dict[_Capability, str] = {
    (10, 0): "sm_100a",
    (10, 3): "sm_103a",
    (11, 0): "sm_110a",
    (12, 0): "sm_120a",
    (12, 1): "sm_121a",
}
"""What to compile for where there is an instruction that converts e2m1 (PTX ISA, cvt: .e2m1x2 needs a target of one
architecture alone). Compilers before CUDA 12.9 refuse it beside the -arch that CuPy adds: `fp4_probe` tells."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a kernel's work is divided: the macros of prelude.cu."""

    threads: int
    unroll: int
    blocks_per_sm: int
    rows: int = 1
    groups: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuda(Implementation):
    """A kernel's CUDA source, and the geometry of its launches."""

    name: str  # the .cu file, and with the prefix bandmark_ its main entry point
    layout: Callable[[Program], Layout]
    """Keeps enough loads in flight without spilling registers: docs/sass.md has the figures."""
    launches: Callable[[Program, Shape, int], Launches]
    """The program, the problem's size and the number of multiprocessors -> what to launch."""
    helpers: tuple[str, ...] = ()  # further .cu files that the source needs in front of it
    parts: tuple[str, ...] = ()
    """Further entry points, such as "finish", which adds up what the blocks left in the workspace."""
    loads: tuple[str, ...] = VARIANTS[:4]
    """The variants that there are, the default first: "gridstride" only where a block takes a tile."""
    wide_ptx: bool = False  # whether v32 is inline PTX, as v32-stream always is
    element: str | None = None  # the type of the elements that a lane takes, where it is not the case's dtype
    macros: Mapping[str, object] = field(default_factory=dict)  # macros beside those that all kernels have
    converts_fp4: bool = False  # whether there are e2m1 codes to convert

    def entry(self, part: str = "") -> str:
        """Return the name of a __global__ function; the prefix keeps it apart from the C library's read and write."""
        return "_".join(filter(None, ("bandmark", self.name, part)))


@dataclass(frozen=True, slots=True)
class Program:
    """One kernel's source with its compiler options: one compilation per dtype, format of weights and variant."""

    kernel: Kernel
    dtype: DType
    variant: str
    capability: _Capability
    source: str = ""
    options: tuple[str, ...] = ()

    @property
    def cuda(self) -> Cuda:
        """The kernel's CUDA implementation."""
        return _cuda_of(self.kernel)

    @property
    def entries(self) -> tuple[str, ...]:
        """The names of its __global__ functions."""
        return tuple(map(self.cuda.entry, ("", *self.cuda.parts)))

    @property
    def layout(self) -> Layout:
        """How the work is divided."""
        return self.cuda.layout(self)

    @property
    def pack_bytes(self) -> int:
        """Bytes of one load, and the alignment that every operand's first element must have."""
        return {"v8": 8, "v32": 32}.get(self.variant.split("-")[0], 16)

    @property
    def native_fp4(self) -> bool:
        """Whether e2m1 codes are converted by an instruction of their own."""
        return self.variant.endswith(_FP4)

    @property
    def is_bulk(self) -> bool:
        """Whether the device copies whole tiles by itself."""
        return self.variant.endswith("-bulk")

    @property
    def walks(self) -> bool:
        """Whether an element-wise kernel has as many blocks as are resident at once."""
        return self.variant.endswith("-gridstride") or self.is_bulk

    @property
    def lanes(self) -> int:
        """Elements of the largest operand in one load: 4-bit weights are elements, too."""
        return 8 * self.pack_bytes // self.kernel.element_bits(self.dtype)

    @property
    def workspace(self) -> Arg:
        """The array that the launches of a call share."""
        return Arg("workspace", self.dtype.accumulator, is_array=True)

    def arrays(self, *operands: Operand) -> tuple[Arg, ...]:
        """Return operands as arguments."""
        return tuple(Arg(o.name, o.stored_as(self.dtype), is_array=True) for o in operands)

    def optional_arrays(self, *names: str) -> tuple[Arg, ...]:
        """Return operands by name as arguments, and null for those that the kernel does not have."""
        args = {arg.name: arg for arg in self.arrays(*self.kernel.operands)}
        return tuple(args.get(name, Arg(name, "uint64", 0, is_array=True)) for name in names)

    def step(self, part: str, blocks: int, args: tuple[Arg, ...], splits: int = 1) -> GridLaunch:
        """Return a launch of the main entry point or of a part."""
        return GridLaunch(self.cuda.entry(part), (blocks, splits, 1), (self.layout.threads, 1, 1), args)

    def plan(self, *steps: GridLaunch, workspace: int) -> Launches:
        """Return launches that share so many elements of the accumulator's type."""
        return Launches(steps, workspace, self.dtype.accumulator)

    def plan_split(self, first: GridLaunch, finish: GridLaunch, *, sums: int) -> Launches:
        """Return launches of which the second adds up as many sums of each part that the first's work is split into."""
        splits = first.grid[1]
        return self.plan(first, workspace=1) if splits == 1 else self.plan(first, finish, workspace=splits * sums)

    def resident(self, sm_count: int) -> int:
        """Return how many blocks are on a device at once."""
        return sm_count * self.layout.blocks_per_sm


def _cuda_of(kernel: Kernel) -> Cuda:
    implementation = kernel.implementations["cupy"]
    assert isinstance(implementation, Cuda)
    return implementation


def variants(kernel: Kernel, capability: _Capability, *, fp4: bool = True, wide_ptx: bool = True) -> tuple[str, ...]:
    """Return the variants that differ for a kernel on a device, the default first.

    The default is always published: 16 bytes a load everywhere, so that figures compare, with FP4 where there is one.

    Args:
        kernel: the kernel.
        capability: the device's compute capability.
        fp4: whether `fp4_probe` compiles.
        wide_ptx: whether the compiler is as new as `WIDE_PTX_NVRTC`.
    """
    cuda = _cuda_of(kernel)
    wide = {"v32": capability >= _WIDE_CAPABILITY and (wide_ptx or not cuda.wide_ptx)}
    wide["v32-stream"] = wide["v32"] and wide_ptx
    wide["v16-bulk"] = capability >= _BULK_CAPABILITY
    names = tuple(name for name in cuda.loads if wide.get(name, True))
    native = fp4 and cuda.converts_fp4 and capability in _FP4_TARGETS
    return (*(name + _FP4 for name in names), *names) if native else names


def lacking(kernel: Kernel, capability: _Capability) -> dict[str, str]:
    """Return the variants that a device is too old for, each with the reason."""
    needed = {"v32": _WIDE_CAPABILITY, "v32-stream": _WIDE_CAPABILITY, "v16-bulk": _BULK_CAPABILITY}
    return {
        name: f"{name} needs compute capability {_dotted(needed[name])}, and this device has {_dotted(capability)}"
        for name in _cuda_of(kernel).loads
        if capability < needed.get(name, MIN_CAPABILITY)
    }


def variants_beside(offered: tuple[str, ...], capability: _Capability) -> tuple[str, ...]:
    """Return which of the variants of a kernel are always measured beside the default."""
    wide = offered[0].replace("v16", "v32")
    return tuple(name for name in offered[1:] if name == wide and capability in _WIDE_TOO)


def fp4_probe(capability: _Capability) -> tuple[str, tuple[str, ...], str] | None:
    """Return source, options and entry point of what compiles where variants with FP4 do; None where none can."""
    target = _FP4_TARGETS.get(capability)
    return None if target is None else (source("fp4"), (f"-arch={target}",), "bandmark_fp4")


def program(kernel: Kernel, dtype: DType, variant: str, *, capability: _Capability) -> Program:
    """Return the source and options of one variant for a device.

    Raises:
        ValueError: the device is too old, or the kernel has no such variant on it.
    """
    if capability < MIN_CAPABILITY:
        raise ValueError(
            f"compute capability {_dotted(capability)}: the kernels need {_dotted(MIN_CAPABILITY)} or above"
        )
    if variant not in (offered := variants(kernel, capability)):
        raise ValueError(
            f"no variant {variant!r} of {kernel.label} on compute capability {_dotted(capability)}; "
            f"choose one of {', '.join(offered)}"
        )
    bare = Program(kernel, dtype, variant, capability)
    macros = tuple(f"-D{name}={value}" for name, value in _macros(bare).items())
    target = (f"-arch={_FP4_TARGETS[capability]}",) if bare.native_fp4 else ()
    text = source("prelude", *bare.cuda.helpers, bare.cuda.name)
    return replace(bare, source=text, options=("-std=c++17", *macros, *target))


def _macros(program: Program) -> dict[str, object]:
    cuda, layout = program.cuda, program.layout
    return {
        "ELEMENT": cuda.element or program.dtype.name,
        "PACK_BYTES": program.pack_bytes,
        "UNROLL": layout.unroll,
        "THREADS": layout.threads,
        "BLOCKS_PER_SM": layout.blocks_per_sm,
        "ROWS": layout.rows,
        "GROUPS": layout.groups,
        "GRID_STRIDE": int(program.variant == "v16-gridstride"),
        "STREAMING": int("-stream" in program.variant),
        "NATIVE_FP4": int(program.native_fp4),
        **{word.upper(): 1 for word in ("bulk", "prefetch") if program.variant.endswith(f"-{word}")},
        **cuda.macros,
    }


def exact_scalars(kernel: Kernel, dtype: DType, scalars: Mapping[str, float]) -> dict[str, Any]:
    """Return a kernel's constants in the exact type that its entry point takes: the accumulator's."""
    exact = np.dtype(dtype.accumulator).type
    constants = _cuda_of(kernel).constants_for({name: scalars[name] for name in kernel.scalars})
    return {name: exact(value) for name, value in constants.items()}


def launches(program: Program, shape: Shape, *, sm_count: int) -> Launches:
    """Return what one call launches on a device with so many multiprocessors, in order and on one stream."""
    return program.cuda.launches(program, shape, sm_count)


def blocks_for(items: int, per_block: int) -> int:
    """Return how many blocks take so many items."""
    return -(-items // per_block)


def _dotted(capability: _Capability) -> str:
    return ".".join(map(str, capability))
