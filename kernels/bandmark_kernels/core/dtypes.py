"""The number formats of operands and of quantized weights, and the bits that stand for their numbers.

bfloat16 is stored as 16-bit patterns, formats of 8 and 4 bits as codes. A quantized weight is the value of its code
times the scale of its group or row, times the tensor's scale where there is one. Two 4-bit codes share a byte: the
weight with the even column is in the low half, as in torch.float4_e2m1fn_x2.

Sources: e4m3, IEEE-like without infinities, maximum 448 (arXiv:2209.05433, table 1); e2m1 and e8m0 (OCP Microscaling
Formats v1.0, sections 5.3.3 and 5.4.1); NVFP4's two levels of scales (arXiv:2509.25149, section 2); int4 as in ggml's
Q4_0 (code - 8, groups of 32, float16 scale), but for the order of the halves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from bandmark_kernels.core import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class DType:
    """One number format."""

    name: str
    itemsize: int
    eps: float  # from 1 to the next larger number
    storage: str  # the NumPy dtype that holds the bits
    accumulator: str  # the dtype in which dot, read and GEMV add up, as cuBLAS does

    @property
    def smallest(self) -> float:
        """The smallest normal number; only half precision is narrow enough for it to matter."""
        return 2.0**-14 if self.name == "float16" else 2.0**-126

    def encode(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """Round float64 values to this format (to nearest, ties to even) and return their stored form."""
        if self.name == "float8_e4m3fn":
            return _nearest_e4m3(np.asarray(values, np.float64))
        if self.name != "bfloat16":
            return np.asarray(values).astype(self.storage)
        bits = np.asarray(values, np.float32).view(np.uint32)
        rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        return (rounded >> np.uint32(16)).astype(np.uint16)

    def decode(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        """Return the exact float64 values of stored elements."""
        if self.name == "float8_e4m3fn":
            values: NDArray[np.float64] = table("e4m3")[np.asarray(stored)]
            return values
        if self.name != "bfloat16":
            return np.asarray(stored).astype(np.float64)
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            return (np.asarray(stored).astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)


FLOAT32 = DType("float32", 4, 2.0**-23, "float32", "float32")

FLOAT8 = DType("float8_e4m3fn", 1, 2.0**-3, "uint8", "float32")
"""The codes of an fp8 cache, which alone are never a case's dtype; named as torch names them."""

DTYPES: dict[str, DType] = {
    d.name: d
    for d in (
        DType("float64", 8, 2.0**-52, "float64", "float64"),
        FLOAT32,
        DType("float16", 2, 2.0**-10, "float16", "float32"),
        DType("bfloat16", 2, 2.0**-7, "uint16", "float32"),
    )
}

SHORT_DTYPES = {"float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16"}
"""What tables print for a dtype, and options accept for it."""


@cache
def table(kind: Literal["e4m3", "e2m1", "e8m0", "int4"]) -> NDArray[np.float64]:
    """Return the exact values of all codes of a kind, by code: 256 of e4m3 and e8m0, 16 of e2m1 and int4."""
    if kind == "int4":
        values = np.arange(16.0) - 8
    elif kind == "e8m0":
        values = np.append(np.exp2(np.arange(255.0) - 127), np.nan)
    elif kind == "e2m1":
        values = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
    else:
        exponent, fraction = np.divmod(np.arange(128), 8)
        magnitudes = np.where(exponent == 0, fraction / 512, np.exp2(exponent - 7.0) * (1 + fraction / 8))
        values = np.append(magnitudes[:127], np.nan)
    if kind in ("e4m3", "e2m1"):  # with the sign bit set, the upper half mirrors the lower
        values = np.concatenate([values, -values])
    values.flags.writeable = False
    return values


