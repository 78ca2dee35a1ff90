"""Run a kernel's implementations at any size, and compare what they left behind with its check."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from bandmark_kernels import DTYPES, KERNELS, DType, Kernel, Shape
from bandmark_kernels.core.checks import make_inputs, max_error
from bandmark_kernels.core.dtypes import dequantize
from bandmark_kernels.core.kernel import Inputs

SIZES = (1, 2, 127, 128, 129, 10_007, 1_048_577)
"""Awkward sizes: tiny, around a power of two, a prime, and one element and more past a tile's prime length."""

SHAPES = (Shape(1, m=1), Shape(1, m=129), Shape(127, m=1), Shape(128, m=2), Shape(129, m=127), Shape(1009, m=307))
"""Awkward matrices: single rows and columns, odd sides, and more rows than a tile has."""

Operands = dict[str, Any]


def shapes_of(kernel: Kernel) -> tuple[Shape, ...]:
    """Return the sizes at which a kernel is tested."""
    return SHAPES if kernel.is_matrix else tuple(map(Shape, SIZES))


def shape_of(kernel: Kernel, n: int, matrix: Shape) -> Shape:
    """Return a vector's n elements, or the matrix: with the columns that the kernel needs, where it is particular."""
    return Shape(kernel.columns or matrix.n, m=matrix.m) if kernel.is_matrix else Shape(n)


def cases() -> list[tuple[str, str]]:
    """Return every kernel of the table with each of its dtypes, by name."""
    return [(kernel.name, dtype) for kernel in KERNELS.values() for dtype in kernel.dtypes]


def numpy_cases() -> list[tuple[str, str]]:
    """Return kernel and dtype of every case that NumPy runs."""
    return [(k, d) for k, d in cases() if KERNELS[k].unsupported_reason("numpy", DTYPES[d]) is None]


def torch_cases() -> list[tuple[str, str]]:
    """Return kernel and dtype of every case that torch runs on a CPU."""
    return [(k, d) for k, d in cases() if KERNELS[k].unsupported_reason("torch", DTYPES[d], on_cpu=True) is None]


def operands(inputs: Inputs) -> Operands:
    """Return NumPy operands as the harness lays them out: filled inputs, all bits set elsewhere."""
    kernel, shape, dtype = inputs.kernel, inputs.shape, inputs.dtype
    made: Operands = {}
    for operand in kernel.operands:
        count = operand.count(shape)
        if operand.role == "result":
            made[operand.name] = np.full((), np.nan, dtype.accumulator)
        elif operand.is_read:
            size = (shape.m or 1, shape.n // operand.elements_per_item) if operand.extent == "mn" else (count,)
            made[operand.name] = np.resize(inputs.tiles[operand.name], size)
            if operand.name in inputs.ends:
                made[operand.name][-1:] = inputs.ends[operand.name]
        else:
            made[operand.name] = np.full(operand.nbytes(shape, dtype), 0xFF, np.uint8).view(operand.stored_as(dtype))
    return made


def reference_bind(kernel: Kernel, dtype: DType) -> Callable[..., Any]:
    """Return an implementation that computes the formula in float64 from NumPy arrays: right in every format."""

    def bind(**arrays: Any) -> Callable[[], object]:
        def launch() -> None:
            weights = getattr(kernel.check, "weights", None)
            names = ("x",) if weights else tuple(o.name for o in kernel.inputs)
            values = {o.name: o.number(dtype).decode(arrays[o.name]) for o in kernel.inputs if o.name in names}
            if weights:
                values["A"] = dequantize(weights, arrays)
            for name, output in kernel.compute(**values, **kernel.check_scalars).items():
                number = next(o.number(dtype) for o in kernel.outputs if o.name == name)
                arrays[name][...] = number.encode(output)

        return launch

    return bind


def run_numpy(kernel: Kernel, dtype: DType, shape: Shape, bind: Callable[..., Any] | None = None) -> float:
    """Run a NumPy implementation once on fresh operands and return its error in tolerances."""
    inputs = make_inputs(kernel, dtype, shape, seed=7)
    arrays = operands(inputs)
    encoded = kernel.implementations["numpy"].encoded_constants(dtype, kernel.check_scalars)
    (bind or kernel.implementations["numpy"].bind)(**arrays, **encoded)()
    return error_of(inputs, arrays)


def run_torch(kernel: Kernel, dtype: DType, shape: Shape) -> float:
    """Run torch's implementation once on fresh operands and return its error in tolerances."""
    import torch  # not above: what checks the stand-in against real CuPy needs no torch

    inputs = make_inputs(kernel, dtype, shape, seed=7)
    arrays = operands(inputs)
    wanted = {o.name: getattr(torch, o.torch_dtype(dtype)) for o in kernel.operands}
    tensors = {
        name: torch.full((), torch.nan, dtype=wanted[name])
        if array.ndim == 0
        else torch.from_numpy(array).view(wanted[name])
        for name, array in arrays.items()
    }
    implementation = kernel.implementations["torch"]
    with implementation.window():
        implementation.bind(**tensors, **kernel.check_scalars)()
    stored = {name: (t.view(torch.uint16) if t.dtype == torch.bfloat16 else t).numpy() for name, t in tensors.items()}
    return error_of(inputs, stored, dtype if kernel.is_reduction else None)


def peak_of(launch: Callable[[], object]) -> int:
    """Return the most bytes that one launch has allocated at any time, after one to warm up."""
    launch()
    gc.collect()
    tracemalloc.start()
    launch()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def run_wrong(kernel: Kernel, dtype: DType, shape: Shape, compute: Callable[..., Any]) -> float:
    """Let a deliberately wrong kernel compute in float64 and return its error in tolerances.

    Args:
        compute: takes the decoded operands and scalars by name and returns the output, or several by name, or None
            for a kernel that leaves the poisoned output alone.
    """
    inputs = make_inputs(kernel, dtype, shape, seed=7)
    arrays = operands(inputs)
    values = {o.name: o.number(dtype).decode(arrays[o.name]) for o in kernel.inputs}
    computed = compute(**values, **kernel.check_scalars)
    computed = computed if isinstance(computed, dict) else {kernel.outputs[0].name: computed}
    for operand in kernel.outputs:
        if (output := computed.get(operand.name)) is not None:
            encoded = output if kernel.is_reduction else operand.number(dtype).encode(np.asarray(output, np.float64))
            arrays[operand.name][...] = encoded
    return error_of(inputs, arrays)


def error_of(inputs: Inputs, arrays: Operands, result: DType | None = None) -> float:
    """Return the largest error of the outputs in tolerances."""
    kernel = inputs.kernel
    if kernel.is_reduction:
        result = result or DTYPES[inputs.dtype.accumulator]
    flat = {o.name: np.atleast_1d(arrays[o.name]).reshape(-1) for o in kernel.outputs}
    return max_error(inputs, lambda name, start, stop: flat[name][start:stop], result=result)
