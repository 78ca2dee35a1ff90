"""The files that are generated in a folder of published results, from the results in it alone.

They are the leaderboard as a page and as a plot, and a description of the result files for other programs.
`python -m bandmark.publishing.folder results` writes them.
"""

from __future__ import annotations

import math
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from bandmark.device.peaks import is_user_supplied
from bandmark.errors import BandmarkError, FileError
from bandmark.judge.bands import REFERENCES
from bandmark.judge.warnings import CACHE_BELOW, DRAM_FROM, PLAUSIBLE
from bandmark.reports import ReportRun, split_run
from bandmark.reports.charts import SERIES, Axis, Chart, Mark
from bandmark.reports.contents import NAMED, date, distinct, figures
from bandmark.reports.image import picture
from bandmark.reports.markdown import escape, table
from bandmark.results.files import read_record_beside, read_rows, write_file
from bandmark.results.reading import JsonObject, Violation, read_bytes, read_sheet
from bandmark.results.row import SCHEMA, Column, Row, columns
from bandmark.units import count_of, json_text
from bandmark.validation.cells import TEXT_FORMS, accepted_names

_PLOT = "bandwidth.svg"

_FRICTIONLESS_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}

_UNBOUNDED = ("temperature_c", "max_error")
"""Numbers that may be negative, or infinite where an output has no finite error."""

_BAD = ("suspect", "failed_verification", "skipped", "error")


def generate(folder: Path) -> dict[str, str | None]:
    """Return what a folder of results should hold beside the runs, by name; None is no such file.

    Raises:
        FileError: a result in the folder is damaged, or a file is a symbolic link.
    """
    refuse_links(*(folder / name for name in ("README.md", "datapackage.json", _PLOT)))
    entries = _read_entries(folder)
    template = files("bandmark.publishing").joinpath("README.template.md").read_text(encoding="utf-8")
    return {
        "README.md": template.format(
            leaderboard=_leaderboard(entries),
            references=", ".join(f"{r.label} {r.published_gbs:g}" for r in REFERENCES),
            schema=SCHEMA,
            columns=table(("column", "type", "unit", "meaning"), [_column_cells(c) for c in columns()]),
            cache=CACHE_BELOW,
            dram=DRAM_FROM,
            plausible=100 * PLAUSIBLE,
        ),
        "datapackage.json": json_text(_datapackage(folder)) + "\n",
        _PLOT: _plot(entries),
    }


def refuse_links(*files: Path) -> None:
    """Raise FileError if a path is a symbolic link: it would show or write what is elsewhere."""
    if link := next((file for file in files if file.is_symlink()), None):
        raise FileError(f"{link} is a symbolic link; results are plain files. Publish a copy of what it leads to.")


def _column_cells(column: Column) -> tuple[str, ...]:
    unit, required = "" if column.unit == "1" else column.unit, ", required" if column.required else ""
    return f"`{column.name}`", column.type + required, unit, column.doc


def write(folder: Path) -> list[Path]:
    """Write what is generated into a folder of results and return what changed; raises FileError."""
    changed = []
    for name, text in generate(folder).items():
        file = folder / name
        before = file.read_bytes().decode("utf-8", "replace") if file.exists() else None
        if text != before:
            changed.append(file)
            file.unlink() if text is None else write_file(file, text)
    return changed


def check_generated(folder: Path) -> Iterator[Violation]:
    """Yield the generated files of a folder that are not what the results in it give."""
    wanted = f"what the results give; `{shlex.join(('python', '-m', __spec__.name, str(folder)))}` writes it"
    try:
        for name, text in generate(folder).items():
            file = folder / name
            if (read_bytes(file) if file.exists() else None) != (None if text is None else text.encode()):
                yield Violation(file, "changed, missing, or of another version", wanted)
    except FileError as error:
        yield Violation(folder, str(error).rstrip("."), "what is generated was not compared")


@dataclass(frozen=True)
class _Entry:
    """The rows of one published run that one device and one suite have."""

    path: Path
    """The CSV, relative to the folder of results."""
    run: ReportRun

    @property
    def title(self) -> str:
        return self.run.suite.title[0].upper() + self.run.suite.title[1:]

    @property
    def key(self) -> tuple[str, str, str]:
        """What the leaderboard has one line for."""
        return self.title, self.run.first.system, self.run.first.device

    @property
    def headlines(self) -> tuple[str, ...]:
        return self.run.suite.headline_kernels or self.run.suite.kernel_names

    @cached_property
    def best(self) -> dict[str, Row]:
        best: dict[str, Row] = {}
        for row in self.run.ranked:
            if row.verified:
                best.setdefault(row.kernel, row)
        return best

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


def _read_entries(folder: Path) -> list[_Entry]:
    entries = []
    for path in sorted(folder.glob("*/*.csv")):
        file = path.with_suffix(".json")
        refuse_links(path.parent, path, file)
        rows, record = read_rows(path), read_record_beside(path)
        if not record:
            raise FileError(f"{file} is missing or no run record; bandmark validate says more.")
        entries += [_Entry(path.relative_to(folder), run) for run in split_run(file, rows, record)]
    return entries


def _rank(entries: Iterable[_Entry]) -> list[tuple[str, list[_Entry]]]:
    """Return for each suite, by title, the entries that are shown for each system and device, the best first."""
    shown = {entry.key: entry for entry in sorted(entries, key=lambda entry: entry.completeness) if entry.best}
    ranked = sorted(shown.values(), key=lambda entry: entry.place)
    return [(title, list(board)) for title, board in groupby(ranked, key=lambda entry: entry.title)]


