"""Read the sides of a comparison: files, folders or rows become runs, and runs become figures."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from bandmark.comparison.figures import Figure, Run, Side
from bandmark.comparison.foreign import read_text
from bandmark.comparison.foreign_json import read_json
from bandmark.errors import FileError, UsageError
from bandmark.judge.warnings import stability_warnings
from bandmark.measure.stats import drift, quantile, two_states
from bandmark.results.case import CaseId
from bandmark.results.files import read_record_beside, read_rows
from bandmark.results.row import MEASURED, Row
from bandmark.results.samples import Entries
from bandmark.suites import Metric, metric_of

NORMAL_95 = 1.959964
"""Standard errors in the half-width of a 95 % interval."""

_SUFFIXES = (".csv", ".json", ".txt", ".log", ".out")
"""Endings of files that are taken from a folder; a JSON that belongs to a CSV is not taken twice."""

MAX_FOREIGN_BYTES = 64 * 2**20
"""Bytes up to which a file may be another tool's result; no such file is larger than a few megabytes."""

_HEAVY_FROM = 0.01
"""Mean distance of the samples from their median, over it, from which far samples matter."""


def read_side(paths: Sequence[str | Path], label: str | None = None) -> Side:
    """Read the runs of a side from files and folders.

    Raises:
        FileError: a path is missing, empty or holds no benchmark result.
        UsageError: a run is given twice.
    """
    runs = [run for path in paths for file in _files_of(Path(path)) for run in read_runs(file)]
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return side(runs, label or f"{paths[0]}{more}")


def side(runs: Iterable[Run], label: str) -> Side:
    """Return runs as a side.

    Raises:
        UsageError: there is none, one is there twice, which would pass for agreement, or they are of several tools.
    """
    replicates = tuple(runs)
    if not replicates:
        raise UsageError(f"{label} holds no run.")
    for name, times in Counter(run.name for run in replicates).items():
        if times > 1:
            raise UsageError(f"{label} holds run {name} {times} times: a copy is no replicate. Name each run once.")
    if len(tools := sorted({run.tool for run in replicates})) > 1:
        raise UsageError(f"{label} holds runs of {' and '.join(tools)}: the replicates of a side are of one tool.")
    return Side(label=label, runs=replicates)


def _files_of(path: Path) -> list[Path]:
    """Return the result files of a folder (not of folders within it), or the file itself; raises FileError."""
    if not path.is_dir():
        return [path]
    try:
        files = sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES and not p.name.startswith("."))
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}.") from error
    files = [p for p in files if p.suffix != ".json" or not p.with_suffix(".csv").exists()]
    files = [p for p in files if p.name != "datapackage.json"]
    if not files:
        raise FileError(f"{path} holds no result file ({', '.join(_SUFFIXES)}). Name the folder of the runs.")
    return files


def read_runs(file: Path) -> list[Run]:
    """Read the runs of one file, bandmark's or another tool's; raises FileError."""
    return read_foreign(file) or runs_of(read_rows(file), _read_samples(file))


def read_foreign(file: Path) -> list[Run]:
    """Read another tool's result; empty where the file is none that is known.

    Several outputs in one file, one after the other, are several runs. Text before JSON is skipped.

    Raises:
        FileError: the file can't be read, or is such a tool's result and damaged.
    """
    try:
        if file.stat().st_size > MAX_FOREIGN_BYTES:
            return []
        text = file.read_bytes().decode("utf-8", errors="replace").replace("\r\n", "\n")
    except OSError as error:
        raise FileError(f"can't read {file}: {error.strerror}.") from error
    if text.lstrip()[:1] == "{":
        return [read_json(file, text)]
    if '"nvbandwidth"' in text and (start := re.search(r"^\s*\{", text, re.MULTILINE)):
        return [read_json(file, text[start.start() :])]
    return read_text(file, text)


def runs_of(rows: Iterable[Row], samples: Entries | None = None) -> list[Run]:
    """Return rows as runs; the raw samples are those of a single run's JSON.

    Raises:
        FileError: a row is of a suite that this version does not know.
    """
    ordered = sorted(rows, key=lambda row: row.run_id)
    runs = [list(rows) for _, rows in groupby(ordered, key=lambda row: row.run_id)]
    known = samples if samples is not None and len(runs) == 1 else Entries([])
    return [_run(rows, known) for rows in runs]


