"""From samples to a row: what each column holds, and which columns stay empty in which status."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.device.device import Device
from bandmark.device.telemetry import Telemetry
from bandmark.judge.references import REFERENCES
from bandmark.measure.sampling import Reading, Samples
from bandmark.results.row import Row
from bandmark.session.rows import Outcome, assemble, with_ceiling, with_slow_reads
from bandmark.suites.plan import Case
from bandmark_kernels import Shape
from fakes import FakeBackend, make_context, make_group, make_peak, make_result

PERCENTAGES = ("percent_of_peak", *(r.column for r in REFERENCES), "verdict")
FIGURES = ("bandwidth_gbs", "bandwidth_best_gbs", "weights_per_s", *PERCENTAGES)
TIMES = ("samples", "launches_per_sample", "time_median_s", "time_min_s", "time_q1_s", "time_q3_s", "time_max_s")


def samples(seconds: list[float], launches: int = 1, clock: float | None = None) -> Samples:
    """Samples of these seconds per launch."""
    made = Samples(launches)
    for t in seconds:
        made.add(Reading(t * launches, clock))
    made.stop_reason = "converged"
    return made


def case(kernel: str = "triad", shape: Shape | None = None, **backend: Any) -> Case:
    """One case on a fake backend."""
    return make_group(kernel, [FakeBackend(**backend)], shape=shape).cases[0]


def measured(seconds: list[float] | None = None, **changes: Any) -> Outcome:
    """The outcome of a sound case: 20 samples of 4 ms, verified."""
    return Outcome(samples=samples(seconds or [4e-3] * 20), **({"max_error": 0.5} | changes))


def empty(row: Row, names: tuple[str, ...]) -> bool:
    """Whether all of these columns are unknown."""
    return all(getattr(row, name) is None for name in names)


def test_a_plain_row() -> None:
    """A verified dram case without doubts is ok, without a reason, and has every figure."""
    row = assemble(case(), measured(copies=1, started_utc="2026-11-23T10:15:00Z"), make_context())
    assert (row.status, row.reason, row.verified, row.max_error, row.regime) == ("ok", None, True, 0.5, "dram")
    assert (row.n_elements, row.m, row.n, row.working_set_bytes) == (3000, None, 3000, 72000)
    assert (row.bytes_read, row.bytes_written) == (48000, 24000)
    assert row.bandwidth_gbs == pytest.approx(72000 / 4e-3 / 1e9)
    assert row.percent_of_peak == pytest.approx(90.0)
    assert row.percent_of_dgx_spark == pytest.approx(100 * 0.018 / 273)
    assert row.percent_of_rtx_pro_5000 == pytest.approx(100 * 0.018 / 1344)
    assert row.percent_of_dgx_station == pytest.approx(100 * 0.018 / 8000)
    assert (row.backend, row.backend_version, row.driver, row.device) == ("fake", "1.2.3", "999.1", "Fake GPU, 1 kB")
    assert (row.run_id, row.system, row.suite, row.data) == ("20261123T101500Z-3f2a", "fake-1", "stream", "random")
    assert (row.peak_gbs, row.peak_source) == (0.02, "set by hand (--peak 0.02)")
    assert (row.llc_bytes, row.started_utc, row.copies) == (1000, "2026-11-23T10:15:00Z", 1)


def test_times_are_order_statistics_per_launch() -> None:
    """Median, extremes and quartiles in seconds per launch; best bandwidth from the shortest, headline from median."""
    row = assemble(case(), Outcome(samples=samples([4e-3, 2e-3, 8e-3], launches=7), max_error=0.0), make_context())
    assert (row.samples, row.launches_per_sample, row.stop_reason) == (3, 7, "converged")
    times = (row.time_min_s, row.time_q1_s, row.time_median_s, row.time_q3_s, row.time_max_s)
    assert times == tuple(map(pytest.approx, (2e-3, 3e-3, 4e-3, 6e-3, 8e-3)))
    assert row.ci95_rel is None
    assert row.bandwidth_best_gbs == pytest.approx(2 * (row.bandwidth_gbs or 0))


def test_a_matrix_counts_its_weights() -> None:
    """A GEMV row has m and n, m x n elements, its vectors' bytes, and the weights used per second."""
    row = assemble(case("gemv", Shape(60, m=50)), measured([1e-3] * 20), make_context())
    assert (row.suite, row.m, row.n, row.n_elements) == ("gemv", 50, 60, 3000)
    assert (row.bytes_read, row.bytes_written) == ((3000 + 60) * 8, 50 * 8)
    assert row.weights_per_s == pytest.approx(3e6)


