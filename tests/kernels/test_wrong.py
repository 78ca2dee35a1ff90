"""Are deliberately wrong kernels rejected? What the checks can't catch, they don't verify."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bandmark_kernels import DTYPES, KERNELS, Kernel, Shape
from kernel_cases import cases as all_cases
from kernel_cases import run_wrong, shape_of

Wrong = Callable[..., Any]


def right(kernel: str) -> Wrong:
    """Return the kernel's reference, made to return a reduction's number."""
    found = KERNELS[kernel]
    if found.is_reduction:
        return lambda **given: np.sum(found.reference(**given))
    return lambda **given: found.reference(**given) if kernel != "write" else np.full(10_007, found.reference(**given))


def tail_dropped(kernel: str) -> Wrong:
    """The last element is never computed."""
    if KERNELS[kernel].is_reduction:
        return lambda **given: np.sum(KERNELS[kernel].reference(**given)[:-1])

    def compute(**given: Any) -> Any:
        out = np.array(right(kernel)(**given))
        out[-1] = np.nan
        return out

    return compute


def half_read(kernel: str) -> Wrong:
    """Only every other element, or every other column or row, enters."""
    if KERNELS[kernel].is_reduction:
        return lambda **given: 2 * np.sum(KERNELS[kernel].reference(**given)[: 10_007 // 2])
    return lambda A, x: KERNELS[kernel].reference(A=A, x=np.where(np.arange(len(x)) % 2, x, 0.0))


def shifted(kernel: str) -> Wrong:
    """Every result stands one place too far."""
    return lambda **given: np.roll(right(kernel)(**given), 1)


def nothing(kernel: str) -> Wrong:
    """The kernel returns at once and leaves what was there."""
    return lambda **given: None


def unchanged(kernel: str) -> Wrong:
    """A kernel in place returns at once: what it works on is as it was."""
    in_place = [o.name for o in KERNELS[kernel].outputs if o.is_read]
    return lambda **given: {name: given[name] for name in in_place}


def wrong_scalar(kernel: str) -> Wrong:
    """The scalar is a tenth off: a hundredth would be within bfloat16's rounding of a sum."""
    return lambda s, **given: right(kernel)(s=s * 1.1, **given)


def swapped(kernel: str) -> Wrong:
    """The last two inputs have changed places."""
    return lambda b, c, **given: right(kernel)(b=c, c=b, **given)


def added_twice(kernel: str) -> Wrong:
    """The result is accumulated into twice."""
    return lambda **given: 2 * right(kernel)(**given)


def one_element_off(kernel: str) -> Wrong:
    """A single element in the middle holds its neighbour's result."""

    def compute(**given: Any) -> Any:
        out = np.array(right(kernel)(**given))
        middle = len(out) // 2
        out[middle] = out[middle + 1]
        return out

    return compute


def cases() -> Iterator[tuple[str, Callable[[str], Wrong]]]:
    """Yield every wrong variant of every kernel with one output that it applies to."""
    for name, kernel in KERNELS.items():
        if len(kernel.outputs) > 1:
            continue
        yield from ((name, wrong) for wrong in (tail_dropped, nothing))
        if name != "write":
            yield name, added_twice
        if kernel.is_reduction or kernel.suite == "gemv":
            yield name, half_read
        if not kernel.is_reduction and name != "write":
            yield from ((name, wrong) for wrong in (shifted, one_element_off))
        if kernel.scalars:
            yield name, wrong_scalar
        if name in ("triad", "nstream"):
            yield name, swapped
        if kernel.output.role == "inout":
            yield name, unchanged


def of_adamw(step: Callable[..., Any]) -> Wrong:
    """Make a wrong step of AdamW on float64 (p, g, m, v) one of either form, whose p may be a master copy."""

    def compute(g: Any, m: Any, v: Any, **given: Any) -> Any:
        name = "master" if "master" in given else "p"
        new = dict(zip("pmv", step(given.pop(name), g, m, v, SimpleNamespace(**given)), strict=True))
        return {**new, name: new["p"]}

    return compute


def moments(g: Any, m: Any, v: Any, s: Any) -> tuple[Any, Any]:
    """Return the new moments, which are right."""
    return s.beta1 * m + (1 - s.beta1) * g, s.beta2 * v + (1 - s.beta2) * g * g


def corrected(m: Any, v: Any, s: Any) -> tuple[Any, Any]:
    """Return the moments without their bias."""
    return m / (1 - s.beta1**s.step), v / (1 - s.beta2**s.step)


def no_bias_correction(p: Any, g: Any, m: Any, v: Any, s: Any) -> Any:
    """The moments are taken as they are."""
    m, v = moments(g, m, v, s)
    return p - s.lr * s.weight_decay * p - s.lr * m / (np.sqrt(v) + s.eps), m, v


def bias_of_one_moment(p: Any, g: Any, m: Any, v: Any, s: Any) -> Any:
    """The second moment's bias is left in."""
    m, v = moments(g, m, v, s)
    return p - s.lr * s.weight_decay * p - s.lr * corrected(m, v, s)[0] / (np.sqrt(v) + s.eps), m, v


def no_weight_decay(p: Any, g: Any, m: Any, v: Any, s: Any) -> Any:
    """The weights do not decay."""
    m, v = moments(g, m, v, s)
    mean, square = corrected(m, v, s)
    return p - s.lr * mean / (np.sqrt(square) + s.eps), m, v