def read_history(paths: Sequence[str | Path]) -> list[Run]:
    """Return the runs of bandmark among some files and folders, which are searched to any depth.

    Raises:
        FileError: a file is missing or damaged.
        UsageError: paths are named and hold no run.
    """
    runs: dict[str, Run] = {}
    for path in map(Path, paths):
        files = sorted(path.rglob("*.csv")) if path.is_dir() else [path]
        for run in (run for file in files for run in read_runs(file)):
            if run.tool == "bandmark":
                runs.setdefault(run.name, run)
    if paths and not runs:
        raise UsageError(f"--history {' '.join(map(str, paths))} holds no run of bandmark.")
    return list(runs.values())


def _read_samples(csv: Path) -> Entries:
    """Return the raw samples beside a CSV; none where there is no JSON. Raises FileError if they are damaged."""
    entries = read_record_beside(csv).get("samples", [])
    return Entries(entries if isinstance(entries, list) else [entries], csv.with_suffix(".json"))


def _run(rows: Sequence[Row], samples: Entries) -> Run:
    first = rows[0]
    figures = tuple(_figure(row, samples) for row in rows if row.status not in ("unsupported", "skipped"))
    return Run(name=first.run_id, figures=figures, system=first.system, device=first.device, kind=_kind(rows))


def _kind(rows: Sequence[Row]) -> str | None:
    """Return the kind of device that rows are of, as far as they tell: only a real machine's firmware gives a peak."""
    if any(row.driver for row in rows):
        return "gpu"
    return "cpu" if any("SMBIOS" in (row.peak_source or "") for row in rows) else None


def _figure_values(row: Row) -> tuple[Metric, float | None, float | None]:
    """Return the metric of a row, its value by the median time, and by the shortest; None where it was not measured."""
    try:
        metric = metric_of(row)
    except KeyError:
        raise FileError(f"run {row.run_id} has rows of suite {row.suite!r}, which this version lacks.") from None
    if row.status not in MEASURED:
        return metric, None, None
    return metric, metric.value(row), row.get(metric.best_column) if metric.best_column else None


def _figure(row: Row, samples: Entries) -> Figure:
    metric, value, best = _figure_values(row)
    unsteady, sway = instabilities(samples.seconds(row)) if row.status in MEASURED else ([], 0.0)
    # What is unsteady widens the limit of the case; any other reason to suspect a row can't be put in figures.
    reasons = [part for part in (row.reason or "").split("; ") if part and part not in unsteady]
    doubtful = row.status != "ok" and (reasons or not unsteady)
    return Figure(
        case=dict(CaseId.of(row).values),
        metric=metric,
        value=value,
        best=best,
        error=_error(row),
        doubts=(": ".join((row.status, "; ".join(reasons))) if reasons else row.status,) if doubtful else (),
        unsteady=tuple(unsteady),
        sway=sway,
        row=row,
    )


def instabilities(seconds: Sequence[float]) -> tuple[list[str], float]:
    """Return in what way the samples of a run have no one speed, and the relative change that this explains.

    The samples are in the order in which they were taken. Far samples dominate where the mean distance from the median,
    without the farthest of each twenty (one stall is no pattern), exceeds that of the quartiles from each other; for
    normal noise it is 0.59 of it, for a Laplace distribution 0.72.
    """
    if len(seconds) < 2:
        return [], 0.0
    warnings = stability_warnings(seconds)
    states = two_states(seconds)
    # From the first third to the last is two thirds of a linear drift.
    sway = max(abs(drift(seconds)) * 1.5, states[1] / states[0] - 1 if states else 0.0)
    ordered = sorted(seconds)
    middle = quantile(ordered, 0.5)
    distances = sorted(abs(s - middle) for s in ordered)
    near = distances[: -max(1, len(distances) // 20)]
    distance = sum(near) / len(near) / middle
    quartiles = (quantile(ordered, 0.75) - quantile(ordered, 0.25)) / middle
    if not warnings and distance > _HEAVY_FROM and distance > quartiles:
        warnings.append(f"samples lie {100 * distance:.2g} % from the median on average, most of it by a few far ones")
        sway = distance
    return warnings, sway if warnings else 0.0


def _error(row: Row) -> float | None:
    """Return the relative standard error of a row's median within its run.

    From the 95 % interval, or below six samples, where there is none, from the quartiles as for normal noise: the
    standard error of a median is sqrt(pi/2) standard deviations over the root of the samples, and the quartiles lie
    1.349 standard deviations apart.
    """
    if row.ci95_rel is not None:
        return row.ci95_rel / NORMAL_95
    if row.iqr_rel is None or not row.samples:
        return None
    return math.sqrt(math.pi / 2 / row.samples) * row.iqr_rel / 1.349
