"""Loops in Python that Numba compiles: a serial body per kernel, which each thread runs on its part of the operands.

A body takes operands and scalars by the names that the kernel gives them, and elements by `load` and `store`
(core/elements.py). Numba is imported when the first body is compiled.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from types import FunctionType
from typing import Any

from bandmark_kernels.core import np
from bandmark_kernels.core.kernel import Implementation, Launch

Body = Callable[..., object]
"""Takes arrays and numbers; nothing that it calls may be unknown to Numba."""

MODES = ("normal", "nt")
"""How an element is stored: through the cache, or past it by non-temporal stores."""


def compiled(body: Body, **options: Any) -> Implementation:
    """Return a kernel's implementation by a body: a loop over a thread's part of the operands."""
    return Implementation(partial(bind, body), **{"constants": dict, **options})


def mapped(element: Body, output: str, *operands: str) -> Implementation:
    """Return the implementation of a kernel that only writes its output, element by element, in both modes.

    Args:
        element: takes an index and a tuple of operands and scalars, and returns a number.
        output: the operand that it is stored to.
        operands: the names of what the tuple holds.
    """
    modes = {mode: partial(_bind_loop, mode, element, output, operands) for mode in MODES}
    return Implementation(modes[MODES[0]], constants=dict, modes=modes)


@cache
def compile_body(body: Body) -> Any:
    """Return a body as a Numba function without the interpreter's lock, compiled once for each set of types.

    Machine code is kept in the user's cache, in a folder for each state of the sources; where that can't be written
    each process compiles anew.
    """
    import numba

    from bandmark_kernels.core import intrinsics  # noqa: F401 - it teaches Numba load, store and zero

    _choose_vectors(numba.config)
    function = numba.njit(nogil=True, fastmath=True, error_model="numpy")(body)
    if folder := _cache_folder():
        config: Any = numba.config
        usual, config.CACHE_DIR = config.CACHE_DIR, folder
        try:
            function.enable_caching()
        finally:
            config.CACHE_DIR = usual
    return function


def _choose_vectors(config: Any) -> None:
    """Let LLVM use vectors of 64 bytes where a processor moves them at once, and of 32 where it takes them in two.

    LLVM prefers 32 for Intel's. With 64 a triad in the first level of a Xeon's caches moves 280 GB/s instead of 216,
    of which C has 250. Zen 4 takes them in two (AMD, Software Optimization Guide for Zen 4, 2.11): with 32 its add in
    memory moves 1.16 of what C does instead of 0.90, gemv 1.07 instead of 0.90.
    """
    from llvmlite import binding

    config.SLP_VECTORIZE = 1  # which makes vectors of lines of elements (core/intrinsics.py)
    features = binding.get_host_cpu_features()
    if features.get("avx512f") and config.CPU_FEATURES is None:
        sign = "+" if binding.get_host_cpu_name() == "znver4" else "-"
        config.CPU_FEATURES = f"{features.flatten()},{sign}prefer-256-bit"


@cache
def _cache_folder() -> str | None:
    """Return the folder for machine code of these very sources, None if it can't be written."""
    import hashlib

    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = caches / "bandmark" / f"numba-{digest[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # a file system that is read-only or full; a user without a home
        return None
    return str(folder) if os.access(folder, os.W_OK) else None


def bind(body: Body, **arguments: Any) -> Launch:
    """Return a launch of a body on operands and scalars given by its names, compiled for their types."""
    return _bind(compile_body(body), *(_as_number(arguments[name]) for name in inspect.signature(body).parameters))


def _bind_loop(mode: str, element: Body, output: str, operands: Sequence[str], **arguments: Any) -> Launch:
    values = tuple(_as_number(arguments[name]) for name in operands)
    return _bind(_loop(mode, element), _as_number(arguments[output]), values)


def _bind(function: Any, *arguments: Any) -> Launch:
    import numba

    function.compile(tuple(map(numba.typeof, arguments)))
    return partial(function, *arguments)


def _as_number(value: Any) -> Any:
    """Return an array of float16 as its bits, since Numba has no such number, and anything else as it is."""
    return value.view(np.int16) if value.dtype == np.float16 else value


@cache
def _loop(mode: str, element: Body) -> Any:
    """Return the loop of core/intrinsics.py over an element: under a name of its own, by which Numba's cache goes."""
    from bandmark_kernels.core import intrinsics

    own = {"element": compile_body(element), "store_line": intrinsics.LINE_STORES[mode]}
    function = FunctionType(intrinsics.store_lines.__code__, {**vars(intrinsics), **own})
    function.__qualname__ = f"{element.__module__}.{mode}"
    return compile_body(function)
