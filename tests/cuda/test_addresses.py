"""Offsets of elements are computed in 64 bits, so that arrays of more than 2 ** 32 elements are addressed rightly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bandmark_kernels

SOURCES = sorted(Path(bandmark_kernels.__file__).parent.glob("*/*.cu"))

_BLOCK = r"\b(?:blockIdx|gridDim)\.[xyz]"
_WIDE = r"(?:u64|unsigned long long)"
_NARROW = r"(?:int|u32|unsigned|unsigned int)"
_SMALL = re.compile(r"3 \* blockIdx\.x")  # clock.cu: records of as many blocks as there are multiprocessors


def code_of(text: str) -> str:
    """Return a source without comments and preprocessor lines."""
    return re.sub(r"^\s*#.*$", "", re.sub(r"//[^\n]*", "", text), flags=re.MULTILINE)


def wide_names(code: str) -> set[str]:
    """Return the variables and parameters that are declared with 64 bits, several to a declaration included."""
    found = set(re.findall(rf"\b{_WIDE}\s+(\w+)", code))
    for declaration in re.findall(rf"\b{_WIDE}\s+(\w+\s*=[^;{{}}]*);", code):
        found |= set(re.findall(r"(?:^|,)\s*(\w+)\s*=(?!=)", declaration))
    return found - {"long"}


def narrow_arithmetic(text: str) -> list[str]:
    """Return the products of a block's number, and the narrow variables, that are not computed in 64 bits."""
    code = code_of(text)
    wide = wide_names(code)
    before = re.finditer(rf"(\(u64\)\s*)?({_BLOCK})\s*(?:\+ 1\)\s*)?\*\s*(\w+)", code)
    behind = re.finditer(rf"(\w+)\s*\*\s*\(?({_BLOCK})", code)
    variables = re.findall(rf"\b{_NARROW}\s+(\w+)\s*=\s*([^;]*);", code)
    return [
        *(p[0] for p in before if not (p[1] or p[3] in wide or p[3].endswith("ull"))),
        *(p[0] for p in behind if not (p[1] in wide or _SMALL.match(p[0]))),
        *(f"{name} = {value}" for name, value in variables if _is_offset(value, wide)),
    ]


def _is_offset(value: str, wide: set[str]) -> bool:
    """Return whether an expression is one of 64 bits, and is not cut on purpose."""
    if re.search(r"\((?:u32|int)\)", value):
        return False
    uses = set(re.findall(r"\b\w+\b", value)) & {"m", "n", "first", "pitch", "packs"} & wide
    return bool(re.search(_BLOCK, value) or (uses and re.search(r"[*/+-]", value)))


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_offsets_are_computed_in_64_bits(file: Path) -> None:
    """A block's number is widened before it is multiplied, and no 32-bit variable holds an offset."""
    assert narrow_arithmetic(file.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("source", "old", "new"),
    [
        ("gemv", "(u64)blockIdx.x * ROWS", "blockIdx.x * ROWS"),
        ("gemv_t", "(u64)blockIdx.x * STRIP", "blockIdx.x * STRIP"),
        ("kv", "(u64)blockIdx.y * heads + head", "blockIdx.y * GROUP + head"),
        ("kv", "((u64)blockIdx.x * THREADS", "(blockIdx.x * THREADS"),
        ("quantized", "(u64)blockIdx.x * ROWS", "blockIdx.x * ROWS"),
        (
            "prelude",
            "const u64 packs = n / LANES, size = THREADS * UNROLL;",
            "const u64 packs = n / LANES; const int size = 9;",
        ),
        ("prelude", "u64 start = blockIdx.x * size;", "int start = blockIdx.x * size;"),
        ("repeats", "blockIdx.x * 256ull", "blockIdx.x * 256"),
        ("repeats", "gridDim.x * 256ull", "gridDim.x * 256"),
    ],
)
def test_narrow_arithmetic_is_found(source: str, old: str, new: str) -> None:
    """A product that would overflow at 2 ** 32 is named, in every source that has one."""
    (file,) = (file for file in SOURCES if file.stem == source)
    text = file.read_text("utf-8")
    assert old in text
    assert narrow_arithmetic(text.replace(old, new)) != []
