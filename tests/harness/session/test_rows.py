"""From outcomes to rows, and from stored samples to the same rows: a pure function."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.device.device import Device
from bandmark.judge.bands import REFERENCES
from bandmark.measure.measurement import Measurement
from bandmark.results.case import identity_columns
from bandmark.results.row import Row
from bandmark.session.rows import Outcome, build_rows
from bandmark.suites.base import RunFacts
from bandmark_kernels import Shape
from corpus import good_run
from fakes import FakeBackend, make_facts, make_group, make_matrix_group, make_peak

PERCENTAGES = ("percent_of_peak", *(r.column for r in REFERENCES), "verdict")
FIGURES = ("bandwidth_gbs", "bandwidth_best_gbs", "weights_per_s", *PERCENTAGES)
TIMES = ("samples", "launches_per_sample", "time_median_s", "time_min_s", "time_q1_s", "time_q3_s", "time_max_s")


def measurement(seconds: list[float] | None = None, **changes: Any) -> Measurement:
    """A sound measurement: 20 samples of 4 ms, verified."""
    plain: dict[str, Any] = {"launches_per_sample": 1, "stop_reason": "converged", "max_error": 0.5}
    return Measurement(seconds_per_launch=seconds or [4e-3] * 20, **(plain | changes))


def outcome(
    kernel: str = "triad", measured: Measurement | None = None, *, shape: Shape | None = None, **changes: Any
) -> Outcome:
    """The outcome of a kernel on a fake backend."""
    backend = FakeBackend(name=changes.pop("backend", "fake"))
    group = make_group(kernel, [backend], shape=shape, dtype=changes.pop("dtype", "float64"))
    return Outcome(suite=group.suite, columns=group.cases[0].columns, measurement=measured, **changes)


def row_of(measured: Measurement, kernel: str = "triad", facts: RunFacts | None = None, **changes: Any) -> Row:
    """The row of one measured case."""
    (row,) = build_rows([outcome(kernel, measured, **changes)], facts or make_facts())
    return row


def empty(row: Row, names: tuple[str, ...]) -> bool:
    """Whether all of these columns are unknown."""
    return all(getattr(row, name) is None for name in names)


def test_a_plain_row() -> None:
    """A verified dram case without warnings is ok, without a reason, and has every figure."""
    row = row_of(measurement(copies=1, started_utc="2026-11-23T10:15:00Z"))
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
    assert (row.peak_gbs, row.peak_source) == (0.02, "user-supplied (--peak 0.02)")
    assert (row.llc_bytes, row.started_utc, row.copies) == (1000, "2026-11-23T10:15:00Z", 1)


def test_times_are_order_statistics_per_launch() -> None:
    """Median, extremes and quartiles in seconds per launch; best bandwidth from the shortest, headline from median."""
    row = row_of(measurement([4e-3, 2e-3, 8e-3], launches_per_sample=7))
    assert (row.samples, row.launches_per_sample, row.stop_reason) == (3, 7, "converged")
    times = (row.time_min_s, row.time_q1_s, row.time_median_s, row.time_q3_s, row.time_max_s)
    assert times == tuple(map(pytest.approx, (2e-3, 3e-3, 4e-3, 6e-3, 8e-3)))
    assert row.ci95_rel is None
    assert row.bandwidth_best_gbs == pytest.approx(2 * (row.bandwidth_gbs or 0))


def test_a_matrix_counts_its_weights() -> None:
    """A GEMV row has m and n, m x n elements, its vectors' bytes, and the weights used per second."""
    row = row_of(measurement([1e-3] * 20), "gemv", shape=Shape(60, m=50))
    assert (row.suite, row.m, row.n, row.n_elements) == ("gemv", 50, 60, 3000)
    assert (row.bytes_read, row.bytes_written) == ((3000 + 60) * 8, 50 * 8)
    assert row.weights_per_s == pytest.approx(3e6)
    assert row_of(measurement()).weights_per_s is None


