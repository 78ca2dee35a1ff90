"""How are weights packed, and which numbers do their codes and scales stand for, exactly?

A weight is its code's value times the scale of its group or row, times the tensor's scale where there is one. Two
4-bit codes share a byte: the weight with the even column is in the low half, as in torch.float4_e2m1fn_x2.

Sources: e4m3, IEEE-like without infinities, maximum 448 (arXiv:2209.05433, table 1); e2m1 and e8m0 (OCP Microscaling
Formats v1.0, sections 5.3.3 and 5.4.1); NVFP4's two levels of scales (arXiv:2509.25149, section 2); int4 as in ggml's
Q4_0 (code - 8, groups of 32, float16 scale), but for the order of the halves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from bandmark_kernels.core.dtypes import BFLOAT16, FLOAT16

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Code = Literal["float16", "bfloat16", "e4m3", "int8", "int4", "e2m1"]
ScaleKind = Literal["float32", "float16", "e4m3", "e8m0"]

WHOLE_COLUMNS = 64
"""A packed row has a multiple of so many weights: whole groups, and whole 16-byte loads of codes in every format."""

E4M3_MAX = 448.0
E2M1_MAX = 6.0
FLOAT16_MAX = 65504.0


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """One packed format: the width of its codes, what they stand for, and which scales go with them."""

    name: str
    bits: int
    code: Code
    scale: ScaleKind | None = None
    group: int | None = None
    """Weights of a row that share a scale; None where a scale is the whole row's."""
    tensor_scale: bool = False
    """Whether one float32 scales all weights."""

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

    def nbytes(self, m: int, n: int) -> int:
        """Return the bytes of an m x n matrix: its codes and all its scales."""
        width = {None: 0, "float32": 4, "float16": 2}.get(self.scale, 1)
        groups = n // self.group if self.group else 1
        return m * n * self.bits // 8 + m * groups * width + 4 * self.tensor_scale


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
"""The packed formats, in the order in which they are shown."""


@cache
def table(kind: Literal["e4m3", "e2m1", "e8m0", "int4"]) -> NDArray[np.float64]:
    """Return the exact values of all codes of a kind, by code: 256 of e4m3 and e8m0, 16 of e2m1 and int4."""
    import numpy as np

    if kind == "int4":
        values = np.arange(16.0) - 8
    elif kind == "e8m0":
        values = np.append(np.exp2(np.arange(255.0) - 127), np.nan)
    elif kind == "e2m1":
        values = _signed(np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]))
    else:
        exponent, fraction = np.divmod(np.arange(128), 8)
        magnitudes = np.where(exponent == 0, fraction / 512, np.exp2(exponent - 7.0) * (1 + fraction / 8))
        values = _signed(np.append(magnitudes[:127], np.nan))
    values.flags.writeable = False
    return values


