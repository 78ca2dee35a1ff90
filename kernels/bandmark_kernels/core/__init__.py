"""What all kernels share, and NumPy and torch, imported when they are first used.

`bandmark list` and `bandmark --help` need the kernel table alone; importing NumPy takes as long as all else they do.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["np", "torch"]

if TYPE_CHECKING:
    import numpy as np
    import torch
else:

    class _Module:
        """Stands for a module, and keeps each attribute that was asked for."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            value = getattr(import_module(self._name), name)
            setattr(self, name, value)
            return value

    np, torch = _Module("numpy"), _Module("torch")
