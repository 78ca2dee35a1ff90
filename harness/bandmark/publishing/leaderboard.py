"""Which of the published systems moves how much? The leaderboard, made of the files in a folder of results.

It depends on those files alone, so that it is the same wherever it is made.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bandmark.device.peaks import is_user_supplied
from bandmark.errors import FileError
from bandmark.judge.references import REFERENCES
from bandmark.results.files import read_record_beside, read_rows
from bandmark.results.row import Row
from bandmark_kernels import KERNELS

HEADLINES = ("read", "copy", "triad", "gemv")
"""The kernels that the leaderboard shows: one that reads, two that also write, and what a decode step does."""


@dataclass(frozen=True)
class Run:
    """One published run of one device."""

    path: Path
    """The CSV, relative to the folder of results."""
    rows: tuple[Row, ...]
    record: dict[str, Any]

    @property
    def first(self) -> Row:
        """Any row: what a run's rows have in common stands in each."""
        return self.rows[0]

    @cached_property
    def best(self) -> dict[str, Row]:
        """The highest figure of each kernel: ok rows in the dram regime only."""
        counted = [r for r in self.rows if r.status == "ok" and r.verified and r.regime == "dram" and r.bandwidth_gbs]
        return {row.kernel: row for row in sorted(counted, key=lambda row: row.bandwidth_gbs or 0.0)}

    @property
    def headline(self) -> Row | None:
        """The figure that the run is ranked by: read, else the first of the other headlines, else any kernel."""
        return next((self.best[name] for name in (*HEADLINES, *KERNELS) if name in self.best), None)

    @property
    def completeness(self) -> tuple[int, str]:
        """What makes one run of a system speak for it: more headlines, then the newer one."""
        return sum(name in self.best for name in HEADLINES), self.first.run_id


def read_runs(folder: Path) -> list[Run]:
    """Return the runs under a folder of results, in order of path; each device of a run apart.

    Raises:
        FileError: a file is damaged; `bandmark validate` says more.
    """
    runs = []
    for path in sorted(folder.glob("*/*.csv")):
        rows, record = read_rows(path), read_record_beside(path)
        if not record:
            raise FileError(f"{path.with_suffix('.json')} is missing or no run record; bandmark validate says more.")
        runs += [
            Run(path.relative_to(folder), tuple(row for row in rows if row.device == device), record)
            for device in sorted({row.device for row in rows})
        ]
    return runs


def ranked(runs: Iterable[Run]) -> list[Run]:
    """Return the run that speaks for each system and device, the fastest first."""
    best: dict[tuple[str, str], Run] = {}
    for run in runs:
        key = run.first.system, run.first.device
        if run.headline and (key not in best or run.completeness > best[key].completeness):
            best[key] = run
    return sorted(best.values(), key=lambda run: (-_gbs(run.headline), run.first.system, run.first.device))


def _gbs(row: Row | None) -> float:
    return row.bandwidth_gbs or 0.0 if row else 0.0


def leaderboard(folder: Path) -> str:
    """Return the leaderboard of a folder of results as Markdown."""
    runs = read_runs(folder)
    board = ranked(runs)
    if not board:
        return "No run is published yet."
    count = Counter((run.first.system, run.first.device) for run in runs)
    header = ("system", "device", "peak GB/s", *(f"{name} GB/s" for name in HEADLINES), "versions", "date", "caveats")
    rows = [_row(run, count[run.first.system, run.first.device]) for run in board]
    return "\n\n".join((markdown(header, rows), _PLOT, _EXPLANATION))


_PLOT = "![Bandwidth of the systems beside their peaks](bandwidth.svg)"

_EXPLANATION = textwrap.fill(
    "Each figure is the best backend's and dtype's median of the run named by its date, in brackets the percentage of "
    "the device's peak; only rows that are `ok` and come from memory (`dram`) count. A system with several runs is "
    "shown by the one with most of these kernels, the newest of them. For scale, published for the three named "
    f"systems: {', '.join(f'{r.label} {r.published_gbs:g}' for r in REFERENCES)} GB/s, as announced (DGX Station "
    "ships with 7100).",
    width=120,
    break_on_hyphens=False,
)

_BAD_ROWS = {
    "suspect": "suspect",
    "failed_verification": "failed verification",
    "skipped": "skipped",
    "error": "in error",
}


def _row(run: Run, runs: int) -> tuple[str, ...]:
    first = run.first
    date = f"{first.run_id[:4]}-{first.run_id[4:6]}-{first.run_id[6:8]}"
    return (
        escape(first.system),
        escape(first.device),
        "" if first.peak_gbs is None else f"{first.peak_gbs:g}",
        *(_figure(run.best.get(name)) for name in HEADLINES),
        escape(", ".join(_versions(run))),
        f"[{date}]({run.path.as_posix()})",
        escape("; ".join(caveats(run, runs))),
    )


def _figure(row: Row | None) -> str:
    if row is None or row.bandwidth_gbs is None:
        return ""
    share = "" if row.percent_of_peak is None else f" ({row.percent_of_peak:.0f} %)"
    return f"{row.bandwidth_gbs:.4g}{share}, {escape(row.backend)} {escape(row.number_format)}"


def _versions(run: Run) -> list[str]:
    """Return the versions behind the figures: bandmark's, the libraries', the driver's."""
    libraries = sorted({f"{r.backend} {r.backend_version}" for r in run.best.values() if r.backend_version})
    drivers = sorted({f"driver {r.driver}" for r in run.best.values() if r.driver})
    return [*libraries, *drivers, f"bandmark {run.first.bandmark_version}"]


def caveats(run: Run, runs: int = 1) -> list[str]:
    """Return what a reader should know before comparing the run with others."""
    rows, settings, machine = run.rows, run.record.get("settings", {}), run.record.get("machine", {})
    bad = Counter(row.status for row in rows)
    threads = {row.threads for row in run.best.values() if row.threads}
    said = [
        "one run" if runs == 1 else f"one of {runs} runs",
        "a quick run" if settings.get("quick") else "",
        "" if run.record.get("complete", True) else "cut short",
        "user-supplied peak" if is_user_supplied(run.first.peak_source) else "",
        "no peak known" if run.first.peak_gbs is None else "",
        f"{max(threads)} threads" if threads else "",
        "WSL2" if machine.get("is_wsl") else "",
        *(
            f"{bad[status]} row{'s' if bad[status] > 1 else ''} {words}"
            for status, words in _BAD_ROWS.items()
            if bad[status]
        ),
    ]
    return [clause for clause in said if clause]


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def escape(text: str) -> str:
    """Return text of a result as Markdown that shows it as it is, whatever it holds."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "\\[]*_|!`" else " " if c in "\r\n" else c for c in safe)
