"""Read the sides of a comparison: files, folders or rows become runs, and runs become figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from bandmark.comparison import Figure, Run, Side
from bandmark.comparison.foreign import read_foreign
from bandmark.errors import FileError, UsageError
from bandmark.judge.warnings import stability_warnings
from bandmark.measure.stats import drift, quantile, two_states
from bandmark.results.case import CaseId
from bandmark.results.files import read_record_beside, read_rows
from bandmark.results.reading import result_files
from bandmark.results.record import Entries
from bandmark.results.row import MEASURED, Row
from bandmark.suites import metric_of

_SUFFIXES = (".csv", ".json", ".txt", ".log", ".out")  # of files that are taken from a folder
_NORMAL_95 = 1.959964  # standard errors in the half-width of a 95 % interval
_HEAVY_FROM = 0.01  # mean distance of samples from their median, over it, from which far ones matter


def read_side(paths: Sequence[str | Path]) -> Side:
    """Read the runs of a side from files and folders; raises FileError where one is missing or holds no result."""
    runs = [run for path in paths for file in _files_of(Path(path)) for run in _read_runs(file)]
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return side(runs, f"{paths[0]}{more}")


def side(runs: Iterable[Run], label: str) -> Side:
    """Return runs as a side; raises UsageError if there is none, one is there twice, or they are of several tools."""
    replicates = tuple(runs)
    if not replicates:
        raise UsageError(f"{label} holds no run.")
    name, times = Counter(run.name for run in replicates).most_common(1)[0]
    if times > 1:
        raise UsageError(f"{label} holds run {name} {times} times: a copy is no replicate. Name each run once.")
    if len(tools := sorted({run.tool for run in replicates})) > 1:
        raise UsageError(f"{label} holds runs of {' and '.join(tools)}: the replicates of a side are of one tool.")
    return Side(label=label, runs=replicates)


def _files_of(path: Path) -> list[Path]:
    """Return the result files of a folder (not of folders within it), or the file itself."""
    if not path.is_dir():
        return [path]
    files = [file for file in sorted(path.glob("[!.]*")) if file.suffix in _SUFFIXES and not _is_beside_csv(file)]
    if not files:
        raise FileError(f"{path} holds no result file ({', '.join(_SUFFIXES)}). Name the folder of the runs.")
    return files


def _is_beside_csv(file: Path) -> bool:
    return file.suffix == ".json" and (file.with_suffix(".csv").exists() or file.name == "datapackage.json")


def read_history(paths: Sequence[str | Path]) -> list[Run]:
    """Return the runs of bandmark among some files and folders, which are searched to any depth, each run once.

    Raises:
        FileError: a file is damaged.
        UsageError: a path does not exist, or none holds a run.
    """
    files = result_files(map(Path, paths))
    runs = {run.name: run for file in files for run in _read_runs(file) if run.tool == "bandmark"}
    if paths and not runs:
        raise UsageError(f"--history {' '.join(map(str, paths))} holds no run of bandmark.")
    return list(runs.values())


def _read_runs(file: Path) -> list[Run]:
    if runs := read_foreign(file):
        return runs
    samples = read_record_beside(file).get("samples", [])
    entries = samples if isinstance(samples, list) else [samples]
    return runs_of(read_rows(file), Entries(entries, file.with_suffix(".json")))


def runs_of(rows: Iterable[Row], samples: Entries | None = None) -> list[Run]:
    """Return rows as runs, with the raw samples of a single run; raises FileError for rows of an unknown suite."""
    ordered = sorted(rows, key=lambda row: row.run_id)
    runs = [list(rows) for _, rows in groupby(ordered, key=lambda row: row.run_id)]
    known = samples if samples is not None and len(runs) == 1 else Entries([])
    return [_run(rows, known) for rows in runs]


def _run(rows: Sequence[Row], samples: Entries) -> Run:
    first = rows[0]
    figures = tuple(_figure(row, samples) for row in rows if row.status not in ("unsupported", "skipped"))
    kind = None
    if any(row.driver for row in rows):
        kind = "gpu"
    elif any("SMBIOS" in (row.peak_source or "") for row in rows):  # only a real machine's firmware gives a peak
        kind = "cpu"
    return Run(name=first.run_id, figures=figures, system=first.system, device=first.device, kind=kind)


def _figure(row: Row, samples: Entries) -> Figure:
    try:
        metric = metric_of(row)
    except KeyError:
        raise FileError(f"run {row.run_id} has rows of suite {row.suite!r}, which this version lacks.") from None
    is_measured = row.status in MEASURED
    unsteady, sway = _instabilities(samples.seconds(row) if is_measured else ())
    best_column = metric.best_column if is_measured else None
    return Figure(
        case=dict(CaseId.of(row).values),
        metric=metric,
        value=metric.value(row) if is_measured else None,
        best=row.get(best_column) if best_column else None,
        error=_error(row),
        doubts=_doubts(row, unsteady),
        unsteady=tuple(unsteady),
        sway=sway,
        row=row,
    )


def _doubts(row: Row, unsteady: Sequence[str]) -> tuple[str, ...]:
    """Return why a row is not ok; what is unsteady widens the limit of its case instead."""
    reasons = [part for part in (row.reason or "").split("; ") if part and part not in unsteady]
    if row.status == "ok" or (unsteady and not reasons):
        return ()
    return (": ".join([row.status, "; ".join(reasons)] if reasons else [row.status]),)


def _instabilities(seconds: Sequence[float]) -> tuple[list[str], float]:
    """Return in what way the samples of a run have no one speed, and the relative change that this explains.

    The samples are in the order in which they were taken. Far samples dominate where the mean distance from the median,
    without the farthest of each twenty (one stall is no pattern), exceeds that of the quartiles from each other; for
    normal noise it is 0.59 of it, for a Laplace distribution 0.72.
    """
    if len(seconds) < 2:
        return [], 0.0
    if warnings := stability_warnings(seconds):
        states = two_states(seconds)
        # From the first third to the last is two thirds of a linear drift.
        return warnings, max(abs(drift(seconds)) * 1.5, states[1] / states[0] - 1 if states else 0.0)
    ordered = sorted(seconds)
    middle = quantile(ordered, 0.5)
    distances = sorted(abs(s - middle) for s in ordered)
    near = distances[: -max(1, len(distances) // 20)]
    distance = sum(near) / len(near) / middle
    quartiles = (quantile(ordered, 0.75) - quantile(ordered, 0.25)) / middle
    if distance > max(_HEAVY_FROM, quartiles):
        text = f"samples lie {100 * distance:.2g} % from the median on average, most of it by a few far ones"
        return [text], distance
    return [], 0.0


def _error(row: Row) -> float | None:
    """Return the relative standard error of a row's median within its run.

    From the 95 % interval, or below six samples, where there is none, from the quartiles as for normal noise: the
    standard error of a median is sqrt(pi/2) standard deviations over the root of the samples, and the quartiles lie
    1.349 standard deviations apart.
    """
    if row.ci95_rel is not None:
        return row.ci95_rel / _NORMAL_95
    if row.iqr_rel is None or not row.samples:
        return None
    return math.sqrt(math.pi / 2 / row.samples) * row.iqr_rel / 1.349
