"""Columns of tables, and how figures are written in them."""

from __future__ import annotations

import pytest

from bandmark.suites import SUITES
from bandmark.suites.table import (
    BEST_LEGEND,
    LEGEND,
    STORES_LEGEND,
    WEIGHTS_LEGEND,
    backend,
    bandwidth_columns,
    dtype,
    figure,
    percentage,
    spread,
)
from fakes import make_result

PLAIN = ("kernel", "backend", "dtype", "GB/s", "best", "spread", "%peak", "%Spark", "%5000", "%Stn")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.00524, "0.00524"), (0.5, "0.5"), (27.359, "27.36"), (231.42, "231.4"), (1310.4, "1310")],
)
def test_figures_have_three_digits(value: float | None, text: str) -> None:
    """At least three digits, whatever the size; a dash for what is unknown."""
    assert figure(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (2.89, "2.9"), (17.2, "17"), (99.6, "100")])
def test_percentages_have_two_digits(value: float | None, text: str) -> None:
    """Two digits, or a dash."""
    assert percentage(value) == text


def test_the_spread_is_that_of_the_quartiles() -> None:
    """Distance of the quartiles over the median; rows with a wrong output, or without times, have none."""
    assert spread(make_result()) == "4.0%"
    assert spread(make_result(verified=False)) == spread(make_result(time_q1_s=None)) == "-"


def test_number_formats_are_short() -> None:
    """A few letters for a dtype; the format of quantized weights as it is."""
    assert [dtype(make_result(dtype=d)) for d in ("float64", "float32", "float16", "bfloat16")] == [
        "f64",
        "f32",
        "f16",
        "bf16",
    ]
    assert dtype(make_result(weight_format="nvfp4")) == "nvfp4"


def test_the_columns_of_a_plain_table() -> None:
    """The best figure is shown where no weights per second are: 80 columns have no room for both."""
    titles = tuple(c.title for c in bandwidth_columns(weights=False))
    assert titles == PLAIN
    assert tuple(c.title for c in bandwidth_columns(weights=True)) == tuple(
        "Gw/s" if title == "best" else title for title in PLAIN
    )


def test_quantized_weights_show_weights_per_second() -> None:
    """A table with a format of weights has weights per second and says what they are; one without has neither."""
    suite = SUITES["bandwidth"]
    quantized = make_result(kernel="gemv", dtype="float32", weight_format="nvfp4", weights_per_s=4.61e9)
    rows = [make_result(), quantized]
    (weights,) = [c for c in suite.table_columns(rows) if c.title == "Gw/s"]
    assert [weights.text(row) for row in rows] == ["-", "4.61"]
    assert suite.legend(rows) == f"{WEIGHTS_LEGEND} {LEGEND}"
    assert suite.legend([make_result()]) == f"{BEST_LEGEND} {LEGEND}"
    assert tuple(c.title for c in suite.table_columns([make_result()])) == PLAIN


def test_a_models_matrices_are_named_in_the_first_column() -> None:
    """The table of model-layers has the matrix in place of the kernel, and weights per second in place of the best."""
    suite = SUITES["model-layers"]
    row = make_result(kernel="gemv", layer="tiny expert+shared gate_up", layer_uses=32)
    columns = suite.table_columns([row])
    assert (columns[0].title, columns[0].text(row)) == ("matrix", "expert+shared gate_up")
    assert "Gw/s" in [c.title for c in columns] and "best" not in [c.title for c in columns]
    assert suite.legend([row]) == f"{WEIGHTS_LEGEND} {LEGEND}"


def test_stores_past_the_cache_are_named() -> None:
    """A row with them says so beside its library, and the legend what write-allocate is; other variants do neither."""
    rows = [make_result(backend="numba", variant=variant) for variant in ("normal", "nt", "v16")]
    assert [backend(row) for row in rows] == ["numba", "numba nt", "numba"]
    suite = SUITES["bandwidth"]
    assert STORES_LEGEND in suite.legend(rows) and STORES_LEGEND not in suite.legend(rows[:1])


def test_the_legend_says_what_the_figures_are() -> None:
    """Units, the byte count, the named systems' figures and STREAM's condition stand under every table."""
    for words in ("GB is 10^9 bytes", "273", "1344", "8000", "7100", "STREAM-style", "a variant of STREAM"):
        assert words in LEGEND
