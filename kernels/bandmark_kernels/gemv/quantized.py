"""gemv with quantized weights: y = dequantize(W) x. Codes, scales and x are read once, y is written; x, y are float32.

What a decode step of a quantized model does with every weight matrix. There is a kernel per format.

A library has a row where it reads each byte of the weights once and multiplies by float32 vectors: torch by an op of
its own, NumPy by converting blocks within the cache. On a CPU where that took more than five times as long as the
library's own plain read of the same bytes, the row is unsupported and says so.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bandmark_kernels.core import np
from bandmark_kernels.core.checks import TILE_ROWS, draw, encode
from bandmark_kernels.core.compiled import bind
from bandmark_kernels.core.cuda import Cuda, Layout, Program, blocks_for
from bandmark_kernels.core.dtypes import COLUMN_MULTIPLE, FORMATS, DType, WeightFormat, dequantize, random_weights
from bandmark_kernels.core.kernel import Implementation, Inputs, Kernel, Launch, Pattern, unsupported
from bandmark_kernels.core.launch import MAX_SPLITS, Launches, count
from bandmark_kernels.core.operand import Operand, Shape
from bandmark_kernels.gemv import MatrixVector
from bandmark_kernels.gemv.gemv import KERNEL as PLAIN
from bandmark_kernels.gemv.gemv import product

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK_BYTES = 2**20
"""Bytes of float32 that NumPy converts at a time, in the cache. Half or twice is up to a fifth slower."""

_PART_BYTES = 128 * 2**20
"""Bytes of float16 weights that torch repacks at a time: it makes a float32 copy of a part meanwhile."""

_PANEL_ROWS = 64
"""Parts have a multiple of so many rows, of which FBGEMM's panels are a divisor: only the last part is padded."""

_MAX_CODES = 2**31 - 1
"""Weights that torch's op for int8 is given at once: its kernels count them in 32-bit integers."""

_ARM = platform.machine() in ("aarch64", "arm64")


def _operands(weight_format: WeightFormat) -> tuple[Operand, ...]:
    f = weight_format
    operands = [Operand("codes", "in", "mn", storage=f.code_storage, elements_per_item=f.codes_per_item)]
    if f.scale is not None:
        scales = Operand("scales", "scale", "mn" if f.group else "m", storage=f.scale_storage)
        operands.append(replace(scales, elements_per_item=f.group or 1))
    if f.tensor_scale:
        operands.append(Operand("tensor_scale", "scale", "1", storage="float32"))
    return (*operands, Operand("x", "in", "n"), Operand("y", "out", "m"))


@dataclass(frozen=True, slots=True)
class _QuantizedMatrixVector(MatrixVector):
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


