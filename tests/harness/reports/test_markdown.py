"""The Markdown of a report has the page's tables, and shows names as they are."""

from __future__ import annotations

import re

import pytest

from bandmark.reports import ReportRun
from bandmark.reports.markdown import escape, page, table
from bandmark.reports.page import page as web_page
from fakes import make_result
from report_runs import hostile, layers, of_every_status, rows


def test_tables_have_as_many_cells_as_their_header() -> None:
    """Every line of every table, also with hostile names, has the cells of its header."""
    text = page([ReportRun(tuple(rows())), ReportRun(tuple(of_every_status())), hostile()])
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 6, "tokens per second, all runs, the rows of three of them, the percentages of one"
    for lines in tables:
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in lines.splitlines()}
        assert len(counts) == 1


def test_hostile_names_are_text() -> None:
    """Neither HTML nor links come from a name."""
    text = page([hostile()])
    assert "<script" not in text and "<img" not in text and "[a](b)" not in text


def test_it_says_what_the_page_says() -> None:
    """The named peaks, every flagged row, and what is missing."""
    text = page([ReportRun(tuple(of_every_status()))])
    for said in ("273", "1344", "8000", "7100", "because of error", "No raw samples: ", "How to read it"):
        assert said in text
    assert "Nothing: all 1 rows are ok." in page([ReportRun((make_result(),))])


def test_a_models_matrices_are_summed() -> None:
    """Their shapes, and a pass over all of them, stand below the table."""
    text = page([layers()])
    assert "| qkv | numpy |" in text and "qkv 6144 x 4096, 10; lm\\_head 6144 x 1024, 1" in text
    assert "numpy float64: 1.1e-06 GB in 11 ms, 0.0001 GB/s" in text
    assert "One decode step" not in page([ReportRun((make_result(),))])


def test_why_there_are_no_percentages() -> None:
    """Rows that are in doubt have no part in the table of percentages, verified and from memory as they may be."""
    row = make_result(status="suspect", reason="drift", verified=True, percent_of_dgx_spark=12.0)
    for written in (page([ReportRun((row,))]), web_page([ReportRun((row,))])):
        assert "No row that is ok came from memory, so there are no percentages." in written


def test_a_table() -> None:
    """A table has its header, the line below it, and its rows."""
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


@pytest.mark.parametrize(
    "text",
    ["by @jane", "see #12", "GH-7", "https://x.test/a", "www.x.test", "jane@x.test", "org/repo#3", "ftp://x.test"],
)
def test_mentions_and_links_are_inert(text: str) -> None:
    """GitHub finds no user, issue or address in a text of a result."""
    made = escape(text)
    assert "&#8203;" in made
    assert not re.search(r"@\w|#\w|://|www\.|GH-\d", made.replace("&#8203;", "\u200b"))


def test_line_ends_do_not_end_a_cell() -> None:
    """Whatever ends a line is a space, and prices, comments at hand and shares are left as they are."""
    assert escape("a\nb\r\nc\u2028d\x85e") == "a b c d e"
    assert escape("AMD @ 3 GHz, 60 %") == "AMD @ 3 GHz, 60 %"
