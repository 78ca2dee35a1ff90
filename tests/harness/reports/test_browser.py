"""The page in a real browser: nothing is too wide, too faint or too small, in both themes, on a screen and a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import chromium
from bandmark.reports import ReportRun
from bandmark.reports.page import page
from report_runs import TIMES, hostile, of_every_status, rows

BROWSER = chromium.find()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None, reason="no browser is installed (apt-get install chromium): the page was not looked at"
    ),
]


@pytest.fixture(scope="module")
def text() -> str:
    """Runs with everything that a page may hold, and names that are as long as they are bad."""
    known = ReportRun(
        tuple(rows(peak_gbs=30.0, percent_of_peak=66.7, peak_source="published: " + "source " * 20, variant="matmul")),
        {"notes": ["A note that is long enough to need more than one line on a phone, and a_word_" + "x" * 80]},
        dict.fromkeys(range(6), TIMES),
    )
    return page([known, ReportRun(tuple(of_every_status())), hostile()])


def look(text: str, folder: Path, **how: Any) -> dict[str, Any]:
    """What the browser sees."""
    assert BROWSER is not None
    return chromium.measure(BROWSER, text, folder, **how)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390, 320])
def test_the_page_fits_and_can_be_read(text: str, tmp_path: Path, width: int, dark: bool) -> None:
    """No sideways scrolling but in the tables' boxes; text of 12 px and 4.5:1 or more; nothing is fetched."""
    seen = look(text, tmp_path, width=width, dark=dark)
    assert (seen["inner"], seen["dark"]) == (width, dark)
    assert seen["scroll"] <= width
    assert seen["texts"] > 100 and seen["charts"] == 6
    assert seen["faint"] == [] and seen["small"] == [] and seen["fetched"] == []
    assert seen["overlaps"] == [] and seen["narrow"] == 0
    assert seen["boxes"] and all(overflow == "auto" for _, _, overflow in seen["boxes"])
    if width == 390:
        assert any(scroll > client for client, scroll, _ in seen["boxes"]), "a wide table scrolls in its box"


@pytest.mark.parametrize("form", [None, "int4_g128_asymmetric"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_words_of_a_chart_lie_on_others(tmp_path: Path, width: int, form: str | None) -> None:
    """Names and figures stand apart at both widths, whether or not they fit on one line."""
    made = rows(status="suspect", percent_of_peak=100.1, peak_gbs=1344.0, weight_format=form, variant="matmul")
    text = page([ReportRun(tuple(made), {}, dict.fromkeys(range(6), TIMES))])
    assert look(text, tmp_path, width=width, dark=False)["overlaps"] == []


def test_paper_cuts_nothing_off(text: str, tmp_path: Path) -> None:
    """By the rules of print, all tables and charts fit the width of A4 between its margins, packed rows too."""
    packed = page([ReportRun(tuple(rows(weight_format="nvfp4", weights_per_s=2.3e12, peak_gbs=30.0, reason="noted")))])
    for printed in (text, packed):
        assert "@media print{" in printed
        seen = look(printed.replace("@media print{", "@media all{"), tmp_path, width=718, dark=False)
        assert seen["scroll"] <= 718 and seen["overlaps"] == [] and seen["narrow"] == 0
        assert all(overflow == "visible" for _, _, overflow in seen["boxes"])


def test_the_probe_sees_faults(text: str, tmp_path: Path) -> None:
    """A page with text that is faint, small, too wide and on other text is seen to be so."""
    bad = '<p style="color:#999;background:#fff;font-size:8px;width:3000px">faint, small and wide</p>'
    bad += '<figure class="chart"><span>one</span><span style="margin-left:-1em">two</span></figure></main>'
    seen = look(text.replace("</main>", bad), tmp_path, width=390, dark=False)
    assert seen["scroll"] > 390 and seen["faint"] and seen["small"] and seen["overlaps"] == ["one | two"]
