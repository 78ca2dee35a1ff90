"""How do the bars of a report become a picture of its own? An SVG of ours, or a PNG that matplotlib draws."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bandmark.errors import BackendUnavailable, UsageError
from bandmark.reports.charts import TRACK, Chart, axis_track, line_swatch, patterns, short, swatch, text, track
from bandmark.reports.figures import bar_chart, beyond
from bandmark.reports.runs import ReportRun
from bandmark.reports.style import CHART, LIGHT, THEME
from bandmark.results.faults import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, MARGIN, HEAD = 960, 24, 72
"""Pixels of the SVG: its width, what is left free around it, and the lines above each chart."""

NAME, FIGURE = 250, 215
"""Pixels that the names left of the bars have, and the figures right of them."""

NAME_LETTERS, FIGURE_LETTERS = 34, 30
"""Letters that they have room for; longer ones are cut."""

LINE, GROUP = 18, 8
"""Pixels: a line of text, and what lies between the cases of one kernel and those of the next."""

DPI = 120
"""Pixels per inch of the PNG, which is laid out like the SVG, in hundredths of an inch instead of its pixels."""

BELOW = 86
"""Hundredths of an inch below the bars: the axis, its unit, the legend."""

MOST_PIXELS = 2**16 - 1
"""Height of an image that matplotlib can draw."""

HATCHES = {"numpy": "", "torch": "////", "cupy": "..", "other": "||"}


def svg(runs: Sequence[ReportRun]) -> str:
    """Return one SVG with the bars of some runs; raises UsageError if they have none."""
    body, y = [], MARGIN
    for run in drawable(runs):
        lines = (f"{run.first.system}: {run.first.device}", f"run {run.first.run_id}", beyond(run))
        body += [_text(MARGIN, y + 16 + 20 * i, line, "soft" if i else "") for i, line in enumerate(lines)]
        drawn, y = _chart(bar_chart(run), y + HEAD)
        body += drawn
        y += MARGIN
    head = (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
        f'viewBox="0 0 {WIDTH} {y}" role="img" aria-labelledby="title desc">'
        '<title id="title">Achieved memory bandwidth</title>'
        '<desc id="desc">Bars of the cases of each run, with the published peaks as lines.</desc>'
    )
    back = f'<rect class="back" width="{WIDTH}" height="{y}"/>'
    return "\n".join([head, f"<style>\n{THEME}{CHART}</style>", patterns(), back, *body, "</svg>"]) + "\n"


def _chart(chart: Chart, y: int) -> tuple[list[str], int]:
    """Return a chart whose legend begins at y, and where it ends."""
    left, right = MARGIN + NAME, WIDTH - MARGIN
    parts = []
    for i, kind in enumerate(chart.kinds):
        x = left + 90 * i
        parts += [swatch(chart, kind, f'x="{x}" y="{y}" width="16"'), _text(x + 22, y + 16, chart.says(kind), "soft")]
    y += TRACK + 4
    box = f'x="{left}" width="{right - FIGURE - left}"'
    for i, mark in enumerate(chart.marks):
        y += GROUP if chart.begins_group(i) else 0
        look = "warn" if mark.doubtful else ""
        parts.append(_text(MARGIN, y + 15, short(mark.name, NAME_LETTERS), look))
        parts.append(track(chart, mark, f'{box} y="{y}"'))
        parts.append(_text(right, y + 15, short(mark.figure, FIGURE_LETTERS), look, end=True))
        y += TRACK
    parts += [axis_track(chart, f'{box} y="{y}"'), _text(left, y + TRACK + 10, chart.unit, "soft")]
    y += TRACK + LINE
    for _, look, words in chart.lines:
        parts += [line_swatch(look, f'x="{left}" y="{y - 2}" width="26"'), _text(left + 32, y + 13, words, "soft")]
        y += LINE
    return parts, y


def _text(x: int, y: int, words: str, look: str, *, end: bool = False) -> str:
    kind = f' class="{look}"' if look else ""
    anchor = ' text-anchor="end"' if end else ""
    return f'<text{kind} x="{x}" y="{y}"{anchor}>{text(words)}</text>'


def drawable(runs: Sequence[ReportRun]) -> list[ReportRun]:
    """Return the runs that have bars; raises UsageError if none has."""
    found = [run for run in runs if run.measured]
    if not found:
        raise UsageError("no row of these runs has a figure to draw; --as html or md tells why.")
    return found


def png(runs: Sequence[ReportRun]) -> bytes:
    """Return the bars of some runs as a PNG.

    Raises:
        BackendUnavailable: matplotlib is not installed.
        UsageError: there is nothing to draw, or more than an image can hold.
    """
    charts = [(run, bar_chart(run)) for run in drawable(runs)]
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BackendUnavailable(
            f"--as png needs matplotlib ({error}): pip install 'bandmark[plot]'. --as svg needs nothing."
        ) from error
    heights = [HEAD + _places(chart)[-1] + BELOW for _, chart in charts]
    if sum(heights) / 100 * DPI > MOST_PIXELS:
        raise UsageError(f"{len(charts)} runs are too many for one PNG: name fewer, or take --as svg or html.")
    size = (WIDTH, sum(heights) + 2 * MARGIN)
    figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=DPI)
    FigureCanvasAgg(figure)
    left, width, top = MARGIN + NAME, WIDTH - 2 * MARGIN - NAME - FIGURE, MARGIN
    for (run, chart), height in zip(charts, heights, strict=True):
        high = _places(chart)[-1]
        low = size[1] - top - HEAD - high
        _draw(figure.add_axes((left / size[0], low / size[1], width / size[0], high / size[1])), run, chart)
        top += height
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _places(chart: Chart) -> list[int]:
    """Return where each row begins below the first one's top, and where the last one ends."""
    places = [0]
    for i in range(len(chart.marks)):
        places.append(places[-1] + TRACK)
        if i + 1 < len(chart.marks) and chart.begins_group(i + 1):
            places[-1] += GROUP
    return places


