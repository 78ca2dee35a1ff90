"""Reports as a page: one HTML file that needs no network and no script. Words are HTML, so that they wrap."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from itertools import zip_longest

from bandmark import __version__
from bandmark.reports import ReportRun, contents
from bandmark.reports.charts import CHART, THEME, Chart, curve_picture, dot_swatch, line_swatch, text
from bandmark.show.table import build_table
from bandmark.suites.model_layers import matrix_shapes, step_totals

_PAGE = files("bandmark.reports").joinpath("page.css").read_text(encoding="utf-8")

_SPREAD = (
    "Each dot is one timed sample; every sample is shown. A dot to the left is a slow one. The height of a dot has no "
    "meaning. The axis is stretched around the median, so that small and large spread can both be seen."
)

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
{THEME}{CHART}{_PAGE}</style>
</head>
<body>
<main>
<h1>Memory bandwidth, measured and published</h1>"""


def page(runs: Sequence[ReportRun]) -> str:
    """Return the HTML of some runs."""
    parts = [_TOP]
    if len(runs) > 1:
        header, rows = contents.overview(runs)
        links = [f"#run-{number}" for number in range(1, len(runs) + 1)]
        parts += ['<nav aria-label="Runs">', _table("", header, rows, words=(0, 1, 3, 4, 5), links=links), "</nav>"]
    for number, run in enumerate(runs, start=1):
        parts += _run(run, f"run-{number}")
    reading = "".join(f"<li>{text(line)}</li>\n" for line in contents.READING)
    parts += ["<section>", '<h2 id="reading">How to read it</h2>', f"<ul>\n{reading}</ul>", "</section>"]
    parts += [f'<p class="soft small">Written by bandmark {__version__}.</p>', "</main>"]
    return "\n".join([*parts, "</body>", "</html>"]) + "\n"


