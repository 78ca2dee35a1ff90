"""Colours, sizes and layout of a report on light and dark screens, on phones and on paper."""

from __future__ import annotations

import re
from importlib.resources import files

SERIES = 4
"""Series that have a colour, a pattern and a shape each; the series with this number stands for all others."""

THEME, CHART, PAGE = (
    files("bandmark.reports").joinpath(name).read_text(encoding="utf-8")
    for name in ("theme.css", "chart.css", "page.css")
)
"""The colours, the rules of charts, which pictures have too, and those of the rest of the page."""

LIGHT, DARK = (dict(re.findall(r"--(\w+):(#\w+)", rules)) for rules in THEME.split("@media"))
"""The colours by name."""


def resolve(svg: str) -> str:
    """Return an SVG in the light colours themselves, for programs that know no custom properties."""
    return re.sub(r"var\(--(\w+)\)", lambda match: LIGHT[match[1]], svg)
