"""Pictures of charts: an SVG that stands alone, and the same as a PNG, for forums that take no SVG."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from bandmark.errors import BackendUnavailable, UsageError
from bandmark.reports.charts import TRACK, Chart, axis_track, line_swatch, patterns, swatch, text, track
from bandmark.reports.contents import axis_note, bar_chart
from bandmark.reports.runs import ReportRun
from bandmark.reports.style import CHART, LIGHT, THEME, resolve

Panel = tuple[Sequence[str], Chart]
"""The lines above a chart, and the chart."""

_WIDTH, _MARGIN, _HEAD_LINE = 960, 24, 20
"""Pixels: the width of a picture, what is left free around it, and a line above a chart."""

_NAME, _FIGURE = 250, 215
"""Pixels for the names left of the bars, and for the figures right of them."""

_MAX_NAME, _MAX_FIGURE, _MAX_LINE = 34, 30, 115
"""Letters for which these, and the lines above a chart, have room; longer ones are cut."""

_LINE, _GROUP = 18, 8
"""Pixels: a line of text, and the gap between the cases of one kernel and those of the next."""

_ZOOM = 1.25
"""Pixels of a PNG for each of the SVG."""

_MAX_HEIGHT = 2**16 - 1
"""Pixels of a PNG; more takes gigabytes of memory, and few programs show it."""

_FONTS = {
    "DejaVuSans.ttf": "DejaVu Sans",
    "LiberationSans-Regular.ttf": "Liberation Sans",
    "NotoSans-Regular.ttf": "Noto Sans",
    "Ubuntu-R.ttf": "Ubuntu",
    "Arial.ttf": "Arial",
}
"""Fonts that draw the words of a PNG, the first that is installed: file and family."""

_FONT_FOLDERS = (
    *("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    *("~/Library/Fonts", "/Library/Fonts", "/System/Library/Fonts"),
)
"""Where fontconfig and macOS look for fonts."""


def svg(runs: Sequence[ReportRun]) -> str:
    """Return one SVG with the bars of some runs; raises UsageError if they have none."""
    panels = [(_head(run), bar_chart(run)) for run in runs if run.measured]
    if not panels:
        raise UsageError("no row of these runs has a figure to draw; --as html or md tells why.")
    return picture("Measured by bandmark", "Bars of the cases of each run, with published peaks as lines.", panels)


def _head(run: ReportRun) -> list[str]:
    return [f"{run.first.system}: {run.first.device}", f"run {run.first.run_id}", axis_note(run)]


def picture(title: str, description: str, panels: Iterable[Panel]) -> str:
    """Return charts below each other as one SVG."""
    body: list[str] = []
    y = _MARGIN
    for lines, chart in panels:
        body += [
            _text(_MARGIN, y + 16 + _HEAD_LINE * i, _short(line, _MAX_LINE), "soft" if i else "")
            for i, line in enumerate(lines)
        ]
        parts, y = _chart(chart, y + _HEAD_LINE * len(lines) + 12)
        body += parts
        y += _MARGIN
    head = (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y}" '
        f'viewBox="0 0 {_WIDTH} {y}" role="img" aria-labelledby="title desc">'
        f'<title id="title">{text(title)}</title><desc id="desc">{text(description)}</desc>'
    )
    back = f'<rect class="back" width="{_WIDTH}" height="{y}"/>'
    return "\n".join([head, f"<style>\n{THEME}{CHART}</style>", patterns(), back, *body, "</svg>"]) + "\n"


def _chart(chart: Chart, y: int) -> tuple[list[str], int]:
    """Return a chart whose legend begins at y, and where it ends."""
    left, right = _MARGIN + _NAME, _WIDTH - _MARGIN
    box = f'x="{left}" width="{right - _FIGURE - left}"'
    parts = []
    for i, (series, name) in enumerate(chart.legend()):
        x = left + 90 * i
        parts += [swatch(chart, series, f'x="{x}" y="{y}" width="16"'), _text(x + 22, y + 16, name, "soft")]
    y += TRACK + 4
    for i, mark in enumerate(chart.marks):
        y += _GROUP if chart.begins_group(i) else 0
        look = "warn" if mark.doubtful else ""
        parts.append(_text(_MARGIN, y + 15, _short(mark.name, _MAX_NAME), look))
        parts.append(track(chart, mark, f'{box} y="{y}"'))
        parts.append(_text(right, y + 15, _short(mark.figure, _MAX_FIGURE), look, end=True))
        y += TRACK
    parts += [axis_track(chart, f'{box} y="{y}"'), _text(left, y + TRACK + 10, chart.unit, "soft")]
    y += TRACK + _LINE
    for _, look, words in chart.lines:
        parts += [line_swatch(look, f'x="{left}" y="{y - 2}" width="26"'), _text(left + 32, y + 13, words, "soft")]
        y += _LINE
    return parts, y


def _text(x: int, y: int, words: str, look: str, *, end: bool = False) -> str:
    kind = f' class="{look}"' if look else ""
    anchor = ' text-anchor="end"' if end else ""
    return f'<text{kind} x="{x}" y="{y}"{anchor}>{text(words)}</text>'


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "\u2026"


def png(runs: Sequence[ReportRun]) -> bytes:
    """Return the bars of some runs as a PNG.

    Raises:
        BackendUnavailable: resvg-py or a font is not installed.
        UsageError: there is nothing to draw, or more than an image can hold.
    """
    source = svg(runs)
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        raise BackendUnavailable(
            f"--as png needs resvg-py ({error}): pip install 'bandmark[plot]'. --as svg needs nothing."
        ) from error
    height = int(source.partition('height="')[2].partition('"')[0])
    if height * _ZOOM > _MAX_HEIGHT:
        raise UsageError(f"{len(runs)} runs are too many for one PNG: name fewer, or take --as svg or html.")
    file, family = _font()
    # The renderer knows neither custom properties nor media queries, and draws no text whose font it does not have.
    light = resolve(source.replace(THEME, ""))
    image = svg_to_bytes(
        svg_string=light,
        skip_system_fonts=True,
        font_files=[str(file)],
        sans_serif_family=family,
        background=LIGHT["back"],
        zoom=_ZOOM,
    )
    return bytes(image)


def _font() -> tuple[Path, str]:
    """Return the file and the family of an installed font; raises BackendUnavailable."""
    for folder in map(Path, map(os.path.expanduser, _FONT_FOLDERS)):
        files = {file.name: file for file in sorted(folder.rglob("*.ttf"))} if folder.is_dir() else {}
        for name, family in _FONTS.items():
            if name in files:
                return files[name], family
    raise BackendUnavailable(
        f"--as png needs one of the fonts {', '.join(_FONTS.values())}, and none is installed: "
        "apt-get install fonts-dejavu-core. --as svg needs none."
    )
