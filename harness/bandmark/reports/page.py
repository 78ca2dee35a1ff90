"""Reports as a page: one HTML file that needs no network and no script. Words are HTML, so that they wrap."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from bandmark import __version__
from bandmark.reports import contents
from bandmark.reports.charts import Chart, axis_track, line_swatch, patterns, swatch, text, track
from bandmark.reports.runs import ReportRun
from bandmark.reports.style import CHART, PAGE, THEME
from bandmark.show.table import build_table
from bandmark.suites.model_layers import matrix_shapes, step_totals

_EM = 0.57
"""Width of a letter over the size of the text, on average and rather too much than too little."""

_MAX_COLUMN = 28
"""Letters for which a name or a figure has room beside its track; longer ones wrap."""

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
        all_runs = table("", *contents.overview(runs), words=contents.WORDS, links=idents)
        parts += ['<nav aria-label="Runs">', all_runs, "</nav>"]
    for run, ident in zip(runs, idents, strict=True):
        parts += _run(run, ident)
    parts += ["<section>", '<h2 id="reading">How to read it</h2>', "<ul>"]
    parts += [f"<li>{text(line)}</li>" for line in contents.READING]
    parts += ["</ul>", "</section>", f'<p class="soft small">Written by bandmark {__version__}.</p>', "</main>"]
    return "\n".join([*parts, "</body>", "</html>"]) + "\n"


def _run(run: ReportRun, ident: str) -> list[str]:
    head = "".join(f"<dt>{name}</dt><dd>{text(value)}</dd>" for name, value in contents.facts(run))
    notes = run.record.get("notes")
    notices = [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    peaks = ["<h3>Beside the published peaks</h3>", chart(contents.peak_chart(run))]
    percents = ["<h3>Percent of peak</h3>", _percents(run)]
    return [
        "<section>",
        f'<h2 id="{ident}">{text(run.first.system)} <span class="soft small">{text(run.first.run_id)}</span></h2>',
        f"<dl>{head}</dl>",
        *(f'<p class="notice">{text(note)}</p>' for note in notices),
        *(peaks if run.has_peak else ()),
        f"<h3>{'Achieved bandwidth' if run.has_peak else text(run.metric.name.capitalize())} of each case</h3>",
        _bars(run),
        *(percents if run.has_peak else ()),
        "<h3>Spread of the samples</h3>",
        _dots(run),
        "<h3>What was flagged, and why</h3>",
        *_flagged(run),
        "<h3>The whole table</h3>",
        *_table(run),
        "</section>",
    ]


def _bars(run: ReportRun) -> str:
    if not run.measured:
        return "<p>No row has a figure to draw.</p>"
    return chart(contents.bar_chart(run), f"{contents.axis_note(run)} {contents.omissions(run)}".strip())


def _dots(run: ReportRun) -> str:
    plot = contents.dot_chart(run)
    if plot is None:
        return f'<p class="notice">{text(run.why_no_samples or "No row of this run has samples.")}</p>'
    lacking = len(run.rows) - len(run.samples)
    more = f" {lacking} of {len(run.rows)} rows have no samples." if lacking else ""
    return chart(plot, contents.SPREAD + more)


def _percents(run: ReportRun) -> str:
    of, header, rows = contents.percent_table(run)
    if not rows:
        return f"<p>{contents.NO_PERCENTAGES}</p>"
    return table(f"% of {of}; the highest of several sizes or variants", header, rows, words=(0, 1))


def _flagged(run: ReportRun) -> list[str]:
    flags = contents.flagged(run)
    if not flags:
        return [f"<p>Nothing: all {len(run.rows)} rows are ok.</p>"]
    items = [
        f'<li><b class="warn">{text(status)}</b>: {text(reason)}<br>'
        f'<span class="soft">{text(", ".join(cases))}</span></li>'
        for status, reason, cases in flags
    ]
    count = sum(len(cases) for _, _, cases in flags)
    return [f'<p class="soft small">{count} of {len(run.rows)} rows</p>', "<ul>", *items, "</ul>"]


def _table(run: ReportRun) -> list[str]:
    whole = build_table(run.suite, run.rows)
    cells = [row.cells for row in whole.rows]
    words = [number for number, left in enumerate(whole.left[:-1]) if left]
    notes = "".join(f"<li>{text(note)}</li>" for note in whole.footnotes)
    return [
        table(whole.legend, whole.header, cells, words=words, doubtful=[not row.is_ok for row in whole.rows]),
        f'<ol class="small" aria-label="Notes of the table">{notes}</ol>' if notes else "",
        *(f"<p>{text(line)}</p>" for line in (*matrix_shapes(run.rows), *step_totals(run.rows))),
    ]


def chart(plot: Chart, caption: str = "") -> str:
    """Return a chart as a figure: its rows have three columns, or on a phone two lines each."""
    names, figures = ([len(getattr(mark, part)) for mark in plot.marks] for part in ("name", "figure"))
    series = "".join(f"<span>{swatch(plot, n)}{text(name)}</span>" for n, name in plot.legend())
    lines = "".join(f"<span>{line_swatch(look)}{text(words)}</span>" for _, look, words in plot.lines)
    return "\n".join(
        [
            f'<figure class="chart" aria-label="{text(plot.title)}" '
            f'style="--name:{_room(names)};--figure:{_room(figures)}">',
            f"<figcaption>{text(caption)}</figcaption>" if caption else "",
            f'<p class="legend">{series}</p>',
            *(_chart_row(plot, i) for i in range(len(plot.marks))),
            f'<div class="row axis">{axis_track(plot)}</div>',
            f'<p class="legend"><span>{text(plot.unit)}</span>{lines}</p>',
            "</figure>",
        ]
    )


def _chart_row(plot: Chart, row: int) -> str:
    mark = plot.marks[row]
    look = "row" + (" new" if plot.begins_group(row) else "") + (" warn" if mark.doubtful else "")
    name, figure = f'<span class="name">{text(mark.name)}</span>', f'<span class="figure">{text(mark.figure)}</span>'
    return f'<div class="{look}">{name}{track(plot, mark)}{figure}</div>'


def _room(letters: Iterable[int]) -> str:
    """Return the width of a column that holds words of so many letters."""
    return f"{1 + _EM * min(max(letters, default=0), _MAX_COLUMN):.1f}em"


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    words: Container[int] = (0,),
    doubtful: Sequence[bool] = (),
    links: Sequence[str] = (),
) -> str:
    """Return a table in a box of its own that scrolls where it is too wide.

    Args:
        caption: the text above it.
        header: names of the columns.
        rows: as many cells each, the first of which names the row.
        words: the columns that hold words; the others hold figures.
        doubtful: whether each row stands out.
        links: the id of the element on this page to which the first cell of each row leads.
    """
    looks = [' class="word"' if i in words else "" for i in range(len(header))]
    head = "".join(f'<th scope="col"{look}>{text(name)}</th>' for name, look in zip(header, looks, strict=True))
    body = []
    for i, cells in enumerate(rows):
        first, *others = (text(cell) for cell in cells)
        name = f'<a href="#{links[i]}">{first}</a>' if links else first
        look = ' class="doubt"' if i < len(doubtful) and doubtful[i] else ""
        rest = "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(others, looks[1:], strict=True))
        body.append(f'<tr{look}><th scope="row" class="word">{name}</th>{rest}</tr>')
    return "\n".join(
        [
            f'<p class="soft small">{text(caption)}</p>' if caption else "",
            f'<div class="box" tabindex="0" role="region" aria-label="{text(", ".join(header[:3]))} table"><table>',
            f"<thead><tr>{head}</tr></thead>",
            f"<tbody>{''.join(body)}</tbody>",
            "</table></div>",
        ]
    )
