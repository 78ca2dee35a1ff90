"""What do the CUDA sources compile to, for each architecture? Needs no GPU: NVRTC and the disassembler come as wheels.

    python tests/cuda/sass.py --all          every kernel, dtype, variant and architecture, as a Markdown document
    python tests/cuda/sass.py --arch 90 121  those architectures

Each row is judged by the promises of `faults`; the exit status is 1 if any is broken.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import sass_page
from cubin import Function, compile_cubin, functions, require_tools

from bandmark_kernels import DTYPES, KERNELS
from bandmark_kernels.cuda import Program, program, variants

ARCHITECTURES = (80, 86, 89, 90, 100, 103, 120, 121)
"""NVIDIA's architectures since Ampere, but for the Jetson boards'."""

MIN_KIB_IN_FLIGHT = {90: 48, 100: 64, 103: 64}
"""KiB per multiprocessor that must be in flight to hide the memory's latency; 16 elsewhere (NVIDIA CUB,
tuning_transform.cuh, cc_to_min_bytes_in_flight)."""

MAX_WARPS = {86: 48, 89: 48, 120: 48, 121: 48}
"""Warps that a multiprocessor holds; 64 elsewhere (CUDA C++ Programming Guide, technical specifications)."""


MAX_PER_BYTE = {90: 5.5, 100: 3.7, 103: 3.7}
"""Instructions of a thread per byte up to which a multiprocessor, which issues 128 a clock, outruns the memory by a
quarter: on a B200 (8000 GB/s, 148 multiprocessors at 1.965 GHz) and an H200 (4800, 132 at 1.98)."""

MAX_PER_BYTE_ELSEWHERE = 7.6
"""That of an A100 (2039, 108 at 1.41); no other device of those architectures has more bandwidth per clock."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A function's figures. Loads and stores are those of the promised width."""

    registers: int
    spills: int
    """Bytes of stack and local memory, and instructions that touch them."""
    loads: int
    """Loads that are issued before the first instruction that needs one of them."""
    constant: int
    """Those of them that go through the read-only path."""
    stores: int
    warps: int
    kib_in_flight: float
    instructions: int
    per_byte: float
    """Instructions of a thread per byte that it moves: of the loop that has the loads, else of the whole function."""


def measure(function: Function, prog: Program, arch: int) -> Measured:
    """Return a function's figures: its best run of loads, and what that means per multiprocessor."""
    width = rf"\.{8 * prog.pack_bytes}\b"
    spills = [i for i in function.instructions if re.search(r"\b(LDL|STL)\b", i)]
    run = max(load_runs(function.instructions, width), key=len, default=[])
    warps = _resident_warps(function.registers, prog, arch)
    streamed, layout = len(run), prog.layout
    arrays = sum(prog.kernel.words)
    if prog.kernel.name == "gemv":  # of ROWS + 1 packs one is x's, which comes from the cache
        streamed, arrays = streamed * layout.rows // (layout.rows + 1), layout.rows
    instructions = sum(not i.startswith(".") for i in function.instructions)
    issued = loop_length(function.instructions, width, len(run)) or instructions
    return Measured(
        registers=function.registers,
        spills=function.stack + function.local + len(spills),
        loads=len(run),
        constant=sum(".CONSTANT" in i for i in run),
        stores=sum(bool(re.search(r"\bSTG\b.*?" + width, i)) for i in function.instructions),
        warps=warps,
        kib_in_flight=warps * 32 * streamed * prog.pack_bytes / 1024,
        instructions=instructions,
        per_byte=issued / (arrays * layout.unroll * prog.pack_bytes),
    )


def loop_length(instructions: tuple[str, ...], width: str, loads: int) -> int | None:
    """Return the instructions of the shortest loop that has at least so many loads of a width, or None."""
    labels = {name: i for i, name in enumerate(instructions) if name.startswith(".")}
    lengths = []
    for end, instruction in enumerate(instructions):
        target = re.search(r"\bBRA\b.*`\((\.L_\w+)\)", instruction)
        if target and (begin := labels.get(target[1], end)) < end:
            body = [i for i in instructions[begin : end + 1] if not i.startswith(".")]
            if 0 < loads <= sum(bool(re.search(r"\bLDG\b\S*" + width, i)) for i in body):
                lengths.append(len(body))
    return min(lengths, default=None)


def load_runs(instructions: tuple[str, ...], width: str) -> Iterator[list[str]]:
    """Yield runs of loads of a width: a run ends where a loaded register is used, and at branches and labels."""
    run: list[str] = []
    pending: set[int] = set()
    for instruction in instructions:
        load = re.search(r"\bLDG\b\S*" + width, instruction)
        targets, sources = _registers(instruction)
        if pending & sources or re.search(r"\b(BRA|EXIT|RET|CALL)\b|^\.", instruction):
            yield run
            run, pending = [], set()
        if load:
            run.append(instruction)
            pending |= targets
    yield run