@given(st.lists(st.floats(1e-6, 1e-2), min_size=1, max_size=30), st.floats(0, 5), st.sampled_from(["random", "zeros"]))
def test_a_reason_is_empty_only_if_the_row_is_ok(seconds: list[float], error: float, data: str) -> None:
    """Whatever was measured, a row that is not ok says why."""
    row = row_of(measurement(seconds, max_error=error), facts=make_facts(data=data))
    assert row.status == "ok" or row.reason
    assert (row.status == "failed_verification") == (error > 1)
    assert (row.bandwidth_gbs is None) == (error > 1)


@pytest.mark.parametrize("error", [1.0001, 7e9, float("inf"), float("nan")])
def test_a_failed_verification_keeps_times_and_no_figures(error: float) -> None:
    """A wrong output is no result: times and reason stay; bandwidths, percentages and sensors are empty."""
    row = row_of(measurement(max_error=error, temperature_c=60.0, power_w=100.0, clock_mhz=1000.0))
    assert (row.status, row.verified) == ("failed_verification", False)
    assert empty(row, FIGURES) and not any(empty(row, (name,)) for name in TIMES)
    assert empty(row, ("temperature_c", "power_w", "clock_mhz", "percent_of_ceiling"))
    assert "wrong by" in (row.reason or "") and "times the tolerance" in (row.reason or "")


def test_an_error_of_exactly_the_tolerance_is_allowed() -> None:
    """Errors are in units of the tolerance: 1 has not failed."""
    assert row_of(measurement(max_error=1.0)).verified is True


def test_a_case_that_was_wrong_before_timing_has_failed() -> None:
    """A backend that verifies first has no times for a wrong case, but its row says that verification failed."""
    wrong = outcome(status="failed_verification", max_error=3.0, reason="before timing, the output is wrong")
    (row,) = build_rows([wrong], make_facts())
    assert (row.status, row.verified, row.max_error) == ("failed_verification", False, 3.0)
    assert row.reason == "before timing, the output is wrong"
    assert empty(row, FIGURES) and empty(row, TIMES)


@pytest.mark.parametrize("status", ["error", "unsupported", "skipped"])
def test_a_row_without_a_measurement_says_why(status: str) -> None:
    """It has the identity, the size and the regime of its case, and nothing measured."""
    (row,) = build_rows([outcome(status=status, reason="RuntimeError: no")], make_facts())
    assert (row.status, row.reason, row.verified) == (status, "RuntimeError: no", None)
    assert (row.kernel, row.working_set_bytes, row.regime) == ("triad", 72000, "dram")
    assert empty(row, FIGURES) and empty(row, TIMES)


def test_an_unverified_figure_is_suspect_and_has_no_percentages() -> None:
    """Without verification there is a bandwidth, but it is compared with nothing."""
    row = row_of(measurement(max_error=None))
    assert (row.status, row.reason, row.verified) == ("suspect", "the output was not verified", None)
    assert row.bandwidth_gbs is not None and empty(row, PERCENTAGES)


@pytest.mark.parametrize(
    ("llc", "regime"),
    [(10**6, "cache"), (72001, "cache"), (72000, "mixed"), (18001, "mixed"), (18000, "dram"), (None, None)],
)
def test_percentages_are_for_the_dram_regime_alone(llc: int | None, regime: str | None) -> None:
    """Percentages compare memory with memory: rows in a cache, and rows of unknown regime, have none, but are ok."""
    device = Device(kind="gpu", name="G", llc_bytes=llc)
    row = row_of(measurement(), facts=make_facts(device=device))
    assert (row.regime, row.status) == (regime, "ok")
    assert row.bandwidth_gbs is not None
    assert empty(row, ("percent_of_peak", *(r.column for r in REFERENCES))) is (regime != "dram")


def test_without_a_peak_the_named_systems_remain() -> None:
    """A row without a peak of its own is still compared with the three named systems."""
    row = row_of(measurement(), facts=make_facts(make_peak(None)))
    assert row.percent_of_peak is None and row.peak_gbs is None and row.peak_source is None
    assert row.percent_of_dgx_spark is not None and row.percent_of_dgx_station is not None


def test_copies_count_for_the_regime() -> None:
    """Launches that rotate over several sets of small arrays come from memory, and the row says that they rotate."""
    device = Device(kind="gpu", name="G", llc_bytes=72000)
    row = row_of(measurement(copies=5), facts=make_facts(device=device))
    assert (row.regime, row.copies, row.status) == ("dram", 5, "ok")
    assert row.reason == "launches rotate over 5 sets of the arrays"


