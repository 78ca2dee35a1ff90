"""What is a figure that the machine code of a kernel was designed for?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sass import Line


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the design."""

    what: str
    of: Callable[[Line], bool]
    """Which rows it is about."""
    met: Callable[[Line], bool]
    unmet: str = ""
    """Why some rows do not have it, and what they have; empty where all must."""
