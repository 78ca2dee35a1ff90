"""bandmark measures how much of its published memory bandwidth a machine really gives.

What is measured (formulas, byte counts, code) lives in the package bandmark_kernels; how it is measured, judged,
recorded and shown lives here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

__all__ = ["__version__", "compare", "decode", "load", "report", "run"]

if TYPE_CHECKING:
    from bandmark.api import compare, decode, load, report, run


def __getattr__(name: str) -> Any:
    # The functions need NumPy and pandas; `bandmark --help` must not pay for importing them.
    if name in __all__:
        from bandmark import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
