"""Does a CUDA kernel, executed on the CPU, compute its formula and move just the bytes that the kernel table counts?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from cuda_host import Host, Source, Traffic, allocate
from numpy.typing import NDArray

from bandmark_kernels import CACHES, DTYPES, KERNELS, QUANTIZED, DType, Kernel, Operand, Shape
from bandmark_kernels.attention import Geometry
from bandmark_kernels.attention.kv import _MIN_SPLIT_ROUNDS, _TILE_TOKENS
from bandmark_kernels.core.checks import make_inputs, max_error
from bandmark_kernels.core.cuda import Program, exact_scalars, launches, program, variants
from bandmark_kernels.core.dtypes import WeightFormat
from bandmark_kernels.core.kernel import Inputs
from bandmark_kernels.core.launch import Launches
from bandmark_kernels.gemv.gemv_t import _MIN_SPLIT_ROWS

CAPABILITY = (12, 1)
"""That of a device which offers every variant."""

TABLE: dict[str, Kernel] = {k.label: k for k in (*KERNELS.values(), *QUANTIZED.values(), *CACHES.values())}
"""Every kernel, gemv with every format of weights and kv with every format of a cache, by label."""

CASES = [(k, d) for k, kernel in TABLE.items() for d in kernel.dtypes]
"""Every kernel and dtype, by label and name."""

ALL_CASES = [(k, d, v) for k, d in CASES for v in variants(TABLE[k], CAPABILITY)]
"""Every kernel, dtype and variant, by name."""


def geometry_of(kernel: Kernel) -> Geometry | None:
    """Return the heads of an attention kernel; None for other kernels."""
    return getattr(kernel.check, "geometry", None)


def weights_of(kernel: Kernel) -> WeightFormat | None:
    """Return the format of quantized weights; None for other kernels."""
    return getattr(kernel.check, "weights", None)


def workspace_bytes(plan: Launches) -> int:
    """Return the bytes of the workspace that launches share."""
    return plan.workspace_elements * np.dtype(plan.workspace_dtype).itemsize


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call of a kernel has done."""

    outputs: dict[str, NDArray[Any]]
    findings: tuple[str, ...]
    """What is wrong: one sentence each."""
    workspace_traffic: int
    """Bytes of the workspace read and written."""


def host_source(prog: Program, text: str | None = None) -> Source:
    """Return what the host compiles for a program, or for another text with the program's options."""
    options = tuple(o for o in prog.options if not o.startswith("-arch="))  # NVIDIA's targets; the host has one
    return Source(prog.source if text is None else text, options, prog.entries)


def call(
    host: Host,
    prog: Program,
    shape: Shape,
    *,
    sm_count: int,
    text: str | None = None,
    backwards: bool = False,
    calls: int = 1,
) -> Outcome:
    """Run a kernel on fresh random operands and judge the result, the accesses and the bytes of the last call."""
    kernel, dtype = prog.kernel, prog.dtype
    inputs = make_inputs(kernel, dtype, shape, seed=7)
    plan = launches(prog, shape, sm_count=sm_count)
    counts = {o.name: (o.count(shape), _storage(prog, o)) for o in kernel.operands}
    if plan.workspace_elements:
        counts["workspace"] = (plan.workspace_elements, plan.workspace_dtype)
    arrays = allocate(counts)
    scalars = exact_scalars(kernel, dtype, kernel.check_scalars)
    for _ in range(calls):
        fill(arrays, inputs)
        error, traffic = host.run(host_source(prog, text), plan.steps, arrays | scalars, backwards=backwards)
        if error:
            break
    outputs = {o.name: arrays[o.name] for o in kernel.outputs}
    workspace = traffic.pop("workspace", Traffic())
    findings = [error] if error else [*_wrong_values(prog, inputs, outputs), *_wrong_bytes(prog, shape, traffic)]
    return Outcome(outputs, tuple(findings), workspace.read + workspace.written)


def wrong_roundings(host: Host, prog: Program, s: float) -> int:
    """Return for how many of all finite 16-bit patterns the scale kernel rounds s * a unlike the reference.

    NaNs must stay NaNs.
    """
    number, shape = prog.dtype, Shape(1 << 16)
    arrays = allocate(dict.fromkeys(("a", "b"), (shape.n, number.storage)))
    arrays["a"].view(np.uint16)[:] = np.arange(1 << 16)
    scalars = exact_scalars(prog.kernel, number, {"s": s})
    error, _ = host.run(host_source(prog), launches(prog, shape, sm_count=2).steps, arrays | scalars)
    assert error == ""
    with np.errstate(over="ignore", invalid="ignore"):
        a, b = number.decode(arrays["a"]), number.decode(arrays["b"])
        exact = (np.float32(s) * a.astype(np.float32)).astype(np.float64)
        wrong = arrays["b"].view(np.uint16) != number.encode(exact).view(np.uint16)
    return int(np.sum(np.where(np.isnan(a), ~np.isnan(b), wrong)))


