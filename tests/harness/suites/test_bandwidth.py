"""The suite bandwidth: which rows are its own, its metric, and its time."""

from __future__ import annotations

import pytest

from bandmark.options import RunOptions
from bandmark.suites import SUITES
from fakes import make_result

BANDWIDTH = SUITES["bandwidth"]


def test_a_models_rows_are_not_of_this_suite() -> None:
    """Gemv on a model's matrix belongs to model-layers, and a suite of another name to that."""
    assert BANDWIDTH.owns(make_result(kernel="gemv", suite="gemv"))
    assert not BANDWIDTH.owns(make_result(kernel="gemv", suite="gemv", layer="tiny qkv"))
    assert not BANDWIDTH.owns(make_result(suite="latency"))


def test_the_metric() -> None:
    """Bandwidth by the median time, in GB/s, higher is better."""
    metric, row = BANDWIDTH.metric, make_result(bandwidth_gbs=24.0, time_median_s=1e-3)
    assert (metric.name, metric.column, metric.unit, metric.higher_is_better) == (
        "bandwidth",
        "bandwidth_gbs",
        "GB/s",
        True,
    )
    assert metric.value(row) == 24.0


@pytest.mark.parametrize(
    ("cases", "quick", "seconds"),
    [(0, True, 12.0), (20, True, 12.0), (40, True, 24.0), (40, False, 90.0), (80, False, 180.0)],
)
def test_more_cases_have_more_time(cases: int, quick: bool, seconds: float) -> None:
    """The time limit has a least, and grows with the cases beyond those that it is enough for."""
    assert SUITES["bandwidth"].time_limit_s(RunOptions(quick=quick), cases) == pytest.approx(seconds)
