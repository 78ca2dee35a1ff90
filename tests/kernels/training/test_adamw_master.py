"""adamw_master: 14 + 14 bytes per parameter, the step of adamw on the master copy, and p as its rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bandmark_kernels import DTYPES, Shape
from bandmark_kernels.core.checks import make_inputs
from bandmark_kernels.training import adamw
from bandmark_kernels.training.adamw import MASTER as KERNEL
from kernel_cases import error_of, operands

BFLOAT16 = DTYPES["bfloat16"]


def test_bytes() -> None:
    """A step reads a bfloat16 gradient, master, m and v; it writes a bfloat16 weight, master, m and v: 14 + 14."""
    assert KERNEL.bytes_read(Shape(1001), BFLOAT16) == 14 * 1001
    assert KERNEL.bytes_written(Shape(1001), BFLOAT16) == 14 * 1001
    assert KERNEL.working_set(Shape(1001), BFLOAT16) == 16 * 1001
    assert (KERNEL.words, KERNEL.traffic, KERNEL.footprint) == ((4, 4), 7.0, 4.0)
    assert KERNEL.element_bits(BFLOAT16) == 32


def test_numpy_by_hand() -> None:
    """The first step moves the master copy by the learning rate, and p is its rounding to eight bits."""
    given = {"lr": 0.25, "beta1": 0.5, "beta2": 0.75, "eps": 0.0, "weight_decay": 0.0, "step": 1.0}
    arrays = {
        "p": np.zeros(2, np.uint16),
        "g": BFLOAT16.encode(np.array([0.5, -4.0])),
        **{name: np.zeros(2, np.float32) for name in ("m", "v")},
        "master": np.array([2 + 2**-12, 1.0], np.float32),
    }
    KERNEL.implementations["numpy"].bind(
        **arrays, **KERNEL.implementations["numpy"].encoded_constants(BFLOAT16, given)
    )()
    assert arrays["master"].tolist() == [1.75 + 2**-12, 1.25]
    assert BFLOAT16.decode(arrays["p"]).tolist() == [1.75, 1.25]
    assert arrays["m"].tolist() == [0.25, -2.0]
    assert arrays["v"].tolist() == [0.0625, 4.0]


def test_it_is_the_step_of_adamw() -> None:
    """On the same numbers the master copy and the moments, and their bounds, are those of adamw."""
    rng = np.random.default_rng(1)
    p, g, m, v = (rng.uniform(0.5, 1, 100) for _ in range(4))
    plain = adamw.KERNEL
    for ours, theirs in ((KERNEL.reference, plain.reference), (KERNEL.check.bounds, plain.check.bounds)):
        found, wanted = ours(g, p, m, v, **KERNEL.check_scalars), theirs(p, g, m, v, **KERNEL.check_scalars)
        assert found.keys() == {"p", "master", "m", "v"}
        for name, same in (("p", "p"), ("master", "p"), ("m", "m"), ("v", "v")):
            np.testing.assert_array_equal(found[name], wanted[same])


def test_widening_is_exact() -> None:
    """Every bfloat16 pattern becomes the float32 with the same upper half."""
    stored, bits = np.arange(1 << 16).astype(np.uint16), np.empty(1 << 16, np.uint32)
    adamw._widen(stored, bits)
    np.testing.assert_array_equal(bits, stored.astype(np.uint32) << 16)


def test_narrowing_rounds_to_nearest_even() -> None:
    """Ties, their neighbours and random numbers round as torch rounds them."""
    upper = np.random.default_rng(1).integers(0, 0x7F7F, 20_000, np.uint32) << 16
    lower = np.resize(np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32), len(upper))
    bits = (upper | lower) | np.where(np.arange(len(upper)) % 2, 0x80000000, 0).astype(np.uint32)
    stored, scratch = np.empty(len(bits), np.uint16), np.empty(len(bits), np.uint32)
    adamw._narrow(bits, stored, scratch)
    wanted = torch.from_numpy(bits.view(np.float32)).to(torch.bfloat16).view(torch.uint16).numpy()
    np.testing.assert_array_equal(stored, wanted)


@pytest.mark.parametrize(("off", "passes"), [(0, True), (1, False), (-1, False)])
def test_p_is_the_nearest_bfloat16(off: int, passes: bool) -> None:
    """A weight that is one step of bfloat16 beside the master copy fails verification."""
    inputs = make_inputs(KERNEL, BFLOAT16, Shape(1000), seed=1)
    arrays = operands(inputs)
    KERNEL.implementations["numpy"].bind(
        **arrays, **KERNEL.implementations["numpy"].encoded_constants(BFLOAT16, KERNEL.check_scalars)
    )()
    arrays["p"][500] += np.int16(off).view(np.uint16)
    assert (error_of(inputs, arrays) <= 1) == passes


def test_timed_launches_stay_put() -> None:
    """Any number of timed steps leaves the master copy as it is, and p as its rounding."""
    inputs = make_inputs(KERNEL, BFLOAT16, Shape(1000), seed=1)
    arrays = operands(inputs)
    before = arrays["master"].copy()
    launch = KERNEL.implementations["numpy"].bind(
        **arrays, **KERNEL.implementations["numpy"].encoded_constants(BFLOAT16, KERNEL.scalars)
    )
    for _ in range(5000):
        launch()
    assert arrays["master"].tobytes() == before.tobytes()
    np.testing.assert_array_equal(arrays["p"], BFLOAT16.encode(before.astype(np.float64)))
    np.testing.assert_allclose(arrays["m"], BFLOAT16.decode(arrays["g"]), rtol=1e-5)
    assert np.isfinite(arrays["v"]).all() and arrays["v"].min() > 0.2


@pytest.mark.parametrize("weights", ["float32", "bfloat16"])
def test_torchs_op_refuses_state_of_another_dtype(weights: str) -> None:
    """Why torch has no row: neither the master copy nor the weights can be stepped with both dtypes at once."""
    p, g = torch.zeros(4, dtype=getattr(torch, weights)), torch.zeros(4, dtype=torch.bfloat16)
    with pytest.raises(RuntimeError):
        adamw.KERNEL.implementations["torch"].bind(p, g, torch.zeros(4), torch.zeros(4), **KERNEL.scalars)()
