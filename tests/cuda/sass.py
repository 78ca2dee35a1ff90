"""What do the CUDA sources compile to, for each architecture? Needs no GPU: NVRTC and the disassembler come as wheels.

    python tests/cuda/sass.py --all          every kernel, dtype, variant and architecture, as a Markdown document
    python tests/cuda/sass.py --arch 90 121  those architectures

Each row is judged by the promises of `faults`; the exit status is 1 if any is broken.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import sass_page
from cubin import Function, disassembled, require_tools
from cuda_check import TABLE, geometry_of, weights_of
from listing import load_runs, loop, path_length

from bandmark_kernels import DTYPES, Shape
from bandmark_kernels.attention import Geometry
from bandmark_kernels.core.cuda import _FP4, Program, program, variants

ARCHITECTURES = (80, 86, 89, 90, 100, 103, 120, 121)
"""NVIDIA's architectures since Ampere, but for the Jetson boards'."""

MIN_KIB_IN_FLIGHT = {90: 48, 100: 64, 103: 64}
"""KiB per multiprocessor that must be in flight to hide the memory's latency; 16 elsewhere (NVIDIA CUB,
tuning_transform.cuh, cc_to_min_bytes_in_flight)."""

MAX_WARPS = {86: 48, 89: 48, 120: 48, 121: 48}
"""Warps that a multiprocessor holds; 64 elsewhere (CUDA C++ Programming Guide, technical specifications)."""

SHARED_KIB = {80: 164, 90: 228, 100: 228, 103: 228}
"""KiB of shared memory of a multiprocessor; 100 elsewhere (as above)."""

COLUMNS = 1 << 20
"""Of a row of packed weights: so many that what it has besides codes and groups' scales does not count."""

MAX_PER_BYTE = {90: 5.5, 100: 3.7, 103: 3.7}
"""Instructions of a thread per byte up to which a multiprocessor, which issues 128 a clock, outruns the memory by a
quarter: on a B200 (8000 GB/s, 148 multiprocessors at 1.965 GHz) and an H200 (4800, 132 at 1.98)."""

MAX_PER_BYTE_ELSEWHERE = 7.6
"""That of an A100 (2039, 108 at 1.41); no other device of those architectures has more bandwidth per clock."""

MAX_PER_BYTE_PACKED = {"fp8": 5.4, "int8": 4.1, "int4": 7.7, "nvfp4": 10.2, "mxfp4": 9.3, "native": 6.4}
"""What weights of 8 and 4 bits take instead, which is more: each is widened to float32 and multiplied by itself. Where
that is above the limit, the fastest devices of an architecture are held up by it; docs/sass.md says by how much."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A function's figures. Loads and stores are those of the promised widths."""

    registers: int
    spills: int
    """Bytes of stack and local memory, and instructions that touch them."""
    loads: int
    """Loads that are issued before the first instruction that needs one of them."""
    constant: int
    """Those of them that go through the read-only path."""
    stores: int
    load_bits: Mapping[int, int]
    """How many of the loads have a width."""
    store_bits: Mapping[int, int]
    warps: int
    kib_in_flight: float
    instructions: int
    per_byte: float
    """Instructions of a thread per byte that it moves: of the loop that has the loads, else of the shortest way through
    the function that passes them, which is that of a whole tile; of the whole function where it loads nothing."""
    fp4: float
    """Conversions of e2m1 by an instruction of their own, in that loop, per 16 bytes of codes that it loads."""
    fp8: float
    """Those of e4m3."""
    products: float
    """Products of 16 x 8 x 16 on the tensor cores, in that loop, per 16 bytes that it loads."""
    flushing: int
    """Sums and products of floats that take subnormal numbers for zero."""
    bulk: tuple[int, int]
    """Copies of whole ranges to shared memory, and from there."""


