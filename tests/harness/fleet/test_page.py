"""The report of a fleet says the same as text, as JSON lines and as a page, and shows hostile names as text."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from bandmark.fleet.page import cell, heading, html, json_lines
from bandmark.fleet.summary import judge
from fleets import member


def test_every_row_is_in_each_form() -> None:
    """JSON lines hold each row with its columns, and the page each cell."""
    fleet = judge([*map(member, range(20)), member(99, 200.0)])
    lines = [json.loads(line) for line in json_lines(fleet)]
    assert sum(len(section.rows) for section in fleet.sections) == len(lines) - 1
    assert lines[-1] == {"section": "summary", "devices": 21, "exclude": ["node99"], "exit_code": 1}
    assert heading(fleet).startswith("findings: 21 devices, 1 outlier, 0 of two speeds, 0 missing")
    assert "node99 rank 99" in html(fleet) and "<code>node99</code>" in html(fleet)


def test_the_page_is_sound_and_names_are_text() -> None:
    """Tags are closed, and a name can't bring its own."""
    hostile = member(1, 100.0, facts={"bios": "<script>alert(1)</script>"})
    page = html(judge([*map(member, range(2, 9)), hostile]))
    assert "<script>" not in page and "&lt;script&gt;" in page
    stack: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "link"):
                stack.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert stack.pop() == tag

    Parser().feed(page)
    assert stack == []


def test_cells() -> None:
    """Numbers have four figures, what is unknown is a dash, and nothing is obeyed by a terminal."""
    assert [cell(x) for x in (1234.5678, 3, None, "a\x1b[1m")] == ["1235", "3", "-", "a\\x1b[1m"]