def decay_through_the_gradient(p: Any, g: Any, m: Any, v: Any, s: Any) -> Any:
    """The decay is added to the gradient, as Adam with L2 regularisation has it."""
    m, v = moments(g + s.weight_decay * p, m, v, s)
    mean, square = corrected(m, v, s)
    return p - s.lr * mean / (np.sqrt(square) + s.eps), m, v


def epsilon_within_the_root(p: Any, g: Any, m: Any, v: Any, s: Any) -> Any:
    """Epsilon is added to the second moment, not to its root."""
    m, v = moments(g, m, v, s)
    mean, square = corrected(m, v, s)
    return p - s.lr * s.weight_decay * p - s.lr * mean / np.sqrt(square + s.eps), m, v


def epsilon_before_the_correction(p: Any, g: Any, m: Any, v: Any, s: Any) -> Any:
    """Epsilon is added to the root before its bias is corrected."""
    m, v = moments(g, m, v, s)
    divisor = (np.sqrt(v) + s.eps) / np.sqrt(1 - s.beta2**s.step)
    return p - s.lr * s.weight_decay * p - s.lr * corrected(m, v, s)[0] / divisor, m, v


def old_moments(p: Any, g: Any, m: Any, v: Any, s: Any) -> Any:
    """The step is taken with the moments of the step before."""
    mean, square = corrected(m, v, s)
    return p - s.lr * s.weight_decay * p - s.lr * mean / (np.sqrt(square) + s.eps), *moments(g, m, v, s)


def betas_swapped(p: Any, g: Any, m: Any, v: Any, s: Any) -> Any:
    """Each moment has the other's beta."""
    return KERNELS["adamw"].reference(p, g, m, v, **vars(s) | {"beta1": s.beta2, "beta2": s.beta1}).values()


ADAMW = (
    no_bias_correction, bias_of_one_moment, no_weight_decay, decay_through_the_gradient, epsilon_within_the_root,
    epsilon_before_the_correction, old_moments, betas_swapped,
)  # fmt: skip


def left(new: Any, old: Any) -> Any:
    """The output is not written."""
    return old


def tail_left(new: Any, old: Any) -> Any:
    """The last element is not written."""
    return np.append(new[:-1], old[-1:])


def moved(new: Any, old: Any) -> Any:
    """Every result stands one place too far."""
    return np.roll(new, 1)


def one_neighbour(new: Any, old: Any) -> Any:
    """A single element holds its neighbour's result."""
    return np.where(np.arange(len(new)) == len(new) // 2, moved(new, old), new)


SPOILS = (left, tail_left, moved, one_neighbour)


def spoiled_outputs() -> Iterator[tuple[str, str]]:
    """Yield the outputs of the kernels that have several."""
    yield from ((k.name, o.name) for k in KERNELS.values() if len(k.outputs) > 1 for o in k.outputs)


def size_of(kernel: Kernel) -> Shape:
    """An odd size, longer than a matrix's tile."""
    return shape_of(kernel, 10_007, Shape(251, m=307))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kernel", "wrong"), list(cases()), ids=lambda x: getattr(x, "__name__", x))
def test_a_wrong_kernel_is_rejected(kernel: str, wrong: Callable[[str], Wrong], dtype: str) -> None:
    """Each class of mistake fails verification, in every dtype."""
    found = KERNELS[kernel]
    (number, *_) = found.dtypes_among([DTYPES[dtype]])
    assert not run_wrong(found, number, size_of(found), wrong(kernel)) <= 1


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize(("kernel", "output"), spoiled_outputs())
def test_one_wrong_output_of_several_is_rejected(kernel: str, output: str, spoil: Callable[..., Any]) -> None:
    """An output that is not written, or wrongly, fails verification, however right the others are."""
    found = KERNELS[kernel]

    def compute(**given: Any) -> Any:
        new = dict(right(kernel)(**given))
        return {**new, output: spoil(new[output], given.get(output, np.full(len(new[output]), np.nan)))}

    assert not run_wrong(found, DTYPES[found.dtypes[0]], Shape(10_007), compute) <= 1


@pytest.mark.parametrize("kernel", ["adamw", "adamw_master"])
@pytest.mark.parametrize("step", ADAMW)
def test_a_wrong_optimizer_is_rejected(kernel: str, step: Callable[..., Any]) -> None:
    """Each mistake that implementations of AdamW have been known to make fails verification."""
    found = KERNELS[kernel]
    assert run_wrong(found, DTYPES[found.dtypes[0]], Shape(10_007), of_adamw(step)) > 1


@pytest.mark.parametrize(("kernel", "dtype"), all_cases())
def test_the_right_kernel_is_accepted(kernel: str, dtype: str) -> None:
    """Positive control: the reference itself, rounded once, passes in every dtype."""
    found = KERNELS[kernel]
    assert run_wrong(found, DTYPES[dtype], size_of(found), right(kernel)) <= 1


@pytest.mark.parametrize("n", [10_007, 50_000_000])
def test_a_sum_without_its_last_element_fails_at_any_length(n: int) -> None:
    """The spike in the last element shows in float32 sums of memory-sized arrays, where one term would drown."""
    read = KERNELS["read"]
    assert run_wrong(read, DTYPES["float32"], Shape(n), lambda a: np.sum(a[:-1])) > 1
    assert run_wrong(read, DTYPES["float32"], Shape(n), lambda a: np.sum(a.astype(np.float32))) <= 1
