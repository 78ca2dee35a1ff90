"""What do the CUDA sources compile to, for each architecture? Needs no GPU: NVRTC and the disassembler come as wheels.

    python tests/cuda/sass.py --all          every kernel, dtype, variant and architecture, as a Markdown document
    python tests/cuda/sass.py --arch 90 121  those architectures

Each row is judged by the promises of `faults`; the exit status is 1 if any is broken.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bandmark_kernels import DTYPES, KERNELS
from bandmark_kernels.cuda import Program, program, variants

ARCHITECTURES = (80, 86, 89, 90, 100, 103, 120, 121)
CUPY_OPTIONS = ("-ftz=true", "--device-as-default-execution-space")
"""What CuPy 14.2 adds to a RawModule's own options, beside -arch=sm_NN and include folders that the kernels do not
use (cupy/cuda/compiler.py)."""

MIN_KIB_IN_FLIGHT = {90: 48, 100: 64, 103: 64}
"""KiB per multiprocessor that must be in flight to hide the memory's latency; 16 elsewhere (NVIDIA CUB,
tuning_transform.cuh, cc_to_min_bytes_in_flight)."""

MAX_WARPS = {86: 48, 89: 48, 120: 48, 121: 48}
"""Warps that a multiprocessor holds; 64 elsewhere (CUDA C++ Programming Guide, technical specifications)."""

WHEELS = "nvidia-cuda-nvrtc, nvidia-cuda-nvdisasm and nvidia-cuda-cuobjdump 13.x"


@dataclass(frozen=True, slots=True)
class Function:
    """What one __global__ function has become."""

    name: str
    registers: int
    stack: int
    local: int
    instructions: tuple[str, ...]
    """SASS in order; a label is an instruction that starts with a dot."""


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


class MissingWheel(RuntimeError):
    """A wheel with NVIDIA's compiler or disassembler is not installed."""


def compile_cubin(text: str, options: tuple[str, ...], arch: int) -> bytes:
    """Compile as CuPy does.

    Raises:
        MissingWheel: NVRTC is not installed.
        ValueError: NVRTC refuses the source; the message is the compiler's.
    """
    nvrtc, handle, size = _nvrtc(), ctypes.c_void_p(), ctypes.c_size_t()
    flags = [o.encode() for o in (*options, *CUPY_OPTIONS, f"-arch=sm_{arch}")]
    nvrtc.nvrtcCreateProgram(ctypes.byref(handle), text.encode(), b"kernel.cu", 0, None, None)
    failed = nvrtc.nvrtcCompileProgram(handle, len(flags), (ctypes.c_char_p * len(flags))(*flags))
    nvrtc.nvrtcGetProgramLogSize(handle, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(handle, log)
    if failed or log.value.strip():
        raise ValueError(f"sm_{arch} {' '.join(options)}\n{log.value.decode()}")
    nvrtc.nvrtcGetCUBINSize(handle, ctypes.byref(size))
    cubin = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetCUBIN(handle, cubin)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(handle))
    return cubin.raw


def functions(cubin: bytes) -> dict[str, Function]:
    """Disassemble a cubin.

    Raises:
        MissingWheel: a disassembler is not installed.
    """
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage = _tool("cuobjdump", "-res-usage", file.name)
        listing = _tool("nvdisasm", "-c", file.name)
    found = {}
    for match in re.finditer(r"Function (\w+):\s+REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", usage):
        name, registers, stack, local = match[1], *(int(match[i]) for i in (2, 3, 4))
        found[name] = Function(name, registers, stack, local, _instructions(listing, name))
    return found


def measure(function: Function, prog: Program, arch: int) -> Measured:
    """Return a function's figures: its best run of loads, and what that means per multiprocessor."""
    width = rf"\.{8 * prog.pack_bytes}\b"
    spills = [i for i in function.instructions if re.search(r"\b(LDL|STL)\b", i)]
    run = max(load_runs(function.instructions, width), key=len, default=[])
    warps = _resident_warps(function.registers, prog, arch)
    streamed = len(run)
    if prog.kernel.name == "gemv":  # of ROWS + 1 packs one is x's, which comes from the cache
        streamed = streamed * prog.layout.rows // (prog.layout.rows + 1)
    return Measured(
        registers=function.registers,
        spills=function.stack + function.local + len(spills),
        loads=len(run),
        constant=sum(".CONSTANT" in i for i in run),
        stores=sum(bool(re.search(r"\bSTG\b.*?" + width, i)) for i in function.instructions),
        warps=warps,
        kib_in_flight=warps * 32 * streamed * prog.pack_bytes / 1024,
        instructions=sum(not i.startswith(".") for i in function.instructions),
    )


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
    at full width; stores have full width; nothing spills; enough bytes are in flight.
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
    prog = program(KERNELS[kernel], DTYPES[dtype], variant, capability=divmod(arch, 10))
    parts = functions(compile_cubin(prog.source, prog.options, arch))
    main, *others = (measure(parts[name], prog, arch) for name in prog.entries)
    found = [*faults(main, prog, arch), *(f"{n} spills" for n, m in zip(prog.entries[1:], others, strict=True) if m.spills)]
    return Row(kernel, dtype, variant, arch, main, tuple(found))


