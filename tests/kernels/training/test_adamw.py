"""adamw: 16 + 12 bytes per parameter, the published step, a bound that holds, and timed launches that stay put."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bandmark_kernels import Shape
from bandmark_kernels.core.checks import make_inputs
from bandmark_kernels.core.dtypes import FLOAT32
from bandmark_kernels.training.adamw import KERNEL
from kernel_cases import error_of, operands

SCALARS, CHECK_SCALARS = KERNEL.scalars, KERNEL.check_scalars
reference, bounds = KERNEL.reference, KERNEL.check.bounds  # type: ignore[attr-defined]
coefficients = KERNEL.implementations["numpy"].constants

NAMES = ("p", "g", "m", "v")

scalars = st.fixed_dictionaries(
    {
        "lr": st.floats(1e-6, 1.0),
        "beta1": st.floats(0.0, 0.99),
        "beta2": st.floats(0.0, 0.9999),
        "eps": st.floats(1e-8, 1.0),
        "weight_decay": st.floats(0.0, 0.5),
        "step": st.integers(1, 10_000).map(float),
    }
)


def test_bytes() -> None:
    """A step on n parameters reads four float32 words each and writes three: 28 bytes."""
    assert KERNEL.bytes_read(Shape(1001), FLOAT32) == 16 * 1001
    assert KERNEL.bytes_written(Shape(1001), FLOAT32) == 12 * 1001
    assert KERNEL.working_set(Shape(1001), FLOAT32) == 16 * 1001
    assert (KERNEL.words, KERNEL.traffic, KERNEL.footprint) == ((4, 3), 7.0, 4.0)


def test_numpy_by_hand() -> None:
    """The first step moves a parameter by the learning rate, against its gradient's sign, after its decay."""
    arrays = {k: np.array(x, np.float32) for k, x in zip(NAMES, ([2.0, 2.0], [0.5, -4.0], [0, 0], [0, 0]), strict=True)}
    given = {"lr": 0.25, "beta1": 0.5, "beta2": 0.75, "eps": 0.0, "weight_decay": 0.5, "step": 1.0}
    KERNEL.implementations["numpy"].bind(
        **arrays, **KERNEL.implementations["numpy"].encoded_constants(FLOAT32, given)
    )()
    assert arrays["p"].tolist() == [2 - 0.25 - 0.25, 2 - 0.25 + 0.25]
    assert arrays["m"].tolist() == [0.25, -2.0]
    assert arrays["v"].tolist() == [0.0625, 4.0]


def test_the_reference_is_torchs_optimizer() -> None:
    """Five steps of the reference are five steps of torch.optim.AdamW in float64, to the last few bits."""
    rng = np.random.default_rng(1)
    parameter = torch.nn.Parameter(torch.from_numpy(rng.normal(size=100)))
    p, m, v = parameter.detach().numpy().copy(), np.zeros(100), np.zeros(100)
    optimizer = torch.optim.AdamW([parameter], lr=0.1, betas=(0.8, 0.9), eps=0.01, weight_decay=0.2, foreach=False)
    for step in range(1, 6):
        gradient = rng.normal(size=100)
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
        new = reference(p, gradient, m, v, lr=0.1, beta1=0.8, beta2=0.9, eps=0.01, weight_decay=0.2, step=float(step))
        p, m, v = new["p"], new["m"], new["v"]
        np.testing.assert_allclose(p, parameter.detach().numpy(), rtol=1e-13)