@given(st.lists(st.floats(1e-6, 1e-2), min_size=1, max_size=30), st.floats(0, 5), st.sampled_from(["random", "zeros"]))
def test_a_reason_is_empty_only_if_the_row_is_ok(seconds: list[float], error: float, data: str) -> None:
    """Whatever was seen, a row that is not ok says why."""
    row = assemble(case(), measured(seconds, max_error=error), make_context(data=data))
    assert row.status == "ok" or row.reason
    assert (row.status == "failed_verification") == (error > 1)
    assert (row.bandwidth_gbs is None) == (error > 1)


@pytest.mark.parametrize("error", [1.0001, 7e9, float("inf"), float("nan")])
def test_a_failed_verification_keeps_times_and_no_figures(error: float) -> None:
    """A wrong output is no result: times and reason stay, every bandwidth and percentage is empty."""
    row = assemble(case(), measured(max_error=error), make_context())
    assert (row.status, row.verified) == ("failed_verification", False)
    assert empty(row, FIGURES) and not any(empty(row, (name,)) for name in TIMES)
    assert "wrong by" in (row.reason or "") and "times the tolerance" in (row.reason or "")


def test_an_error_of_exactly_the_tolerance_is_allowed() -> None:
    """Errors are in units of the tolerance: 1 has not failed."""
    assert assemble(case(), measured(max_error=1.0), make_context()).verified is True


def test_a_case_that_was_wrong_before_timing_has_failed() -> None:
    """A backend that verifies first has no times for a wrong case, but its row says that verification failed."""
    row = assemble(case(), Outcome(max_error=3.0, error="before timing, the output is wrong"), make_context())
    assert (row.status, row.verified, row.max_error) == ("failed_verification", False, 3.0)
    assert row.reason == "before timing, the output is wrong"
    assert empty(row, FIGURES) and empty(row, TIMES)


def test_an_error_row_says_what_was_raised() -> None:
    """An exception leaves a row with the identity of its case and nothing measured."""
    row = assemble(case(), Outcome(error="RuntimeError: no"), make_context())
    assert (row.status, row.reason, row.verified) == ("error", "RuntimeError: no", None)
    assert empty(row, FIGURES) and empty(row, TIMES)
    assert assemble(case(), Outcome(), make_context()).reason == "no samples were taken"


def test_unsupported_and_skipped_rows() -> None:
    """A case that is not run is a row with its reason and its size, and nothing measured."""
    row = assemble(case(unsupported={"triad": "two passes"}), Outcome(), make_context())
    assert (row.status, row.reason) == ("unsupported", "two passes")
    assert row.working_set_bytes == 72000 and empty(row, FIGURES) and empty(row, TIMES)
    row = assemble(case(), Outcome(skipped="the time limit"), make_context())
    assert (row.status, row.reason) == ("skipped", "the time limit")


def test_an_unverified_figure_is_suspect_and_has_no_percentages() -> None:
    """Without verification there is a bandwidth, but it is compared with nothing."""
    row = assemble(case(), measured(max_error=None), make_context())
    assert (row.status, row.reason, row.verified) == ("suspect", "the output was not verified", None)
    assert row.bandwidth_gbs is not None and empty(row, PERCENTAGES)


