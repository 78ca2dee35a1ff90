"""Compile a CUDA source as CuPy does, and read the machine code.

NVRTC and the disassemblers come as Python wheels; no GPU and no CUDA installation is needed.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from build_cache import cached

CUPY_OPTIONS = ("-ftz=true", "--device-as-default-execution-space")
"""What CuPy 14.2 adds to a RawModule's own options, beside -arch=sm_NN and include folders that the kernels do not
use (cupy/cuda/compiler.py)."""

MISSING = (
    "{} is missing: the CUDA sources are checked with NVIDIA's compiler, from the wheels nvidia-cuda-nvrtc, "
    "nvidia-cuda-nvdisasm and nvidia-cuda-cuobjdump 13.5; install the extra that brings them: pip install -e '.[test]'"
)


class MissingWheel(RuntimeError):
    """A wheel with NVIDIA's compiler or disassembler is not installed."""


@dataclass(frozen=True, slots=True)
class Function:
    """What one __global__ function has become."""

    name: str
    registers: int
    stack: int
    local: int
    shared: int
    """Bytes of shared memory of a block."""
    instructions: tuple[str, ...]
    """SASS in order; a label is an instruction that starts with a dot."""


def disassembled(text: str, options: tuple[str, ...], arch: int) -> dict[str, Function]:
    """Return what each __global__ function becomes, from the cache of builds if it has been compiled before.

    Raises:
        MissingWheel: the compiler or a disassembler is not installed.
        ValueError: NVRTC refuses the source.
    """

    def build(file: Path) -> None:
        parts = functions(compile_cubin(text, options, arch))
        file.write_text(json.dumps([asdict(function) for function in parts.values()]), "utf-8")

    file = cached(".sass.json", (text, options, CUPY_OPTIONS, arch, _versions(), Function.__slots__), build)
    stored = json.loads(file.read_text("utf-8"))
    return {f["name"]: Function(**{**f, "instructions": tuple(f["instructions"])}) for f in stored}


@cache
def _versions() -> tuple[str, ...]:
    """Return which compiler and disassemblers these are.

    Raises:
        MissingWheel: one is not installed.
    """
    require_tools()
    return tuple(version(f"nvidia-cuda-{tool}") for tool in ("nvrtc", "nvdisasm", "cuobjdump"))


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
    for match in re.finditer(r"Function (\w+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)", usage):
        registers, stack, shared, local = (int(match[i]) for i in (2, 3, 4, 5))
        found[match[1]] = Function(match[1], registers, stack, local, shared, _instructions(listing, match[1]))
    return found


def _instructions(listing: str, name: str) -> tuple[str, ...]:
    section = re.search(rf"\.section\s+\.text\.{name},.*?(?=\.section\s+\.text\.|\Z)", listing, re.DOTALL)
    assert section is not None
    lines = (re.match(r"\s*/\*[0-9a-f]+\*/\s+(.*?)\s*;|(\.L_\w+):", line) for line in section[0].splitlines())
    return tuple(m[1] or m[2] for m in lines if m)


def require_tools() -> None:
    """Find the compiler and the disassemblers.

    Raises:
        MissingWheel: one is not installed; the message names the extra that brings it.
    """
    _nvrtc()
    for name in ("nvdisasm", "cuobjdump"):
        _find("bin", name)


def _find(part: str, pattern: str) -> Path:
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []
    for path in (p for root in roots for p in sorted((root / "cu13" / part).glob(pattern))):
        return path
    raise MissingWheel(MISSING.format(pattern.removesuffix(".so.*")))


@cache
def _nvrtc() -> ctypes.CDLL:
    # NVRTC looks for its builtins by name: they must be loaded first
    ctypes.CDLL(str(_find("lib", "libnvrtc-builtins.so.*")), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(_find("lib", "libnvrtc.so.*")))


def _tool(name: str, *arguments: str) -> str:
    run = (str(_find("bin", name)), *arguments)
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout
