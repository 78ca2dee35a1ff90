"""The page is sound HTML that needs nothing but itself, and shows every row of every run."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from bandmark.reports import ReportRun, markdown
from bandmark.reports.charts import Axis, Chart, Mark
from bandmark.reports.page import _chart, _table, page
from bandmark.suites import registered
from fakes import make_result
from report_runs import HOSTILE, TIMES, Latency, hostile, layers, of_every_status, rows

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """Collects the elements of a page and checks that they are nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], "elements that never end"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        """The values of an attribute, wherever it stands."""
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def several() -> list[ReportRun]:
    """Runs of five systems: with samples and a peak, with neither, without a figure, of all statuses, and hostile."""
    return [
        ReportRun(tuple(rows(peak_gbs=30.0, percent_of_peak=66.7)), {}, dict.fromkeys(range(6), TIMES)),
        ReportRun(tuple(rows(system="other", device="Other"))),
        ReportRun((make_result(system="broken", status="error", reason="it broke", bandwidth_gbs=None),)),
        ReportRun(tuple(replace(row, system="mixed") for row in of_every_status())),
        hostile(),
    ]


def test_nothing_is_fetched() -> None:
    """No script, no address but within the page, and a policy that forbids the rest."""
    text = page(several())
    read = Reader(text)
    tags = {tag for tag, _ in read.elements}
    assert not tags & {"script", "img", "iframe", "object", "embed", "base", "form", "use", "image"}
    for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
        assert all(value.startswith("#") or value == "data:," for value in read.values(name)), name
    assert not any(name.startswith("on") for _, attributes in read.elements for name in attributes)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert "default-src 'none'" in text


def test_ids_are_unique_and_references_lead_somewhere() -> None:
    """Each id stands once; links name ids that are there."""
    read = Reader(page(several()))
    ids = Counter(read.values("id"))
    assert max(ids.values()) == 1
    named = [value[1:] for value in read.values("href") if value.startswith("#")]
    assert {"run-1", "run-2"} <= set(named) <= set(ids)


def test_every_chart_says_what_it_shows() -> None:
    """Each figure has a name: one ladder for all, bars where there is a figure, dots where there are samples."""
    labels = [a["aria-label"] for tag, a in Reader(page(several())).elements if tag == "figure"]
    assert Counter(label.split(" of ")[0] for label in labels) == {
        "Measured, between the published peaks": 1,
        "Achieved bandwidth": 4,
        "Every raw sample": 2,
    }


def test_hostile_names_are_text() -> None:
    """Markup in any text of a run adds no element, and is shown as it is."""
    plain = ReportRun(tuple(make_result(status=s, reason="r", peak_gbs=9.0) for s in ("ok", "suspect")))
    read = Reader(page([hostile()]))
    assert "script" not in {tag for tag, _ in read.elements} | {tag for tag, _ in Reader(page([plain])).elements}
    assert not {"img"} & {tag for tag, _ in read.elements}
    assert sum(HOSTILE in data for data in read.texts) > 10


def test_every_status_is_there_with_its_reason() -> None:
    """Each row that is not ok is listed with its status and reason; without any, the page says so."""
    text = page([ReportRun(tuple(of_every_status()))])
    flagged = text[text.index("What was flagged") : text.index("The whole table")]
    assert all(f"because of {s}" in flagged for s in ("suspect", "failed_verification", "skipped", "error"))
    assert "Nothing: all 6 rows are ok." in page([ReportRun(tuple(rows()))])


def test_the_page_opens_with_the_answer() -> None:
    """Before any section stand a sentence on each system, one chart of all, and tokens per second."""
    runs = [ReportRun(tuple(rows(system=name, device=name))) for name in ("one", "two")]
    text = page(runs)
    opening = text[text.index("<h1>") : text.index('id="run-1"')]
    assert opening.count('class="headline"') == 2 and opening.count("<figure") == 1 and "tokens/s" in opening
    assert "No bandwidth to quote" in page([ReportRun((make_result(status="error", bandwidth_gbs=None),))])


def test_replicates_are_one_section() -> None:
    """Runs of one system and device have one section, with the spread of each case between them."""
    runs = [ReportRun(tuple(rows(run_id=f"2026112{day}T101500Z-3f2a"))) for day in (3, 4)]
    text = page(runs)
    assert text.count("<section>") == 2 and "20261124T101500Z-3f2a, the newest of 2" in text
    assert "of each case in 2 runs" in text and "within 0.0 %" in text and " in 1 run" not in page(runs[:1])


def test_bars_and_dots_have_tooltips() -> None:
    """The track of every row says its name and figure where the pointer rests on it."""
    text = page([ReportRun(tuple(rows()), samples={0: TIMES})])
    assert text.count("<title>") == 1 + text.count('<div class="row"') + text.count('<div class="row new"')
    assert "<title>numpy copy float64: " in text