def faults(measured: Measured, prog: Program, arch: int) -> list[str]:
    """Return which promises a kernel's main function breaks, a sentence each.

    All loads of a round stand before the first use, through the read-only path unless the kernel writes the array,
    at full width; stores have full width; nothing spills; enough bytes are in flight; few enough instructions.
    """
    kernel, layout, found = prog.kernel, prog.layout, []
    arrays = layout.rows + 1 if kernel.name == "gemv" else sum(o.is_read for o in kernel.large)
    writable = sum(o.role == "inout" for o in kernel.large)
    if measured.spills:
        found.append(f"{measured.spills} bytes or instructions of stack and local memory")
    if measured.loads < arrays * layout.unroll:
        found.append(f"{measured.loads} loads of {prog.pack_bytes} bytes in a run, not {arrays * layout.unroll}")
    if measured.constant < (arrays - writable) * layout.unroll:
        found.append(f"{measured.constant} of them read-only, not {(arrays - writable) * layout.unroll}")
    stored = sum(o.is_written for o in kernel.large)
    if measured.stores < stored * layout.unroll:
        found.append(f"{measured.stores} stores of {prog.pack_bytes} bytes, not {stored * layout.unroll}")
    least = MIN_KIB_IN_FLIGHT.get(arch, 16)
    if arrays and measured.kib_in_flight < least:
        found.append(f"{measured.kib_in_flight:.0f} KiB in flight per multiprocessor, not {least}")
    most = MAX_PER_BYTE.get(arch, MAX_PER_BYTE_ELSEWHERE)
    if measured.per_byte > most:
        found.append(f"{measured.per_byte:.1f} instructions per byte, more than {most}")
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    kernel: str
    dtype: str
    variant: str
    arch: int
    measured: Measured
    faults: tuple[str, ...]


def row(kernel: str, dtype: str, variant: str, arch: int) -> Row:
    """Compile, disassemble, measure and judge one case."""
    return judge(program(KERNELS[kernel], DTYPES[dtype], variant, capability=divmod(arch, 10)), arch)


def judge(prog: Program, arch: int) -> Row:
    """Compile, disassemble, measure and judge a program."""
    parts = functions(compile_cubin(prog.source, prog.options, arch))
    main, *others = (measure(parts[name], prog, arch) for name in prog.entries)
    found = [
        *faults(main, prog, arch),
        *(f"{n} spills" for n, m in zip(prog.entries[1:], others, strict=True) if m.spills),
    ]
    return Row(prog.kernel.name, prog.dtype.name, prog.variant, arch, main, tuple(found))


def cases(architectures: Iterable[int]) -> list[tuple[str, str, str, int]]:
    """Return every kernel, dtype and variant on those architectures."""
    return [
        (name, dtype, variant, arch)
        for name, kernel in KERNELS.items()
        for arch in architectures
        for variant in variants(kernel, divmod(arch, 10))
        for dtype in DTYPES
    ]


def rows(wanted: list[tuple[str, str, str, int]]) -> list[Row]:
    """Compile and judge many cases, two at a time.

    Raises:
        MissingWheel: the compiler or a disassembler is not installed.
    """
    require_tools()
    # processes, because the compiler takes one source at a time; not forked, because the caller may have threads
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(row, *zip(*wanted, strict=True), chunksize=8))


def _registers(instruction: str) -> tuple[set[int], set[int]]:
    """Return the registers that a load fills (none for other instructions), and those that an instruction names."""
    operands = re.sub(r"^@!?U?P\w+\s+", "", instruction)
    named = [int(n) for n in re.findall(r"(?<![A-Z\d])R(\d+)", operands)]
    if not re.match(r"LDG\b", operands):
        return set(), set(named if re.match(r"ST|RED|ATOM", operands) else named[1:])
    address = re.search(r"\[R(\d+)", operands)
    filled = re.findall(r"(?<![A-Z\d\[])R(\d+)", operands.split("desc[")[0].split("[")[0])
    bits = 128 if len(filled) > 1 else next((b for b in (256, 128, 64) if f".{b}" in operands), 32)
    targets = {int(first) + i for first in filled for i in range(bits // 32)}
    return targets, {int(address[1])} if address else set()


def _resident_warps(registers: int, prog: Program, arch: int) -> int:
    """Return the warps that fit a multiprocessor: 64 K registers in four parts, given out 8 a thread."""
    per_block = prog.layout.threads // 32
    warps = 4 * (16384 // (-(-registers // 8) * 8 * 32))
    blocks = min(warps, MAX_WARPS.get(arch, 64)) // per_block
    if prog.kernel.is_reduction or prog.variant == "v16-gridstride":
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
