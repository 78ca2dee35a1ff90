"""How does a report look as Markdown? Tables and sentences, for a pull request or a wiki."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bandmark.publishing.leaderboard import escape, markdown
from bandmark.reports.figures import NAMED
from bandmark.reports.runs import ReportRun
from bandmark.reports.tables import NO_PERCENTAGES, READING, facts, flagged, overview, percent_table
from bandmark.results.faults import printable
from bandmark.results.row import Row
from bandmark.show.table import build_table
from bandmark.suites import by_suite
from bandmark.suites.base import Suite
from bandmark.suites.model_layers import matrix_shapes as shapes
from bandmark.suites.model_layers import step_totals as passes


def page(runs: Sequence[ReportRun]) -> str:
    """Return the Markdown of some runs."""
    named = "; ".join(f"{name} {value:g}" for name, value in NAMED)
    parts = ["# Memory bandwidth, measured and published", f"Published peaks, GB/s: {named}."]
    if len(runs) > 1:
        parts.append(_table(*overview(runs)))
    for run in runs:
        parts += _run(run)
    parts += ["## How to read it", "\n".join(f"- {_safe(line)}" for line in READING)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _run(run: ReportRun) -> list[str]:
    of, header, rows = percent_table(run)
    return [
        f"## {_safe(run.first.system)}",
        "\n".join(f"- {name}: {_safe(value)}" for name, value in facts(run)),
        _safe(run.why_no_samples),
        "### The table",
        *(part for suite, rows in by_suite(run.rows) for part in _suite_table(suite, rows)),
        *map(_safe, (*shapes(run.rows), *passes(run.rows))),
        "### Percent of peak",
        _safe(f"% of {of}; the highest of several sizes or variants."),
        _table(header, rows) if rows else NO_PERCENTAGES,
        "### What was flagged, and why",
        _flagged(run),
    ]


def _suite_table(suite: Suite, rows: Sequence[Row]) -> list[str]:
    made = build_table(suite, rows)
    notes = "\n".join(f"{i}. {_safe(note)}" for i, note in enumerate(made.footnotes, start=1))
    return [_table(made.header, (row.cells for row in made.rows)), notes, _safe(made.legend)]


def _flagged(run: ReportRun) -> str:
    found = flagged(run)
    if not found:
        return f"Nothing: all {len(run.rows)} rows are ok."
    return "\n".join(f"- {_safe(flag.status)}: {_safe(flag.reason)} ({_safe(', '.join(flag.cases))})" for flag in found)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return markdown([_safe(name) for name in header], ([_safe(cell) for cell in row] for row in rows))


def _safe(words: str) -> str:
    return escape(printable(words))
