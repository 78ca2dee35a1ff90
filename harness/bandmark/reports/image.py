"""Pictures of charts: an SVG that stands alone, and the same as a PNG, for forums that take no SVG."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bandmark.errors import BackendUnavailable, UsageError
from bandmark.reports import ReportRun
from bandmark.reports.charts import CHART, THEME, TRACK, Chart, line_swatch, text
from bandmark.reports.contents import bar_chart, bar_notes

_WIDTH, _MARGIN, _HEAD_LINE = 960, 24, 20
"""Pixels: the width of a picture, what is left free around it, and a line above a chart."""

_NAME, _FIGURE = 300, 215
"""Pixels for the names left of the bars, and for the figures right of them."""

_MAX_NAME, _MAX_FIGURE, _MAX_LINE = 41, 30, 115
"""Letters for which these, and the lines above a chart, have room; longer ones are cut."""

_LINE, _GROUP = 18, 8
"""Pixels: a line of text, and the gap between groups of rows."""

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
    panels = [
        ([f"{run.first.system}: {run.first.device}", f"run {run.first.run_id}", *bar_notes(run)], bar_chart(run))
        for run in runs
        if run.measured
    ]
    if not panels:
        raise UsageError("no row of these runs has a figure to draw; --as html or md tells why.")
    return picture("Measured by bandmark", "Bars of the cases of each run, with published peaks as lines.", panels)


def picture(title: str, description: str, panels: Iterable[tuple[Sequence[str], Chart]]) -> str:
    """Return charts below each other, each with the lines above it, as one SVG."""
    body: list[str] = []
    y = _MARGIN
    for lines, chart in panels:
        for i, line in enumerate(lines):
            body.append(_text(_MARGIN, y + 16, line, "soft" if i else "", most=_MAX_LINE))
            y += _HEAD_LINE
        parts, y = _chart(chart, y + 12)
        body += parts
        y += _MARGIN
    head = (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y}" '
        f'viewBox="0 0 {_WIDTH} {y}" role="img" aria-labelledby="title desc">'
        f'<title id="title">{text(title)}</title><desc id="desc">{text(description)}</desc>'
    )
    back = f'<rect class="back" width="{_WIDTH}" height="{y}"/>'
    return "\n".join([head, f"<style>\n{THEME}{CHART}</style>", back, *body, "</svg>"]) + "\n"


def _chart(chart: Chart, y: int) -> tuple[list[str], int]:
    """Return a chart whose legend begins at y, and where it ends."""
    left, right = _MARGIN + _NAME, _WIDTH - _MARGIN
    box = f'x="{left}" width="{right - _FIGURE - left}"'
    parts = []
    for x, (series, name) in zip(range(left, right, 90), chart.legend(), strict=False):
        parts += [chart.swatch(series, f'x="{x}" y="{y}" width="16"'), _text(x + 22, y + 16, name, "soft")]
    y += TRACK + 4
    for i, mark in enumerate(chart.marks):
        y += _GROUP if chart.begins_group(i) else 0
        look = "" if mark.is_ok else "warn"
        parts.append(_text(_MARGIN, y + 15, mark.name, look, most=_MAX_NAME))
        parts.append(chart.track(mark, f'{box} y="{y}"'))
        parts.append(_text(right, y + 15, mark.figure, look, most=_MAX_FIGURE, anchor=' text-anchor="end"'))
        y += TRACK
    parts += [chart.axis_track(f'{box} y="{y}"'), _text(left, y + TRACK + 10, chart.unit, "soft")]
    y += TRACK + _LINE
    for _, look, words in chart.lines:
        parts += [line_swatch(look, f'x="{left}" y="{y - 2}" width="26"'), _text(left + 32, y + 13, words, "soft")]
        y += _LINE
    return parts, y


def _text(x: int, y: int, words: str, look: str, *, most: int = _MAX_LINE, anchor: str = "") -> str:
    kind = f' class="{look}"' if look else ""
    short = words if len(words) <= most else words[: most - 1] + "\u2026"
    return f'<text{kind} x="{x}" y="{y}"{anchor}>{text(short)}</text>'


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
            f"--as png needs resvg-py ({error}): pip install resvg-py. --as svg needs nothing."
        ) from error
    height = int(source.partition('height="')[2].partition('"')[0])
    if height * _ZOOM > _MAX_HEIGHT:
        raise UsageError(f"{len(runs)} runs are too many for one PNG: name fewer, or take --as svg or html.")
    # The renderer knows neither custom properties nor media queries, and draws no text whose font it does not have.
    light = dict(re.findall(r"--(\w+):(#\w+)", THEME.partition("@media")[0]))
    resolved = re.sub(r"var\(--(\w+)\)", lambda match: light[match[1]], source.replace(THEME, ""))
    file, family = _font()
    image = svg_to_bytes(
        svg_string=resolved,
        skip_system_fonts=True,
        font_files=[str(file)],
        sans_serif_family=family,
        background=light["back"],
        zoom=_ZOOM,
    )
    return bytes(image)


def _font() -> tuple[Path, str]:
    """Return the file and the family of an installed font; raises BackendUnavailable."""
    for folder in (Path(name).expanduser() for name in _FONT_FOLDERS):
        files = {file.name: file for file in sorted(folder.rglob("*.ttf"))}
        for name, family in _FONTS.items():
            if name in files:
                return files[name], family
    raise BackendUnavailable(
        f"--as png needs one of the fonts {', '.join(_FONTS.values())}, and none is installed: "
        "apt-get install fonts-dejavu-core. --as svg needs none."
    )
