"""gemv with quantized weights: y = dequantize(W) x. Codes, scales and x are read once, y is written; x, y are float32.

What a decode step of a quantized model does with every weight matrix. One kernel of the table per format: they share
formula and reference, and differ in what they read.

A library has a row where it reads each byte of the weights once and multiplies by float32 vectors: torch by an op of
its own, NumPy by converting blocks within the cache. On a CPU where that was tried, and took more than five times as
long as the library's own plain read of the same bytes, the row is unsupported and says so.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bandmark_kernels.core import np
from bandmark_kernels.core.cuda import UNTILED, Build, Cuda, Layout, Program, blocks_for
from bandmark_kernels.core.dtypes import COLUMN_MULTIPLE, FORMATS, DType, WeightFormat, dequantize, random_weights
from bandmark_kernels.core.inputs import TILE_ROWS, draw, encode
from bandmark_kernels.core.kernel import Implementation, Inputs, Kernel, Launch, Pattern, unsupported
from bandmark_kernels.core.launch import MAX_SPLITS, Launches, count
from bandmark_kernels.core.operand import Extent, Operand, Shape
from bandmark_kernels.gemv import MatrixVector
from bandmark_kernels.gemv.gemv import reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_BYTES = 2**20
"""Bytes of float32 that NumPy converts at a time: they stay in the 2 MiB of second-level cache of current server cores,
and a call on them lasts long enough that Python's global lock stays cheap. Half or twice is up to a fifth slower."""

PART_BYTES = 128 * 2**20
"""Bytes of float16 weights that torch repacks at a time: it makes a float32 copy of a part meanwhile."""

PART_WORKERS = 8
"""Parts that are repacked at once."""

PANEL_ROWS = 64
"""Parts have a multiple of so many rows, of which FBGEMM's panels are a divisor: only the last part is padded."""

MAX_CODES = 2**31 - 1
"""Weights that torch's op for int8 is given at once: its kernels count them in 32-bit integers."""

ARM = platform.machine() in ("aarch64", "arm64")


def _operands(weight_format: WeightFormat) -> tuple[Operand, ...]:
    """Return what a launch moves: codes, the scales that the format has, x and y."""
    f = weight_format
    operands = [Operand("codes", "in", "mn", storage=f.code_storage, elements_per_item=f.codes_per_item)]
    if f.scale is not None:
        extent: Extent = "mn" if f.group else "m"
        operands.append(Operand("scales", "scale", extent, storage=f.scale_storage, elements_per_item=f.group or 1))
    if f.tensor_scale:
        operands.append(Operand("tensor_scale", "scale", "1", storage="float32"))
    return (*operands, Operand("x", "in", "n"), Operand("y", "out", "m"))


@dataclass(frozen=True, slots=True)
class QuantizedMatrixVector(MatrixVector):
    """The check of products with quantized weights: any code that is a number, and scales around 1."""

    weights: WeightFormat = FORMATS["fp16"]

    def inputs(self, kernel: Kernel, dtype: DType, shape: Shape, *, seed: int, pattern: Pattern) -> Inputs:
        """Return a tile of weights, and one of x."""
        rng = np.random.default_rng([seed, len(kernel.operands)])
        weights = random_weights(self.weights, min(TILE_ROWS, shape.count("m")), shape.n, rng)
        if pattern == "zeros":
            weights = {name: np.zeros_like(array) for name, array in weights.items()}
        vector = draw(kernel, dtype, shape, "x", seed=seed, pattern=pattern)
        return Inputs(kernel, dtype, shape, weights | encode(kernel, dtype, vector))

    def matrix(self, inputs: Inputs) -> NDArray[np.float64]:
        """Return the exact values of the matrix's tile."""
        return dequantize(self.weights, inputs.tiles)


def _cuda(weight_format: WeightFormat) -> Cuda:
    """Return the CUDA implementation for a format."""
    return Cuda(
        name="quantized",
        helpers=("weights",),
        parts=("finish",),
        layout=partial(_layout, weight_format),
        launches=_launches,
        loads=UNTILED,
        macros={"WEIGHTS": weight_format.name},
        converts_fp4=weight_format.code == "e2m1",
    )


