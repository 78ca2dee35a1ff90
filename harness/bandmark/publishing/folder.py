"""The files that are generated in a folder of published results, from the results in it alone.

They are the leaderboard as a page and as a plot, and a description of the result files for other programs.
`python -m bandmark.publishing.folder results` writes them.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from bandmark.errors import BandmarkError, FileError
from bandmark.judge.bands import REFERENCES
from bandmark.judge.warnings import CACHE_BELOW, DRAM_FROM, PLAUSIBLE
from bandmark.publishing.leaderboard import PLOT, leaderboard, page, plot, read_entries, refuse_links
from bandmark.reports.markdown import table
from bandmark.results.files import write_file
from bandmark.results.reading import JsonObject, Violation, read_bytes, read_sheet
from bandmark.results.row import SCHEMA, STATUS_MEANINGS, Column, columns
from bandmark.units import json_text
from bandmark.validation.cells import TEXT_FORMS, accepted_names

_PAGE = "index.html"

_FRICTIONLESS_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}

_UNBOUNDED = ("temperature_c", "max_error")
"""Numbers that may be negative, or infinite where an output has no finite error."""


def generate(folder: Path) -> dict[str, str | None]:
    """Return what a folder of results should hold beside the runs, by name; None is no such file.

    Raises:
        FileError: a result in the folder is damaged, or a file is a symbolic link.
    """
    refuse_links(*(folder / name for name in ("README.md", "datapackage.json", _PAGE, PLOT)))
    entries = read_entries(folder)
    template = files("bandmark.publishing").joinpath("README.template.md").read_text(encoding="utf-8")
    return {
        "README.md": template.format(
            leaderboard=leaderboard(entries),
            references=", ".join(f"{r.label} {r.published_gbs:g}" for r in REFERENCES),
            schema=SCHEMA,
            columns=table(("column", "type", "unit", "meaning"), [_column_cells(c) for c in columns()]),
            statuses=table(("status", "meaning"), [(f"`{name}`", text) for name, text in STATUS_MEANINGS.items()]),
            cache=CACHE_BELOW,
            dram=DRAM_FROM,
            plausible=100 * PLAUSIBLE,
        ),
        "datapackage.json": json_text(_datapackage(folder)) + "\n",
        _PAGE: page(entries),
        PLOT: plot(entries),
    }


def _column_cells(column: Column) -> tuple[str, ...]:
    unit, required = "" if column.unit == "1" else column.unit, ", required" if column.required else ""
    return f"`{column.name}`", column.type + required, unit, column.doc


def write(folder: Path) -> list[Path]:
    """Write what is generated into a folder of results and return what changed; raises FileError."""
    changed = list(_outdated(folder))
    for file, text in changed:
        file.unlink() if text is None else write_file(file, text)
    return [file for file, _ in changed]


def check_generated(folder: Path) -> Iterator[Violation]:
    """Yield the generated files of a folder that are not what the results in it give."""
    wanted = f"what the results give; `{shlex.join(('python', '-m', __spec__.name, str(folder)))}` writes it"
    try:
        for file, _ in _outdated(folder):
            yield Violation(file, "changed, missing, or of another version", wanted)
    except FileError as error:
        yield Violation(folder, str(error).rstrip("."), "what is generated was not compared")


def _outdated(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield each generated file that is not what the results give, and what it should hold; None is no such file."""
    for name, text in generate(folder).items():
        file = folder / name
        if (read_bytes(file) if file.exists() else None) != (None if text is None else text.encode()):
            yield file, text


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