def _leaderboard(entries: Sequence[_Entry]) -> str:
    counts, sections = Counter(entry.key for entry in entries), _rank(entries)
    if not sections:
        return "No run is published yet."
    parts = []
    for title, board in sections:
        parts += [f"## {title}"] if len(sections) > 1 else []
        names = [f"{name} {board[0].run.metric.unit}" for name in board[0].headlines]
        header = ("system", "device", "peak GB/s", *names, "versions", "date", "caveats")
        parts.append(table(header, [_cells(entry, counts[entry.key]) for entry in board]))
    return "\n\n".join((*parts, f"![Figures of the systems beside their peaks]({_PLOT})"))


def _cells(entry: _Entry, runs: int) -> tuple[str, ...]:
    first, best = entry.run.first, list(entry.best.values())
    drivers = [f"driver {name}" for name in distinct(best, "driver")]
    versions = [*distinct(best, "backend", "backend_version"), *drivers, f"bandmark {first.bandmark_version}"]
    return (
        escape(first.system),
        escape(first.device),
        f"{entry.run.peak_gbs:g}" if entry.run.peak_gbs else "",
        *(_figure(entry.run, entry.best[name]) if name in entry.best else "" for name in entry.headlines),
        escape(", ".join(versions)),
        f"[{date(entry.run)[:10]}]({entry.path.as_posix()})",
        escape("; ".join(_caveats(entry, runs))),
    )


def _figure(run: ReportRun, row: Row) -> str:
    share = "" if row.percent_of_peak is None else f" ({row.percent_of_peak:.0f} %)"
    return f"{run.value(row):.4g}{share}, {escape(row.backend)} {escape(row.number_format)}"


def _caveats(entry: _Entry, runs: int) -> list[str]:
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


def _plot(entries: Iterable[_Entry]) -> str | None:
    """Return the leaderboard as an SVG, a chart for each suite; None if there is no figure."""
    heading = "Published systems; a thick line is the peak of a device."
    panels = [((title, heading), _chart(title, board)) for title, board in _rank(entries)]
    description = "The best median of each published system, with the peak of its device."
    return picture("Published by bandmark", description, panels) if panels else None


def _chart(title: str, board: Sequence[_Entry]) -> Chart:
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
    axis = _decades([*values, *(gbs for gbs, _, _ in lines)])
    return Chart(title, marks, axis, f"{run.metric.unit}, median, logarithmic", headlines[:SERIES], lines, dots=True)


def _decades(values: Sequence[float]) -> Axis:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return Axis(10.0**low, 10.0 ** max(high, low + 1), "log")


def _mark(entry: _Entry, row: Row, series: int) -> Mark:
    first, value = entry.run.first, entry.run.value(row)
    figure = f"{figures(value, 4)} {entry.run.metric.unit} \u00b7 {row.backend} {row.number_format}"
    group = f"{first.system} {first.device}"
    return Mark(f"{row.kernel}, {first.system}", figure, series, (value,), group=group, peak=entry.run.peak_gbs)


def _datapackage(folder: Path) -> JsonObject:
    """Return the Frictionless Data Package (version 2) that describes the files of a folder of results.

    Columns were appended over time, so the CSVs of each layout are a resource of their own. There is no foreign key:
    no column refers to another table, and run_id names the JSON beside the CSV, which is no table.
    """
    headers = {file: read_sheet(file).header for file in sorted(folder.glob("*/*.csv"))}
    longest_first = sorted(headers, key=lambda file: -len(headers[file]))
    layouts = groupby(longest_first, key=headers.__getitem__)
    tables = [_table_resource(folder, header, list(paths)) for header, paths in layouts]
    page = {"name": "page", "path": "README.md", "format": "md", "mediatype": "text/markdown"}
    json_file = {"format": "json", "mediatype": "application/json", "encoding": "utf-8"}
    records = [
        {"name": f"record-{file.stem.lower()}", "path": file.with_suffix(".json").relative_to(folder).as_posix()}
        for file in headers
    ]
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": "bandmark-results",
        "title": "Memory bandwidth measured by bandmark",
        "licenses": [{"name": "CC0-1.0", "path": "https://creativecommons.org/publicdomain/zero/1.0/"}],
        "resources": [page, *tables, *(record | json_file for record in records)],
    }


def _table_resource(folder: Path, header: list[str], paths: list[Path]) -> JsonObject:
    known = {column.name: column for column in columns()}
    if strange := [name for name in header if name not in known]:
        raise FileError(f"{paths[0]} has the column {strange[0]!r}, which is unknown; bandmark validate says more.")
    return {
        "name": "runs" if len(header) == len(known) else f"runs-of-{len(header)}-columns",
        "path": [file.relative_to(folder).as_posix() for file in paths],
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "dialect": {"delimiter": ",", "lineTerminator": "\n", "header": True},
        "schema": {"fields": [_field(known[name]) for name in header], "missingValues": [""]},
    }


def _field(column: Column) -> JsonObject:
    constraints: JsonObject = {"required": column.required}
    if accepted := accepted_names(column.name):
        constraints["enum"] = list(accepted)
    if column.name in TEXT_FORMS:
        constraints["pattern"] = TEXT_FORMS[column.name][0].pattern
    if column.type in ("int", "float") and column.name not in _UNBOUNDED:
        constraints["minimum"] = 0
    field = {"name": column.name, "type": _FRICTIONLESS_TYPES[column.type], "description": column.doc}
    return field | ({"unit": column.unit} if column.unit else {}) | {"constraints": constraints}


if __name__ == "__main__":
    try:
        write(Path(sys.argv[1]))
    except BandmarkError as error:
        sys.exit(f"bandmark: {error}")
