"""What do the columns of a result file mean, for readers and for programs?

Run as a module with a folder, it writes that folder's README.md and datapackage.json from the table of columns in
bandmark.record: `python -m bandmark.schema results`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bandmark.backends import BACKENDS
from bandmark.judge import CACHE_BELOW, DRAM_FROM, PLAUSIBLE
from bandmark.record import REGIMES, SCHEMA, STATUSES, Column, columns

_FRICTIONLESS_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}

ENUMS: dict[str, tuple[str, ...]] = {
    "backend": BACKENDS,
    "regime": REGIMES,
    "status": STATUSES,
    "suite": ("stream", "gemv"),
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

One folder per system, one CSV and one JSON of the same stem per run. The CSV has one row per case (kernel x backend x
dtype x size); the JSON holds the settings, the machine, the device, all versions and every raw sample. Neither holds a
host name, a user name, a serial number or a path. The files are dedicated to the public domain: see LICENSE in this
folder.

To add a run: `bandmark run --system your-system --output results/your-system/RUN_ID.csv`, and open a pull request with
the two files. Rows that are not `ok` stay in, with their reason: they are part of what was seen.

Read them with anything that reads CSV, or with `bandmark show FILE...`, or in Python:

```python
import bandmark
frame = bandmark.load("results/your-system/RUN_ID.csv")
```

The figures are STREAM-style: a variant of STREAM with its own rules, not STREAM results.

## Columns (schema {schema})

{columns}

Empty is unknown. GB is 10^9 bytes. Columns are only ever appended. Regimes: working set over last-level cache below
{cache:g} is `cache`, from {dram:g} on `dram`, between them `mixed`. Bandwidth above {plausible:g} % of the peak is
suspect.

## Status

{statuses}
"""


def readme() -> str:
    """Return the text of results/README.md."""
    return README.format(
        schema=SCHEMA,
        columns=_markdown(("column", "type", "unit", "meaning"), map(_column_row, columns())),
        cache=CACHE_BELOW,
        dram=DRAM_FROM,
        plausible=100 * PLAUSIBLE,
        statuses=_markdown(("status", "meaning"), ((f"`{s}`", _STATUS_DOCS[s]) for s in STATUSES)),
    )


def _column_row(column: Column) -> tuple[str, ...]:
    unit = "" if column.unit == "1" else column.unit
    return (f"`{column.name}`", column.type + (", required" if column.required else ""), unit, column.doc)


def _markdown(header: tuple[str, ...], rows: Any) -> str:
    """Return a Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


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


def write(folder: Path) -> None:
    """Write README.md and datapackage.json into a folder."""
    (folder / "README.md").write_text(readme(), encoding="utf-8")
    (folder / "datapackage.json").write_text(json.dumps(datapackage(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
