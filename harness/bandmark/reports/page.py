"""How does a report look as a page? One HTML file that needs no network and no script."""

from __future__ import annotations

from collections.abc import Sequence

from bandmark import __version__
from bandmark.reports.charts import patterns, text
from bandmark.reports.elements import chart, table
from bandmark.reports.figures import SPREAD, bar_chart, beyond, dot_chart, left_out, peak_chart
from bandmark.reports.runs import ReportRun
from bandmark.reports.style import CHART, PAGE, THEME
from bandmark.reports.tables import NO_PERCENTAGES, READING, WORDS, facts, flagged, overview, percent_table
from bandmark.results.row import Row
from bandmark.show.table import build_table
from bandmark.suites import by_suite
from bandmark.suites.base import Suite
from bandmark.suites.model_layers import matrix_shapes as shapes
from bandmark.suites.model_layers import step_totals as passes

_TOP = f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>Memory bandwidth report</title>
<style>
{THEME}{CHART}{PAGE}</style>
</head>
<body>
<svg class="chart" width="0" height="0" style="position:absolute" aria-hidden="true">{patterns()}</svg>
<main>
<h1>Memory bandwidth, measured and published</h1>"""


def page(runs: Sequence[ReportRun]) -> str:
    """Return the HTML of some runs."""
    idents = [f"run-{number}" for number in range(1, len(runs) + 1)]
    parts = [_TOP]
    if len(runs) > 1:
        parts += ['<nav aria-label="Runs">', table("", *overview(runs), words=WORDS, links=idents), "</nav>"]
    for run, ident in zip(runs, idents, strict=True):
        parts += _run(run, ident)
    parts += ["<section>", '<h2 id="reading">How to read it</h2>', "<ul>"]
    parts += [f"<li>{text(line)}</li>" for line in READING]
    parts += ["</ul>", "</section>", f'<p class="soft small">Written by bandmark {__version__}.</p>', "</main>"]
    return "\n".join([*parts, "</body>", "</html>"]) + "\n"


def _run(run: ReportRun, ident: str) -> list[str]:
    head = "".join(f"<dt>{name}</dt><dd>{text(value)}</dd>" for name, value in facts(run))
    return [
        "<section>",
        f'<h2 id="{ident}">{text(run.first.system)} <span class="soft small">{text(run.first.run_id)}</span></h2>',
        f"<dl>{head}</dl>",
        *_notes(run),
        "<h3>Beside the published peaks</h3>",
        chart(peak_chart(run)),
        "<h3>Achieved bandwidth of each case</h3>",
        _bars(run),
        "<h3>Percent of peak</h3>",
        _percents(run),
        "<h3>Spread of the samples</h3>",
        _dots(run),
        "<h3>What was flagged, and why</h3>",
        *_flagged(run),
        "<h3>The whole table</h3>",
        *_table(run),
        "</section>",
    ]


def _notes(run: ReportRun) -> list[str]:
    notes = run.record.get("notes")
    said = [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    return [f'<p class="notice">{text(note)}</p>' for note in said]


def _bars(run: ReportRun) -> str:
    if not run.measured:
        return "<p>No row has a figure to draw.</p>"
    return chart(bar_chart(run), " ".join(part for part in (beyond(run), left_out(run)) if part))


def _dots(run: ReportRun) -> str:
    made = dot_chart(run)
    if made is None:
        return f'<p class="notice">{text(run.why_no_samples or "No row of this run has samples.")}</p>'
    lacking = len(run.rows) - len(run.samples)
    more = f" {lacking} of {len(run.rows)} rows have no samples." if lacking else ""
    return chart(made, SPREAD + more)


def _percents(run: ReportRun) -> str:
    of, header, rows = percent_table(run)
    if not rows:
        return f"<p>{NO_PERCENTAGES}</p>"
    return table(f"% of {of}; the highest of several sizes or variants", header, rows, words=(0, 1))


def _flagged(run: ReportRun) -> list[str]:
    found = flagged(run)
    if not found:
        return [f"<p>Nothing: all {len(run.rows)} rows are ok.</p>"]
    items = [
        f'<li><b class="warn">{text(flag.status)}</b>: {text(flag.reason)}<br>'
        f'<span class="soft">{text(", ".join(flag.cases))}</span></li>'
        for flag in found
    ]
    count = sum(len(flag.cases) for flag in found)
    return [f'<p class="soft small">{count} of {len(run.rows)} rows</p>', "<ul>", *items, "</ul>"]


def _table(run: ReportRun) -> list[str]:
    parts = [part for suite, rows in by_suite(run.rows) for part in _suite_table(suite, rows)]
    return [*parts, *(f"<p>{text(line)}</p>" for line in (*shapes(run.rows), *passes(run.rows)))]


def _suite_table(suite: Suite, rows: Sequence[Row]) -> list[str]:
    made = build_table(suite, rows)
    cells = [row.cells for row in made.rows]
    notes = "".join(f"<li>{text(note)}</li>" for note in made.footnotes)
    words = [number for number, left in enumerate(made.left[:-1]) if left]
    return [
        table(made.legend, made.header, cells, words=words, doubtful=[not row.is_ok for row in made.rows]),
        f'<ol class="small" aria-label="Notes of the table">{notes}</ol>' if notes else "",
    ]