@pytest.mark.parametrize(
    ("llc", "regime"),
    [(10**6, "cache"), (72001, "cache"), (72000, "mixed"), (18001, "mixed"), (18000, "dram"), (None, None)],
)
def test_percentages_are_for_the_dram_regime_alone(llc: int | None, regime: str | None) -> None:
    """Percentages compare memory with memory: rows in a cache, and rows of unknown regime, have none, but are ok."""
    device = Device(kind="gpu", name="G", llc_bytes=llc)
    row = assemble(case(device=device), measured(), make_context())
    assert (row.regime, row.status) == (regime, "ok")
    assert row.bandwidth_gbs is not None
    assert empty(row, ("percent_of_peak", *(r.column for r in REFERENCES))) is (regime != "dram")


def test_without_a_peak_the_named_systems_remain() -> None:
    """A row without a peak of its own is still compared with the three named systems."""
    row = assemble(case(), measured(), make_context(make_peak(None)))
    assert row.percent_of_peak is None and row.peak_gbs is None and row.peak_source is None
    assert row.percent_of_dgx_spark is not None and row.percent_of_dgx_station is not None


def test_copies_count_for_the_regime() -> None:
    """Launches that rotate over several sets of small arrays come from memory, and the row says that they rotate."""
    device = Device(kind="gpu", name="G", llc_bytes=72000)
    row = assemble(case(device=device), measured(copies=5), make_context())
    assert (row.regime, row.copies, row.status) == ("dram", 5, "ok")
    assert row.reason == "launches rotate over 5 sets of the arrays"


def test_a_remark_is_no_doubt() -> None:
    """What the row must say although the figure is sound stands in the reason of an ok row, after the doubts if any."""
    assert assemble(case(), measured(note="halved"), make_context()).status == "ok"
    row = assemble(case(), measured(note="halved"), make_context(data="zeros"))
    assert row.status == "suspect"
    assert row.reason == "the inputs are zeros, which compressible memory moves faster; halved"


def test_an_implausible_figure_is_suspect_and_keeps_its_percentages() -> None:
    """Above 102 % of the peak a row is suspect; the percentage that makes it so is shown."""
    row = assemble(case(), measured(), make_context(make_peak(0.01)))
    assert row.status == "suspect" and "180 % of the peak of 0.01 GB/s" in (row.reason or "")
    assert row.percent_of_peak == pytest.approx(180.0)


def test_telemetry_is_kept_and_doubts_are_told() -> None:
    """Temperature, power and clock stand in the row; what the sensors find doubtful makes it suspect."""
    seen = Telemetry(temperature_c=71.0, power_w=300.5, clock_mhz=1900.0, max_clock_mhz=2000.0, doubts=("heat",))
    row = assemble(case(), measured(telemetry=seen), make_context())
    assert (row.temperature_c, row.power_w, row.clock_mhz) == (71.0, 300.5, 1900.0)
    assert (row.status, row.reason) == ("suspect", "heat")


def test_clocks_of_the_windows_go_before_one_reading() -> None:
    """The median clock of the windows is the row's, and what throttling is judged by: counters go before sensors."""
    seen = Telemetry(clock_mhz=1990.0, max_clock_mhz=2000.0)
    outcome = Outcome(samples=samples([4e-3] * 9, clock=1000.0), max_error=0.1, telemetry=seen)
    row = assemble(case(), outcome, make_context())
    assert row.clock_mhz == 1000.0 and row.status == "suspect" and "1000 MHz" in (row.reason or "")
    sensed = samples([4e-3] * 9)
    sensed.sensor_clocks_mhz = [800.0, 810.0, 805.0]
    row = assemble(case(), replace(outcome, samples=sensed), make_context())
    assert row.clock_mhz == 805.0 and row.status == "suspect" and "805 MHz" in (row.reason or "")
    sensed.clocks_mhz = [1990.0]
    assert assemble(case(), replace(outcome, samples=sensed), make_context()).clock_mhz == 1990.0
    throttled = measured(telemetry=Telemetry(clock_mhz=900.0, max_clock_mhz=2000.0))
    assert "900 MHz" in (assemble(case(), throttled, make_context()).reason or "")


