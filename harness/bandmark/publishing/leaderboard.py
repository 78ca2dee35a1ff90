"""The leaderboard of the published systems: a table and a plot for each suite.

It depends on the files in the folder of results alone, so that it is the same wherever it is made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

from bandmark.device.peaks import is_user_supplied
from bandmark.errors import FileError
from bandmark.reports.charts import Axis, Chart, Mark
from bandmark.reports.contents import NAMED, figures
from bandmark.reports.image import Panel, picture
from bandmark.reports.markdown import escape, table
from bandmark.reports import ReportRun, split_run
from bandmark.reports.style import SERIES
from bandmark.results.files import read_record_beside, read_rows
from bandmark.results.row import Row

PLOT = "bandwidth.svg"


@dataclass(frozen=True)
class Entry:
    """The rows of one published run that one device and one suite have."""

    path: Path
    """The CSV, relative to the folder of results."""
    run: ReportRun

    @property
    def headlines(self) -> tuple[str, ...]:
        """The kernels that the leaderboard shows."""
        return self.run.suite.headline_kernels or self.run.suite.kernel_names

    @cached_property
    def best(self) -> dict[str, Row]:
        """The best verified row of each kernel."""
        best: dict[str, Row] = {}
        for row in self.run.ranked:
            if row.verified:
                best.setdefault(row.kernel, row)
        return best

    @property
    def headline(self) -> float:
        """The figure that the entry is ranked by: that of the first headline it has, else of any kernel."""
        row = next((self.best[name] for name in (*self.headlines, *self.best) if name in self.best), None)
        return self.run.value(row) if row else 0.0

    @property
    def completeness(self) -> tuple[int, str]:
        """What decides which run of a system is shown: more headlines, then the newer one."""
        return sum(name in self.best for name in self.headlines), self.run.first.run_id


def read_entries(folder: Path) -> list[Entry]:
    """Return the runs under a folder of results, in order of path.

    Raises:
        FileError: a file is damaged, or a link to elsewhere; `bandmark validate` says more.
    """
    entries = []
    for path in sorted(folder.glob("*/*.csv")):
        file = path.with_suffix(".json")
        if link := next((part for part in (path.parent, path, file) if part.is_symlink()), None):
            raise FileError(f"{link} is a symbolic link; published results are plain files.")
        rows, record = read_rows(path), read_record_beside(path)
        if not record:
            raise FileError(f"{file} is missing or no run record; bandmark validate says more.")
        entries += [Entry(path.relative_to(folder), run) for run in split_run(file, rows, record)]
    return entries


def rank(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entry that is shown for each suite, system and device, the best of a suite first."""
    shown: dict[tuple[str, str, str], Entry] = {}
    for entry in entries:
        key = _key(entry)
        if entry.best and (key not in shown or entry.completeness > shown[key].completeness):
            shown[key] = entry
    return sorted(shown.values(), key=_place)


def _key(entry: Entry) -> tuple[str, str, str]:
    return _title(entry), entry.run.first.system, entry.run.first.device


def _place(entry: Entry) -> tuple[str, float, str, str]:
    title, system, device = _key(entry)
    return title, -entry.headline if entry.run.metric.higher_is_better else entry.headline, system, device


def _title(entry: Entry) -> str:
    return entry.run.suite.title[0].upper() + entry.run.suite.title[1:]


def leaderboard(entries: Sequence[Entry]) -> str:
    """Return the leaderboard of all published runs as Markdown, a section for each suite."""
    counts = Counter(map(_key, entries))
    sections = [(title, list(board)) for title, board in groupby(rank(entries), key=_title)]
    if not sections:
        return "No run is published yet."
    parts = []
    for title, board in sections:
        parts += [f"## {title}"] if len(sections) > 1 else []
        unit, headlines = board[0].run.metric.unit, board[0].headlines
        names = [f"{name} {unit}" for name in headlines]
        header = ("system", "device", "peak GB/s", *names, "versions", "date", "caveats")
        parts.append(table(header, [_cells(entry, counts[_key(entry)]) for entry in board]))
    return "\n\n".join((*parts, f"![Figures of the systems beside their peaks]({PLOT})"))


_BAD_ROWS = {
    "suspect": "suspect",
    "failed_verification": "failed verification",
    "skipped": "skipped",
    "error": "in error",
}


