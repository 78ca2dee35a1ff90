"""Charts and tables as HTML: a row for each mark, words that are text, tables that scroll in a box of their own."""

from __future__ import annotations

import re

from bandmark.reports.charts import Axis, Chart, Mark
from bandmark.reports.elements import chart, table
from report_runs import HOSTILE


def made(*names: str) -> Chart:
    """A chart of marks with these names; the last one is doubtful and of another group."""
    marks = [Mark(n, "9 GB/s", "numpy", (9.0,), n == names[-1], str(n == names[-1])) for n in names]
    return Chart("A title", marks, Axis(0.0, 10.0), "the unit", [(5.0, "own", "a peak")])


def test_a_row_has_name_track_and_figure() -> None:
    """Each mark is a row of three; the doubtful one stands out, and the first of a group keeps its distance."""
    drawn = chart(made("copy", "read"), "a caption")
    rows = re.findall(
        r'<div class="(row[^"]*)"><span class="name">(\w+)</span><svg .*?</svg><span class="figure">', drawn
    )
    assert rows == [("row", "copy"), ("row new warn", "read")]
    for said in ("<figcaption>a caption</figcaption>", 'aria-label="A title"', "numpy</span>", "the unit", "a peak"):
        assert said in drawn
    assert "figcaption" not in chart(made("copy"))


def test_columns_are_as_wide_as_their_words() -> None:
    """A chart of longer names has a wider column for them, up to a limit beyond which they wrap."""
    widths = [float(re.findall(r"--name:([\d.]+)em", chart(made("x" * n)))[0]) for n in (4, 20, 200, 400)]
    assert widths[0] < widths[1] < widths[2] == widths[3]


def test_hostile_words_are_text() -> None:
    """Markup in names, figures, titles and cells adds no element."""
    mark = Mark(HOSTILE, HOSTILE, "other", (1.0,))
    drawn = chart(Chart(HOSTILE, [mark], Axis(0.0, 1.0), HOSTILE, [(1.0, "own", HOSTILE)], HOSTILE), HOSTILE)
    drawn += table(HOSTILE, [HOSTILE], [[HOSTILE]], links=["a"])
    assert "<script" not in drawn and "<img" not in drawn
    assert drawn.count("&lt;script") == 7 + 4, (
        "title, caption, name, figure, legend, unit, line; and of the table caption, label, head, cell"
    )


def test_a_table_tells_words_from_figures() -> None:
    """Columns of words are marked as such in head and body, doubtful rows stand out, and first cells can be links."""
    drawn = table("said", ["a", "b"], [["x", "1"], ["y", "2"]], doubtful=[False, True], links=["one", "two"])
    assert '<th scope="col" class="word">a</th><th scope="col">b</th>' in drawn
    assert '<tr><th scope="row" class="word"><a href="#one">x</a></th><td>1</td></tr>' in drawn
    assert '<tr class="doubt"><th scope="row" class="word"><a href="#two">y</a></th><td>2</td></tr>' in drawn
    assert '<p class="soft small">said</p>' in drawn and 'class="box" tabindex="0"' in drawn
    assert '<td class="word">1</td>' in table("", ["a", "b"], [["x", "1"]], words=(0, 1))
