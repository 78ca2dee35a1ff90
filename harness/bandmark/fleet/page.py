"""Write the report of a fleet as lines of JSON, as cells of text, and as a page for a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from bandmark import __version__
from bandmark.errors import EXIT_FAILED, EXIT_OK
from bandmark.fleet.summary import Fleet
from bandmark.units import count_of, printable

_TOP = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Memory bandwidth of a fleet</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
div { overflow-x: auto }
table { border-collapse: collapse }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #8886; text-align: left }
td.number { text-align: right; font-variant-numeric: tabular-nums }
</style>
</head>
<body>
<main>
<h1>Memory bandwidth of a fleet</h1>"""


def heading(fleet: Fleet) -> str:
    """Return the answer in a line."""
    counts = {section.name: len(section.rows) for section in fleet.sections}
    answers = {EXIT_OK: "as expected", EXIT_FAILED: "findings"}
    return (
        f"{answers.get(fleet.exit_code, 'nothing to judge by')}: {count_of(fleet.members, 'device')}, "
        f"{count_of(counts['outliers'], 'outlier')}, {counts['two_speeds']} of two speeds, {counts['missing']} missing"
    )


def cell(value: Any) -> str:
    """Write a value of a table as text."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else printable(str(value))


def json_lines(fleet: Fleet) -> Iterator[str]:
    """Yield the rows of all sections, an object each, and last what follows from them."""
    for section in fleet.sections:
        for row in section.rows:
            yield json.dumps({"section": section.name, **dict(zip(section.header, row, strict=True))}, allow_nan=False)
    last = {"section": "summary", "devices": fleet.members, "exclude": fleet.exclude, "exit_code": fleet.exit_code}
    yield json.dumps(last)


def html(fleet: Fleet) -> str:
    """Return the report as one HTML file that needs no network and no script."""
    parts = [_TOP, f"<p>{escape(heading(fleet))}</p>"]
    if fleet.exclude:
        parts.append(f"<p>To leave out: <code>{escape(printable(','.join(fleet.exclude)))}</code></p>")
    for section in (section for section in fleet.sections if section.rows):
        head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in section.header)
        parts += [f"<h2>{section.title}</h2>", f"<div><table><thead><tr>{head}</tr></thead><tbody>"]
        parts += [f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in section.rows]
        parts.append("</tbody></table></div>")
    return "\n".join([*parts, f"<p>Written by bandmark {__version__}.</p>", "</main>", "</body>", "</html>"]) + "\n"


def _html_cell(value: Any) -> str:
    kind = ' class="number"' if isinstance(value, int | float) else ""
    return f"<td{kind}>{escape(cell(value))}</td>"