def test_a_note_is_no_warning() -> None:
    """What a row says although its figure is sound stands in the reason, after the warnings if there are any."""
    assert row_of(measurement(note="halved")).status == "ok"
    row = row_of(measurement(note="halved"), facts=make_facts(data="zeros"))
    assert row.status == "suspect"
    assert row.reason == "the inputs are zeros, which compressible memory moves faster; halved"


def test_an_implausible_figure_is_suspect_and_keeps_its_percentages() -> None:
    """Above 102 % of the peak a row is suspect; the percentage that makes it so is shown."""
    row = row_of(measurement(), facts=make_facts(make_peak(0.01)))
    assert row.status == "suspect" and "180 % of the peak of 0.01 GB/s" in (row.reason or "")
    assert row.percent_of_peak == pytest.approx(180.0)


def test_sensors_are_kept_and_their_warnings_told() -> None:
    """Temperature, power and clock stand in the row; what the sensors warned of makes it suspect."""
    row = row_of(
        measurement(temperature_c=71.0, power_w=300.5, clock_mhz=1900.0, max_clock_mhz=2000.0, warnings=["heat"])
    )
    assert (row.temperature_c, row.power_w, row.clock_mhz) == (71.0, 300.5, 1900.0)
    assert (row.status, row.reason) == ("suspect", "heat")


def test_clocks_of_the_windows_go_before_one_reading() -> None:
    """The median clock of the windows is the row's, and what throttling is judged by: counters go before sensors."""
    plain = measurement(clock_mhz=1990.0, max_clock_mhz=2000.0)
    row = row_of(replace(plain, clocks_mhz=[1000.0] * 9))
    assert row.clock_mhz == 1000.0 and row.status == "suspect" and "1000 MHz" in (row.reason or "")
    sensed = replace(plain, sensor_clocks_mhz=[800.0, 810.0, 805.0])
    row = row_of(sensed)
    assert row.clock_mhz == 805.0 and row.status == "suspect" and "805 MHz" in (row.reason or "")
    assert row_of(replace(sensed, clocks_mhz=[1990.0])).clock_mhz == 1990.0
    assert "900 MHz" in (row_of(measurement(clock_mhz=900.0, max_clock_mhz=2000.0)).reason or "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seconds": [4e-3] * 4}, "only 4 samples were taken before the time limit; --time-limit S gives more"),
        ({"warmed_up": False}, "the time limit cut the warm-up short; --time-limit S gives more"),
        ({"seconds": [4e-3] * 5}, None),
    ],
)
def test_few_or_cold_samples_are_suspect(changes: dict[str, Any], words: str | None) -> None:
    """Fewer than five samples, or samples of a device that had not warmed up, make a row suspect."""
    row = row_of(measurement(**changes))
    assert (row.status, row.reason) == ("suspect" if words else "ok", words)


def test_other_programs_make_a_row_suspect() -> None:
    """The share that others used while sampling reaches the judge."""
    assert "used 40 %" in (row_of(measurement(others_share=0.4)).reason or "")


def test_the_variant_is_the_one_that_ran() -> None:
    """The workload's own variant goes before the one asked for."""
    assert row_of(measurement(variant="wide")).variant == "wide"
    assert row_of(measurement()).variant is None


def test_a_verdict_stands_beside_a_published_percentage() -> None:
    """Where the memory's type is known the percentage is placed among published measurements."""
    row = row_of(measurement(), facts=make_facts(make_peak(0.02, memory_type="GDDR7 ECC")))
    assert row.verdict is not None and "GDDR7" in row.verdict


def gigabytes(kernel: str, gbs: float, backend: str = "fake", **changes: Any) -> Outcome:
    """The outcome of a kernel that moves so many GB/s."""
    plain = outcome(kernel, backend=backend, dtype=changes.pop("dtype", "float64"))
    moved = plain.columns["bytes_read"] + plain.columns["bytes_written"]
    return replace(plain, measurement=measurement([moved / gbs / 1e9] * 20, **changes))


