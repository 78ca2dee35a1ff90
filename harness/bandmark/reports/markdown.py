"""Reports as Markdown: tables and sentences for a pull request or a wiki."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from bandmark.reports import ReportRun, contents
from bandmark.show.table import build_table
from bandmark.suites.model_layers import matrix_shapes, step_totals
from bandmark.units import printable

_MARKUP = re.compile(r"[\\\[\]*_|!`~$#]")

_LINKS = re.compile(r"(?<=[@#])(?=\w)|(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?<=\bGH)(?=-\d)", re.IGNORECASE)
"""Where GitHub would see the middle of a mention or a link: `@name`, `#1`, `GH-1`, `https://`, `www.`."""


def escape(text: str) -> str:
    """Return text of a result as Markdown that shows it as it is, on one line, and makes no link or mention of it."""
    line = html.escape(printable(" ".join(text.splitlines())), quote=False)
    return _LINKS.sub("&#8203;", _MARKUP.sub(r"\\\g<0>", line))  # a space without width


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table of cells that are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def page(runs: Sequence[ReportRun]) -> str:
    """Return the Markdown of some runs."""
    named = "; ".join(f"{name} {value:g}" for name, value in contents.NAMED)
    parts = ["# Memory bandwidth, measured and published", f"Published peaks, GB/s: {named}."]
    if len(runs) > 1:
        parts.append(_escaped_table(*contents.overview(runs)))
    for run in runs:
        parts += _run(run)
    parts += ["## How to read it", "\n".join(f"- {escape(line)}" for line in contents.READING)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _run(run: ReportRun) -> list[str]:
    whole = build_table(run.suite, run.rows)
    return [
        f"## {escape(run.first.system)}",
        "\n".join(f"- {name}: {escape(value)}" for name, value in contents.facts(run)),
        "" if run.samples else contents.NO_SAMPLES,
        *map(escape, run.findings),
        "### The table",
        _escaped_table(whole.header, (row.cells for row in whole.rows)),
        "\n".join(f"{i}. {escape(note)}" for i, note in enumerate(whole.footnotes, start=1)),
        *map(escape, (*matrix_shapes(run.rows), *step_totals(run.rows))),
        escape(whole.legend),
        *(_percents(run) if run.has_peak else ()),
        "### What was flagged, and why",
        _flagged(run),
    ]


def _percents(run: ReportRun) -> list[str]:
    of, header, rows = contents.percent_table(run)
    caption = escape(f"% of {of}; the highest of several sizes or variants.")
    return ["### Percent of peak", caption, _escaped_table(header, rows) if rows else contents.NO_PERCENTAGES]


def _flagged(run: ReportRun) -> str:
    lines = [
        f"- {escape(status)}: {escape(reason)} ({escape(', '.join(cases))})"
        for status, reason, cases in contents.flagged(run)
    ]
    return "\n".join(lines) or f"Nothing: all {len(run.rows)} rows are ok."


def _escaped_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return table([escape(name) for name in header], ([escape(cell) for cell in row] for row in rows))
