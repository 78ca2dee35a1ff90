"""The CUDA sources decode packed weights exactly: every code with every scale, compiled for the CPU."""

from __future__ import annotations

import pytest
from cuda_check import call, make_program
from cuda_host import Host
from packed_check import F32, matrix, other_conversion, pairs, wrong_weights

from bandmark_kernels import QUANTIZED, Shape
from bandmark_kernels.core.dtypes import FORMATS, WeightFormat

CASES = [(name, variant) for name, kernel in QUANTIZED.items() for variant in ("v16", "v32")]
E2M1 = [name for name, kernel in QUANTIZED.items() if FORMATS[name].code == "e2m1"]
CASES += [(name, variant) for name in E2M1 for variant in ("v16-fp4", "v32-fp4")]


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_every_code_with_every_scale_is_exact(host: Host, name: str, variant: str) -> None:
    """Each weight is its code's value times its scale, rounded once: NaN, infinite, subnormal and extreme ones, too."""
    assert wrong_weights(host, make_program(QUANTIZED[name], F32, variant))[:5] == []


@pytest.mark.parametrize("name", E2M1)
def test_all_conversions_of_e2m1_are_equal(host: Host, name: str) -> None:
    """Natively, by e4m3 and by bits: every code and scale alike, and products of random numbers to the last bit.

    Of the native conversion all is executed but the instruction itself, in whose place stands its definition.
    """
    bits = make_program(QUANTIZED[name], F32, "v16")
    by_e4m3 = other_conversion(bits, "E2M1_AS_E4M3")
    assert wrong_weights(host, by_e4m3)[:5] == []
    outputs = [
        call(host, prog, Shape(2048 + 192, 37), sm_count=48).outputs["y"].tobytes()
        for prog in (bits, by_e4m3, make_program(QUANTIZED[name], F32, "v16-fp4"))
    ]
    assert len(set(outputs)) == 1


@pytest.mark.parametrize("scale", [0.7, 1e-44, -3e38, float("nan")])
def test_the_tensor_scale_is_rounded_once(host: Host, scale: float) -> None:
    """NVFP4's second scale multiplies the exact sum, however small or large it is, or NaN."""
    assert wrong_weights(host, make_program(QUANTIZED["nvfp4"], F32), tensor_scale=scale)[:5] == []


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_the_pairs_are_all_there(form: WeightFormat) -> None:
    """The matrices hold every code of 4 and 8 bits in every place of a word, and every 8-bit scale with each."""
    codes, scales = pairs(form)
    places = matrix(form)[1] % (32 // form.bits)
    if form.bits < 16:
        assert len(set(zip(codes.tolist(), places.tolist(), strict=True))) == 32 // form.bits << form.bits
    if form.scale in ("e4m3", "e8m0"):
        assert len(set(zip(codes.tolist(), scales.tolist(), strict=True))) == 16 * 256