def test_the_ceiling_is_the_best_verified_read() -> None:
    """Every measured dram row is a percentage of the best read of the run; unverified reads do not count."""
    rows = build_rows(
        [
            gigabytes("read", 50.0, "numpy"),
            gigabytes("read", 80.0, "torch"),
            gigabytes("read", 600.0, "other", max_error=None),
            gigabytes("triad", 60.0),
            gigabytes("copy", 40.0, warmed_up=False),
            gigabytes("dot", 60.0, max_error=7.0),
            outcome("scale", status="error", reason="no"),
        ],
        make_facts(make_peak(None)),
    )
    assert {f"{row.kernel} {row.backend}": row.percent_of_ceiling for row in rows} == {
        "copy fake": pytest.approx(50.0),
        "scale fake": None,
        "triad fake": pytest.approx(75.0),
        "dot fake": None,
        "read numpy": pytest.approx(62.5),
        "read other": pytest.approx(750.0),
        "read torch": pytest.approx(100.0),
    }


def test_the_ceiling_is_of_memory() -> None:
    """Rows that a cache may have served have no percentage of the ceiling, and are none."""
    device = Device(kind="gpu", name="G", llc_bytes=30_000)
    rows = build_rows([gigabytes("read", 50.0), gigabytes("triad", 40.0)], make_facts(device=device))
    assert [(row.regime, row.percent_of_ceiling) for row in rows] == [("mixed", None), ("cache", None)]


def test_no_ceiling_without_a_read() -> None:
    """Where no read was verified no row has a percentage of the ceiling."""
    rows = build_rows([gigabytes("triad", 50.0), outcome("read", status="error", reason="x")], make_facts())
    assert [row.percent_of_ceiling for row in rows] == [None, None]


@pytest.mark.parametrize("device", ["NVIDIA GB10", "NVIDIA H100"])
def test_reads_far_below_copies_are_a_slow_state(device: str) -> None:
    """On a GB10 a CUDA kernel that reads at a third of its copy's speed is suspect, beside its other reasons."""
    outcomes = [
        gigabytes("copy", 225.0, "cupy"),
        gigabytes("gemv", 71.0, "cupy"),
        gigabytes("read", 71.0, "cupy", note="halved"),
        gigabytes("dot", 160.0, "cupy"),
        gigabytes("triad", 71.0, "cupy"),
        gigabytes("read", 71.0, "cupy", dtype="float32"),
        gigabytes("gemv", 71.0, "torch"),
    ]
    facts = make_facts(make_peak(273.0), device=Device(kind="gpu", name=device, llc_bytes=1000))
    rows = {f"{r.backend} {r.kernel} {r.dtype}": r for r in build_rows(outcomes, facts)}
    clause = "71 GB/s is 32 % of what copy moves: a DGX Spark's known slow state that spares copies"
    slow = [name for name, row in rows.items() if row.status != "ok"]
    assert slow == (["cupy read float64", "cupy gemv float64"] if device == "NVIDIA GB10" else [])
    for name in slow:
        assert (rows[name].reason or "").startswith(clause)
    assert (rows["cupy read float64"].reason or "").endswith("halved")


def test_no_slow_state_outside_memory() -> None:
    """A matrix that a cache may have served is not judged by copies."""
    outcomes = [gigabytes("copy", 225.0, "cupy"), gigabytes("gemv", 71.0, "cupy")]
    device = Device(kind="gpu", name="NVIDIA GB10", llc_bytes=10_000)
    assert {row.status for row in build_rows(outcomes, make_facts(make_peak(273.0), device=device))} == {"ok"}


def test_other_rows_name_no_weight_format() -> None:
    """A case without packed weights leaves the column empty."""
    row = row_of(measurement())
    assert row.weight_format is None and {f.name for f in fields(row)} >= {"weight_format"}