def _draw(ax: Axes, run: ReportRun, chart: Chart) -> None:
    """Draw the bars of one run on an axis whose unit is a hundredth of an inch; no text is taken for a formula."""
    words: dict[str, Any] = {"parse_math": False, "fontsize": 8, "va": "center", "transform": ax.get_yaxis_transform()}
    width, places = WIDTH - 2 * MARGIN - NAME - FIGURE, _places(chart)
    for mark, top in zip(chart.marks, places, strict=False):
        middle, colour = top + TRACK / 2, LIGHT["warn" if mark.doubtful else "ink"]
        ax.barh(middle, mark.values[0], height=11, **_look(mark.kind))
        if mark.doubtful:
            ax.barh(middle, mark.values[0], height=11, fill=False, edgecolor=LIGHT["ink"], linestyle=":")
        ax.text(-NAME / width, middle, printable(short(mark.name, NAME_LETTERS)), color=colour, **words)
        said = printable(short(mark.figure, FIGURE_LETTERS))
        ax.text(1 + FIGURE / width, middle, said, color=colour, ha="right", **words)
    for value, name, said in chart.lines:
        ax.axvline(value, color=LIGHT["ink"], linestyle="-" if name == "own" else ":", label=said, clip_on=False)
    ax.set(xlim=(0, chart.axis.high), ylim=(places[-1], 0), yticks=[])
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlabel(chart.unit, fontsize=8, loc="left")
    head = (f"{run.first.system}: {short(run.first.device, 60)}, run {run.first.run_id}", beyond(run))
    for line, said in enumerate(head):
        words["color"] = LIGHT["soft" if line else "ink"]
        ax.text(-NAME / width, 20 * line - HEAD + 14, printable(said), **words)
    _legend(ax, chart, places[-1])


def _look(kind: str) -> dict[str, Any]:
    return {"facecolor": LIGHT[kind], "hatch": HATCHES[kind], "edgecolor": LIGHT["back"], "linewidth": 0}


def _legend(ax: Axes, chart: Chart, height: int) -> None:
    from matplotlib.patches import Patch

    lines, said = ax.get_legend_handles_labels()
    handles = [*(Patch(**_look(kind)) for kind in chart.kinds), *lines]
    ax.legend(
        handles,
        [*map(chart.says, chart.kinds), *said],
        loc="upper left",
        bbox_to_anchor=(0.0, -44 / height),
        borderaxespad=0,
        frameon=False,
        fontsize=8,
        ncols=3,
    )
