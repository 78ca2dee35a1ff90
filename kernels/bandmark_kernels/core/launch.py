"""Launches on a CUDA device: grids, blocks, and arguments in order.

Arguments are checked for exact widths: a bare Python float arrives on a device as a double and computes nonsense.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bandmark_kernels.core import np

MAX_SPLITS = 65535
"""CUDA's limit on gridDim.y (CUDA C++ Programming Guide, technical specifications per compute capability)."""


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument of a __global__ function."""

    name: str
    dtype: str  # NumPy's name for the argument's type; of an array, for the type of its elements
    value: int | None = None
    """The argument itself where it is known: a count, or 0 for an array that there is not."""
    is_array: bool = False


def count(name: str, value: int) -> Arg:
    """Return an argument that is a number of something."""
    return Arg(name, "uint64", value)


@dataclass(frozen=True, slots=True)
class GridLaunch:
    """One launch: an entry point, its grid and block, and its arguments in order."""

    entry: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    args: tuple[Arg, ...]

    def arguments(self, values: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
        """Return what to launch with: arrays and scalars by name from `values`, counts as numpy.uint64.

        Raises:
            TypeError: a scalar is not of exactly the argument's type, or an array's elements have another width.
        """
        return tuple(_argument(self.entry, arg, values or {}) for arg in self.args)


@dataclass(frozen=True, slots=True)
class Launches:
    """All that one call of a kernel launches, in order, and the array "workspace", of any contents, that they share."""

    steps: tuple[GridLaunch, ...]
    workspace_elements: int
    workspace_dtype: str


def delay(nanoseconds: int) -> tuple[str, GridLaunch]:
    """Return source and launch of a kernel that keeps the device busy so long that launches queue up."""
    return source("delay"), GridLaunch("bandmark_delay", (1, 1, 1), (1, 1, 1), (count("nanoseconds", nanoseconds),))


def clock_probe(sm_count: int) -> tuple[str, GridLaunch]:
    """Return source and launch of a kernel that reads the clocks, a block per multiprocessor.

    Its array "out", uint64 of shape (sm_count, 3), gets multiprocessor, cycles of its clock, and nanoseconds.
    A multiprocessor can appear twice or not at all, so compare records that name the same one.
    """
    out = Arg("out", "uint64", is_array=True)
    return source("clock"), GridLaunch("bandmark_clock", (sm_count, 1, 1), (32, 1, 1), (out,))


def repeats(dtype: str, blocks: int, period: int, elements: int) -> tuple[str, tuple[str, ...], GridLaunch]:
    """Return source, options and launch of a kernel that compares the elements of an array with those a period before.

    Its array "differs", uint64 of shape (blocks,), gets how many of each block's elements have other bits.
    """
    args = (Arg("a", dtype, is_array=True), Arg("differs", "uint64", is_array=True))
    step = GridLaunch(
        "bandmark_repeats", (blocks, 1, 1), (256, 1, 1), (*args, count("period", period), count("n", elements))
    )
    return source("sums", "repeats"), (f"-DITEM_BYTES={np.dtype(dtype).itemsize}",), step


@cache
def source(*names: str) -> str:
    """Return the text of .cu files, with #line so that compiler messages name the right file."""
    files = {file.stem: file for file in Path(__file__).parents[1].glob("*/*.cu")}
    return "".join(f'#line 1 "{name}.cu"\n{files[name].read_text("utf-8")}' for name in names)


def _argument(entry: str, arg: Arg, values: Mapping[str, Any]) -> Any:
    if arg.value is not None:
        return np.dtype(arg.dtype).type(arg.value)
    value = values[arg.name]
    wanted = np.dtype(arg.dtype)
    if arg.is_array:
        if isinstance(value, (int, float, np.generic)) or value.dtype.itemsize != wanted.itemsize:
            raise TypeError(f"{entry}: {arg.name} must be an array of {wanted}, not {_describe(value)}")
    elif not isinstance(value, np.generic) or value.dtype != wanted:
        raise TypeError(f"{entry}: {arg.name} must be a numpy.{wanted} scalar, not {_describe(value)}")
    return value


def _describe(value: Any) -> str:
    return f"{type(value).__name__} of {value.dtype}" if hasattr(value, "dtype") else type(value).__name__
