"""Write the report of a fleet as lines of JSON, as cells of text, and as a page for a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from bandmark import __version__
from bandmark.errors import EXIT_FAILED, EXIT_OK
from bandmark.fleet.summary import Fleet
from bandmark.reports.page import head
from bandmark.units import count_of, printable

_RULES = "body{max-width:75rem}td.word{white-space:normal}"
"""Long names and reasons wrap here."""


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
    parts = [head("Memory bandwidth of a fleet", _RULES), f"<p>{escape(heading(fleet))}</p>"]
    if fleet.exclude:
        parts.append(f"<p>To leave out: <code>{escape(printable(','.join(fleet.exclude)))}</code></p>")
    for section in (section for section in fleet.sections if section.rows):
        names = "".join(f'<th scope="col" class="word">{name.replace("_", " ")}</th>' for name in section.header)
        parts += [f"<h2>{section.title}</h2>", '<div class="box" tabindex="0"><table>']
        parts.append(f"<thead><tr>{names}</tr></thead><tbody>")
        parts += [f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in section.rows]
        parts.append("</tbody></table></div>")
    return "\n".join([*parts, f"<p>Written by bandmark {__version__}.</p>", "</main>", "</body>", "</html>"]) + "\n"


def _html_cell(value: Any) -> str:
    kind = "" if isinstance(value, int | float) else ' class="word"'
    return f"<td{kind}>{escape(cell(value))}</td>"