def _run(run: ReportRun, ident: str) -> list[str]:
    head = "".join(f"<dt>{name}</dt><dd>{text(value)}</dd>" for name, value in contents.facts(run))
    notes = run.record.get("notes")
    notices = [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    peaks = ["<h3>Beside the published peaks</h3>", _chart(contents.peak_chart(run))]
    percents = ["<h3>Percent of peak</h3>", _percents(run)]
    return [
        "<section>",
        f'<h2 id="{ident}">{text(run.first.system)} <span class="soft small">{text(run.first.run_id)}</span></h2>',
        f"<dl>{head}</dl>",
        *(f'<p class="notice">{text(note)}</p>' for note in notices),
        *(peaks if run.has_peak else ()),
        f"<h3>{'Achieved bandwidth' if run.has_peak else text(run.metric.name.capitalize())} of each case</h3>",
        *(f"<p>{text(line)}</p>" for line in run.findings),
        _curve(run) or _bars(run),
        *(percents if run.has_peak else ()),
        *(() if run.suite.is_curve else ("<h3>Spread of the samples</h3>", _dots(run))),
        "<h3>What was flagged, and why</h3>",
        *_flagged(run),
        "<h3>The whole table</h3>",
        *_rows(run),
        "</section>",
    ]


def _curve(run: ReportRun) -> str | None:
    """Return the curves of a run as a figure; None for suites without curves."""
    curve = run.suite.curve(run.rows)
    if curve is None:
        return None
    names = "".join(f"<span>{dot_swatch(n)}{text(name)}</span>" for n, name in enumerate(curve.points))
    caption = f"{curve.title}, {curve.unit}, over {curve.over}; both axes are logarithmic"
    return (
        f'<figure class="chart" aria-label="{text(curve.title)}"><figcaption>{text(caption)}</figcaption>'
        f'<p class="legend">{names}</p>\n{curve_picture(curve)}\n</figure>'
    )


def _bars(run: ReportRun) -> str:
    if not run.measured:
        return "<p>No row has a figure to draw.</p>"
    return _chart(contents.bar_chart(run), " ".join(contents.bar_notes(run)))


def _dots(run: ReportRun) -> str:
    plot = contents.dot_chart(run)
    if plot is None:
        return f'<p class="notice">{contents.NO_SAMPLES}</p>'
    lacking = len(run.rows) - len(run.samples)
    return _chart(plot, _SPREAD + (f" {lacking} of {len(run.rows)} rows have no samples." if lacking else ""))


def _percents(run: ReportRun) -> str:
    of, header, rows = contents.percent_table(run)
    if not rows:
        return f"<p>{contents.NO_PERCENTAGES}</p>"
    return _table(f"% of {of}; the highest of several sizes or variants", header, rows, words=(0, 1))


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


def _rows(run: ReportRun) -> list[str]:
    whole = build_table(run.suite, run.rows)
    words = [number for number, left in enumerate(whole.left[:-1]) if left]
    looks = ["" if row.is_ok else ' class="doubt"' for row in whole.rows]
    notes = "".join(f"<li>{text(note)}</li>" for note in whole.footnotes)
    return [
        _table(whole.legend, whole.header, [row.cells for row in whole.rows], words=words, looks=looks),
        f'<ol class="small" aria-label="Notes of the table">{notes}</ol>' if notes else "",
        *(f"<p>{text(line)}</p>" for line in (*matrix_shapes(run.rows), *step_totals(run.rows))),
    ]


def _chart(plot: Chart, caption: str = "") -> str:
    """Return a chart as a figure: its rows have three columns, or on a phone two lines each."""
    series = "".join(f"<span>{plot.swatch(n)}{text(name)}</span>" for n, name in plot.legend())
    lines = "".join(f"<span>{line_swatch(look)}{text(words)}</span>" for _, look, words in plot.lines)
    return "\n".join(
        [
            f'<figure class="chart" aria-label="{text(plot.title)}">',
            f"<figcaption>{text(caption)}</figcaption>" if caption else "",
            f'<p class="legend">{series}</p>',
            *(_chart_row(plot, i) for i in range(len(plot.marks))),
            f'<div class="row axis">{plot.axis_track()}</div>',
            f'<p class="legend"><span>{text(plot.unit)}</span>{lines}</p>',
            "</figure>",
        ]
    )


def _chart_row(plot: Chart, row: int) -> str:
    mark = plot.marks[row]
    look = "row" + (" new" if plot.begins_group(row) else "") + ("" if mark.is_ok else " warn")
    name, figure = f'<span class="name">{text(mark.name)}</span>', f'<span class="figure">{text(mark.figure)}</span>'
    return f'<div class="{look}">{name}{plot.track(mark)}{figure}</div>'


def _table(
    caption: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    words: Sequence[int],
    looks: Sequence[str] = (),
    links: Sequence[str] = (),
) -> str:
    """Return a table in a box of its own that scrolls where it is too wide.

    The columns in words are set to the left; each row has a class in looks, and its first cell an address in links.
    """
    kinds = [' class="word"' if i in words else "" for i in range(len(header))]
    head = "".join(f'<th scope="col"{kind}>{text(name)}</th>' for name, kind in zip(header, kinds, strict=True))
    body = "".join(_table_row(kinds, *row) for row in zip_longest(rows, looks, links, fillvalue=""))
    return "\n".join(
        [
            f'<p class="soft small">{text(caption)}</p>' if caption else "",
            f'<div class="box" tabindex="0" role="region" aria-label="{text(", ".join(header[:3]))} table"><table>',
            f"<thead><tr>{head}</tr></thead>",
            f"<tbody>{body}</tbody>",
            "</table></div>",
        ]
    )


def _table_row(kinds: Sequence[str], cells: Sequence[str], look: str, link: str) -> str:
    first, *others = map(text, cells)
    name = f'<a href="{link}">{first}</a>' if link else first
    rest = "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(others, kinds[1:], strict=True))
    return f'<tr{look}><th scope="row" class="word">{name}</th>{rest}</tr>'
