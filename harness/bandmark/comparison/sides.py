"""What does each side of a comparison consist of? Files, folders or rows become runs, and runs become figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from bandmark.comparison.decide import instabilities
from bandmark.comparison.figures import Figure, Run, Side
from bandmark.comparison.foreign import read_foreign
from bandmark.errors import FileError, UsageError
from bandmark.results.files import read_record_beside, read_rows
from bandmark.results.row import MEASURED, Row
from bandmark.results.samples import Entries

NORMAL_95 = 1.959964
"""Standard errors in the half-width of a 95 % interval."""

SUFFIXES = (".csv", ".json", ".txt", ".log", ".out")
"""Endings of files that are taken from a folder; a JSON that belongs to a CSV is not taken twice."""


def read_side(places: Sequence[str | Path], label: str | None = None) -> Side:
    """Read the runs of a side from files and folders.

    Raises:
        FileError: a place is missing, empty or holds no benchmark result.
        UsageError: a run is given twice.
    """
    files = [file for place in places for file in files_of(Path(place))]
    runs = [run for file in files for run in read_runs(file)]
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return side(runs, label or f"{places[0]}{more}")


def side(runs: Iterable[Run], label: str) -> Side:
    """Return runs as a side.

    Raises:
        UsageError: there is none, one is there twice, which would pass for agreement, or they are of several tools.
    """
    kept = tuple(runs)
    if not kept:
        raise UsageError(f"{label} holds no run.")
    for name, times in Counter(run.name for run in kept).items():
        if times > 1:
            raise UsageError(f"{label} holds run {name} {times} times: a copy is no replicate. Name each run once.")
    if len(tools := sorted({run.tool for run in kept})) > 1:
        raise UsageError(f"{label} holds runs of {' and '.join(tools)}: the replicates of a side are of one tool.")
    return Side(label=label, runs=kept)


def files_of(place: Path) -> list[Path]:
    """Return the result files of a folder (not of folders within it), or the file itself.

    Raises:
        FileError: there is none.
    """
    if not place.is_dir():
        return [place]
    files = sorted(p for p in place.iterdir() if p.suffix in SUFFIXES and not p.name.startswith("."))
    files = [p for p in files if p.suffix != ".json" or not p.with_suffix(".csv").exists()]
    files = [p for p in files if p.name != "datapackage.json"]
    if not files:
        raise FileError(f"{place} holds no result file ({', '.join(SUFFIXES)}). Name the folder of the runs.")
    return files


def read_runs(file: Path) -> list[Run]:
    """Read the runs of one file, ours or another tool's; raises FileError."""
    return read_foreign(file) or runs_of(read_rows(file), read_samples(file))


def runs_of(rows: Iterable[Row], samples: Entries | None = None) -> list[Run]:
    """Return rows as runs; the raw samples are those of a single run's JSON."""
    ordered = sorted(rows, key=lambda row: row.run_id)
    runs = [list(rows) for _, rows in groupby(ordered, key=lambda row: row.run_id)]
    known = samples if samples is not None and len(runs) == 1 else Entries([])
    return [_run(rows, known) for rows in runs]


def read_history(places: Sequence[str | Path]) -> list[Run]:
    """Return the runs of bandmark among some files and folders, which are searched to any depth.

    Raises:
        FileError: a file is missing or damaged.
        UsageError: places are named and hold no run.
    """
    found: dict[str, Run] = {}
    for place in map(Path, places):
        files = sorted(place.rglob("*.csv")) if place.is_dir() else [place]
        for run in (run for file in files for run in read_runs(file)):
            if run.tool == "bandmark":
                found.setdefault(run.name, run)
    if places and not found:
        raise UsageError(f"--history {' '.join(map(str, places))} holds no run of bandmark.")
    return list(found.values())


def read_samples(csv: Path) -> Entries:
    """Return the raw samples beside a CSV; none where there is no JSON. Raises FileError if they are damaged."""
    entries = read_record_beside(csv).get("samples", [])
    return Entries(entries if isinstance(entries, list) else [entries], csv.with_suffix(".json"))


def _run(rows: Sequence[Row], samples: Entries) -> Run:
    first = rows[0]
    figures = tuple(_figure(row, samples) for row in rows if row.status not in ("unsupported", "skipped"))
    return Run(name=first.run_id, figures=figures, system=first.system, device=first.device)


def _figure(row: Row, samples: Entries) -> Figure:
    doubts: list[str] = []
    if row.status != "ok":
        doubts.append(f"{row.status}: {row.reason}" if row.reason else row.status)
    if row.status in MEASURED:
        doubts += [d for d in instabilities(samples.seconds(row)) if d not in (row.reason or "")]
    measured = row.status in MEASURED
    return Figure(
        backend=row.backend,
        kernel=row.kernel,
        dtype=row.dtype,
        weight_format=row.weight_format,
        variant=row.variant,
        m=row.m,
        n=row.n,
        gbs=row.bandwidth_gbs if measured else None,
        best_gbs=row.bandwidth_best_gbs if measured else None,
        error=_error(row),
        doubts=tuple(doubts),
        row=row,
    )


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
