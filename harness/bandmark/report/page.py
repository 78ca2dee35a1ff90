"""How does a report look as a page? One HTML file that needs no network and no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bandmark import __version__
from bandmark.report.charts import Chart, bars, dots, text
from bandmark.report.figures import (
    READING,
    bar_chart,
    beyond,
    dot_chart,
    facts,
    flagged,
    left_out,
    peak_chart,
    percent_table,
)
from bandmark.report.runs import ReportRun
from bandmark.report.style import CHART, PAGE, THEME
from bandmark.table import LEFT, build_table

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
<main>
<h1>Memory bandwidth, measured and published</h1>"""


def page(runs: Sequence[ReportRun]) -> str:
    """Return the HTML of some runs."""
    parts = [_TOP]
    if len(runs) > 1:
        parts.append(_contents(runs))
    for number, run in enumerate(runs, start=1):
        parts += _run(run, f"run-{number}")
    parts += ["<section>", '<h2 id="reading">How to read it</h2>', "<ul>"]
    parts += [f"<li>{text(line)}</li>" for line in READING]
    parts += ["</ul>", "</section>", f'<p class="soft small">Written by bandmark {__version__}.</p>', "</main>"]
    return "\n".join([*parts, "</body>", "</html>"]) + "\n"


def _contents(runs: Sequence[ReportRun]) -> str:
    items = "".join(
        f'<li><a href="#run-{number}">{text(run.first.system)}: {text(run.first.device)}</a>, '
        f"{text(run.first.run_id)}</li>"
        for number, run in enumerate(runs, start=1)
    )
    return f'<nav aria-label="Runs"><ol>{items}</ol></nav>'


def _run(run: ReportRun, ident: str) -> list[str]:
    head = "".join(f"<dt>{name}</dt><dd>{text(value)}</dd>" for name, value in facts(run))
    return [
        "<section>",
        f'<h2 id="{ident}">{text(run.first.system)}</h2>',
        f"<dl>{head}</dl>",
        *_notes(run),
        "<h3>Beside the published peaks</h3>",
        _figure(bars(peak_chart(run, f"{ident}-peaks")), "DGX Station is shown as announced and as shipped."),
        "<h3>Achieved bandwidth of each case</h3>",
        *_bars(run, ident),
        "<h3>Percent of peak</h3>",
        *_percents(run),
        "<h3>Spread of the samples</h3>",
        *_dots(run, ident),
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


def _figure(drawn: str, caption: str) -> str:
    return f"<figure><figcaption>{text(caption)}</figcaption>\n{drawn}\n</figure>"


def _bars(run: ReportRun, ident: str) -> list[str]:
    if not run.measured:
        return ["<p>No row has a figure to draw.</p>"]
    chart: Chart = bar_chart(run, f"{ident}-bars")
    return [_figure(bars(chart), " ".join(part for part in (beyond(run), left_out(run)) if part))]


def _dots(run: ReportRun, ident: str) -> list[str]:
    chart = dot_chart(run, f"{ident}-dots")
    if chart is None:
        return [f'<p class="notice">{text(run.why_no_samples or "No row of this run has samples.")}</p>']
    caption = "Each dot is one timed sample; the height of a dot has no meaning. In each case, every sample is shown."
    lacking = len(run.rows) - len(run.samples)
    more = f" {lacking} of {len(run.rows)} rows have no samples." if lacking else ""
    return [_figure(dots(chart), caption + more)]


def _percents(run: ReportRun) -> list[str]:
    of, header, rows = percent_table(run)
    if not rows:
        return ["<p>No verified row came from memory, so there are no percentages.</p>"]
    return [table(f"% of {of}; the highest of several sizes or variants", header, rows)]


def _flagged(run: ReportRun) -> list[str]:
    rows = flagged(run)
    if not rows:
        return [f"<p>Nothing: all {len(run.rows)} rows are ok.</p>"]
    cells = [
        [r.kernel, r.backend, r.number_format, r.variant or "-", r.status, r.reason or "no reason is given"]
        for r in rows
    ]
    header = ["kernel", "backend", "dtype", "variant", "status", "reason"]
    return [table(f"{len(rows)} of {len(run.rows)} rows", header, cells, words=6, doubtful=[True] * len(rows))]


def _table(run: ReportRun) -> list[str]:
    made = build_table(run.rows)
    cells = [row.cells for row in made.rows]
    notes = "".join(f"<li>{text(note)}</li>" for note in made.footnotes)
    return [
        table(made.legend, made.header, cells, words=LEFT, doubtful=[not row.plain for row in made.rows]),
        f'<ol class="small" aria-label="Notes of the table">{notes}</ol>' if notes else "",
    ]


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    words: int = 1,
    doubtful: Sequence[bool] = (),
) -> str:
    """Return a table in a box of its own that scrolls where it is too wide.

    Args:
        caption: what stands above it.
        header: names of the columns.
        rows: as many cells each.
        words: so many columns hold words, the others figures; the first names the row.
        doubtful: whether each row stands out; by default none does.
    """
    looks = [' class="word"' if i < words else "" for i in range(len(header))]
    if header[-1] == "reason":
        looks[-1] = ' class="wide"'
    head = "".join(
        f'<th scope="col"{look.replace("wide", "word")}>{text(n)}</th>' for n, look in zip(header, looks, strict=True)
    )
    body = []
    for i, cells in enumerate(rows):
        first, *others = (text(cell) for cell in cells)
        look = ' class="doubt"' if i < len(doubtful) and doubtful[i] else ""
        rest = "".join(f"<td{look}>{cell}</td>" for cell, look in zip(others, looks[1:], strict=True))
        body.append(f'<tr{look}><th scope="row" class="word">{first}</th>{rest}</tr>')
    return "\n".join(
        [
            f'<p class="soft small">{text(caption)}</p>',
            f'<div class="box" tabindex="0" role="region" aria-label="{text(", ".join(header[:3]))} table"><table>',
            f"<thead><tr>{head}</tr></thead>",
            f"<tbody>{''.join(body)}</tbody>",
            "</table></div>",
        ]
    )
