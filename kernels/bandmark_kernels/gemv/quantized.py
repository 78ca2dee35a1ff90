"""gemv with packed weights: y = dequantise(W) x. Codes, scales and x are read once, y is written; vectors are float32.

What a decode step of a quantised model does with every weight matrix. One kernel of the table per format: they share
formula and reference, and differ in what they read.

A library has a row where it reads each packed byte once and multiplies by float32 vectors: torch by an op of its own,
NumPy by converting blocks within the cache. On a CPU where that was tried, and took more than five times as long as the
library's own plain read of the same bytes, the row is unsupported and says so.
"""

from __future__ import annotations

import platform
from functools import partial
from typing import Any

from bandmark_kernels.core.kernel import Bind, Body, Kernel, Launch, Operand
from bandmark_kernels.core.quantized import FORMATS, WeightFormat
from bandmark_kernels.core.reasons import NUMPY_PACKED, TORCH_PACKED, TORCH_PACKED_FP16
from bandmark_kernels.gemv.gemv import reference

BLOCK_BYTES = 2**20
"""Bytes of float32 that NumPy converts at a time: they stay in the 2 MiB of second-level cache of current server cores,
and a call on them lasts long enough that Python's global lock stays cheap. Half or twice is up to a fifth slower."""

PART_BYTES = 128 * 2**20
"""Bytes of float16 weights that torch lays out anew at a time: it makes a float32 copy of a part meanwhile."""

PART_WORKERS = 8
"""Parts that are laid out at once."""

PANEL_ROWS = 64
"""Parts have a multiple of so many rows, of which FBGEMM's panels are a divisor: only the last part is padded."""

MOST_CODES = 2**31 - 1
"""Weights that torch's op for int8 is given at once: its kernels count them in 32-bit integers."""


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

    step = max(1, BLOCK_BYTES // (4 * codes.shape[1]))
    block = np.empty((min(step, len(codes)), codes.shape[1]), np.float32)
    rows = range(0, len(codes), step)
    return [(codes[k : k + step], block[: len(y[k : k + step])], y[k : k + step]) for k in rows]


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


def bind_numpy_fp16(codes: Any, x: Any, y: Any) -> Launch:
    """As with int8, of finite weights, by their bits: NumPy's own conversion of float16 takes twice as long.

    In the places of a float32's sign, exponent and fraction, the bits of a float16 stand for the weight times 2**-112,
    since the exponents are biased by 127 and 15; that is exact, also for subnormal numbers.
    """
    import numpy as np

    steps = [(packed.view(np.int16), block.view(np.int32), block, out) for packed, block, out in _blocks(codes, y)]
    own_bits, factor = np.int32(-0x70000001), np.float32(2.0**112)  # 0x8FFFFFFF: not the copies of the sign

    def launch() -> None:
        for packed, bits, block, out in steps:
            np.copyto(bits, packed)
            np.left_shift(bits, 13, out=bits)
            np.bitwise_and(bits, own_bits, out=bits)
            np.multiply(block, factor, out=block)
            np.dot(block, x, out=out)

    return launch


def bind_torch_fp16(codes: Any, x: Any, y: Any) -> Launch:
    """FBGEMM's product of a float32 vector and float16 weights, on processors that it has code for.

    It reads weights that lie as it wants them. They are laid out so here, once: as many bytes, in memory of their own.

    Raises:
        NotImplementedError: torch does not use FBGEMM here.
    """
    from concurrent.futures import ThreadPoolExecutor

    import torch

    if torch.backends.quantized.engine not in ("x86", "fbgemm"):
        raise NotImplementedError(TORCH_PACKED_FP16)
    rows = max(PANEL_ROWS, PART_BYTES // (2 * codes.shape[1]) // PANEL_ROWS * PANEL_ROWS)
    prepack, product, row = torch.ops.quantized.linear_prepack_fp16, torch.ops.quantized.linear_dynamic_fp16, x[None]
    with ThreadPoolExecutor(min(PART_WORKERS, torch.get_num_threads())) as pool:
        packed = list(pool.map(lambda part: prepack(part, None), codes.split(rows)))
    steps = list(zip(packed, y.split(rows), strict=True))

    def launch() -> None:
        for weights, out in steps:
            out.copy_(product(row, weights)[0])  # the op has no output to be given: y alone is copied

    return launch


def bind_torch_int8(codes: Any, scales: Any, x: Any, y: Any) -> Launch:
    """Torch's product of a float32 vector and int8 weights with a float32 scale per row: this very format.

    Raises:
        NotImplementedError: this torch does not have it on the operands' device.
    """
    import torch

    row, product = x[None], torch._weight_int8pack_mm
    rows = max(1, MOST_CODES // codes.shape[1])
    try:
        product(row, codes[:PANEL_ROWS], scales[:PANEL_ROWS])
    except NotImplementedError as error:
        raise NotImplementedError(f"torch {torch.__version__} has no product with int8 weights here") from error
    steps = list(zip(codes.split(rows), scales.split(rows), y.split(rows), strict=True))

    def launch() -> None:
        for weights, factors, out in steps:
            out.copy_(product(row, weights, factors)[0])

    return launch


def bind_reference(form: WeightFormat, y: Any, x: Any, **packed: Any) -> Launch:
    """Unpack to float64 and multiply: right in every format, and never timed."""
    from bandmark_kernels.core.quantized import unpack

    def launch() -> None:
        y[...] = reference(unpack(form, packed), x.astype("float64"))

    return launch


NUMPY: dict[str, Bind] = {"fp16": bind_numpy_fp16, "bf16": bind_numpy_bf16, "int8": bind_numpy_int8}
"""Formats that NumPy converts fast enough to be worth a row; each packed byte is read from memory once."""

ARM = platform.machine() in ("aarch64", "arm64")

TORCH: dict[str, tuple[Bind, bool, bool]] = {
    "fp16": (bind_torch_fp16, False, not ARM),
    "int8": (bind_torch_int8, True, ARM),
}
"""Formats that torch has an op for, and whether it is worth a row on an accelerator and on this kind of CPU.

On CUDA the op for int8 gives each thread a row (aten/src/ATen/native/cuda/int8mm.cu); how fast that is, a GPU tells.
"""


def _numpy_body(form: WeightFormat) -> Body:
    """Return NumPy's body for a format, which computes the right result also where it has no row."""
    bind = NUMPY.get(form.name)
    return Body(bind or partial(bind_reference, form), ("float32",) if bind else (), NUMPY_PACKED.get(form.name, ""))


def _torch_body(form: WeightFormat) -> Body:
    """Return torch's body for a format, and where it has rows."""
    bind, on_accelerators, on_cpu = TORCH.get(form.name, (partial(bind_reference, form), False, False))
    dtypes, cpu_dtypes = (("float32",) if able else () for able in (on_accelerators, on_cpu))
    lays_out = bind is bind_torch_fp16
    return Body(bind, dtypes, TORCH_PACKED[form.name], cpu_dtypes=cpu_dtypes, lays_out=lays_out)


def _kernel(form: WeightFormat) -> Kernel:
    return Kernel(
        name="gemv",
        formula="y[i] = sum_j W[i,j] * x[j]",
        operands=operands_of(form),
        flops=2,
        suite="gemv",
        dtypes=("float32",),
        split="m",
        reference=reference,
        numpy=_numpy_body(form),
        torch=_torch_body(form),
        rounding=8.0,
        weights=form,
    )


PACKED: dict[str, Kernel] = {name: _kernel(form) for name, form in FORMATS.items()}
"""gemv with packed weights, by format."""