def _layout(weight_format: WeightFormat, build: Build) -> Layout:
    """Leave more registers to those that decode 4-bit codes by instructions, or many of them at once."""
    many = build.native_fp4 or build.pack_bytes == 32 or weight_format.code == "int4"
    blocks_per_sm = 5 if weight_format.bits == 4 and many else 6
    return Layout(threads=128, unroll=32 // build.pack_bytes, blocks_per_sm=blocks_per_sm, rows=4)


def _launches(program: Program, shape: Shape, sm_count: int) -> Launches:
    """Return one launch, or two where rows are too few to occupy half the device, so that each is split."""
    layout, m, resident = program.layout, shape.count("m"), program.resident(sm_count)
    codes, *scales, x, y = program.optional_arrays("codes", "scales", "tensor_scale", "x", "y")
    blocks = blocks_for(m, layout.rows * layout.threads // 32)
    tiles = shape.n // program.lanes // (32 * layout.unroll)
    wanted = 1 if 2 * blocks >= resident else blocks_for(resident, blocks)
    splits = max(1, min(wanted, tiles, MAX_SPLITS))
    args = (codes, *scales, x, y, program.workspace, count("m", m), count("n", shape.n))
    first = program.step("", blocks, args, splits)
    if splits == 1:
        return program.plan(first, workspace=1)
    args = (program.workspace, *scales, y, count("m", m), count("splits", splits))
    second = program.step("finish", blocks_for(m, layout.threads), args)
    return program.plan(first, second, workspace=splits * m)


def _blocks(codes: Any, y: Any) -> Any:
    """Return a float32 block that stays in the cache, and the blocks of rows of codes and y with its part for each."""
    step = max(1, BLOCK_BYTES // (4 * codes.shape[1]))
    block = np.empty((min(step, len(codes)), codes.shape[1]), np.float32)
    rows = range(0, len(codes), step)
    return [(codes[k : k + step], block[: len(y[k : k + step])], y[k : k + step]) for k in rows]


def _numpy_int8(codes: Any, scales: Any, x: Any, y: Any) -> Launch:
    """Convert this thread's rows block by block within the cache, and multiply each block while it is there."""
    steps = _blocks(codes, y)

    def launch() -> None:
        for stored, block, out in steps:
            np.copyto(block, stored)
            np.dot(block, x, out=out)
        np.multiply(y, scales, out=y)

    return launch


def _numpy_bf16(codes: Any, x: Any, y: Any) -> Launch:
    """Do as with int8: a bfloat16 is the upper half of a float32."""
    steps = [(stored, block.view(np.uint32), block, out) for stored, block, out in _blocks(codes, y)]

    def launch() -> None:
        for stored, bits, block, out in steps:
            np.copyto(bits, stored)
            np.left_shift(bits, 16, out=bits)
            np.dot(block, x, out=out)

    return launch


def numpy_fp16(codes: Any, x: Any, y: Any) -> Launch:
    """Do as with int8, of finite weights, by their bits: NumPy's own conversion of float16 takes twice as long.

    Read as a float32's sign, exponent and fraction, the shifted bits of a float16 stand for the weight times 2**-112,
    since the exponents are biased by 127 and 15; that is exact, also for subnormal numbers.
    """
    steps = [(stored.view(np.int16), block.view(np.int32), block, out) for stored, block, out in _blocks(codes, y)]
    mask, factor = np.int32(-0x70000001), np.float32(2.0**112)  # 0x8FFFFFFF: without the copies of the sign

    def launch() -> None:
        for stored, bits, block, out in steps:
            np.copyto(bits, stored)
            np.left_shift(bits, 13, out=bits)
            np.bitwise_and(bits, mask, out=bits)
            np.multiply(block, factor, out=block)
            np.dot(block, x, out=out)

    return launch


def torch_fp16(codes: Any, x: Any, y: Any) -> Launch:
    """Call FBGEMM's product of a float32 vector and float16 weights, on processors that it has code for.

    It reads weights in a layout of its own. They are repacked here, once: as many bytes, in memory of their own.

    Raises:
        NotImplementedError: torch does not use FBGEMM here.
    """
    from concurrent.futures import ThreadPoolExecutor

    import torch

    if torch.backends.quantized.engine not in ("x86", "fbgemm"):
        raise NotImplementedError(
            "torch multiplies float16 weights by a float32 vector with FBGEMM, which it does not use here"
        )
    rows = max(PANEL_ROWS, PART_BYTES // (2 * codes.shape[1]) // PANEL_ROWS * PANEL_ROWS)
    prepack, product, row = torch.ops.quantized.linear_prepack_fp16, torch.ops.quantized.linear_dynamic_fp16, x[None]
    with ThreadPoolExecutor(min(PART_WORKERS, torch.get_num_threads())) as pool:
        repacked = list(pool.map(lambda part: prepack(part, None), codes.split(rows)))
    steps = list(zip(repacked, y.split(rows), strict=True))

    def launch() -> None:
        for weights, out in steps:
            out.copy_(product(row, weights)[0])  # the op has no output to be given: y alone is copied

    return launch


def torch_int8(codes: Any, scales: Any, x: Any, y: Any) -> Launch:
    """Call torch's product of a float32 vector and int8 weights with a float32 scale per row: this very format.

    Raises:
        NotImplementedError: this torch does not have it on the operands' device.
    """
    import torch

    row, product = x[None], torch._weight_int8pack_mm
    rows = max(1, MAX_CODES // codes.shape[1])
    try:
        product(row, codes[:PANEL_ROWS], scales[:PANEL_ROWS])
    except NotImplementedError as error:
        raise NotImplementedError(f"torch {torch.__version__} has no product with int8 weights here") from error
    steps = list(zip(codes.split(rows), scales.split(rows), y.split(rows), strict=True))

    def launch() -> None:
        for weights, factors, out in steps:
            out.copy_(product(row, weights, factors)[0])

    return launch


_NUMPY = {
    "fp16": Implementation(numpy_fp16),
    "bf16": Implementation(_numpy_bf16),
    "int8": Implementation(_numpy_int8),
    "fp8": unsupported(
        "NumPy has no fp8: looking codes up was measured at less than an eighth of a plain read's speed"
    ),
    "int4": unsupported(
        "NumPy has no 4-bit numbers: taking codes apart was measured at less than a tenth of a plain read's speed"
    ),
    **dict.fromkeys(
        ("nvfp4", "mxfp4"),
        unsupported(
            "NumPy has no 4-bit numbers: looking codes up was measured at less than a tenth of a plain read's speed"
        ),
    ),
}
"""By format. Unsupported ones: the best of several implementations, on blocks in the cache of a 2-vCPU Xeon with NumPy
2.4. fp8 by a table of all pairs: 0.11 of a read's speed. int4 by masks and casts: 0.08. Other 4-bit codes by a table of
pairs or of fours, before any scale: 0.08."""

_TORCH = {
    "fp16": Implementation(
        torch_fp16,
        dtypes=(),
        unsupported=(
            "torch's products take weights and vectors of one dtype here: x would have to be rounded to float16"
        ),
        cpu_dtypes=() if ARM else ("float32",),
        repacks=True,
    ),
    "bf16": unsupported(
        "torch's products take weights and vectors of one dtype: x would have to be rounded to bfloat16"
    ),
    "fp8": unsupported("torch's products with fp8 weights (scaled_mm) take an x of fp8, too"),
    # On CUDA the op gives each thread a row (aten/src/ATen/native/cuda/int8mm.cu); how fast that is, a GPU tells.
    "int8": Implementation(
        torch_int8,
        unsupported=(
            "torch's product with int8 weights and a float32 x (_weight_int8pack_mm) has vector instructions on Arm "
            "alone: on x86 it was measured at a tenth of a plain read's speed"
        ),
        cpu_dtypes=("float32",) if ARM else (),
    ),
    "int4": unsupported(
        "torch's products with int4 weights read a zero point beside each scale (_weight_int4pack_mm) or round x to 8 "
        "bits (_dyn_quant_matmul_4bit)"
    ),
    "nvfp4": unsupported("torch's product with nvfp4 weights (scaled_mm, on GPUs alone) takes an x of nvfp4, too"),
    "mxfp4": unsupported("torch's product with mxfp4 weights (scaled_mm, on GPUs alone) takes an x of mxfp4, too"),
}
"""By format: tried with torch 2.13 on the CPU; of CUDA what its documentation and source say."""


def _kernel(weight_format: WeightFormat) -> Kernel:
    """Return gemv for a format."""
    return Kernel(
        name="gemv",
        formula="y[i] = sum_j W[i,j] * x[j]",
        operands=_operands(weight_format),
        flops=2,
        suite="gemv",
        dtypes=("float32",),
        split="m",
        reference=reference,
        check=QuantizedMatrixVector(weights=weight_format),
        implementations={
            "numpy": _NUMPY[weight_format.name],
            "torch": _TORCH[weight_format.name],
            "cupy": _cuda(weight_format),
        },
        weight_format=weight_format.name,
        column_multiple=COLUMN_MULTIPLE,
    )


QUANTIZED: dict[str, Kernel] = {name: _kernel(weight_format) for name, weight_format in FORMATS.items()}
"""gemv with quantized weights, by format."""
