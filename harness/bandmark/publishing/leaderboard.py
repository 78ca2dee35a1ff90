"""The leaderboard of a folder of published results: as Markdown, as a page for a browser, and as a plot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

from bandmark.device.peaks import is_user_supplied
from bandmark.errors import FileError
from bandmark.reports import ReportRun, split_run
from bandmark.reports.charts import SERIES, Chart, Mark, log_axis, text
from bandmark.reports.contents import NAMED, date, distinct, figures
from bandmark.reports.image import picture
from bandmark.reports.markdown import escape, table
from bandmark.reports.page import head
from bandmark.results.files import read_record_beside, read_rows
from bandmark.results.row import Row
from bandmark.show.summary import best_of_kernels
from bandmark.units import count_of

PLOT = "bandwidth.svg"

_BAD = ("suspect", "failed_verification", "skipped", "error")

_KINDS = {"cpu": "CPUs", "unified": "GPUs with unified memory", "gpu": "GPUs with memory of their own"}
"""The classes of devices by which the page filters."""


@dataclass(frozen=True)
class Entry:
    """The rows of one published run that one device and one suite have."""

    path: Path
    """The CSV, relative to the folder of results."""
    run: ReportRun

    @property
    def title(self) -> str:
        """The heading of the suite."""
        return self.run.suite.title[0].upper() + self.run.suite.title[1:]

    @property
    def key(self) -> tuple[str, str, str]:
        """What the leaderboard has one line for."""
        return self.title, self.run.first.system, self.run.first.device

    @property
    def headlines(self) -> tuple[str, ...]:
        """The kernels that have a column."""
        return self.run.suite.headline_kernels or self.run.suite.kernel_names

    @cached_property
    def best(self) -> dict[str, Row]:
        """The best row of each kernel."""
        return best_of_kernels(self.run.rows)

    @property
    def kind(self) -> str:
        """The class of the device."""
        device = self.run.block("device")
        return "cpu" if device.get("kind") == "cpu" else "unified" if device.get("integrated") else "gpu"

    @property
    def place(self) -> tuple[str, float, str, str]:
        """The order of lines: within a suite by the first headline that the run has, else by any kernel."""
        row = next(self.best[name] for name in (*self.headlines, *self.best) if name in self.best)
        figure = self.run.value(row)
        return self.title, -figure if self.run.metric.higher_is_better else figure, *self.key[1:]

    @property
    def completeness(self) -> tuple[int, str]:
        """The run with most headlines is shown of each system, the newest of them."""
        return sum(name in self.best for name in self.headlines), self.run.first.run_id


def refuse_links(*files: Path) -> None:
    """Raise FileError if a path is a symbolic link: it would show or write what is elsewhere."""
    if link := next((file for file in files if file.is_symlink()), None):
        raise FileError(f"{link} is a symbolic link; results are plain files. Publish a copy of what it leads to.")


def read_entries(folder: Path) -> list[Entry]:
    """Return the published runs of a folder; raises FileError for one that is damaged or a link."""
    entries = []
    for path in sorted(folder.glob("*/*.csv")):
        file = path.with_suffix(".json")
        refuse_links(path.parent, path, file)
        rows, record = read_rows(path), read_record_beside(path)
        if not record:
            raise FileError(f"{file} is missing or no run record; bandmark validate says more.")
        entries += [Entry(path.relative_to(folder), run) for run in split_run(file, rows, record)]
    return entries


def _rank(entries: Iterable[Entry]) -> list[tuple[str, list[Entry]]]:
    """Return for each suite, by title, the entries that are shown for each system and device, the best first."""
    shown = {entry.key: entry for entry in sorted(entries, key=lambda entry: entry.completeness) if entry.best}
    ranked = sorted(shown.values(), key=lambda entry: entry.place)
    return [(title, list(board)) for title, board in groupby(ranked, key=lambda entry: entry.title)]


def leaderboard(entries: Sequence[Entry]) -> str:
    """Return the leaderboard as Markdown."""
    counts, sections = Counter(entry.key for entry in entries), _rank(entries)
    if not sections:
        return "No run is published yet."
    parts = []
    for title, board in sections:
        parts += [f"## {title}"] if len(sections) > 1 else []
        rows = []
        for entry in board:
            *cells, day, caveats = map(escape, _cells(entry, counts[entry.key]))
            rows.append((*cells, f"[{day}]({entry.path.as_posix()})", caveats))
        parts.append(table(_header(board), rows))
    return "\n\n".join((*parts, f"![Figures of the systems beside their peaks]({PLOT})"))


def page(entries: Sequence[Entry]) -> str | None:
    """Return the leaderboard as a page whose rows are filtered by class of device, without scripts; None if empty."""
    counts, sections = Counter(entry.key for entry in entries), _rank(entries)
    if not sections:
        return None
    kinds = [kind for kind in _KINDS if any(entry.kind == kind for _, board in sections for entry in board)]
    rules = "".join(f"main:has(#{kind}:checked) tbody tr:not(.{kind}){{display:none}}\n" for kind in kinds)
    choices = "".join(
        f'<label><input type="radio" name="kind" id="{kind}"{" checked" * (kind == "all")}> {words}</label>\n'
        for kind, words in {"all": "all devices", **{kind: _KINDS[kind] for kind in kinds}}.items()
    )
    parts = [head("Published results", rules), f"<fieldset><legend>Devices</legend>{choices}</fieldset>"]
    for title, board in sections:
        header = "".join(f'<th scope="col" class="word">{text(name)}</th>' for name in _header(board))
        rows = "\n".join(_html_row(entry, counts[entry.key]) for entry in board)
        parts += [f"<h2>{text(title)}</h2>", f'<div class="box" tabindex="0"><table><thead><tr>{header}</tr></thead>']
        parts += [f"<tbody>\n{rows}\n</tbody></table></div>"]
    named = "; ".join(f"{name} {gbs:g}" for name, gbs in NAMED)
    parts.append(f"<p>Each figure is the best median of a kernel. Published for scale, in GB/s: {text(named)}.</p>")
    return (
        "\n".join([*parts, '<p><a href="README.md">How to add a run, and what the columns mean</a></p>', "</main>"])
        + "\n"
    )


def _html_row(entry: Entry, runs: int) -> str:
    *cells, day, caveats = map(text, _cells(entry, runs))
    cells += [f'<a href="{text(entry.path.as_posix())}">{day}</a>', caveats]
    return f'<tr class="{entry.kind}">{"".join(f"""<td class="word">{cell}</td>""" for cell in cells)}</tr>'


def _header(board: Sequence[Entry]) -> tuple[str, ...]:
    names = [f"{name} {board[0].run.metric.unit}" for name in board[0].headlines]
    return "system", "device", "peak GB/s", *names, "versions", "date", "caveats"


def _cells(entry: Entry, runs: int) -> tuple[str, ...]:
    """Return the words of a line: the last are the date, which leads to the file, and the caveats."""
    first, best = entry.run.first, list(entry.best.values())
    drivers = [f"driver {name}" for name in distinct(best, "driver")]
    versions = [*distinct(best, "backend", "backend_version"), *drivers, f"bandmark {first.bandmark_version}"]
    return (
        first.system,
        first.device,
        f"{entry.run.peak_gbs:g}" if entry.run.peak_gbs else "",
        *(_figure(entry.run, entry.best[name]) if name in entry.best else "" for name in entry.headlines),
        ", ".join(versions),
        date(entry.run)[:10],
        "; ".join(_caveats(entry, runs)),
    )


def _figure(run: ReportRun, row: Row) -> str:
    share = "" if row.percent_of_peak is None else f" ({row.percent_of_peak:.0f} %)"
    return f"{run.value(row):.4g}{share}, {row.backend} {row.number_format}"


def _caveats(entry: Entry, runs: int) -> list[str]:
    run = entry.run
    threads = max((row.threads or 0 for row in entry.best.values()), default=0)
    known = {
        "one run" if runs == 1 else f"one of {runs} runs": True,
        "a quick run": run.block("settings").get("quick"),
        "cut short": not run.record.get("complete", True),
        "user-supplied peak": is_user_supplied(run.first.peak_source),
        "no peak known": run.has_peak and run.peak_gbs is None,
        f"{threads} threads": threads,
        "WSL2": run.block("machine").get("is_wsl"),
    }
    return [caveat for caveat, holds in known.items() if holds] + _bad_rows(run)


def _bad_rows(run: ReportRun) -> list[str]:
    counts = Counter(row.status.replace("_", " ") for row in run.rows if row.status in _BAD)
    return [count_of(count, f"{status} row") for status, count in counts.items()]


def plot(entries: Iterable[Entry]) -> str | None:
    """Return the leaderboard as an SVG, a chart for each suite; None if there is no figure."""
    heading = "Published systems; a thick line is the peak of a device."
    panels = [((title, heading), _chart(title, board)) for title, board in _rank(entries)]
    description = "The best median of each published system, with the peak of its device."
    return picture("Published by bandmark", description, panels) if panels else None


def _chart(title: str, board: Sequence[Entry]) -> Chart:
    """Return a chart on a logarithmic axis: a laptop and a data-centre GPU are a factor of a thousand apart."""
    run, headlines = board[0].run, board[0].headlines
    marks = [
        _mark(entry, entry.best[name], min(series, SERIES))
        for entry in board
        for series, name in enumerate(headlines)
        if name in entry.best
    ]
    lines = [(gbs, "named", f"{name}: {gbs:g} GB/s") for name, gbs in NAMED if run.has_peak]
    values = [value for mark in marks for value in (*mark.values, mark.peak or mark.values[0])]
    axis = log_axis([*values, *(gbs for gbs, _, _ in lines)])
    return Chart(title, marks, axis, f"{run.metric.unit}, median, logarithmic", headlines[:SERIES], lines, dots=True)


def _mark(entry: Entry, row: Row, series: int) -> Mark:
    first, value = entry.run.first, entry.run.value(row)
    figure = f"{figures(value, 4)} {entry.run.metric.unit} \u00b7 {row.backend} {row.number_format}"
    group = f"{first.system} {first.device}"
    return Mark(f"{row.kernel}, {first.system}", figure, series, (value,), group=group, peak=entry.run.peak_gbs)