def test_other_programs_make_a_row_suspect() -> None:
    """The share that others used while sampling reaches the judge."""
    assert "used 40 %" in (assemble(case(), measured(others_share=0.4), make_context()).reason or "")


def test_the_variant_is_the_one_that_ran() -> None:
    """The workload's own variant goes before the one asked for."""
    assert assemble(case(), measured(variant="wide"), make_context()).variant == "wide"
    assert assemble(case(), measured(), make_context()).variant is None


def test_a_verdict_stands_beside_a_published_percentage() -> None:
    """Where the memory's type is known the percentage is placed among published measurements."""
    row = assemble(case(), measured(), make_context(make_peak(0.02, memory_type="GDDR7 ECC")))
    assert row.verdict is not None and "GDDR7" in row.verdict


def test_the_ceiling_is_the_best_verified_read() -> None:
    """Every measured dram row is a percentage of the best read of its device; reads of other devices do not count."""
    rows = [
        make_result(kernel="read", backend="numpy", bandwidth_gbs=50.0),
        make_result(kernel="read", backend="torch", bandwidth_gbs=80.0),
        make_result(kernel="read", bandwidth_gbs=500.0, regime="cache"),
        make_result(kernel="read", bandwidth_gbs=600.0, verified=None, status="suspect", reason="unverified"),
        make_result(kernel="read", bandwidth_gbs=200.0, device="other"),
        make_result(kernel="triad", bandwidth_gbs=60.0),
        make_result(kernel="copy", bandwidth_gbs=40.0, status="suspect", reason="drift"),
        make_result(kernel="dot", bandwidth_gbs=None, status="failed_verification", verified=False, reason="wrong"),
    ]
    assert [row.percent_of_ceiling for row in with_ceiling(rows)] == [
        62.5,
        100.0,
        None,
        750.0,
        100.0,
        75.0,
        50.0,
        None,
    ]


def test_no_ceiling_without_a_read() -> None:
    """Where no read was verified no row has a percentage of the ceiling, and rows are otherwise as they were."""
    rows = [make_result(kernel="triad"), make_result(kernel="read", bandwidth_gbs=None, status="error", reason="x")]
    assert with_ceiling(rows) == rows


def test_reads_far_below_copies_are_a_slow_state() -> None:
    """On a GB10 a CUDA kernel that reads at a third of its copy's speed is suspect, once, beside its other reasons."""

    def row(kernel: str, gbs: float, **changes: Any) -> Row:
        return make_result(kernel=kernel, bandwidth_gbs=gbs, **{"device": "NVIDIA GB10", "backend": "cupy"} | changes)

    rows = [
        row("copy", 225.0),
        row("gemv", 71.0),
        row("read", 71.0, status="suspect", reason="drift"),
        row("dot", 160.0),
        row("triad", 71.0),
        row("gemv", 71.0, dtype="float16"),
        row("gemv", 71.0, backend="torch"),
        row("gemv", 71.0, regime="cache"),
        row("gemv", 71.0, device="NVIDIA H100"),
        row("copy", 225.0, device="NVIDIA H100"),
    ]
    made = with_slow_reads(rows)
    clause = "71 GB/s is 32 % of what copy moves: a DGX Spark's known slow state that spares copies"
    assert [r.status for r in made[1:3]] == ["suspect", "suspect"]
    assert (made[1].reason or "").startswith(clause)
    assert (made[2].reason or "").startswith(clause) and (made[2].reason or "").endswith("; drift")
    assert made[:1] + made[3:] == rows[:1] + rows[3:]
    assert with_slow_reads(made) == made


def test_other_rows_name_no_weight_format() -> None:
    """A case without packed weights leaves the column empty."""
    row = assemble(case(), measured(), make_context())
    assert row.weight_format is None and {f.name for f in fields(row)} >= {"weight_format"}
