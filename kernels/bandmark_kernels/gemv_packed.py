"""gemv with packed weights: y = dequantise(W) x. Codes, scales and x are read once, y is written; vectors are float32.

What a decode step of a quantised model does with every weight matrix. One kernel of the table per format: they share
formula and reference, and differ in what they read.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from bandmark_kernels.formats import FORMATS, WeightFormat
from bandmark_kernels.gemv import reference
from bandmark_kernels.reasons import NUMPY_PACKED, TORCH_PACKED
from bandmark_kernels.spec import Bind, Body, Kernel, Launch, Operand

BLOCK_ROWS = 16
"""Rows that are converted at a time: at the default sizes a few hundred KiB of float32, which stay in the cache."""


def operands_of(form: WeightFormat) -> tuple[Operand, ...]:
    """Return what a launch moves: codes, the scales that the format has, x and y."""
    code_bytes = form.bits * form.codes_per_item // 8
    found = [Operand("codes", "in", "mn", form.code_storage, code_bytes, form.codes_per_item)]
    if form.scale is not None:
        width = {"float32": 4, "float16": 2}.get(form.scale, 1)
        extent: Any = "mn" if form.group else "m"
        found.append(Operand("scales", "scale", extent, form.scale_storage, width, form.group or 1))
    if form.tensor_scale:
        found.append(Operand("tensor_scale", "scale", "1", "float32", 4))
    return (*found, Operand("x", "in", "n"), Operand("y", "out", "m"))


def _blocks(codes: Any, y: Any) -> Any:
    """Return a float32 block that stays in the cache, and the blocks of rows of codes and y with its part for each."""
    import numpy as np

    block = np.empty((min(BLOCK_ROWS, len(codes)), codes.shape[1]), np.float32)
    rows = range(0, len(codes), BLOCK_ROWS)
    return [(codes[k : k + BLOCK_ROWS], block[: len(y[k : k + BLOCK_ROWS])], y[k : k + BLOCK_ROWS]) for k in rows]


def bind_numpy_int8(codes: Any, scales: Any, x: Any, y: Any) -> Launch:
    """Convert this thread's rows block by block within the cache, and multiply each block while it is there."""
    import numpy as np

    steps = _blocks(codes, y)

    def launch() -> None:
        for packed, block, out in steps:
            np.copyto(block, packed)
            np.dot(block, x, out=out)
        np.multiply(y, scales, out=y)

    return launch


def bind_numpy_bf16(codes: Any, x: Any, y: Any) -> Launch:
    """As with int8: a bfloat16 is the upper half of a float32."""
    import numpy as np

    steps = [(packed, block.view(np.uint32), block, out) for packed, block, out in _blocks(codes, y)]

    def launch() -> None:
        for packed, bits, block, out in steps:
            np.copyto(bits, packed)
            np.left_shift(bits, 16, out=bits)
            np.dot(block, x, out=out)

    return launch


def bind_reference(form: WeightFormat, y: Any, x: Any, **packed: Any) -> Launch:
    """Unpack to float64 and multiply: right in every format, and never timed."""
    from bandmark_kernels.formats import unpack

    def launch() -> None:
        y[...] = reference(unpack(form, packed), x.astype("float64"))

    return launch


NUMPY: dict[str, Bind] = {"int8": bind_numpy_int8, "bf16": bind_numpy_bf16}
"""Formats that NumPy converts fast enough to be worth a row; each packed byte is read from memory once."""


def _kernel(form: WeightFormat) -> Kernel:
    right = partial(bind_reference, form)
    return Kernel(
        name="gemv",
        formula="y[i] = sum_j W[i,j] * x[j]",
        operands=operands_of(form),
        flops=2,
        suite="gemv",
        dtypes=("float32",),
        split="m",
        reference=reference,
        numpy=Body(NUMPY.get(form.name, right), ("float32",) if form.name in NUMPY else (), NUMPY_PACKED),
        torch=Body(right, (), TORCH_PACKED),
        rounding=8.0,
        weights=form,
    )


PACKED: dict[str, Kernel] = {name: _kernel(form) for name, form in FORMATS.items()}
"""gemv with packed weights, by format."""