def fill(arrays: dict[str, NDArray[Any]], inputs: Inputs) -> None:
    """Give every operand that a launch reads its contents."""
    for operand in inputs.kernel.inputs:
        tile = inputs.tiles[operand.name]
        count = operand.count(inputs.shape)
        arrays[operand.name][:] = np.resize(tile.ravel(), count)
        if operand.name in inputs.ends:
            end = inputs.ends[operand.name]
            arrays[operand.name][-len(end) :] = end


def make_program(kernel: Kernel, dtype: DType, variant: str = "v16") -> Program:
    """Return a program as a device of CAPABILITY runs it."""
    return program(kernel, dtype, variant, capability=CAPABILITY)


def _storage(prog: Program, operand: Operand) -> str:
    return prog.dtype.accumulator if operand.role == "result" else operand.stored_as(prog.dtype)


def _wrong_values(prog: Program, inputs: Inputs, outputs: dict[str, NDArray[Any]]) -> list[str]:
    result = DTYPES[prog.dtype.accumulator] if prog.kernel.is_reduction else prog.dtype
    error = max_error(inputs, lambda name, start, stop: outputs[name][start:stop], result=result)
    return [] if error <= 1 else [f"wrong: {error:.3g} times the allowed error"]


def _wrong_bytes(prog: Program, shape: Shape, traffic: dict[str, Traffic]) -> list[str]:
    """Compare each operand's bytes with the kernel table; what stands beside a matrix may be read again."""
    kernel, found = prog.kernel, []
    for operand in kernel.operands:
        seen = traffic[operand.name]
        size = operand.nbytes(shape, prog.dtype)
        if operand.role == "result":
            continue
        expected = (size if operand.is_read else 0, size if operand.is_written else 0)
        if (seen.read_once, seen.written_once) != expected:
            found.append(f"bytes: {operand.name} {seen} instead of {expected}")
        elif (
            not (kernel.is_matrix and operand.is_read and operand not in kernel.large)
            and (seen.read, seen.written) != expected
        ):
            found.append(f"touched twice: {operand.name} {seen}")
    counted = {o.name for o in kernel.operands if o.role != "result"}
    total = (
        sum(t.read_once for name, t in traffic.items() if name in counted),
        sum(t.written_once for name, t in traffic.items() if name in counted),
    )
    table = (kernel.bytes_read(shape, prog.dtype), kernel.bytes_written(shape, prog.dtype))
    if not found and total != table:
        found.append(f"bytes: {total} in total, the kernel table says {table}")
    return found


def awkward_shapes(prog: Program) -> list[Shape]:
    """Return the sizes at which kernels go wrong: around a warp, a pack, a tile, a strip and a split."""
    lanes, layout = prog.lanes, prog.layout
    if geometry := geometry_of(prog.kernel):
        round_ = _TILE_TOKENS * layout.unroll * layout.threads // 32
        tokens = (1, 2, 15, 16, 17, round_ - 1, round_ + 1, 2 * _MIN_SPLIT_ROUNDS * round_ + 5)
        return [Shape(geometry.columns, m) for m in tokens]
    if weights_of(prog.kernel):
        rows, tile = layout.rows * layout.threads // 32, 32 * layout.unroll * lanes
        few = [(64, 1), (64, 3), (128, rows), (192, rows + 1)]
        many = [(tile, 5), (tile + 64, 2 * rows + 3), (2 * tile + 192, rows), (4 * tile, 1), (5 * tile + 64, 3)]
        return [Shape(n, m) for n, m in (*few, *many)]
    if prog.kernel.name == "gemv":
        round_ = layout.threads * layout.unroll * lanes
        whole = [(lanes, 1), (3 * lanes, 5), (round_ + 7 * lanes, 2 * layout.rows + 3), (4 * round_, 1)]
        ragged = [(1, 1), (1, 33), (7, 3), (31, 2), (33, 4), (lanes + 1, 9), (round_ + 37, 5), (3 * round_ + 1, 2)]
    elif prog.kernel.name == "gemv_t":
        strip, turn = layout.threads // layout.groups, layout.groups * layout.unroll
        whole = [(lanes, 1), (3 * lanes, 33), ((strip + 3) * lanes, 2 * turn + 5), (2 * lanes, 2 * _MIN_SPLIT_ROWS + 1)]
        ragged = [(1, 1), (33, 1), (3, 7), (2, 31), (9, 33), (strip + 1, turn - 1), (5, 3 * _MIN_SPLIT_ROWS - 1)]
    else:
        tile = layout.threads * layout.unroll * lanes
        return [Shape(n) for n in (1, 31, 32, 33, lanes, tile - 1, tile, tile + 1)] + [
            Shape(prime_above(n)) for n in (tile, 5 * tile // 2)
        ]
    return [Shape(n, m) for n, m in (*whole, *ragged)]


def many_tiles(prog: Program) -> Shape:
    """Return a size at which each block of one multiprocessor takes several tiles, a ring of stages twice over."""
    tile = prog.layout.threads * prog.layout.unroll * prog.lanes
    return Shape(prime_above((21 if prog.is_bulk else 9) * tile))


def prime_above(number: int) -> int:
    """Return the smallest prime above a number."""
    candidate = number + 1
    while any(candidate % d == 0 for d in range(2, int(candidate**0.5) + 1)):
        candidate += 1
    return candidate
