"""The functions for notebooks, with pandas frames of documented columns."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bandmark.comparison import MARGIN
from bandmark.errors import UsageError
from bandmark.options import from_keywords
from bandmark.results.case import in_order
from bandmark.results.files import read_runs, refuse_existing, write_file
from bandmark.results.reading import result_files
from bandmark.results.row import Row, columns
from bandmark.session.session import run_session

if TYPE_CHECKING:
    import pandas as pd

    from bandmark.comparison import Run, Side
    from bandmark.comparison.table import Comparison

    Runs = str | Path | pd.DataFrame | Sequence[str | Path | pd.DataFrame]

_PANDAS_TYPES = {"str": "str", "int": "Int64", "float": "float64", "bool": "boolean"}


def run(output: str | Path | None = None, *, force: bool = False, **options: Any) -> pd.DataFrame:
    """Measure this machine and return a frame with a row per case; the columns are those of results/README.md.

    Args:
        output: the CSV to write, with its JSON beside it, as `bandmark run` does and `bandmark publish` takes them. The
            raw samples stand in the JSON alone.
        force: replace existing files.
        options: what to measure and how, as in kernels=("triad",), quick=True: the fields of
            bandmark.options.RunOptions.

    Raises:
        TypeError: there is no such option, or it takes another type.
        BandmarkError: an option that is not accepted, or a file that can't be written; the message says what is.
        KeyboardInterrupt: the run was interrupted; what was measured is in the files.
    """
    path = None if output is None else Path(output)
    session = run_session(from_keywords(options), output=path, to_files=path is not None, force=force)
    if session.save_error is not None:
        raise session.save_error
    if session.interrupted:
        raise KeyboardInterrupt
    return to_frame(session.rows())


def load(*places: str | Path) -> pd.DataFrame:
    """Return the rows of result CSVs as one frame; the columns are those of results/README.md.

    Args:
        places: result CSVs, and folders, which are searched to any depth. A run of which there are two copies is read
            once, with a warning that names them.

    Raises:
        FileError: a file is damaged or no bandmark result, or two files disagree about a run.
        UsageError: there is no such file, or no result in a folder.
    """
    runs, duplicates = read_runs(result_files(_paths("load()", places)))
    for sentence in duplicates:
        warnings.warn(sentence, stacklevel=2)
    return to_frame(in_order(row for run in runs for row in run.rows()))


def report(*places: str | Path, output: str | Path = "report.html", force: bool = False) -> Path:
    """Write the report of result CSVs, as `bandmark report` does, and return its path.

    Args:
        places: result CSVs, and folders, which are searched to any depth.
        output: the file; .html, .md, .svg or .png says what it is.
        force: replace an existing file.

    Raises:
        FileError: a file is damaged, or the report exists or can't be written.
        UsageError: there is no such file, no result in a folder, or no such form.
    """
    from bandmark.reports import form_and_file, read_report, render

    kind, path = form_and_file(None, str(_paths("output", [output])[0]))
    assert path is not None
    refuse_existing(path, force=force)
    write_file(path, render(read_report(result_files(_paths("report()", places)))[0], kind))
    return path


def decode(
    model: str,
    weights: str,
    *,
    results: Sequence[str] | None = None,
    system: str | None = None,
    context: int = 4096,
    batch: int = 1,
) -> pd.DataFrame:
    """Return the tokens per second of a language model on systems, a row each; columns carry their units.

    Args:
        model: a known model, or a config.json, as `bandmark decode` takes it.
        weights: the format of the weights, as in "q4_k_m".
        results: result CSVs of the systems; None for a quick run here.
        system: these systems alone, as in "dgx-spark" or "dgx-spark,here".
        context: tokens before.
        batch: sequences at once.

    Raises:
        UsageError: a name or number is not accepted; the message says what is.
    """
    import pandas as pd

    from bandmark.decoding.measured import KERNELS_FOR
    from bandmark.decoding.predict import find_systems, measured_system, predict
    from bandmark.decoding.step import step_of
    from bandmark.models.config import find_or_read
    from bandmark.models.weights import find_format

    pair = find_or_read(model), find_format(weights)
    step_of(*pair, context=context, batch=batch)  # refuses bad options before measuring
    kernels = tuple(chain(*KERNELS_FOR["weights"], *KERNELS_FOR["cache"]))
    formats = [name for name in (pair[1].kernel_format,) if name]
    measured, named = find_systems(results, system.split(",") if system else (), kernels, formats)
    systems = (*(measured_system(m, pair[1], pair[0].name) for m in measured), *named)
    return pd.DataFrame([predict(s, *pair, context=context, batch=batch).as_json() for s in systems])


def _paths(option: str, places: Iterable[object]) -> list[Path]:
    """Return places as paths; raises TypeError that names the option."""
    paths = [place for place in places if isinstance(place, str | Path)]
    if wrong := [place for place in places if not isinstance(place, str | Path)]:
        raise TypeError(f"{option} takes paths of files and folders, not a {type(wrong[0]).__name__}")
    return [Path(path) for path in paths]


def compare(
    baseline: Runs, candidate: Runs, *, history: Sequence[str | Path] = (), margin: float = MARGIN, anyway: bool = False
) -> Comparison:
    """Return whether a candidate is faster than a baseline, case by case; its frame() is a row per case.

    Args:
        baseline, candidate: a result file (ours, or another tool's as the command takes it), a folder, a frame of run()
            or load(), or a sequence of these: the runs of a side are replicates of each other.
        history: files or folders of stored runs that show the spread between runs.
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

    if not isinstance(runs, str | Path | pd.DataFrame | Sequence):
        raise TypeError(
            f"{label} takes paths, frames of run() or load(), or a list of these, not a {type(runs).__name__}"
        )
    parts = [runs] if isinstance(runs, str | Path | pd.DataFrame) else list(runs)
    replicates: list[Run] = []
    for part in parts:
        if isinstance(part, pd.DataFrame):
            replicates += runs_of(from_frame(part))
        elif isinstance(part, str | Path):
            replicates += read_side([part]).runs
        else:
            raise UsageError(f"{label} holds a {type(part).__name__}: give paths, or frames of run() or load().")
    named = [str(part) for part in parts if isinstance(part, str | Path)]
    return side(replicates, ", ".join(named) or label)


def from_frame(frame: pd.DataFrame) -> list[Row]:
    """Return the rows of a frame of run() or load(); raises UsageError if it is none."""
    names = [c.name for c in columns()]
    if missing := [name for name in names if name not in frame.columns]:
        raise UsageError(f"the frame is not one of run() or load(): it lacks {', '.join(missing[:4])}.")
    cells = frame[names].astype(object).where(frame[names].notna(), None)
    return [Row.of({str(name): value for name, value in row.items()}) for row in cells.to_dict("records")]


def to_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Return rows as a frame whose dtypes keep unknown values apart from zero and text."""
    import pandas as pd

    names = [c.name for c in columns()]
    frame = pd.DataFrame([{n: row.get(n) for n in names} for row in rows], columns=names)
    return frame.astype({c.name: _PANDAS_TYPES[c.type] for c in columns()})
