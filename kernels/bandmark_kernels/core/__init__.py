"""What all kernels share, and NumPy, imported when it is first used.

`bandmark list` and `bandmark --help` need the kernel table and no arithmetic, and importing NumPy would take as long as
all else that they do. The modules of this package therefore take `np` from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["np"]

if TYPE_CHECKING:
    import numpy as np
else:

    class _NumPy:
        """Stands for the module numpy, and keeps each attribute that was asked for."""

        def __getattr__(self, name: str) -> Any:
            import numpy

            value = getattr(numpy, name)
            setattr(self, name, value)
            return value

    np = _NumPy()