@given(scalars)
def test_coefficients_are_the_step_rearranged(given: dict[str, float]) -> None:
    """Decay * p - m / (root * sqrt(v) + floor), with moments by their gains, is the reference."""
    p, g, m, v = (np.array([x]) for x in (0.7, -0.9, 0.6, 0.8))
    c = coefficients(**given)
    m1, v1 = m + c["gain1"] * (g - m), v + c["gain2"] * (g * g - v)
    new = reference(p, g, m, v, **given)
    np.testing.assert_allclose(m1, new["m"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(v1, new["v"], rtol=1e-9)
    np.testing.assert_allclose(c["decay"] * p - m1 / (c["root"] * np.sqrt(v1) + c["floor"]), new["p"], atol=1e-9)


def tensors(values: dict[str, Any]) -> dict[str, Any]:
    """The same values as tensors of torch, to be changed in place."""
    return {name: torch.from_numpy(x.copy()) for name, x in values.items()}


@settings(max_examples=200, deadline=None)
@given(scalars, st.integers(0, 2**32))
@example({"lr": 1.0, "beta1": 0.0, "beta2": 0.0, "eps": 1e-8, "weight_decay": 0.0, "step": 1.0}, 6055)  # v' cancels
def test_the_bound_holds(given: dict[str, float], seed: int) -> None:
    """Whatever the scalars, neither NumPy's float32 arithmetic nor torch's leaves the bound, for no parameter."""
    rng = np.random.default_rng(seed)
    values = {name: rng.normal(size=500).astype(np.float32) for name in NAMES}
    values["v"] = values["v"] ** 2
    exact = {name: x.astype(np.float64) for name, x in values.items()}
    wanted, allowed = reference(**exact, **given), bounds(**exact, **given)
    ours = {name: x.copy() for name, x in values.items()}
    KERNEL.implementations["numpy"].bind(**ours, **KERNEL.implementations["numpy"].encoded_constants(FLOAT32, given))()
    theirs = tensors(values)
    KERNEL.implementations["torch"].bind(**theirs, **given)()
    for name in ("p", "m", "v"):
        for got in (ours[name], theirs[name].numpy()):
            assert np.all(abs(got - wanted[name]) <= allowed[name] * FLOAT32.eps / 2), name


def test_the_bound_is_no_wider_than_needed() -> None:
    """Rounding of the launch that is verified comes within a factor of ten of what is allowed, for each output."""
    inputs = make_inputs(KERNEL, FLOAT32, Shape(100_000), seed=1)
    arrays = operands(inputs)
    KERNEL.implementations["numpy"].bind(
        **arrays, **KERNEL.implementations["numpy"].encoded_constants(FLOAT32, CHECK_SCALARS)
    )()
    values = inputs.values()
    wanted, allowed = reference(**values, **CHECK_SCALARS), bounds(**values, **CHECK_SCALARS)
    for name in ("p", "m", "v"):
        units = abs(arrays[name] - wanted[name]) / (allowed[name] * FLOAT32.eps / 2)
        assert 0.1 < units.max() <= 1, name
    assert error_of(inputs, arrays) <= 1


@pytest.mark.parametrize("name", list(CHECK_SCALARS))
def test_every_scalar_counts(name: str) -> None:
    """A scalar that is a hundredth off fails verification."""
    inputs = make_inputs(KERNEL, FLOAT32, Shape(1000), seed=1)
    arrays = operands(inputs)
    wrong = {**CHECK_SCALARS, name: CHECK_SCALARS[name] * 1.01}
    KERNEL.implementations["numpy"].bind(
        **arrays, **KERNEL.implementations["numpy"].encoded_constants(FLOAT32, wrong)
    )()
    assert error_of(inputs, arrays) > 10


def test_timed_launches_stay_put() -> None:
    """Ten thousand timed steps leave p as it is, draw m to g and v to g squared, and nothing becomes constant."""
    inputs = make_inputs(KERNEL, FLOAT32, Shape(1000), seed=1)
    for bind, constants in (
        (KERNEL.implementations["numpy"].bind, KERNEL.implementations["numpy"].encoded_constants(FLOAT32, SCALARS)),
        (KERNEL.implementations["torch"].bind, dict(SCALARS)),
    ):
        arrays = operands(inputs)
        before = arrays["p"].copy()
        bound = (
            arrays
            if bind is KERNEL.implementations["numpy"].bind
            else {name: torch.from_numpy(a) for name, a in arrays.items()}
        )
        launch = bind(**bound, **constants)
        for _ in range(10_000):
            launch()
        assert arrays["p"].tobytes() == before.tobytes()
        np.testing.assert_allclose(arrays["m"], arrays["g"], rtol=1e-5)
        np.testing.assert_allclose(arrays["v"], arrays["g"] ** 2, rtol=1e-3)
        assert all(len(np.unique(a)) > 900 for a in arrays.values())


def test_zeros_are_verified() -> None:
    """With data zeros nothing is divided by zero, and p, m and v stay zero."""
    inputs = make_inputs(KERNEL, FLOAT32, Shape(100), seed=1, pattern="zeros")
    arrays = operands(inputs)
    KERNEL.implementations["numpy"].bind(
        **arrays, **KERNEL.implementations["numpy"].encoded_constants(FLOAT32, CHECK_SCALARS)
    )()
    assert not any(array.any() for array in arrays.values())
    assert error_of(inputs, arrays) == 0


def test_torchs_op_is_in_place_and_repeatable() -> None:
    """The op writes the tensors that it was given, leaves the gradient, and takes the same step when asked again."""
    given = {k: torch.from_numpy(x) for k, x in operands(make_inputs(KERNEL, FLOAT32, Shape(1000), seed=1)).items()}
    before = {name: tensor.clone() for name, tensor in given.items()}
    launch = KERNEL.implementations["torch"].bind(**given, **CHECK_SCALARS)
    launch()
    once = {name: tensor.clone() for name, tensor in given.items()}
    for name, tensor in before.items():
        assert torch.equal(once[name], tensor) == (name == "g")
        given[name].copy_(tensor)
    launch()
    assert all(torch.equal(given[name], once[name]) for name in given)