def measure(function: Function, prog: Program, arch: int) -> Measured:
    """Return a function's figures: its best run of loads, and what that means per multiprocessor."""
    width = rf"\.({'|'.join(str(bits) for bits in {*promised(prog, 'is_read'), *promised(prog, 'is_written')})})\b"
    spills = [i for i in function.instructions if re.search(r"\b(LDL|STL)\b", i)]
    run = max(load_runs(function.instructions, width), key=len, default=[])
    warps = _resident_warps(function, prog, arch)
    loads = _by_width(run, width)
    stores = _by_width((i for i in function.instructions if re.search(r"\bSTG\b", i)), width)
    streamed, layout = sum(bits // 8 * count for bits, count in loads.items()), prog.layout
    arrays, weights = prog.kernel.traffic, weights_of(prog.kernel)
    if prog.is_bulk:  # half of the stages are loads, and a block's one warp has them all
        streamed = int(str(prog.cuda.macros["STAGES"])) // 2 * layout.unroll * prog.pack_bytes
    if weights:
        arrays = layout.rows
    elif geometry_of(prog.kernel):  # a round's loads, of K and of V
        arrays = sum(bits * count for bits, count in promised(prog, "is_read").items()) / (
            8 * prog.pack_bytes * layout.unroll
        )
    elif prog.kernel.name == "gemv":  # of ROWS + 1 packs one is x's, which comes from the cache
        streamed, arrays = streamed * layout.rows // (layout.rows + 1), layout.rows
    packs = arrays * layout.unroll * prog.pack_bytes
    rounds = 2 if prog.variant.endswith("-prefetch") else 1  # of its loop
    packs *= rounds
    moved: float = packs
    if weights:
        read = prog.kernel.bytes_read(Shape(COLUMNS, 1), prog.dtype) - prog.dtype.itemsize * COLUMNS  # without x
        moved *= 8 * read / (COLUMNS * weights.bits)  # with the scales beside the codes
    instructions = [i for i in function.instructions if not i.startswith(".")]
    repeated = loop(function.instructions, width, rounds * len(run))
    issued = len(repeated) or (path_length(function.instructions, run) if run else len(instructions))
    return Measured(
        registers=function.registers,
        spills=function.stack + function.local + len(spills),
        loads=len(run),
        constant=sum(".CONSTANT" in i for i in run),
        stores=sum(stores.values()),
        load_bits=loads,
        store_bits=stores,
        warps=warps,
        kib_in_flight=warps * 32 * streamed / 1024,
        instructions=len(instructions),
        per_byte=issued / moved,
        fp4=16 * sum(".E2M1.UNPACK" in i for i in repeated) / packs,
        fp8=16 * sum(".E4M3.UNPACK" in i for i in repeated) / packs,
        products=16 * sum(i.split()[0].startswith("HMMA.16816") for i in repeated) / packs,
        bulk=(sum("UBLKCP.S.G" in i for i in instructions), sum("UBLKCP.G.S" in i for i in instructions)),
        flushing=sum(bool(re.search(r"\b[FH](ADD|MUL|FMA)2?\S*\.FTZ", i)) for i in instructions),
    )


def promised(prog: Program, how: str) -> dict[int, int]:
    """Return how many accesses of each width, in bits, a round of a thread takes, for operands that are `how`.

    An operand whose elements are narrower than the widest is taken in narrower accesses, as many elements at once.
    """
    kernel, layout, found = prog.kernel, prog.layout, Counter[int]()
    if prog.is_bulk:
        return {8 * prog.pack_bytes: 0}  # the elements behind the last pack are all that threads load and store
    if weights_of(kernel):
        return {8 * prog.pack_bytes: layout.rows * layout.unroll} if how == "is_read" else {}
    if form := geometry_of(kernel):
        return _of_attention(form, prog) if how == "is_read" else {}
    for operand in kernel.large:
        width = operand.number(prog.dtype).itemsize
        if getattr(operand, how):
            found[8 * prog.lanes * width] += layout.unroll * (layout.rows + 1 if kernel.name == "gemv" else 1)
    return dict(found)


def _of_attention(form: Geometry, prog: Program) -> dict[int, int]:
    """Return the loads of a round: of K four lanes share a row, of V eight, where that leaves them whole packs."""
    found = Counter({8 * prog.pack_bytes: prog.layout.unroll * 2 * form.head_dim // (4 * prog.lanes)})
    lanes = prog.lanes // 2 if form.head_dim % (8 * prog.lanes) else prog.lanes
    found[8 * prog.pack_bytes * lanes // prog.lanes] += prog.layout.unroll * 4 * form.head_dim // (8 * lanes)
    return dict(found)


def _by_width(accesses: Iterable[str], width: str) -> dict[int, int]:
    """Return how many loads or stores have each of the widths of a pattern, in bits."""
    return dict(Counter(int(found[1]) for access in accesses if (found := re.search(width, access))))


def faults(measured: Measured, prog: Program, arch: int) -> list[str]:
    """Return which promises a kernel's main function breaks, a sentence each.

    All loads of a round stand before the first use, through the read-only path unless the kernel writes the array,
    at full width; stores have full width; nothing spills; enough bytes are in flight; few enough instructions.
    """
    kernel, layout = prog.kernel, prog.layout
    found = _packed_faults(measured, prog) if weights_of(kernel) else []
    arrays = (
        layout.rows + (weights_of(kernel) is None) if kernel.name == "gemv" else sum(o.is_read for o in kernel.large)
    )
    writable = arrays if weights_of(kernel) else sum(o.role == "inout" for o in kernel.large)
    loads, stores = promised(prog, "is_read"), promised(prog, "is_written")
    constant = sum(loads.values()) if geometry_of(kernel) else (arrays - writable) * layout.unroll
    if prog.is_bulk:
        constant = 0
        found += [] if all(measured.bulk) else [f"{measured.bulk} bulk copies to shared memory and from there"]
    if measured.spills:
        found.append(f"{measured.spills} bytes or instructions of stack and local memory")
    for bits, count in loads.items():
        if (seen := measured.load_bits.get(bits, 0)) < count:
            found.append(f"{seen} loads of {bits // 8} bytes in a run, not {count}")
    if measured.constant < constant:
        found.append(f"{measured.constant} of them read-only, not {constant}")
    for bits, count in stores.items():
        if (seen := measured.store_bits.get(bits, 0)) < count:
            found.append(f"{seen} stores of {bits // 8} bytes, not {count}")
    least = MIN_KIB_IN_FLIGHT.get(arch, 16)
    if arrays and measured.kib_in_flight < least:
        found.append(f"{measured.kib_in_flight:.0f} KiB in flight per multiprocessor, not {least}")
    most = MAX_PER_BYTE.get(arch, MAX_PER_BYTE_ELSEWHERE)
    if weights := weights_of(kernel):
        name = "native" if prog.variant.endswith(_FP4) else weights.name
        most = MAX_PER_BYTE_PACKED.get(name, most)
    if measured.per_byte > most:
        found.append(f"{measured.per_byte:.1f} instructions per byte, more than {most}")
    return found


def _packed_faults(measured: Measured, prog: Program) -> list[str]:
    """Return which promises on packed weights are broken: their loads are ordinary ones, in front of a barrier."""
    found = []
    if measured.flushing:
        found.append(f"{measured.flushing} sums or products take subnormal numbers for zero")
    wanted = 16 if prog.variant.endswith(_FP4) else 0
    if measured.fp4 != wanted:
        found.append(f"{measured.fp4:g} native conversions of FP4 per 16 bytes, not {wanted}")
    return found


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    kernel: str
    dtype: str
    variant: str
    arch: int
    measured: Measured
    faults: tuple[str, ...]


def row(kernel: str, dtype: str, variant: str, arch: int) -> Line:
    """Compile, disassemble, measure and judge one case."""
    return judge(program(TABLE[kernel], DTYPES[dtype], variant, capability=divmod(arch, 10)), arch)


def judge(prog: Program, arch: int) -> Line:
    """Compile, disassemble, measure and judge a program."""
    parts = disassembled(prog.source, prog.options, arch)
    main, *others = (measure(parts[name], prog, arch) for name in prog.entries)
    found = [
        *faults(main, prog, arch),
        *(f"{n} spills" for n, m in zip(prog.entries[1:], others, strict=True) if m.spills),
    ]
    return Line(prog.kernel.label, prog.dtype.name, prog.variant, arch, main, tuple(found))


def cases(architectures: Iterable[int]) -> list[tuple[str, str, str, int]]:
    """Return every kernel, dtype and variant on those architectures, by label."""
    return [
        (label, dtype, variant, arch)
        for label, kernel in TABLE.items()
        for arch in architectures
        for variant in variants(kernel, divmod(arch, 10))
        for dtype in kernel.dtypes
    ]


def rows(wanted: list[tuple[str, str, str, int]]) -> list[Line]:
    """Compile and judge many cases, two at a time.

    Raises:
        MissingWheel: the compiler or a disassembler is not installed.
    """
    require_tools()
    # processes, because the compiler takes one source at a time; not forked, because the caller may have threads
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(row, *zip(*wanted, strict=True), chunksize=8))


def _resident_warps(function: Function, prog: Program, arch: int) -> int:
    """Return the warps that fit a multiprocessor: 64 K registers in four parts, given out 8 a thread."""
    per_block = prog.layout.threads // 32
    warps = 4 * (16384 // (-(-function.registers // 8) * 8 * 32))
    blocks = min(warps, MAX_WARPS.get(arch, 64)) // per_block
    if function.shared:
        blocks = min(blocks, SHARED_KIB.get(arch, 100) * 1024 // function.shared)
    if prog.kernel.is_reduction or geometry_of(prog.kernel) or prog.walks:
        blocks = min(blocks, prog.layout.blocks_per_sm)
    return blocks * per_block


def main() -> int:
    """Print the document for the architectures asked for."""
    parser = argparse.ArgumentParser(description="What do the CUDA sources compile to?")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="all architectures")
    which.add_argument("--arch", type=int, nargs="+", choices=ARCHITECTURES, help="these architectures")
    options = parser.parse_args()
    found = rows(cases(ARCHITECTURES if options.all else options.arch))
    print(sass_page.markdown(found))
    return int(any(r.faults for r in found))


if __name__ == "__main__":
    sys.exit(main())
