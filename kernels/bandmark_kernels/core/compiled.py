"""Loops in Python that Numba compiles: a serial body per kernel, which each thread runs on its part of the operands.

A body takes operands and scalars by the names that the kernel gives them, and elements by `load` and `store`
(core/elements.py). Numba is imported when the first body is compiled.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from types import FunctionType
from typing import Any

from bandmark_kernels.core import np
from bandmark_kernels.core.kernel import Implementation, Launch

Body = Callable[..., object]
"""Takes arrays and numbers; nothing that it calls may be unknown to Numba."""

MODES = ("normal", "nt")
"""How a body that streams stores its output: through the cache, or past it by non-temporal stores."""

_LINE = 64
"""Bytes that one store past the cache writes: a cache line, or half of the longest in use."""

_STREAM_BYTES = 1024
"""Bytes that are computed in the first level of the cache before they are stored past it. 512 and 2048 were as fast
within 2 %, 8192 a tenth slower (2-vCPU Xeon)."""


def compiled(body: Body, *, streams: bool = False, **options: Any) -> Implementation:
    """Return a kernel's implementation by a body.

    Args:
        body: the loop over a thread's part of the operands. One that streams names its output first.
        streams: whether there is a variant with non-temporal stores too: for kernels that only write their output.
        options: of the Implementation.
    """
    modes = dict(zip(MODES, (partial(bind, body), partial(_bind_streams, body)), strict=True)) if streams else {}
    return Implementation(partial(bind, body), modes=modes, **{"constants": dict, **options})


@cache
def compile_body(body: Body) -> Any:
    """Return a body as a Numba function without the interpreter's lock, compiled once for each set of types.

    Machine code is kept in the user's cache, in a folder for each state of the sources; where that can't be written
    each process compiles anew.
    """
    import numba

    from bandmark_kernels.core import intrinsics  # noqa: F401 - it teaches Numba load, store and zero

    function = numba.njit(nogil=True, fastmath=True, error_model="numpy")(body)
    if folder := _cache_folder():
        config: Any = numba.config
        usual, config.CACHE_DIR = config.CACHE_DIR, folder
        try:
            function.enable_caching()
        finally:
            config.CACHE_DIR = usual
    return function


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
    return _bind(compile_body(body), *_in_order(body, arguments))


def _bind(function: Any, *arguments: Any) -> Launch:
    import numba

    function.compile(tuple(map(numba.typeof, arguments)))
    return partial(function, *arguments)


def _in_order(body: Body, arguments: Mapping[str, Any]) -> list[Any]:
    """Return the arguments in the order of the body's parameters, float16 as its bits: Numba has no such number."""
    ordered = [arguments[name] for name in inspect.signature(body).parameters]
    return [value.view(np.int16) if value.dtype == np.float16 else value for value in ordered]


def _bind_streams(body: Body, **arguments: Any) -> Launch:
    """Return a launch of a body whose output goes past the cache, but for what is no whole block at either end."""
    out, *rest = _in_order(body, arguments)
    room = np.empty(_STREAM_BYTES + _LINE, np.uint8)
    start = -room.ctypes.data % _LINE
    block = room[start : start + _STREAM_BYTES].view(out.dtype)
    head = min(len(out), -out.ctypes.data % _LINE // out.itemsize)
    return _bind(_streams(body), out, block, head, tuple(rest))


@cache
def _streams(body: Body) -> Any:
    """Return `store_in_blocks` for a body, under a name of its own: Numba's cache goes by file, name and bytecode."""
    from bandmark_kernels.core import intrinsics

    function = FunctionType(intrinsics.store_in_blocks.__code__, {**vars(intrinsics), "body": compile_body(body)})
    function.__qualname__ = f"{body.__module__}.{body.__qualname__}.in_blocks"
    return compile_body(function)
