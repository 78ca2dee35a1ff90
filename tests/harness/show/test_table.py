"""What people read: the table, its marks, its footnotes and its heading."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bandmark.results.row import Row
from bandmark.show.table import _FEW_SAMPLES, _ROTATES, _ResultTable, build_table, heading
from bandmark.suites import SUITES
from fakes import make_result


def table(rows: list[Row], suite: str = "bandwidth") -> _ResultTable:
    """The table of some rows of a suite."""
    return build_table(SUITES[suite], rows)


def cells(row: Row) -> dict[str, str]:
    """The cells of the only line, by heading."""
    built = table([row])
    return dict(zip(built.header, built.rows[0].cells, strict=True))


def test_a_plain_line() -> None:
    """Bandwidth, best, spread and four percentages; a row that is plainly ok has no mark."""
    row = make_result(
        bandwidth_gbs=231.42,
        bandwidth_best_gbs=1310.4,
        percent_of_peak=84.77,
        percent_of_dgx_spark=84.77,
        percent_of_rtx_pro_5000=17.2,
        percent_of_dgx_station=2.89,
    )
    assert cells(row) == {
        "kernel": "triad",
        "backend": "numpy",
        "dtype": "f64",
        "GB/s": "231.4",
        "best": "1310",
        "spread": "4.0%",
        "%peak": "85",
        "%Spark": "85",
        "%5000": "17",
        "%Stn": "2.9",
        "notes": "",
    }
    assert table([row]).footnotes == ()
    assert table([row]).rows[0].is_ok


@pytest.mark.parametrize(
    ("gbs", "text"),
    [(None, "-"), (0.00524, "0.00524"), (0.5, "0.5"), (27.359, "27.36"), (99.999, "100.00"), (7100.4, "7100")],
)
def test_bandwidths_have_three_figures(gbs: float | None, text: str) -> None:
    """At least three figures, whatever the size; a dash for what is unknown."""
    assert cells(make_result(bandwidth_gbs=gbs))["GB/s"] == text


def test_a_failed_row_shows_no_figures() -> None:
    """A row without a bandwidth has dashes and a footnote with status and reason."""
    row = make_result(
        status="failed_verification",
        verified=False,
        reason="the output is wrong",
        bandwidth_gbs=None,
        bandwidth_best_gbs=None,
    )
    assert {cells(row)[name] for name in ("GB/s", "best", "spread", "%peak", "%Spark")} == {"-"}
    built = table([row])
    assert built.footnotes == ("failed_verification: the output is wrong",)
    assert not built.rows[0].is_ok and built.rows[0].cells[-1] == "1"


def test_equal_notes_are_one_footnote() -> None:
    """Marks are numbers in order of appearance; the same note has the same number, several stand side by side."""
    rows = [
        make_result(status="suspect", reason="drift"),
        make_result(kernel="copy", regime="cache"),
        make_result(kernel="add", status="suspect", reason="drift", regime="cache"),
    ]
    built = table(rows)
    assert [row.cells[-1] for row in built.rows] == ["1", "2", "1,2"]
    assert built.footnotes == ("suspect: drift", "the working set fits the last-level cache: no percentages")


def test_notes_that_differ_in_numbers_are_one_footnote() -> None:
    """One footnote has the range, and the marks of a row stand in ascending order, whatever order its notes have."""
    rows = [
        make_result(regime="cache"),
        *(make_result(kernel="copy", status="suspect", reason=f"used {n} %", regime="cache") for n in (51, 77)),
    ]
    built = table(rows)
    assert built.footnotes == ("the working set fits the last-level cache: no percentages", "suspect: used 51-77 %")
    assert [row.cells[-1] for row in built.rows] == ["1", "1,2", "1,2"]


@pytest.mark.parametrize(
    ("regime", "words"),
    [
        ("cache", "fits the last-level cache"),
        ("mixed", "less than 4 last-level caches"),
        (None, "whose size is unknown"),
    ],
)
def test_rows_outside_the_dram_regime_say_so(regime: str | None, words: str) -> None:
    """Where there are no percentages a footnote says why."""
    assert words in table([make_result(regime=regime)]).footnotes[0]


@pytest.mark.parametrize(("q3", "noisy"), [(1.079e-3, False), (1.081e-3, True)])
def test_noise_is_told_with_the_threshold_and_what_to_do(q3: float, noisy: bool) -> None:
    """From a quartile distance of 10 % on the reader is told, in words, with a remedy."""
    notes = table([make_result(time_q1_s=0.98e-3, time_q3_s=q3)]).footnotes
    assert bool(notes) is noisy
    if noisy:
        assert "10 % of the median" in notes[0] and "--time-limit" in notes[0]


def test_a_note_of_an_ok_row_is_a_footnote() -> None:
    """What an ok row must say is told without calling it a fault."""
    built = table([make_result(reason="the size was halved once")])
    assert built.footnotes == ("the size was halved once",) and built.rows[0].is_ok


def test_verdicts_are_footnotes() -> None:
    """The comparison with published measurements stands below the table."""
    assert "by published measurements" in table([make_result(verdict="normal for GDDR7")]).footnotes[0]


def test_variants_are_named_where_they_differ() -> None:
    """A backend whose rows ran in several forms says which ran; one form alone is not worth a mark."""
    assert table([make_result(variant="plain"), make_result(kernel="copy", variant="plain")]).footnotes == ()
    built = table([make_result(variant="plain"), make_result(variant="wide")])
    assert built.footnotes == ("variant plain", "variant wide")


def test_the_heading() -> None:
    """Device, system, run, versions, threads, driver, sizes, cache and peak: what a screenshot must hold."""
    rows = [
        make_result(
            threads=8, peak_gbs=76.8, peak_source="user-supplied (--peak 76.8)", llc_bytes=32 << 20, driver="999.1"
        ),
        make_result(backend="torch", backend_version="2.13.0", working_set_bytes=768 << 20),
    ]
    text = heading(rows)
    for part in (
        "Fake GPU (fake-1), run 20261123T101500Z-3f2a, bandmark 0.1.0",
        "numpy 2.4.6, torch 2.13.0, 8 threads, driver 999.1",
        "working sets 23.4 KiB to 768 MiB, last-level cache 32 MiB",
        "peak: 76.8 GB/s (user-supplied (--peak 76.8))",
    ):
        assert part in text.splitlines()


def test_an_unknown_peak_says_how_to_set_it() -> None:
    """Without a peak the heading names the option; a published one points to its sources."""
    assert "unknown (--peak GBS sets it)" in heading([make_result()])
    text = heading([make_result(peak_gbs=1344.0, peak_source="published: a long datasheet name")])
    assert "1344 GB/s (published, `bandmark devices` names the sources)" in text


@pytest.mark.parametrize(("samples", "few"), [(4, True), (5, True), (19, True), (20, False), (None, False)])
def test_few_samples_are_a_footnote(samples: int | None, few: bool) -> None:
    """An ok row of fewer than 20 samples says so; a suspect one says what is wrong in its reason."""
    note = _FEW_SAMPLES.format(20)
    assert table([make_result(samples=samples)]).footnotes == ((note,) if few else ())
    suspect = table([make_result(samples=samples, status="suspect", reason="drift")])
    assert suspect.footnotes == ("suspect: drift",)


def layer_rows() -> list[Row]:
    """Two rows of a model's matrices, which rotate."""
    made = []
    for name, copies in (("qkv", 51), ("expert+shared gate_up", 7)):
        reason = f"launches rotate over {copies} sets of the arrays"
        row = make_result(kernel="gemv", m=6144, n=4096, layer=f"tiny {name}", layer_uses=32, weights_per_s=2e9)
        made.append(replace(row, copies=copies, reason=reason))
    return [made[0], replace(made[1], status="suspect", reason=f"drift; {made[1].reason}")]