def test_missing_samples_are_said() -> None:
    """A run without its JSON is reported, and the page says what is missing; rows without samples are counted."""
    runs = several()
    assert "No raw samples: " in page(runs[1:2])
    assert "No raw samples: " not in page(runs[:1])
    some = ReportRun(tuple(rows()), samples={0: TIMES})
    assert "5 of 6 rows have no samples" in page([some])


def test_several_runs_have_a_list_of_contents() -> None:
    """With more than one run, a table of all has links to each; one run needs none."""
    assert [v for v in Reader(page(several())).values("href") if v.startswith("#")] == [
        f"#run-{i}" for i in range(1, 6)
    ]
    assert "<nav" not in page(several()[:1])


@pytest.mark.parametrize("count", [3000])
def test_the_table_has_all_of_many_rows(count: int) -> None:
    """Thousands of rows all stand in the table, however few of them are drawn."""
    text = page([ReportRun(tuple(make_result(n=n) for n in range(count)))])
    assert text.count('<th scope="row"') >= count
    assert f"The first 200 of {count} cases are drawn" in text
    Reader(text)


def test_wide_tables_scroll_in_their_box() -> None:
    """Each table stands in a box that the keyboard reaches."""
    read = Reader(page(several()))
    boxes = [a for _, a in read.elements if a.get("class") == "box"]
    assert len(boxes) == sum(tag == "table" for tag, _ in read.elements) > 0
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in boxes)


def test_a_models_matrices_are_summed() -> None:
    """Their shapes, and a pass over all of them, stand below the table."""
    made = page([layers()])
    assert "<p>numpy float64: 1.1e-06 GB in 11 ms, 0.0001 GB/s</p>" in made and "qkv 6144 x 4096, 10" in made
    assert "decode step&#x27;s matrices" in made or "decode step's matrices" in made


def made(*names: str) -> Chart:
    """A chart of marks with these names; the last one is doubtful and of another group."""
    marks = [Mark(n, "9 GB/s", 0, (9.0,), n != names[-1], str(n == names[-1])) for n in names]
    return Chart("A title", marks, Axis(0.0, 10.0), "the unit", ("numpy",), [(5.0, "own", "a peak")])


def test_a_row_has_name_track_and_figure() -> None:
    """Each mark is a row of three; the doubtful one stands out, and the first of a group keeps its distance."""
    drawn = _chart(made("copy", "read"), "a caption")
    rows = re.findall(
        r'<div class="(row[^"]*)"><span class="name">(\w+)</span><svg .*?</svg><span class="figure">', drawn
    )
    assert rows == [("row", "copy"), ("row new warn", "read")]
    for words in ("<figcaption>a caption</figcaption>", 'aria-label="A title"', "numpy</span>", "the unit", "a peak"):
        assert words in drawn
    assert "figcaption" not in _chart(made("copy"))


def test_hostile_words_of_charts_and_tables_are_text() -> None:
    """Markup in names, figures, titles and cells adds no element."""
    mark = Mark(HOSTILE, HOSTILE, 0, (1.0,))
    drawn = _chart(Chart(HOSTILE, [mark], Axis(0.0, 1.0), HOSTILE, (HOSTILE,), [(1.0, "own", HOSTILE)]), HOSTILE)
    drawn += _table(HOSTILE, [HOSTILE], [[HOSTILE]], words=(0,), links=["#a"])
    assert "<script" not in drawn and "<img" not in drawn
    assert drawn.count("&lt;script") == 9 + 4, (
        "title, caption, name and figure twice, legend, unit, line; and of the table caption, label, head, cell"
    )


def test_a_table_tells_words_from_figures() -> None:
    """Columns of words are marked as such in head and body, doubtful rows stand out, and first cells can be links."""
    drawn = _table(
        "said", ["a", "b"], [["x", "1"], ["y", "2"]], words=(0,), looks=["", ' class="doubt"'], links=["#one", "#two"]
    )
    assert '<th scope="col" class="word">a</th><th scope="col">b</th>' in drawn
    assert '<tr><th scope="row" class="word"><a href="#one">x</a></th><td>1</td></tr>' in drawn
    assert '<tr class="doubt"><th scope="row" class="word"><a href="#two">y</a></th><td>2</td></tr>' in drawn
    assert '<p class="soft small">said</p>' in drawn and 'class="box" tabindex="0"' in drawn
    assert '<td class="word">1</td>' in _table("", ["a", "b"], [["x", "1"]], words=(0, 1))


def test_a_suite_without_peaks_has_its_own_section() -> None:
    """Page and Markdown show the figures of another suite in its unit, without peaks and percentages."""
    with registered(Latency()):
        runs = [ReportRun(tuple(rows())), ReportRun((make_result(suite="access-time", kernel="chase", regime=None),))]
        text, plain = page(runs), markdown.page(runs)
    own = text[text.index('id="run-2"') : text.index('id="reading"')]
    assert "Latency of each case" in own and "0.001000 s" in own and "s, lower is better" in own
    assert "published peaks" not in own and "Percent of peak" not in own
    assert plain.count("### Percent of peak") == 1 and "| chase | 0.001 |" in plain
