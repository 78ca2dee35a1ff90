"""What does a notebook call? run() and load(), with pandas frames of documented columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bandmark.record import Result, columns
from bandmark.request import Request, open_session
from bandmark.store import in_order, read_rows

if TYPE_CHECKING:
    import pandas as pd

_PANDAS_TYPES = {"str": "str", "int": "Int64", "float": "float64", "bool": "boolean"}


def run(**options: Any) -> pd.DataFrame:
    """Measure this machine and return a frame with a row per case.

    Args:
        options: the fields of bandmark.request.Request: kernels, backends, dtypes (tuples of names), size_bytes,
            device, quick, seed, data, threads, peak, time_limit_s, system, variants.

    Raises:
        BandmarkError: an option that is not accepted; the message says what is.
    """
    session = open_session(Request(**options))
    measured = session.measure(progress=lambda done, total, group: None, save=lambda measured: None)
    return to_frame(in_order(measured.rows))


def load(*files: str | Path) -> pd.DataFrame:
    """Return the rows of result CSVs as one frame; the columns are those of results/README.md.

    Raises:
        FileError: a file is missing, damaged, or no bandmark result.
    """
    return to_frame(in_order(row for file in files for row in read_rows(Path(file))))


def to_frame(rows: Iterable[Result]) -> pd.DataFrame:
    """Return rows as a frame whose dtypes keep unknown values apart from zero and text."""
    import pandas as pd

    frame = pd.DataFrame([asdict(row) for row in rows], columns=[c.name for c in columns()])
    return frame.astype({c.name: _PANDAS_TYPES[c.type] for c in columns()})
