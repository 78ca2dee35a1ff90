"""How do the bars of a report become a picture of its own? An SVG of ours, or a PNG that matplotlib draws."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bandmark.errors import BackendUnavailable, UsageError
from bandmark.faults import printable
from bandmark.report.charts import Chart, bars, short, text
from bandmark.report.figures import bar_chart, beyond
from bandmark.report.runs import ReportRun
from bandmark.report.style import CHART, LIGHT, THEME

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, MARGIN, HEAD = 960, 24, 78
"""Pixels of the SVG: its width, what is left free around it, and the lines above each chart."""

INCHES, ROW_INCHES, DPI = 10.0, 0.28, 120
"""Of the PNG: its width, the height of a bar, and pixels per inch."""

MOST_PIXELS = 2**16 - 1
"""Height of an image that matplotlib can draw."""

HATCHES = {"numpy": "", "torch": "////", "cupy": "..", "other": "||"}


def svg(runs: Sequence[ReportRun]) -> str:
    """Return one SVG with the bars of some runs; raises UsageError if they have none."""
    body, y = [], MARGIN
    for number, run in enumerate(drawable(runs), start=1):
        chart = bar_chart(run, f"run-{number}")
        place = f'x="{MARGIN}" y="{y + HEAD}" width="{WIDTH - 2 * MARGIN}"'
        lines = (f"{run.first.system}: {run.first.device}", f"run {run.first.run_id}", beyond(run))
        looks = ("", ' class="soft"', ' class="soft"')
        body += [
            f'<text{look} x="{MARGIN}" y="{y + 16 + 20 * i}">{text(line)}</text>'
            for i, (line, look) in enumerate(zip(lines, looks, strict=True))
        ]
        body.append(bars(chart, place))
        y += HEAD + chart.height + MARGIN
    head = (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
        f'viewBox="0 0 {WIDTH} {y}" role="img" aria-labelledby="title desc">'
        '<title id="title">Achieved memory bandwidth</title>'
        '<desc id="desc">Bars of the cases of each run, with the published peaks as lines.</desc>'
    )
    back = f'<rect class="back" width="{WIDTH}" height="{y}"/>'
    return "\n".join([head, f"<style>\n{THEME}{CHART}</style>", back, *body, "</svg>"]) + "\n"


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
    charts = [(run, bar_chart(run, "png")) for run in drawable(runs)]
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BackendUnavailable(
            f"--as png needs matplotlib ({error}): pip install 'bandmark[plot]'. --as svg needs nothing."
        ) from error
    heights = [1.8 + ROW_INCHES * len(chart.marks) for _, chart in charts]
    if sum(heights) * DPI > MOST_PIXELS:
        raise UsageError(f"{len(charts)} runs are too many for one PNG: name fewer, or take --as svg or html.")
    figure = Figure(figsize=(INCHES, sum(heights)), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(charts), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, (run, chart) in zip(axes, charts, strict=True):
        _draw(ax, run, chart)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _draw(ax: Axes, run: ReportRun, chart: Chart) -> None:
    """Draw the bars of one run; no text is taken for a formula."""
    plain: dict[str, Any] = {"parse_math": False}
    box = {"facecolor": LIGHT["back"], "edgecolor": "none", "pad": 1}
    for i, mark in enumerate(chart.marks):
        look: dict[str, Any] = {
            "color": LIGHT[mark.kind],
            "hatch": HATCHES[mark.kind],
            "edgecolor": LIGHT["back"],
            "linewidth": 0,
        }
        ax.barh(i, mark.values[0], height=0.7, **look)
        ax.annotate(
            f" {mark.figure}", (mark.values[0], i), va="center", fontsize=8, annotation_clip=False, bbox=box, **plain
        )
    for value, name, words in chart.lines:
        style = "-" if name == "own" else "--"
        ax.axvline(value, color=LIGHT["ink" if name == "own" else "soft"], linestyle=style, label=words, zorder=0.5)
    ax.set_yticks(range(len(chart.marks)), [printable(short(mark.name)) for mark in chart.marks], fontsize=8, **plain)
    ax.margins(y=0.01)
    ax.invert_yaxis()
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlim(0, chart.high * 1.02)
    said = (f"{run.first.system}: {short(run.first.device)}, run {run.first.run_id}", beyond(run))
    ax.set_title("\n".join(printable(line) for line in said if line), loc="left", fontsize=9, **plain)
    ax.set_xlabel(chart.unit)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.35 / max(1, len(chart.marks)) ** 0.5), fontsize=8)
