"""Byte counts and table entries follow from the operands."""

from __future__ import annotations

import pytest

from bandmark_kernels import DEFAULT_KERNELS, DTYPES, KERNELS, SUITES, Shape

WORDS = {
    "copy": (1, 1),
    "scale": (1, 1),
    "add": (2, 1),
    "triad": (2, 1),
    "nstream": (3, 1),
    "dot": (2, 0),
    "read": (1, 0),
    "write": (0, 1),
    "gemv": (1, 0),
    "gemv_t": (1, 0),
}
"""Words read and written per element of the large operands, from the literature (STREAM, BabelStream, PRK)."""

OTHERS = ("adamw", "adamw_master", "kv")
"""Kernels that run only when they are named."""


def test_the_table_is_complete_and_in_order() -> None:
    """The kernels stand in the order in which they are shown; the ten of the literature are those of a plain run."""
    assert list(KERNELS) == [*WORDS, *OTHERS]
    assert tuple(WORDS) == DEFAULT_KERNELS
    assert [KERNELS[name].suite for name in OTHERS] == ["training", "training", "attention"]
    assert SUITES == ("stream", "gemv", "training", "attention")


@pytest.mark.parametrize("name", WORDS)
def test_traffic_is_that_of_the_words(name: str) -> None:
    """Where all large operands have one format, bytes per byte of one of them are words per word."""
    assert KERNELS[name].traffic == sum(WORDS[name])


def test_dtypes_among_those_wanted() -> None:
    """A kernel takes those of the dtypes wanted that it has, and its own where it has none of them."""
    wanted = [DTYPES["float64"], DTYPES["float32"]]
    assert KERNELS["copy"].dtypes_among(wanted) == wanted
    assert KERNELS["adamw"].dtypes_among(wanted) == wanted[1:]
    assert KERNELS["adamw"].dtypes_among(wanted[:1]) == wanted[1:]
    assert [d.name for d in KERNELS["adamw_master"].dtypes_among(wanted)] == ["bfloat16"]


@pytest.mark.parametrize("name", WORDS)
def test_words(name: str) -> None:
    """Words per element are those of the literature."""
    assert KERNELS[name].words == WORDS[name]


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("name", WORDS)
def test_bytes_are_words_times_width(name: str, dtype: object) -> None:
    """Bytes of a launch are words times elements times width, vectors of a GEMV included."""
    width = dtype.itemsize  # type: ignore[attr-defined]
    kernel, (read, written) = KERNELS[name], WORDS[name]
    if kernel.is_matrix:
        shape = Shape(30, m=7)
        x, y = (30, 7) if name == "gemv" else (7, 30)
        expected = ((210 + x) * width, y * width)
    else:
        shape = Shape(1000)
        expected = (read * 1000 * width, written * 1000 * width)
    assert (kernel.bytes_read(shape, dtype), kernel.bytes_written(shape, dtype)) == expected


@pytest.mark.parametrize("name", WORDS)
def test_one_output(name: str) -> None:
    """Each of these has exactly one output, and its formula begins with it."""
    kernel = KERNELS[name]
    assert sum(o.role != "in" for o in kernel.operands) == 1
    assert kernel.outputs == (kernel.output,)
    assert kernel.formula.startswith(kernel.output.name)


@pytest.mark.parametrize("name", ["adamw", "adamw_master"])
def test_several_outputs(name: str) -> None:
    """A kernel with several outputs has no single one, and its reference names them all."""
    kernel = KERNELS[name]
    with pytest.raises(ValueError, match="too many values"):
        assert kernel.output
    ones = {operand.name: 1.0 for operand in kernel.inputs}
    assert kernel.compute(**ones, **kernel.scalars).keys() == {o.name for o in kernel.outputs}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_in_place_are_checked_with_other_scalars(name: str) -> None:
    """A kernel whose timed launches leave its output as it is must be verified with scalars that change it."""
    kernel = KERNELS[name]
    in_place = any(o.role == "inout" for o in kernel.outputs)
    stable = getattr(kernel.check, "stable_inputs", None)
    assert in_place == (stable is not None) == bool(kernel.check.scalars)
    assert not in_place or kernel.check_scalars != kernel.scalars
