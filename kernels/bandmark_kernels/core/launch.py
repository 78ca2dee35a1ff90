"""What is launched on a CUDA device for a kernel and a size: which grids, with which arguments in which order?

Nothing here needs a device or CuPy. A backend allocates the workspace of `launches` before it times anything and
starts the steps one after the other. Arguments are checked for exact widths, because a bare Python float arrives on a
device as a double and computes nonsense.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bandmark_kernels.core.cuda import Program, entry, source
from bandmark_kernels.core.dtypes import DTYPES, DType
from bandmark_kernels.core.kernel import Attention, Kernel, Operand, Shape

MIN_SPLIT_ROWS = 128
"""Rows that a split of gemv_t has at least: a few rounds of its block's loads."""

MANY_SPLIT_ROWS = 512
"""Rows that a split of gemv_t keeps where there are blocks enough, so that partial sums stay below 1 % of the bytes."""

MIN_SPLIT_BYTES = 4096
"""Bytes of a row that a split of gemv has at least: one round of its block's loads."""

TILE_TOKENS = 16
"""Tokens of a tile of kv.cu."""

MIN_SPLIT_ROUNDS = 4
"""Rounds of the warps of a split of kv, so that its query and its partial sums are few beside its tokens."""

MAX_SPLITS = 65535
"""CUDA's limit on gridDim.y (CUDA C++ Programming Guide, technical specifications per compute capability)."""


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument of a __global__ function."""

    name: str
    dtype: str
    """NumPy's name for the argument's type; of an array, for the type of its elements."""
    value: int | None = None
    """The argument itself, where it is known before the arrays are: a count, or 0 for an array that there is not."""
    is_array: bool = False


@dataclass(frozen=True, slots=True)
class GridLaunch:
    """One launch: an entry point, its grid and block, and its arguments in order."""

    entry: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    args: tuple[Arg, ...]
    shared_bytes: int = 0
    """Dynamic shared memory: none, the kernels declare what they need."""

    def arguments(self, values: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
        """Return what to launch with: arrays and scalars by name from `values`, counts as numpy.uint64.

        Raises:
            KeyError: an argument is not in `values`.
            TypeError: a scalar is not a NumPy scalar of exactly the argument's type, or an array's elements have
                another width.
        """
        return tuple(_argument(self.entry, arg, values or {}) for arg in self.args)


@dataclass(frozen=True, slots=True)
class Launches:
    """All that one call of a kernel launches, in order, and the array "workspace" that they share."""

    steps: tuple[GridLaunch, ...]
    workspace_elements: int
    workspace_dtype: str

    @property
    def workspace_bytes(self) -> int:
        """Bytes of the workspace; its contents need no preparation."""
        return self.workspace_elements * DTYPES[self.workspace_dtype].itemsize


def exact_scalars(kernel: Kernel, dtype: DType, scalars: Mapping[str, float]) -> dict[str, Any]:
    """Return a kernel's constants in the exact type that its entry point takes: the accumulator's.

    Raises:
        KeyError: a scalar of the kernel is missing.
    """
    import numpy as np

    exact = np.dtype(dtype.accumulator).type
    return {name: exact(value) for name, value in kernel.constants(scalars).items()}


def launches(program: Program, shape: Shape, *, sm_count: int) -> Launches:
    """Return what to launch for a problem's size on a device with so many multiprocessors.

    The steps of a call run on one stream; calls may follow each other without any preparation.
    """
    kernel = program.kernel
    if kernel.weights:
        return _packed(program, shape, sm_count)
    if kernel.attention is not None:
        return _attention(program, kernel.attention, shape, sm_count)
    if kernel.is_matrix:
        return _matrix(program, shape, sm_count)
    if kernel.is_reduction:
        return _reduction(program, shape, sm_count)
    blocks = _tiles(program, shape)
    if program.variant == "v16-gridstride":
        blocks = min(blocks, sm_count * program.layout.blocks_per_sm)
    args = (*_arrays(program, *kernel.operands), *_scalars(program), _count("n", shape.n))
    return Launches((_step(program, entry(kernel), blocks, args),), 0, program.dtype.accumulator)


def delay(nanoseconds: int) -> tuple[str, GridLaunch]:
    """Return source and launch of a kernel that keeps the device busy so long that launches queue up."""
    return source("delay", prelude=False), GridLaunch(
        "bandmark_delay", (1, 1, 1), (1, 1, 1), (_count("nanoseconds", nanoseconds),)
    )


def clock_probe(sm_count: int) -> tuple[str, GridLaunch]:
    """Return source and launch of a kernel that reads the clocks, a block per multiprocessor.

    Its array "out", uint64 of shape (sm_count, 3), gets multiprocessor, cycles of its clock, and nanoseconds.
    A multiprocessor can appear twice or not at all, so compare records that name the same one.
    """
    out = Arg("out", "uint64", is_array=True)
    return source("clock", prelude=False), GridLaunch("bandmark_clock", (sm_count, 1, 1), (32, 1, 1), (out,))


def _tiles(program: Program, shape: Shape) -> int:
    """Blocks that take one tile each; at least one, for the elements that fill no pack."""
    return max(1, _ceil(shape.n // program.lanes, program.layout.threads * program.layout.unroll))


def _reduction(program: Program, shape: Shape, sm_count: int) -> Launches:
    kernel = program.kernel
    blocks = min(_tiles(program, shape), sm_count * program.layout.blocks_per_sm)
    first = (*_arrays(program, *kernel.inputs), _workspace(program), _count("n", shape.n))
    result = Arg(kernel.output.name, program.dtype.accumulator, is_array=True)
    second = (_workspace(program), result, _count("count", blocks))
    steps = (_step(program, entry(kernel), blocks, first), _step(program, entry(kernel, "finish"), 1, second))
    return Launches(steps, blocks, program.dtype.accumulator)


def _matrix(program: Program, shape: Shape, sm_count: int) -> Launches:
    kernel, m, n = program.kernel, shape.count("m"), shape.n
    whole = n % program.lanes == 0
    blocks, splits = (_gemv_grid if kernel.name == "gemv" else _gemv_t_grid)(program, m, n, sm_count)
    arrays = (*_arrays(program, *kernel.operands), _workspace(program))
    name = entry(kernel, "" if whole else "ragged")
    first = _step(program, name, blocks, (*arrays, _count("m", m), _count("n", n)), splits)
    if splits == 1:
        return Launches((first,), 1, program.dtype.accumulator)
    count = shape.count(kernel.output.extent)
    y, words = _arrays(program, kernel.output), max(1, 4 // program.dtype.itemsize)
    args = (_workspace(program), *y, _count("count", count), _count("splits", splits))
    second = _step(program, entry(kernel, "finish"), _ceil(count, program.layout.threads * words), args)
    return Launches((first, second), splits * count, program.dtype.accumulator)


def _packed(program: Program, shape: Shape, sm_count: int) -> Launches:
    """Return one launch, or two where rows are too few to occupy half the device, so that each is split."""
    layout, m = program.layout, shape.count("m")
    operands = {o.name: o for o in program.kernel.operands}
    codes, x, y = _arrays(program, *(operands[name] for name in ("codes", "x", "y")))
    scales = tuple(
        _arrays(program, operands[name])[0] if name in operands else Arg(name, "uint64", 0, is_array=True)
        for name in ("scales", "tensor_scale")
    )
    blocks, resident = _ceil(m, layout.rows * layout.threads // 32), sm_count * layout.blocks_per_sm
    tiles = shape.n // program.lanes // (32 * layout.unroll)
    splits = max(1, min(1 if 2 * blocks >= resident else _ceil(resident, blocks), tiles, MAX_SPLITS))
    args = (codes, *scales, x, y, _workspace(program), _count("m", m), _count("n", shape.n))
    first = _step(program, entry(program.kernel), blocks, args, splits)
    if splits == 1:
        return Launches((first,), 1, program.dtype.accumulator)
    args = (_workspace(program), *scales, y, _count("m", m), _count("splits", splits))
    second = _step(program, entry(program.kernel, "finish"), _ceil(m, layout.threads), args)
    return Launches((first, second), splits * m, program.dtype.accumulator)


def _attention(program: Program, form: Attention, shape: Shape, sm_count: int) -> Launches:
    """Return one launch with a block per KV head, or two where the tokens are split, so that blocks fill the device."""
    kernel, layout, m = program.kernel, program.layout, shape.count("m")
    resident = sm_count * layout.blocks_per_sm
    round_ = TILE_TOKENS * layout.unroll * layout.threads // 32
    splits = max(1, min(resident // form.kv_heads, m // (MIN_SPLIT_ROUNDS * round_), MAX_SPLITS))
    given = {o.name: _arrays(program, o)[0] for o in kernel.operands}
    names = ("K", "V", "k_scale", "v_scale", "q", "out")
    args = (
        *(given.get(name, Arg(name, "uint64", 0, is_array=True)) for name in names),
        _workspace(program),
        _count("m", m),
    )
    first = _step(program, entry(kernel), form.kv_heads, args, splits)
    if splits == 1:
        return Launches((first,), 1, program.dtype.accumulator)
    out, words = _arrays(program, kernel.output), layout.threads * max(1, 4 // program.dtype.itemsize)
    args = (_workspace(program), *out, _count("heads", form.heads), _count("ranges", splits))
    second = _step(program, entry(kernel, "finish"), _ceil(form.heads * form.head_dim, words), args)
    return Launches((first, second), splits * form.heads * (form.head_dim + 2), program.dtype.accumulator)


def _gemv_grid(program: Program, m: int, n: int, sm_count: int) -> tuple[int, int]:
    """Return blocks and splits: rows are split only where they are too few to occupy half the device."""
    resident = sm_count * program.layout.blocks_per_sm
    blocks = _ceil(m, program.layout.rows)
    wanted = 1 if 2 * blocks >= resident else _ceil(resident, blocks)
    return blocks, max(1, min(wanted, n * program.dtype.itemsize // MIN_SPLIT_BYTES, MAX_SPLITS))


def _gemv_t_grid(program: Program, m: int, n: int, sm_count: int) -> tuple[int, int]:
    """Return blocks and splits: enough to fill the device, and four times as many where the rows allow it."""
    layout = program.layout
    resident = sm_count * layout.blocks_per_sm
    strip = layout.threads // layout.groups * (program.lanes if n % program.lanes == 0 else 1)
    blocks = _ceil(n, strip)
    few = min(resident // blocks, m // MIN_SPLIT_ROWS)
    many = min(_ceil(4 * resident, blocks), m // MANY_SPLIT_ROWS)
    return blocks, max(1, min(max(few, many), MAX_SPLITS))


def _step(program: Program, name: str, blocks: int, args: tuple[Arg, ...], splits: int = 1) -> GridLaunch:
    return GridLaunch(name, (blocks, splits, 1), (program.layout.threads, 1, 1), args)


def _arrays(program: Program, *operands: Operand) -> tuple[Arg, ...]:
    return tuple(Arg(o.name, o.stored_as(program.dtype), is_array=True) for o in operands)


def _workspace(program: Program) -> Arg:
    return Arg("workspace", program.dtype.accumulator, is_array=True)


def _scalars(program: Program) -> tuple[Arg, ...]:
    kernel = program.kernel
    return tuple(Arg(name, program.dtype.accumulator) for name in kernel.constants(kernel.scalars))


def _count(name: str, value: int) -> Arg:
    return Arg(name, "uint64", value)


def _argument(entry: str, arg: Arg, values: Mapping[str, Any]) -> Any:
    """Return one argument, after the checks that `GridLaunch.arguments` promises."""
    import numpy as np

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


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