def _signed(magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a table whose upper half, with the sign bit set, mirrors the lower."""
    import numpy as np

    return np.concatenate([magnitudes, -magnitudes])


def nearest(values: NDArray[np.float64], kind: Literal["e4m3", "e2m1"]) -> NDArray[np.uint8]:
    """Return the codes nearest to values, ties to the even code; beyond the largest number the largest; never NaN.

    Codes of magnitudes are in ascending order, so the code's last bit is that of its fraction.
    """
    import numpy as np

    magnitudes = table(kind)[: 127 if kind == "e4m3" else 8]
    middles = (magnitudes[1:] + magnitudes[:-1]) / 2
    low, high = np.searchsorted(middles, abs(values), "left"), np.searchsorted(middles, abs(values), "right")
    code = np.where(low % 2 == 0, low, high)
    sign = np.where(np.signbit(values), 128 if kind == "e4m3" else 8, 0)
    return np.asarray(code | sign, np.uint8)


def unpack(form: WeightFormat, packed: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return the exact float64 weights of shape (m, n).

    Args:
        form: the format.
        packed: "codes" of shape (m, n / codes_per_item); "scales" of shape (m,) or (m, n / group), and
            "tensor_scale" of shape (1,), where the format has them.
    """
    import numpy as np

    weights = _decode(form, packed["codes"])
    if form.scale is None:
        return weights
    scales = packed["scales"]
    scales = scales.astype(np.float64) if form.scale in ("float32", "float16") else _by_code(form.scale, scales)
    scales = scales[:, None] if form.group is None else np.repeat(scales, form.group, axis=1)
    with np.errstate(invalid="ignore"):  # 0 x infinity is NaN, as it should be
        weights = weights * scales
        return weights * np.float64(packed["tensor_scale"][0]) if form.tensor_scale else weights


def _by_code(kind: Any, codes: NDArray[Any]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = table(kind)[codes]
    return values


def _decode(form: WeightFormat, codes: NDArray[Any]) -> NDArray[np.float64]:
    import numpy as np

    if form.code in ("float16", "bfloat16"):
        return (FLOAT16 if form.code == "float16" else BFLOAT16).decode(codes)
    if form.code == "int8":
        return codes.astype(np.float64)
    if form.bits == 4:
        codes = np.stack([codes & 15, codes >> 4], axis=-1).reshape(len(codes), -1)
    return _by_code(form.code, codes)


def pack(form: WeightFormat, weights: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Round float64 weights of shape (m, n) to a format and return its arrays, as `unpack` takes them.

    Scales map the largest magnitude of a group or row to the largest code (of int4: to -8, as Q4_0 does; of mxfp4:
    floor(log2(max)) - 2, OCP Microscaling v1.0, section 6.3).

    Raises:
        ValueError: a weight is not finite, or n is not a multiple of WHOLE_COLUMNS.
    """
    import numpy as np

    if weights.ndim != 2 or weights.shape[1] % WHOLE_COLUMNS:
        raise ValueError(f"weights of shape {weights.shape}: rows must have a multiple of {WHOLE_COLUMNS} columns")
    if not np.isfinite(weights).all():
        raise ValueError(f"{form.name} weights must be finite: take out NaN and infinity before packing")
    if form.scale is None:
        return {"codes": (FLOAT16 if form.code == "float16" else BFLOAT16).encode(weights)}
    groups = weights.reshape(len(weights), -1, form.group or weights.shape[1])
    packed, factors = _scales(form, groups)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scaled = np.where(factors[..., None] == 0, 0.0, groups / factors[..., None])
    codes = _encode(form, scaled).reshape(weights.shape)
    if form.bits == 4:
        codes = codes[:, ::2] | codes[:, 1::2] << 4
    return {"codes": codes, **packed}


def _scales(form: WeightFormat, groups: NDArray[np.float64]) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64]]:
    """Return the stored scales of (m, groups, size) weights, and the exact factor of each group."""
    import numpy as np

    largest = abs(groups).max(axis=-1)
    if form.scale == "e8m0":
        _, exponent = np.frexp(largest)  # largest = f x 2 ** exponent with f in [0.5, 1)
        code = np.where(largest == 0, 0, np.clip(exponent - 1 - 2 + 127, 0, 254)).astype(np.uint8)
        return {"scales": code}, table("e8m0")[code]
    if form.scale == "e4m3":
        tensor = np.float32(largest.max() / (E2M1_MAX * E4M3_MAX))
        wanted = largest / (E2M1_MAX * float(tensor)) if tensor else np.zeros_like(largest)
        code = nearest(wanted, "e4m3")
        return {"scales": code, "tensor_scale": np.array([tensor])}, table("e4m3")[code] * float(tensor)
    if form.scale == "float16":
        signed = np.take_along_axis(groups, abs(groups).argmax(axis=-1)[..., None], axis=-1)[..., 0]
        half = np.clip(signed / -8, -FLOAT16_MAX, FLOAT16_MAX).astype(np.float16)
        return {"scales": half}, half.astype(np.float64)
    rows = (largest[:, 0] / (E4M3_MAX if form.code == "e4m3" else 127)).astype(np.float32)
    return {"scales": rows}, rows.astype(np.float64)[:, None]


def _encode(form: WeightFormat, scaled: NDArray[np.float64]) -> NDArray[Any]:
    import numpy as np

    if form.code == "int8":
        return np.clip(np.rint(scaled), -127, 127).astype(np.int8)
    if form.code == "int4":
        return np.clip(np.floor(scaled + 8.5), 0, 15).astype(np.uint8)
    return nearest(scaled, "e4m3" if form.code == "e4m3" else "e2m1")


def random_weights(form: WeightFormat, m: int, n: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Return packed weights of shape (m, n): each code that is a number is as likely as any other.

    16-bit weights have random signs and fractions and magnitudes in [0.5, 1), as other operands do: all codes of
    float16 and bfloat16 would overflow. So have scales, without a sign.
    """
    import numpy as np

    if form.scale is None:
        values = rng.uniform(0.5, 1, (m, n)) * rng.choice([-1.0, 1.0], (m, n))
        return {"codes": (FLOAT16 if form.code == "float16" else BFLOAT16).encode(values)}
    codes = rng.integers(0, 256, (m, n // form.codes_per_item), np.uint8)
    if form.code == "e4m3":
        codes[codes & 127 == 127] = 0
    shape = (m,) if form.group is None else (m, n // form.group)
    if form.scale in ("float32", "float16"):
        scales = rng.uniform(0.5, 1, shape).astype(form.scale)
    else:
        low, high = (0x30, 0x40) if form.scale == "e4m3" else (124, 131)
        scales = rng.integers(low, high, shape, np.uint8)
    tensor = {"tensor_scale": np.array([0.7], np.float32)} if form.tensor_scale else {}
    return {"codes": codes.view(form.code_storage), "scales": scales, **tensor}