def _nearest_e4m3(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the codes nearest to values, ties to the even code; beyond the largest number the largest; never NaN.

    Codes of magnitudes are in ascending order, so the code's last bit is that of its fraction.
    """
    magnitudes = table("e4m3")[:127]
    middles = (magnitudes[1:] + magnitudes[:-1]) / 2
    low, high = np.searchsorted(middles, abs(values), "left"), np.searchsorted(middles, abs(values), "right")
    code = np.where(low % 2 == 0, low, high)
    return np.asarray(code | np.where(np.signbit(values), 128, 0), np.uint8)


COLUMN_MULTIPLE = 64
"""A quantized row has a multiple of this many weights: whole groups, and whole 16-byte loads of codes."""


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """One format of quantized weights: the width of its codes, what they stand for, and their scales."""

    name: str
    bits: int
    code: Literal["float16", "bfloat16", "e4m3", "int8", "int4", "e2m1"]
    scale: Literal["float32", "float16", "e4m3", "e8m0"] | None = None
    group: int | None = None  # weights of a row that share a scale; None where a scale is the whole row's
    tensor_scale: bool = False  # whether one float32 scales all weights

    @property
    def code_storage(self) -> str:
        """The NumPy dtype that holds codes."""
        return {"float16": "float16", "bfloat16": "uint16", "int8": "int8"}.get(self.code, "uint8")

    @property
    def codes_per_item(self) -> int:
        """Codes in one element of that dtype."""
        return 2 if self.bits == 4 else 1

    @property
    def scale_storage(self) -> str:
        """The NumPy dtype that holds scales; their codes where NumPy has no such number."""
        return "uint8" if self.scale in ("e4m3", "e8m0") else str(self.scale)


FORMATS: dict[str, WeightFormat] = {
    f.name: f
    for f in (
        WeightFormat("fp16", 16, "float16"),
        WeightFormat("bf16", 16, "bfloat16"),
        WeightFormat("fp8", 8, "e4m3", "float32"),
        WeightFormat("int8", 8, "int8", "float32"),
        WeightFormat("int4", 4, "int4", "float16", 32),
        WeightFormat("nvfp4", 4, "e2m1", "e4m3", 16, tensor_scale=True),
        WeightFormat("mxfp4", 4, "e2m1", "e8m0", 32),
    )
}
"""The formats, in the order in which they are shown."""


def dequantize(weight_format: WeightFormat, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return the exact float64 weights of shape (m, n).

    `arrays` are "codes" of shape (m, n / codes_per_item) and, where the format has them, "scales" of shape (m,) or
    (m, n / group) and "tensor_scale" of shape (1,).
    """
    codes = arrays["codes"]
    if weight_format.scale is None:
        return DTYPES[weight_format.code].decode(codes)
    if weight_format.bits == 4:
        codes = np.stack([codes & 15, codes >> 4], axis=-1).reshape(len(codes), -1)
    weights = codes.astype(np.float64) if weight_format.code == "int8" else table(weight_format.code)[codes]
    scales = arrays["scales"]
    if weight_format.scale in ("float32", "float16"):
        scales = scales.astype(np.float64)
    else:
        scales = table(weight_format.scale)[scales]
    scales = scales[:, None] if weight_format.group is None else np.repeat(scales, weight_format.group, axis=1)
    with np.errstate(invalid="ignore"):  # 0 x infinity is NaN, as it should be
        scaled: NDArray[np.float64] = weights * scales
        if weight_format.tensor_scale:
            scaled *= np.float64(arrays["tensor_scale"][0])
    return scaled


def random_weights(weight_format: WeightFormat, m: int, n: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Return quantized weights of shape (m, n): each code that is a number is as likely as any other.

    16-bit weights have random signs and fractions and magnitudes in [0.5, 1), as other operands do: all codes of
    float16 and bfloat16 would overflow. So have scales, without a sign.
    """
    if weight_format.scale is None:
        values = rng.uniform(0.5, 1, (m, n)) * rng.choice([-1.0, 1.0], (m, n))
        return {"codes": DTYPES[weight_format.code].encode(values)}
    codes = rng.integers(0, 256, (m, n // weight_format.codes_per_item), np.uint8)
    if weight_format.code == "e4m3":
        codes[codes & 127 == 127] = 0
    shape = (m,) if weight_format.group is None else (m, n // weight_format.group)
    if weight_format.scale in ("float32", "float16"):
        scales = rng.uniform(0.5, 1, shape).astype(weight_format.scale)
    else:
        low, high = (0x30, 0x40) if weight_format.scale == "e4m3" else (124, 131)
        scales = rng.integers(low, high, shape, np.uint8)
    tensor = {"tensor_scale": np.array([0.7], np.float32)} if weight_format.tensor_scale else {}
    return {"codes": codes.view(weight_format.code_storage), "scales": scales, **tensor}
