"""Every colour of a report can be read on what it stands on, in light and dark."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from bandmark.reports.charts import CHART, SERIES, THEME
from bandmark.reports.page import _PAGE

LIGHT, DARK = (dict(re.findall(r"--(\w+):(#\w+)", rules)) for rules in THEME.split("@media"))


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, by WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two colours, by WCAG 2.2."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_enough_contrast(palette: dict[str, str]) -> None:
    """At least 4.5:1 for every colour of text on both backgrounds, and 3:1 for every bar."""
    for ground in ("back", "panel"):
        for name in ("ink", "soft", "link", "warn"):
            assert contrast(palette[name], palette[ground]) >= 4.5, (name, ground)
    for name in (*(f"s{n}" for n in range(SERIES + 1)), "line"):
        assert contrast(palette[name], palette["back"]) >= 3, name


def test_both_themes_have_all_colours_and_paper_is_light() -> None:
    """Each variable that is used is defined in both themes; the dark one is for screens alone."""
    used = set(re.findall(r"var\(--(\w+)\)", CHART + _PAGE)) - {"name", "figure"}  # widths, which each chart sets
    assert used <= set(LIGHT) == set(DARK)
    assert "@media screen and (prefers-color-scheme:dark)" in THEME
    assert "@media print" in _PAGE


def test_series_have_colours_of_their_own() -> None:
    """No two series look alike."""
    for palette in (LIGHT, DARK):
        assert all(palette[f"s{a}"] != palette[f"s{b}"] for a, b in combinations(range(SERIES + 1), 2))