def cases(architectures: tuple[int, ...]) -> list[tuple[str, str, str, int]]:
    """Return every kernel, dtype and variant on those architectures."""
    return [
        (name, dtype, variant, arch)
        for name, kernel in KERNELS.items()
        for dtype in DTYPES
        for arch in architectures
        for variant in variants(kernel, divmod(arch, 10))
    ]


def markdown(rows: list[Row]) -> str:
    """Return the tables: one per kernel, a line per dtype, variant and architecture."""
    lines = []
    for name, kernel in KERNELS.items():
        lines += ["", f"## {name}: {kernel.formula}", "", *_TABLE_HEAD]
        for r in (r for r in rows if r.kernel == name):
            m = r.measured
            in_flight = f"{m.kib_in_flight:.0f}" if m.loads else ""
            verdict = "; ".join(r.faults) or "ok"
            lines.append(
                f"| {r.dtype} | {r.variant} | sm_{r.arch} | {m.registers} | {m.warps} | {m.loads} | {m.constant} "
                f"| {m.stores} | {in_flight} | {m.instructions} | {verdict} |"
            )
    return "\n".join([*_INTRODUCTION, *lines, ""])


_TABLE_HEAD = (
    "| dtype | variant | arch | registers | warps/SM | loads in a run | read-only | wide stores | KiB in flight/SM "
    "| instructions | verdict |",
    "|---|---|---|--:|--:|--:|--:|--:|--:|--:|---|",
)

_INTRODUCTION = (
    "# What the CUDA kernels compile to",
    "",
    "Generated by `python tests/cuda/sass.py --all`, without a GPU: NVRTC compiles each kernel with CuPy's options, and",
    "these are the figures of its main function's machine code. They show that the loads are wide and early; they say",
    "nothing about speed.",
    "",
    "- loads in a run: loads of the variant's width (128 or 256 bits) before the first instruction that needs one of",
    "  them; read-only: those through the read-only path; wide stores: of that width, the guarded last tile's included.",
    "- KiB in flight per multiprocessor: warps that fit x 32 x bytes of such a run (of a gemv without x). NVIDIA CUB",
    "  asks for 64 on sm_100 and sm_103, 48 on sm_90, 16 elsewhere.",
    "- Every function, the finishing ones too, must do without stack and local memory: no spills.",
)


def _instructions(listing: str, name: str) -> tuple[str, ...]:
    section = re.search(rf"\.section\s+\.text\.{name},.*?(?=\.section\s+\.text\.|\Z)", listing, re.DOTALL)
    assert section is not None
    lines = (re.match(r"\s*/\*[0-9a-f]+\*/\s+(.*?)\s*;|(\.L_\w+):", line) for line in section[0].splitlines())
    return tuple(m[1] or m[2] for m in lines if m)


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


def _folder(part: str) -> Path:
    spec = importlib.util.find_spec("nvidia")
    for root in (spec.submodule_search_locations or []) if spec else []:
        if (Path(root) / "cu13" / part).is_dir():
            return Path(root) / "cu13" / part
    raise MissingWheel(f"the SASS checks need {WHEELS}: pip install 'bandmark[test]'")


@cache
def _nvrtc() -> ctypes.CDLL:
    folder = _folder("lib")
    names = (*folder.glob("libnvrtc-builtins.so.*"), *folder.glob("libnvrtc.so.*"))
    if len(names) < 2:
        raise MissingWheel(f"no NVRTC in {folder.name}: the SASS checks need {WHEELS}: pip install 'bandmark[test]'")
    # NVRTC looks for its builtins by name: they must be loaded first
    return [ctypes.CDLL(str(name), mode=ctypes.RTLD_GLOBAL) for name in names][-1]


def _tool(name: str, *arguments: str) -> str:
    path = _folder("bin") / name
    if not path.exists():
        raise MissingWheel(f"no {name}: the SASS checks need {WHEELS}: pip install 'bandmark[test]'")
    return subprocess.run((str(path), *arguments), capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Print the document for the architectures asked for."""
    parser = argparse.ArgumentParser(description="What do the CUDA sources compile to?")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="all architectures")
    which.add_argument("--arch", type=int, nargs="+", choices=ARCHITECTURES, help="these architectures")
    options = parser.parse_args()
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(row, *zip(*cases(ARCHITECTURES if options.all else tuple(options.arch)), strict=True), chunksize=8))
    print(markdown(rows))
    return int(any(r.faults for r in rows))


if __name__ == "__main__":
    sys.exit(main())
