"""Run a CUDA kernel on this machine's CPU, and report what it computes and touches.

Each .cu source is compiled unmodified by g++ behind shim/cuda_host.h; shim/host.cpp runs it thread by thread, and
shim/memory.cpp sees every load and store. Nothing here needs CUDA.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandmark_kernels.core.launch import GridLaunch
from build_cache import cached

SHIM = Path(__file__).parent / "shim"
ALIGNMENT = 512
"""Bytes to which arrays are aligned, as CuPy's and CUDA's allocators do."""
GUARD = 4096
"""Bytes between arrays, so that a near miss hits none of them."""
WARNINGS = ("-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-psabi")
HOOKS = ("-fsanitize=thread,alignment,bounds", "--param=tsan-instrument-func-entry-exit=0")
FLAGS = ("-O1", *WARNINGS, *HOOKS, "-ffp-contract=off", "-fPIC", "-fvisibility=hidden")
POINTER_LETTER = "p"
LETTERS = {"float64": "d", "float32": "f", "uint64": "u"}


@dataclass(slots=True)
class Traffic:
    """Bytes of one array that a call has touched: in total, and each byte once."""

    read: int = 0
    written: int = 0
    read_once: int = 0
    written_once: int = 0


class _Array(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("base", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
        ("read", ctypes.c_uint64),
        ("written", ctypes.c_uint64),
        ("read_once", ctypes.c_uint64),
        ("written_once", ctypes.c_uint64),
    )


@dataclass(frozen=True, slots=True)
class Source:
    """What one compilation needs: the text, its macros, and the names of its __global__ functions."""

    text: str
    options: tuple[str, ...]
    entries: tuple[str, ...]


@dataclass(slots=True)
class Host:
    """Compiles sources, each at most once as long as the cache of builds is kept, and runs their entry points."""

    _runtime: ctypes.CDLL | None = None
    _libraries: dict[Source, ctypes.CDLL] = field(default_factory=dict)

    def run(
        self, source: Source, steps: Iterable[GridLaunch], values: dict[str, Any], *, backwards: bool = False
    ) -> tuple[str, dict[str, Traffic]]:
        """Run launches one after the other on NumPy arrays (made by `allocate`) and scalars, by name.

        Returns:
            What went wrong, or an empty string, and the traffic of each array over all launches.
        """
        runtime = self._load_runtime()
        arrays = {name: v for name, v in values.items() if isinstance(v, np.ndarray)}
        records = (_Array * len(arrays))(
            *(_Array(name.encode(), a.ctypes.data, a.nbytes) for name, a in arrays.items())
        )
        runtime.host_begin(records, len(records))
        error = ""
        for step in steps:
            error = self._launch(source, step, values, backwards=backwards)
            if error:
                break
        counts = [Traffic(r.read, r.written, r.read_once, r.written_once) for r in records]
        return error, dict(zip(arrays, counts, strict=True))

    def _launch(self, source: Source, step: GridLaunch, values: dict[str, Any], *, backwards: bool) -> str:
        library, runtime = self._library(source), self._load_runtime()
        letters = getattr(library, f"letters_{step.entry}")
        letters.restype = ctypes.c_char_p
        wanted = "".join(POINTER_LETTER if a.is_array else LETTERS[a.dtype] for a in step.args)
        if letters().decode() != wanted:
            return f"signature: {step.entry} takes {letters().decode()}, the launch passes {wanted}"
        cells = [_cell(v) for v in step.arguments(values)]
        pointers = (ctypes.c_void_p * len(cells))(*(c.ctypes.data for c in cells))
        for name in ("shared_begin", "shared_end"):
            getattr(library, name).restype = ctypes.c_void_p
        message = runtime.host_launch(
            getattr(library, f"call_{step.entry}"),
            pointers,
            (ctypes.c_uint * 3)(*step.grid),
            (ctypes.c_uint * 3)(*step.block),
            ctypes.c_void_p(library.shared_begin()),
            ctypes.c_void_p(library.shared_end()),
            int(backwards),
        )
        return "" if message is None else f"{step.entry}: {message.decode()}"

    def _load_runtime(self) -> ctypes.CDLL:
        if self._runtime is None:
            # longjmp between stacks is what Linux distributions' fortified one refuses
            flags = ("-O2", "-U_FORTIFY_SOURCE", *WARNINGS, "-fPIC", "-shared")
            sources = {file.name: file.read_text() for file in sorted(SHIM.iterdir())}
            build = partial(_gxx, *flags, *SHIM.glob("*.cpp"), "-o")
            path = cached(".so", (flags, sources, _version()), build)
            self._runtime = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
            self._runtime.host_launch.restype = ctypes.c_char_p
        return self._runtime

    def _library(self, source: Source) -> ctypes.CDLL:
        """Return a compiled source.

        Raises:
            RuntimeError: g++ refuses a source or warns about it; the message is the compiler's.
        """
        self._load_runtime()
        if source not in self._libraries:
            shim = (SHIM / "cuda_host.h").read_text()
            path = cached(".so", (source, FLAGS, shim, _version()), partial(_build, source))
            self._libraries[source] = ctypes.CDLL(str(path))
        return self._libraries[source]


def _build(source: Source, library: Path) -> None:
    exports = [f"EXPORT_KERNEL({entry})" for entry in source.entries]
    text = library.with_suffix(".cpp")
    text.write_text("\n".join([source.text, *exports, "EXPORT_SHARED_MEMORY", ""]), "utf-8")
    try:
        # the linker would bring the sanitizer's runtime, so it is not told of it
        _gxx(*FLAGS, "-include", str(SHIM / "cuda_host.h"), *source.options, "-c", str(text), "-o", f"{text}.o")
        _gxx("-shared", "-nostartfiles", f"{text}.o", "-o", str(library))
    finally:
        text.unlink()
        Path(f"{text}.o").unlink(missing_ok=True)


def allocate(counts: dict[str, tuple[int, str]]) -> dict[str, NDArray[Any]]:
    """Return arrays by name for (elements, NumPy dtype), aligned, apart from each other, all bits set (NaN)."""
    sizes = {name: n * np.dtype(dtype).itemsize for name, (n, dtype) in counts.items()}
    pitch = {name: -(-size // ALIGNMENT) * ALIGNMENT + GUARD for name, size in sizes.items()}
    memory = np.full(sum(pitch.values()) + GUARD + ALIGNMENT, 0xFF, np.uint8)
    offset = GUARD + -(memory.ctypes.data + GUARD) % ALIGNMENT
    arrays = {}
    for name, (_, dtype) in counts.items():
        arrays[name] = memory[offset : offset + sizes[name]].view(dtype)
        offset += pitch[name]
    return arrays


def _cell(value: Any) -> NDArray[Any]:
    """Return an array whose memory holds one argument: a scalar, or an array's address."""
    return np.array([value.ctypes.data], np.uint64) if isinstance(value, np.ndarray) else np.array([value])


@cache
def _version() -> str:
    """Return which compiler it is."""
    return _gxx("--version")


def _gxx(*arguments: str | Path) -> str:
    """Run the compiler and return what it prints on stdout."""
    command = ("g++", "-std=c++17", *map(str, arguments))
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RuntimeError("the CUDA sources are checked with g++, which is missing: install g++ 11 or newer") from None
    if run.returncode or run.stderr:
        raise RuntimeError(f"{' '.join(command)}\n{run.stderr}")
    return run.stdout