def _cells(entry: Entry, runs: int) -> tuple[str, ...]:
    first = entry.run.first
    date = f"{first.run_id[:4]}-{first.run_id[4:6]}-{first.run_id[6:8]}"
    return (
        escape(first.system),
        escape(first.device),
        f"{entry.run.peak_gbs:g}" if entry.run.peak_gbs else "",
        *(_figure(entry, entry.best.get(name)) for name in entry.headlines),
        escape(", ".join(_versions(entry))),
        f"[{escape(date)}]({entry.path.as_posix()})",
        escape("; ".join(caveats(entry, runs))),
    )


def _figure(entry: Entry, row: Row | None) -> str:
    if row is None:
        return ""
    share = "" if row.percent_of_peak is None else f" ({row.percent_of_peak:.0f} %)"
    return f"{entry.run.value(row):.4g}{share}, {escape(row.backend)} {escape(row.number_format)}"


def _versions(entry: Entry) -> list[str]:
    """Return the versions behind the figures: bandmark's, the libraries', the driver's."""
    rows = entry.best.values()
    libraries = sorted({f"{r.backend} {r.backend_version}" for r in rows if r.backend_version})
    drivers = sorted({f"driver {r.driver}" for r in rows if r.driver})
    return [*libraries, *drivers, f"bandmark {entry.run.first.bandmark_version}"]


def caveats(entry: Entry, runs: int = 1) -> list[str]:
    """Return what a reader should know before comparing the run with others."""
    run = entry.run
    bad = Counter(row.status for row in run.rows)
    threads = {row.threads for row in entry.best.values() if row.threads}
    clauses = [
        "one run" if runs == 1 else f"one of {runs} runs",
        "a quick run" if run.block("settings").get("quick") else "",
        "" if run.record.get("complete", True) else "cut short",
        "user-supplied peak" if is_user_supplied(run.first.peak_source) else "",
        "no peak known" if run.has_peak and run.peak_gbs is None else "",
        f"{max(threads)} threads" if threads else "",
        "WSL2" if run.block("machine").get("is_wsl") else "",
        *(f"{bad[s]} row{'s' if bad[s] > 1 else ''} {words}" for s, words in _BAD_ROWS.items() if bad[s]),
    ]
    return [clause for clause in clauses if clause]


def plot(entries: Iterable[Entry]) -> str | None:
    """Return the leaderboard as an SVG, a chart for each suite; None if there is no figure."""
    panels = [_panel(title, list(board)) for title, board in groupby(rank(entries), key=_title)]
    description = "The best median of each published system, with the peak of its device."
    return picture("Published by bandmark", description, panels) if panels else None


def _panel(title: str, board: Sequence[Entry]) -> Panel:
    """Return a chart on a logarithmic axis: a laptop and a data-centre GPU are a factor of a thousand apart."""
    run, headlines = board[0].run, board[0].headlines
    marks = [
        _mark(entry, row, min(series, SERIES))
        for entry in board
        for series, name in enumerate(headlines)
        if (row := entry.best.get(name))
    ]
    lines = [(gbs, "named", f"{name}: {gbs:g} GB/s") for name, gbs in NAMED if run.has_peak]
    values = [mark.values[0] for mark in marks] + [mark.peak for mark in marks if mark.peak] + [v for v, _, _ in lines]
    low, high = (
        10.0 ** rounded(math.log10(end)) for rounded, end in ((math.floor, min(values)), (math.ceil, max(values)))
    )
    axis = Axis(low, high if high > low else 10 * low, "log")
    heading = (title, "Published systems; a thick line is the peak of a device.")
    return heading, Chart(
        title, marks, axis, f"{run.metric.unit}, median, logarithmic", headlines[:SERIES], lines, dots=True
    )


def _mark(entry: Entry, row: Row, series: int) -> Mark:
    first, unit = entry.run.first, entry.run.metric.unit
    figure = f"{figures(entry.run.value(row), 4)} {unit} \u00b7 {row.backend} {row.number_format}"
    name, group = f"{row.kernel}, {first.system}", f"{first.system} {first.device}"
    return Mark(name, figure, series, (entry.run.value(row),), group=group, peak=entry.run.peak_gbs)
