"""What do the columns of a result file mean, for readers and for programs?

Run as a module with a folder, it writes all that is generated there: README.md (the leaderboard of the files in it, and
the table of columns), datapackage.json and the plot: `python -m bandmark.publishing.schema results`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

from bandmark.backends.select import BACKENDS
from bandmark.errors import BandmarkError
from bandmark.judge.warnings import CACHE_BELOW, DRAM_FROM, PLAUSIBLE
from bandmark.publishing.leaderboard import leaderboard, markdown, ranked, read_runs
from bandmark.publishing.leaderboard_plot import plot
from bandmark.results.row import REGIMES, SCHEMA, STATUSES, Column, columns
from bandmark_kernels.core.kernel import Suite

_FRICTIONLESS_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}

ENUMS: dict[str, tuple[str, ...]] = {
    "backend": BACKENDS,
    "regime": REGIMES,
    "status": STATUSES,
    "suite": get_args(Suite),
    "data": ("random", "zeros"),
    "stop_reason": ("converged", "noise_settled", "time_limit"),
}

_STATUS_DOCS = {
    "ok": "measured, verified, and nothing speaks against it",
    "suspect": "measured, but the reason says why the figure may not be this machine's bandwidth",
    "failed_verification": "the output was wrong: times stay, bandwidth is empty",
    "unsupported": "the backend has no body that runs this case at memory speed",
    "skipped": "left out, and the reason says why",
    "error": "the backend raised an error",
}

README = """\
# Results

{leaderboard}

The figures are STREAM-style: a variant of STREAM with its own rules, not STREAM results.

## Add a run

```sh
bandmark run --system your-system --output run.csv
bandmark publish run.csv
```

`publish` checks the run, shows what would become public, takes out what should not, puts the two files into the folder
of the system, renews this page, and prints the git commands for a pull request. Rows that are not `ok` stay in, with
their reason: they are part of what was seen; the leaderboard leaves them out. `bandmark validate results` checks all
files here.

## The files

One folder per system, one CSV and one JSON of the same stem per run. The CSV has one row per case (kernel x backend x
dtype x size); the JSON holds the settings, the machine, the device, all versions and every raw sample, with the clocks
of the device and what held them down where it tells that. Neither holds a host name, a user name, a serial number or a
path. The files are dedicated to the public domain: see LICENSE in this folder.

Read them with anything that reads CSV, with `bandmark show FILE...`, all at once with
`bandmark merge results --output all.csv`, or in Python:

```python
import bandmark

frame = bandmark.load("results/your-system/RUN_ID.csv")
```

## Columns (schema {schema})

{columns}

Empty is unknown. GB is 10^9 bytes. Columns are only ever appended. Regimes: working set over last-level cache below
{cache:g} is `cache`, from {dram:g} on `dram`, between them `mixed`. Bandwidth above {plausible:g} % of the peak is
suspect.

## Status

{statuses}
"""


def readme(folder: Path) -> str:
    """Return the text of a folder's README.md; raises FileError if a result in it is damaged."""
    return README.format(
        leaderboard=leaderboard(folder),
        schema=SCHEMA,
        columns=markdown(("column", "type", "unit", "meaning"), map(_column_row, columns())),
        cache=CACHE_BELOW,
        dram=DRAM_FROM,
        plausible=100 * PLAUSIBLE,
        statuses=markdown(("status", "meaning"), ((f"`{s}`", _STATUS_DOCS[s]) for s in STATUSES)),
    )


def _column_row(column: Column) -> tuple[str, ...]:
    unit = "" if column.unit == "1" else column.unit
    return (f"`{column.name}`", column.type + (", required" if column.required else ""), unit, column.doc)


def datapackage() -> dict[str, Any]:
    """Return the Frictionless Data Package (version 2) that describes the CSVs."""
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": "bandmark-results",
        "title": "Memory bandwidth measured by bandmark",
        "licenses": [{"name": "CC0-1.0", "path": "https://creativecommons.org/publicdomain/zero/1.0/"}],
        "resources": [
            {
                "name": "runs",
                "path": ["*/*.csv"],
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "dialect": {"delimiter": ",", "lineTerminator": "\n", "header": True},
                "schema": {"fields": [_field(c) for c in columns()], "missingValues": [""]},
            }
        ],
    }


def _field(column: Column) -> dict[str, Any]:
    constraints: dict[str, Any] = {"required": column.required}
    if column.name in ENUMS:
        constraints["enum"] = list(ENUMS[column.name])
    described = {"name": column.name, "type": _FRICTIONLESS_TYPES[column.type], "description": column.doc}
    if column.unit:
        described["unit"] = column.unit
    return {**described, "constraints": constraints}


def generated(folder: Path) -> dict[str, str | None]:
    """Return what a folder of results should hold beside the runs, by name; None is no such file.

    Raises:
        FileError: a result in the folder is damaged.
    """
    board = ranked(read_runs(folder))
    return {
        "README.md": readme(folder),
        "datapackage.json": json.dumps(datapackage(), indent=1) + "\n",
        "bandwidth.svg": plot(board) if board else None,
    }


def write(folder: Path) -> list[Path]:
    """Write what is generated into a folder of results; return what changed."""
    changed = []
    for name, text in generated(folder).items():
        file = folder / name
        before = file.read_bytes().decode("utf-8", "replace") if file.exists() else None
        if text != before:
            changed.append(file)
            file.unlink() if text is None else file.write_text(text, encoding="utf-8", newline="\n")
    return changed


if __name__ == "__main__":
    try:
        write(Path(sys.argv[1]))
    except BandmarkError as error:
        sys.exit(f"bandmark: {error}")