def test_a_models_matrices_are_named_in_the_heading() -> None:
    """The heading has the model and the shapes of its matrices."""
    line = "gemv, matrices of tiny (rows x columns, how often in a step): qkv 6144 x 4096, 32; "
    assert any(text.startswith(line) for text in heading(layer_rows()).splitlines())


def test_rotation_of_many_matrices_is_one_footnote() -> None:
    """The number of sets differs from row to row and stands in the CSV; one footnote says so, apart from warnings."""
    built = table(layer_rows(), "model-layers")
    assert built.footnotes == (_ROTATES, "suspect: drift")
    assert [row.cells[-1] for row in built.rows] == ["1", "1,2"]
    plain = make_result(copies=5, reason="launches rotate over 5 sets of the arrays")
    assert table([plain]).footnotes == ("launches rotate over 5 sets of the arrays",)


def test_a_table_has_the_columns_of_its_suite() -> None:
    """The suite says what the columns and the legend are; the notes come last, and texts are aligned to the left."""
    built = table([make_result()])
    assert built.header == (*(c.title for c in SUITES["bandwidth"].table_columns([make_result()])), "notes")
    assert [title for title, left in zip(built.header, built.left, strict=True) if left] == [
        "kernel",
        "backend",
        "dtype",
        "notes",
    ]
    assert built.legend == SUITES["bandwidth"].legend([make_result()])


def test_a_heading_without_sizes() -> None:
    """Rows of a suite without working sets have a heading without a line about them."""
    assert "working sets" not in heading([make_result(working_set_bytes=None)])