REPLAYED = st.fixed_dictionaries(
    {
        "seconds_per_launch": st.lists(st.floats(1e-6, 1e-2).map(lambda s: float(f"{s:.9g}")), min_size=1, max_size=40),
        "launches_per_sample": st.integers(1, 1024),
        "stop_reason": st.sampled_from(["converged", "noise_settled", "time_limit"]),
        "warmed_up": st.booleans(),
        "max_error": st.sampled_from([None, float("inf")]) | st.floats(0, 3).map(lambda e: float(f"{e:.9g}")),
        "variant": st.none() | st.sampled_from(["v32", "wide"]),
        "copies": st.none() | st.integers(1, 64),
        "started_utc": st.none() | st.just("2026-11-23T10:15:00Z"),
        "clocks_mhz": st.lists(st.floats(100, 3000), max_size=5),
        "sensor_clocks_mhz": st.lists(st.floats(100, 3000), max_size=5),
        "braked_samples": st.lists(st.integers(0, 39), max_size=3),
        "clock_mhz": st.none() | st.floats(100, 3000),
        "max_clock_mhz": st.none() | st.floats(100, 3000),
        "memory_clock_mhz": st.none() | st.floats(100, 30000),
        "temperature_c": st.none() | st.floats(0, 100),
        "power_w": st.none() | st.floats(0, 1000),
        "others_share": st.none() | st.floats(0, 1),
        "preempted_s": st.none() | st.lists(st.floats(0, 1), max_size=3),
        "load_gbs": st.lists(st.floats(0, 100), max_size=3),
        "energy_j": st.lists(st.floats(1e-6, 1e3), max_size=3),
        "idle_power_w": st.none() | st.floats(1e-3, 1e3),
        "pages": st.sampled_from([None, "4k"]),
        "warnings": st.lists(st.sampled_from(["heat", "another program"]), max_size=2),
        "note": st.none() | st.just("the size was halved once for want of device memory"),
    }
)
"""Any measurement that a run can store; every field is drawn but the noise, which ends with the sampling."""


@given(st.lists(REPLAYED, min_size=1, max_size=4))
def test_stored_samples_give_the_same_rows(drawn: list[dict[str, Any]]) -> None:
    """Rows are a function of what the run record stores: entries read back from JSON give the rows of the run."""
    assert all(set(values) == {f.name for f in fields(Measurement)} - {"noise"} for values in drawn)
    kernels = ("read", "copy", "triad", "gemv")[: len(drawn)]
    outcomes = [outcome(k, Measurement(**values), backend="cupy") for k, values in zip(kernels, drawn, strict=True)]
    facts = make_facts(make_peak(0.05, memory_type="GDDR7"))
    replayed = []
    for one in outcomes:
        assert one.measurement is not None
        entry = json.loads(json.dumps(one.measurement.to_entry(one.columns), allow_nan=False))
        replayed.append(replace(one, measurement=Measurement.from_entry(entry)))
        assert all(
            entry[name] == one.columns[name] for name in identity_columns() if name in entry.keys() - {"variant"}
        )
    assert build_rows(replayed, facts) == build_rows(outcomes, facts)


def test_a_run_is_replayed_from_its_files() -> None:
    """The columns of a case follow from its row's identity, for kernels and for a model's matrix."""
    groups = [
        make_group("copy", [FakeBackend()]),
        make_group("gemv", [FakeBackend()]),
        make_matrix_group([FakeBackend()]),
    ]
    for group in groups:
        one = Outcome(suite=group.suite, columns=group.cases[0].columns, measurement=measurement())
        (row,) = build_rows([one], make_facts())
        assert group.suite.owns(row)
        assert group.suite.case_columns(row) == one.columns


def test_samples_of_a_file_give_its_figures_exactly() -> None:
    """Samples are rounded when they are taken, so that what the JSON holds gives what the CSV holds, digit by digit."""
    text, record = good_run()
    header, *lines = (line.split(",") for line in text.replace('"Fake CPU, 1 kB"', "x").splitlines())
    timed = [dict(zip(header, line, strict=True)) for line in lines if line[header.index("samples")]]
    for entry in record["samples"]:
        summary = Measurement.from_entry(entry).summary
        (cells,) = [c for c in timed if (c["backend"], c["kernel"]) == (entry["backend"], entry["kernel"])]
        assert cells["time_median_s"] == f"{summary.median_s:.9g}" and cells["time_max_s"] == f"{summary.max_s:.9g}"
        assert cells["ci95_rel"] == f"{summary.ci95_rel:.9g}"
