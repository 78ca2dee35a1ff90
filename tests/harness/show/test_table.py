"""What people read: the table, its marks, its footnotes and its heading."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bandmark.results.row import Row
from bandmark.show.table import HEADER, LEGEND, ROTATES, build_table, heading
from fakes import make_result


def cells(row: Row) -> dict[str, str]:
    """The cells of the only line, by heading."""
    return dict(zip(HEADER, build_table([row]).rows[0].cells, strict=True))


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
    assert build_table([row]).footnotes == ()
    assert build_table([row]).rows[0].plain


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
    built = build_table([row])
    assert built.footnotes == ("failed_verification: the output is wrong",)
    assert not built.rows[0].plain and built.rows[0].cells[-1] == "1"


def test_equal_notes_are_one_footnote() -> None:
    """Marks are numbers in order of appearance; the same note has the same number, several stand side by side."""
    rows = [
        make_result(status="suspect", reason="drift"),
        make_result(kernel="copy", regime="cache"),
        make_result(kernel="add", status="suspect", reason="drift", regime="cache"),
    ]
    built = build_table(rows)
    assert [row.cells[-1] for row in built.rows] == ["1", "2", "1,2"]
    assert built.footnotes == ("suspect: drift", "the working set fits the last-level cache: no percentages")


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
    assert words in build_table([make_result(regime=regime)]).footnotes[0]


@pytest.mark.parametrize(("q3", "noisy"), [(1.079e-3, False), (1.081e-3, True)])
def test_noise_is_told_with_the_threshold_and_what_to_do(q3: float, noisy: bool) -> None:
    """From a quartile distance of 10 % on the reader is told, in words, with a remedy."""
    notes = build_table([make_result(time_q1_s=0.98e-3, time_q3_s=q3)]).footnotes
    assert bool(notes) is noisy
    if noisy:
        assert "10 % of the median" in notes[0] and "--time-limit" in notes[0]


def test_a_remark_of_an_ok_row_is_a_footnote() -> None:
    """What an ok row must say is told without calling it a fault."""
    built = build_table([make_result(reason="the size was halved once")])
    assert built.footnotes == ("the size was halved once",) and built.rows[0].plain


def test_verdicts_are_footnotes() -> None:
    """The comparison with published measurements stands below the table."""
    assert "by published measurements" in build_table([make_result(verdict="normal for GDDR7")]).footnotes[0]


def test_variants_are_named_where_they_differ() -> None:
    """A backend whose rows ran in several forms says which ran; one form alone is not worth a mark."""
    assert build_table([make_result(variant="plain"), make_result(kernel="copy", variant="plain")]).footnotes == ()
    built = build_table([make_result(variant="plain"), make_result(variant="wide")])
    assert built.footnotes == ("variant plain", "variant wide")


def test_the_heading() -> None:
    """Device, system, run, versions, threads, driver, sizes, cache and peak: what a screenshot must hold."""
    rows = [
        make_result(
            threads=8, peak_gbs=76.8, peak_source="set by hand (--peak 76.8)", llc_bytes=32 << 20, driver="999.1"
        ),
        make_result(backend="torch", backend_version="2.13.0", working_set_bytes=768 << 20),
    ]
    text = heading(rows)
    for part in (
        "Fake GPU (fake-1), run 20261123T101500Z-3f2a, bandmark 0.1.0",
        "numpy 2.4.6, torch 2.13.0, 8 threads, driver 999.1",
        "working sets 23.4 KiB to 768 MiB, last-level cache 32 MiB",
        "peak: 76.8 GB/s (set by hand (--peak 76.8))",
    ):
        assert part in text.splitlines()


def test_an_unknown_peak_says_how_to_set_it() -> None:
    """Without a peak the heading names the option; a published one points to its sources."""
    assert "unknown (--peak GBS sets it)" in heading([make_result()])
    text = heading([make_result(peak_gbs=1344.0, peak_source="published: a long datasheet name")])
    assert "1344 GB/s (published, `bandmark devices` names the sources)" in text


def test_the_legend_says_what_the_figures_are() -> None:
    """Units, the byte count, the named systems' figures and STREAM's condition stand under every table."""
    for words in ("GB is 10^9 bytes", "273", "1344", "8000", "7100", "STREAM-style", "a variant of STREAM"):
        assert words in LEGEND


def test_packed_weights_show_weights_per_second() -> None:
    """A table with packed weights names formats and has weights per second in the place of the best; else neither."""
    packed = make_result(kernel="gemv", dtype="float32", weight_format="nvfp4", weights_per_s=4.61e9)
    table = build_table([make_result(), packed])
    plain, row = (dict(zip(table.header, line.cells, strict=True)) for line in table.rows)
    assert (row["dtype"], row["Gw/s"], plain["dtype"], plain["Gw/s"]) == ("nvfp4", "4.61", "f64", "-")
    assert "best" not in table.header and "best:" not in table.legend
    assert build_table([make_result()]).header == HEADER


def layer_rows() -> list[Row]:
    """Two rows of a model's matrices, which rotate."""
    made = []
    for name, copies in (("qkv", 51), ("expert+shared gate_up", 7)):
        reason = f"launches rotate over {copies} sets of the arrays"
        row = make_result(kernel="gemv", m=6144, n=4096, layer=f"tiny {name}", layer_uses=32, weights_per_s=2e9)
        made.append(replace(row, copies=copies, reason=reason))
    return [made[0], replace(made[1], status="suspect", reason=f"drift; {made[1].reason}")]


def test_a_models_matrices_are_named() -> None:
    """The first column has the matrix, the heading the model and the shapes; best makes room for weights per second."""
    table = build_table(layer_rows())
    assert table.header[0] == "matrix" and "best" not in table.header and "Gw/s" in table.header
    assert "best" not in table.legend
    assert [row.cells[0] for row in table.rows] == ["qkv", "expert+shared gate_up"]
    line = "gemv, matrices of tiny (rows x columns, how often in a step): qkv 6144 x 4096, 32; "
    assert any(text.startswith(line) for text in heading(layer_rows()).splitlines())
    mixed = build_table([make_result(kernel="read"), *layer_rows()])
    assert mixed.header[0] == "kernel" and [row.cells[0] for row in mixed.rows][:2] == ["read", "qkv"]


def test_rotation_of_many_matrices_is_one_footnote() -> None:
    """The number of sets differs from row to row and stands in the CSV; one footnote says so, apart from doubts."""
    table = build_table(layer_rows())
    assert table.footnotes == (ROTATES, "suspect: drift")
    assert [row.cells[-1] for row in table.rows] == ["1", "1,2"]
    plain = make_result(copies=5, reason="launches rotate over 5 sets of the arrays")
    assert build_table([plain]).footnotes == ("launches rotate over 5 sets of the arrays",)
