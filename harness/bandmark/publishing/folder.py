"""The files that are generated in a folder of published results.

README.md has the leaderboard and the table of columns, datapackage.json describes the CSVs for other programs, and
bandwidth.svg is the plot. `python -m bandmark.publishing.folder results` writes them.
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

from bandmark.errors import BandmarkError, FileError
from bandmark.judge.bands import REFERENCES
from bandmark.judge.warnings import CACHE_BELOW, DRAM_FROM, PLAUSIBLE
from bandmark.publishing.leaderboard import PLOT, leaderboard, plot, read_entries
from bandmark.reports.markdown import table
from bandmark.results.files import write_file
from bandmark.results.row import SCHEMA, Column, columns
from bandmark.results.sheet import read_sheet
from bandmark.validation.cells import TEXT_FORMS, accepted_names

_GENERATED = ("README.md", "datapackage.json", PLOT)

_FRICTIONLESS_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}

_UNBOUNDED = ("temperature_c", "max_error")
"""Numbers that may be negative, or infinite where an output has no finite error."""


def generate(folder: Path) -> dict[str, str | None]:
    """Return what a folder of results should hold beside the runs, by name; None is no such file.

    Raises:
        FileError: a result in the folder is damaged, or a file that is generated is a symbolic link.
    """
    if link := next((folder / name for name in _GENERATED if (folder / name).is_symlink()), None):
        raise FileError(f"{link} is a symbolic link; replace it by a plain file.")
    entries = read_entries(folder)
    template = files("bandmark.publishing").joinpath("README.template.md").read_text(encoding="utf-8")
    return {
        "README.md": template.format(
            leaderboard=leaderboard(entries),
            references=", ".join(f"{r.label} {r.published_gbs:g}" for r in REFERENCES),
            schema=SCHEMA,
            columns=table(("column", "type", "unit", "meaning"), map(_column_cells, columns())),
            cache=CACHE_BELOW,
            dram=DRAM_FROM,
            plausible=100 * PLAUSIBLE,
        ),
        "datapackage.json": json.dumps(datapackage(folder), indent=1) + "\n",
        PLOT: plot(entries),
    }


def _column_cells(column: Column) -> tuple[str, ...]:
    unit = "" if column.unit == "1" else column.unit
    return (f"`{column.name}`", column.type + (", required" if column.required else ""), unit, column.doc)


def datapackage(folder: Path) -> dict[str, Any]:
    """Return the Frictionless Data Package (version 2) that describes the files of a folder of results.

    Columns were appended over time, so the CSVs of each layout are a resource of their own. There is no foreign key:
    no column refers to another table, and run_id names the JSON beside the CSV, which is no table.
    """
    headers = {file: read_sheet(file).header for file in sorted(folder.glob("*/*.csv"))}
    tables = [
        _table_resource(folder, header, list(paths))
        for header, paths in groupby(sorted(headers, key=lambda f: (-len(headers[f]), f)), key=headers.__getitem__)
    ]
    records = [file.with_suffix(".json").relative_to(folder).as_posix() for file in headers]
    page = {"name": "page", "path": "README.md", "format": "md", "mediatype": "text/markdown"}
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": "bandmark-results",
        "title": "Memory bandwidth measured by bandmark",
        "licenses": [{"name": "CC0-1.0", "path": "https://creativecommons.org/publicdomain/zero/1.0/"}],
        "resources": [page, *tables, *(_record_resource(path) for path in records)],
    }


def _table_resource(folder: Path, header: list[str], paths: list[Path]) -> dict[str, Any]:
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


def _record_resource(path: str) -> dict[str, Any]:
    name = "record-" + Path(path).stem.lower()
    return {"name": name, "path": path, "format": "json", "mediatype": "application/json", "encoding": "utf-8"}


def _field(column: Column) -> dict[str, Any]:
    constraints: dict[str, Any] = {"required": column.required}
    if accepted := accepted_names(column.name):
        constraints["enum"] = list(accepted)
    if column.name in TEXT_FORMS:
        constraints["pattern"] = TEXT_FORMS[column.name][0].pattern
    if column.type in ("int", "float") and column.name not in _UNBOUNDED:
        constraints["minimum"] = 0
    described = {"name": column.name, "type": _FRICTIONLESS_TYPES[column.type], "description": column.doc}
    if column.unit:
        described["unit"] = column.unit
    return {**described, "constraints": constraints}


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


if __name__ == "__main__":
    try:
        write(Path(sys.argv[1]))
    except BandmarkError as error:
        sys.exit(f"bandmark: {error}")
