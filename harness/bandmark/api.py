"""What does a notebook call? run(), load() and compare(), with pandas frames of documented columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bandmark.comparison.decide import MARGIN
from bandmark.errors import UsageError
from bandmark.record import Result, columns
from bandmark.request import Request, open_session
from bandmark.store import in_order, read_rows

if TYPE_CHECKING:
    import pandas as pd

    from bandmark.comparison.figures import Run, Side
    from bandmark.comparison.outcome import Comparison

    Runs = str | Path | pd.DataFrame | Sequence[str | Path | pd.DataFrame]

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


def compare(
    baseline: Runs, candidate: Runs, *, history: Sequence[str | Path] = (), margin: float = MARGIN, anyway: bool = False
) -> Comparison:
    """Return whether a candidate is faster than a baseline, case by case; its frame() is a row per case.

    Args:
        baseline, candidate: a result file (ours, or another tool's as the command takes it), a folder, a frame of run()
            or load(), or a sequence of these: the runs of a side are replicates of each other.
        history: files or folders of stored runs that tell the spread between runs.
        margin: relative difference of bandwidth up to which cases are SAME, 0.02 for 2 %.
        anyway: compare although the settings differ.

    Raises:
        FileError: a file is missing or damaged.
        UsageError: settings differ, or the sides have no case in common.
    """
    from bandmark.comparison.compare import compare_sides
    from bandmark.comparison.sides import read_history

    sides = [_side(runs, label) for runs, label in ((baseline, "baseline"), (candidate, "candidate"))]
    return compare_sides(sides[0], sides[1:], history=read_history(history), margin=margin, anyway=anyway)[0]


def _side(runs: Runs, label: str) -> Side:
    """Return files and frames as a side."""
    import pandas as pd

    from bandmark.comparison.sides import read_side, runs_of, side

    parts = [runs] if isinstance(runs, str | Path | pd.DataFrame) else list(runs)
    found: list[Run] = []
    for part in parts:
        if isinstance(part, pd.DataFrame):
            found += runs_of(from_frame(part))
        elif isinstance(part, str | Path):
            found += read_side([part]).runs
        else:
            raise UsageError(f"{label} holds a {type(part).__name__}: give paths, or frames of run() or load().")
    named = [str(part) for part in parts if isinstance(part, str | Path)]
    return side(found, ", ".join(named) or label)


def from_frame(frame: pd.DataFrame) -> list[Result]:
    """Return the rows of a frame of run() or load(); raises UsageError if it is none."""
    names = [c.name for c in columns()]
    if missing := [name for name in names if name not in frame.columns]:
        raise UsageError(f"the frame is not one of run() or load(): it lacks {', '.join(missing[:4])}.")
    cells = frame[names].astype(object).where(frame[names].notna(), None)
    return [Result(**{str(name): value for name, value in row.items()}) for row in cells.to_dict("records")]


def to_frame(rows: Iterable[Result]) -> pd.DataFrame:
    """Return rows as a frame whose dtypes keep unknown values apart from zero and text."""
    import pandas as pd

    frame = pd.DataFrame([asdict(row) for row in rows], columns=[c.name for c in columns()])
    return frame.astype({c.name: _PANDAS_TYPES[c.type] for c in columns()})
