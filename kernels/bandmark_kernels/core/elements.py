"""How compiled bodies read and write elements, whatever their format: half precision is float32 while it is a number.

Numba has no numbers of half precision: arrays hold float16 as int16 and bfloat16 as uint16, bit by bit, and e4m3 as
uint8; int8 is a number. What the functions do is in core/intrinsics.py, for which they are names without importing
Numba.
"""

from __future__ import annotations

from typing import Any


def load(array: Any, index: Any) -> Any:
    """Return an element as a number: one of less than 32 bits as a float32."""
    raise NotImplementedError


def store(array: Any, index: Any, value: Any) -> None:
    """Store a number as an element, rounded to half precision where the array holds that."""
    raise NotImplementedError


def zero(array: Any) -> Any:
    """Return 0 in the type in which products of an array's elements are added up."""
    raise NotImplementedError