def _layout(weight_format: WeightFormat, program: Program) -> Layout:
    """Leave more registers to those that decode 4-bit codes by instructions, or many of them at once."""
    many = program.native_fp4 or program.pack_bytes == 32 or weight_format.code == "int4"
    blocks_per_sm = 5 if weight_format.bits == 4 and many else 6
    return Layout(threads=128, unroll=32 // program.pack_bytes, blocks_per_sm=blocks_per_sm, rows=4)


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
    args = (program.workspace, *scales, y, count("m", m), count("splits", splits))
    return program.plan_split(first, program.step("finish", blocks_for(m, layout.threads), args), sums=m)


def _numpy(convert: Callable[[Any, Any], object], codes: Any, x: Any, y: Any, scales: Any = None) -> Launch:
    """Convert the rows block by block within the cache, and multiply each float32 block while it is there."""
    step = max(1, _BLOCK_BYTES // (4 * codes.shape[1]))
    block = np.empty((min(step, len(codes)), codes.shape[1]), np.float32)
    steps = [(codes[k : k + step], block[: len(codes) - k], y[k : k + step]) for k in range(0, len(codes), step)]

    def launch() -> None:
        for stored, wide, out in steps:
            convert(stored, wide)
            np.dot(wide, x, out=out)
        if scales is not None:
            np.multiply(y, scales, out=y)

    return launch


def _numba(codes: Any, x: Any, y: Any, scales: Any = None) -> Launch:
    """Multiply the codes as numbers, eight rows at once, and each sum by its row's scale."""
    multiply = bind(product, A=codes, x=x, y=y)
    if scales is None:
        return multiply
    scale = bind(_scale_rows, y=y, scales=scales)

    def launch() -> None:
        multiply()
        scale()

    return launch


def _scale_rows(y: Any, scales: Any) -> None:
    for i in range(len(y)):
        y[i] *= scales[i]


def _from_bf16(codes: Any, block: Any) -> None:
    """Take bfloat16 for the upper half of a float32."""
    bits = block.view(np.uint32)
    np.copyto(bits, codes)
    np.left_shift(bits, 16, out=bits)


def _from_fp16(codes: Any, block: Any) -> None:
    """Convert finite weights by their bits: NumPy's own conversion of float16 takes twice as long.

    Read as a float32's sign, exponent and fraction, the shifted bits of a float16 stand for the weight times 2**-112,
    since the exponents are biased by 127 and 15; that is exact, also for subnormal numbers.
    """
    bits = block.view(np.int32)
    np.copyto(bits, codes.view(np.int16))
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(-0x70000001), out=bits)  # 0x8FFFFFFF: without the copies of the sign
    np.multiply(block, np.float32(2.0**112), out=block)


def _torch_fp16(codes: Any, x: Any, y: Any) -> Launch:
    """Call FBGEMM's product of a float32 vector and float16 weights, on processors that it has code for.

    It reads weights in a layout of its own. They are repacked here, once: as many bytes, in memory of their own.
    """
    from concurrent.futures import ThreadPoolExecutor

    import torch

    if torch.backends.quantized.engine not in ("x86", "fbgemm"):
        raise NotImplementedError(
            "torch multiplies float16 weights by a float32 vector with FBGEMM, which it does not use here"
        )
    rows = max(_PANEL_ROWS, _PART_BYTES // (2 * codes.shape[1]) // _PANEL_ROWS * _PANEL_ROWS)
    ops = torch.ops.quantized
    with ThreadPoolExecutor(min(8, torch.get_num_threads())) as pool:
        repacked = list(pool.map(lambda part: ops.linear_prepack_fp16(part, None), codes.split(rows)))
    return _in_parts(ops.linear_dynamic_fp16, x, y.split(rows), repacked)


def _torch_int8(codes: Any, scales: Any, x: Any, y: Any) -> Launch:
    """Call torch's product of a float32 vector and int8 weights with a float32 scale per row: this very format."""
    import torch

    product = torch._weight_int8pack_mm
    rows = max(1, _MAX_CODES // codes.shape[1])
    try:
        product(x[None], codes[:_PANEL_ROWS], scales[:_PANEL_ROWS])
    except NotImplementedError as error:
        raise NotImplementedError(f"torch {torch.__version__} has no product with int8 weights here") from error
    return _in_parts(product, x, y.split(rows), codes.split(rows), scales.split(rows))


def _in_parts(product: Any, x: Any, outs: Sequence[Any], *weights: Sequence[Any]) -> Launch:
    """Launch a product per part of the rows; the ops have no output to be given, so y alone is copied."""
    row, steps = x[None], list(zip(outs, *weights, strict=True))

    def launch() -> None:
        for out, *part in steps:
            out.copy_(product(row, *part)[0])

    return launch


_CONVERSIONS = {"float16": _from_fp16, "bfloat16": _from_bf16, "int8": lambda codes, block: np.copyto(block, codes)}

_NO_CONVERSION = {
    "e4m3": "fp8: looking codes up was measured at less than an eighth",
    "int4": "4-bit numbers: taking codes apart was measured at less than a tenth",
    "e2m1": "4-bit numbers: looking codes up was measured at less than a tenth",
}
"""The best of several implementations, on blocks in the cache of a 2-vCPU Xeon with NumPy 2.4. fp8 by a table of all
pairs: 0.11 of a read's speed. int4 by masks and casts: 0.08. e2m1 by a table of pairs or of fours, before any scale:
0.08."""

_NUMBA_4_BIT = unsupported(
    "compiled loops unpack 4-bit codes, whose scales change within a row, at 1 to 3.5 GB/s a thread where memory gives "
    "28 (an EPYC, Zen 4): the figure would be the processor's"
)
"""Two loops were tried, over groups and over rows with their scales laid out beside them, on 64 MiB of codes."""

_TORCH = {
    "fp16": Implementation(
        _torch_fp16,
        dtypes=(),
        unsupported=(
            "torch's products take weights and vectors of one dtype here: x would have to be rounded to float16"
        ),
        cpu_dtypes=() if _ARM else ("float32",),
        repacks=True,
    ),
    "bf16": unsupported(
        "torch's products take weights and vectors of one dtype: x would have to be rounded to bfloat16"
    ),
    "fp8": unsupported("torch's products with fp8 weights (scaled_mm) take an x of fp8, too"),
    # On CUDA the op gives each thread a row (aten/src/ATen/native/cuda/int8mm.cu); how fast that is, a GPU tells.
    "int8": Implementation(
        _torch_int8,
        unsupported=(
            "torch's product with int8 weights and a float32 x (_weight_int8pack_mm) has vector instructions on Arm "
            "alone: on x86 it was measured at a tenth of a plain read's speed"
        ),
        cpu_dtypes=("float32",) if _ARM else (),
    ),
    "int4": unsupported(
        "torch's products with int4 weights read a zero point beside each scale (_weight_int4pack_mm) or round x to 8 "
        "bits (_dyn_quant_matmul_4bit)"
    ),
    **{
        name: unsupported(f"torch's product with {name} weights (scaled_mm, on GPUs alone) takes an x of {name}, too")
        for name in ("nvfp4", "mxfp4")
    },
}
"""By format: tried with torch 2.13 on the CPU; of CUDA what its documentation and source say."""


def _kernel(weight_format: WeightFormat) -> Kernel:
    if (code := weight_format.code) in _CONVERSIONS:
        on_numpy = Implementation(partial(_numpy, _CONVERSIONS[code]))
    else:
        on_numpy = unsupported(f"NumPy has no {_NO_CONVERSION[code]} of a plain read's speed")
    on_numba = _NUMBA_4_BIT if weight_format.bits == 4 else Implementation(_numba)
    cuda = Cuda(
        name="quantized",
        helpers=("weights",),
        parts=("finish",),
        layout=partial(_layout, weight_format),
        launches=_launches,
        macros={"WEIGHTS": weight_format.name},
        converts_fp4=code == "e2m1",
        wide_ptx=True,
    )
    return Kernel(
        name="gemv",
        formula="y[i] = sum_j W[i,j] * x[j]",
        operands=_operands(weight_format),
        flops=2,
        suite="gemv",
        dtypes=("float32",),
        split="m",
        reference=PLAIN.reference,
        check=_QuantizedMatrixVector(weights=weight_format),
        implementations={"numpy": on_numpy, "numba": on_numba, "torch": _TORCH[weight_format.name], "cupy": cuda},
        weight_format=weight_format.name,
        column_multiple=COLUMN_MULTIPLE,
    )


QUANTIZED: dict[str, Kernel] = {name: _kernel(weight_format) for name, weight_format in FORMATS.items()}
"""gemv with quantized weights, by format."""
