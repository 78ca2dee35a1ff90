"""Whole comparisons of sides: ratios, settings, doubts, clocks, peaks between devices, history, other tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.comparison import Figure, Run, Side
from bandmark.comparison.compare import compare_sides
from bandmark.comparison.sides import runs_of
from bandmark.comparison.table import CaseComparison, Comparison, show_comparison
from bandmark.errors import UsageError
from bandmark.results.row import Column
from bandmark.suites import Metric, Suite, registered
from fakes import make_result

SPREAD = (0.999, 1.0, 1.001)
"""Factors of three runs that agree well."""


def make_side(label: str, gbs: float, factors: tuple[float, ...] = SPREAD, **changes: Any) -> Side:
    """Return runs of one case with these bandwidths."""
    runs = [
        run
        for i, factor in enumerate(factors)
        for run in runs_of(
            [
                make_result(
                    run_id=f"{label}-{i}",
                    **{"bandwidth_gbs": gbs * factor, "bandwidth_best_gbs": 1.1 * gbs * factor, **changes},
                )
            ]
        )
    ]
    return Side(label=label, runs=tuple(runs))


def compare(baseline: Side, candidate: Side, **options: Any) -> Comparison:
    """Return the comparison of two sides."""
    return compare_sides(baseline, [candidate], **options)[0]


def only(comparison: Comparison) -> CaseComparison:
    """Return the only case of a comparison."""
    (case,) = comparison.cases
    return case


def test_intervals_beyond_all_numbers_are_unknown() -> None:
    """Runs that differ by hundreds of orders of magnitude leave an interval without an end, which JSON can write."""
    case = only(compare(make_side("a", 1.0, (1e-300, 1.0, 1e300)), make_side("b", 1.0, (1e-300, 1.0, 1e300))))
    assert case.verdict == "UNCLEAR" and case.ratio_high is None and case.ratio_low == pytest.approx(0.0)


@pytest.mark.parametrize(("gbs", "verdict"), [(110.0, "FASTER"), (90.0, "SLOWER"), (100.2, "SAME")])
def test_ratio_and_interval(gbs: float, verdict: str) -> None:
    """The ratio is candidate over baseline, its interval holds it, and the verdict goes with it."""
    case = only(compare(make_side("a", 100.0), make_side("b", gbs)))
    assert case.verdict == verdict
    assert case.ratio == pytest.approx(gbs / 100, rel=1e-9)
    assert case.baseline_gbs == pytest.approx(100.0, rel=1e-5) and case.candidate_gbs == pytest.approx(gbs, rel=1e-5)
    assert case.ratio_low is not None and case.ratio_high is not None
    assert case.ratio_low < case.ratio < case.ratio_high
    assert (case.ratio_low > 1) >= (verdict == "FASTER") and (case.ratio_high < 1) >= (verdict == "SLOWER")
    assert verdict != "SAME" or 1 / 1.02 <= case.ratio_low <= case.ratio_high <= 1.02
    assert (case.baseline_runs, case.candidate_runs) == (3, 3)


def test_swapping_the_sides() -> None:
    """With the sides swapped, the ratio is the inverse and FASTER becomes SLOWER."""
    one, two = make_side("a", 100.0), make_side("b", 110.0)
    there, back = only(compare(one, two)), only(compare(two, one))
    assert there.ratio is not None and back.ratio == pytest.approx(1 / there.ratio)
    assert (there.verdict, back.verdict) == ("FASTER", "SLOWER")


def test_unlike_settings_are_refused() -> None:
    """Unlike settings are refused with the difference and the way out; with anyway they become notes."""
    one, two = make_side("a", 100.0), make_side("b", 110.0, n=2000)
    with pytest.raises(UsageError, match=r"unlike settings: size: 1000 .* 2000 .*--anyway"):
        compare(one, two)
    found = compare(one, two, anyway=True)
    assert only(found).verdict == "FASTER" and found.notes[0].startswith("unlike settings: size")


def test_other_dtypes_are_refused() -> None:
    """A side with other dtypes is refused, although the common cases could be compared; anyway compares those."""
    more = Side(
        label="b",
        runs=tuple(runs_of([make_result(run_id="b"), make_result(run_id="b", dtype="float32")])),
    )
    with pytest.raises(UsageError, match="dtype: float64 against float32, float64"):
        compare(make_side("a", 0.024), more)
    assert len(compare(make_side("a", 0.024), more, anyway=True).cases) == 1


def test_doubtful_runs_make_a_case_unclear() -> None:
    """A suspect run makes its case UNCLEAR; the reason names the side, how many runs, and why."""
    two = make_side("b", 200.0)
    bad = make_side("c", 200.0, (1.0,), status="suspect", reason="other programs used 40 % of the processors")
    case = only(compare(make_side("a", 100.0), Side(label="b", runs=(*two.runs, *bad.runs))))
    assert case.verdict == "UNCLEAR"
    assert case.reason == "candidate, 1 of 4 runs: suspect: other programs used 40 % of the processors"


def test_doubts_are_said_once_a_side() -> None:
    """Three runs that other programs disturbed by different shares make one sentence, with the first as an example."""
    runs = [
        make_side(f"b{share}", 200.0, (1.0,), status="suspect", reason=f"others used {share}.5 %").runs[0]
        for share in (10, 20, 30)
    ]
    case = only(compare(make_side("a", 100.0), Side(label="b", runs=tuple(runs))))
    assert case.reason == "candidate, 3 of 3 runs: suspect: others used 10.5 %"


def test_a_side_without_a_figure() -> None:
    """A case that failed on one side is UNCLEAR with its reason, and has no ratio."""
    failed = make_side(
        "b", 100.0, status="failed_verification", reason="wrong", bandwidth_gbs=None, bandwidth_best_gbs=None
    )
    case = only(compare(make_side("a", 100.0), failed))
    assert (case.verdict, case.ratio, case.candidate_gbs) == ("UNCLEAR", None, None)
    assert "3 of 3 runs: failed_verification: wrong" in case.reason and case.next_step


def test_a_clock_that_differs() -> None:
    """Faster at a higher clock of the same device is UNCLEAR; between devices clocks are not compared."""
    slow, fast = make_side("a", 100.0, clock_mhz=1000.0), make_side("b", 120.0, clock_mhz=1200.0)
    assert "clock was 20.0 % faster" in only(compare(slow, fast)).reason
    other = make_side("b", 120.0, clock_mhz=1200.0, device="Other GPU")
    assert only(compare(slow, other)).verdict == "FASTER"
    partly = make_side("b", 120.0, clock_mhz=None)
    assert only(compare(slow, partly)).verdict == "FASTER"


def test_between_devices_the_peaks_count_too() -> None:
    """A device with twice the bandwidth and four times the peak is FASTER, and SLOWER for its peak."""
    one = make_side("a", 100.0, peak_gbs=125.0, percent_of_peak=80.0)
    two = make_side("b", 200.0, peak_gbs=500.0, percent_of_peak=40.0, device="Other GPU", n=4000, threads=8)
    found = compare(one, two)
    case = only(found)
    assert found.across_devices and (case.verdict, case.peak_verdict) == ("FASTER", "SLOWER")
    assert case.peak_ratio == pytest.approx(0.5)
    assert case.baseline_percent_of_peak == pytest.approx(80.0, rel=1e-5)
    assert case.candidate_percent_of_peak == pytest.approx(40.0, rel=1e-5)
    assert any(note.startswith("size:") for note in found.notes)


def test_peaks_need_verified_dram_rows() -> None:
    """Without a percentage of the peak in every row, or on one device, peaks are not compared."""
    one = make_side("a", 100.0, peak_gbs=125.0, percent_of_peak=80.0)
    for two in (make_side("b", 200.0, device="Other GPU"), make_side("b", 100.0, peak_gbs=125.0, percent_of_peak=80.0)):
        assert only(compare(one, two)).peak_verdict is None


def test_a_side_is_one_device() -> None:
    """Runs of two devices are no replicates."""
    mixed = Side(label="m", runs=(*make_side("a", 1.0).runs, *make_side("b", 1.0, device="Other GPU").runs))
    with pytest.raises(UsageError, match="mixes devices"):
        compare(mixed, make_side("c", 1.0))


def test_single_runs() -> None:
    """One run a side gives a verdict on a change that no runs of such devices differ by, and is marked."""
    one = make_side("a", 100.0, (1.0,))
    for gbs, verdict in ((150.0, "FASTER"), (80.0, "SLOWER"), (105.0, "UNCLEAR"), (100.1, "UNCLEAR")):
        found = compare(one, make_side("b", gbs, (1.0,)))
        case = only(found)
        assert case.verdict == verdict and case.spread_source == "devices of this kind"
        assert found.notes[0].startswith("1 run a side: the spread between runs is taken to be 2.5 %, that of CPUs in")
        assert ("1 run a side" in case.reason) == (verdict in ("FASTER", "SLOWER"))


def test_single_runs_on_a_gpu_are_compared_more_closely() -> None:
    """GPUs differ less between runs than CPUs in virtual machines: a smaller change is one."""
    for driver, verdict in (("580.65", "FASTER"), (None, "UNCLEAR")):
        sides = [make_side(label, gbs, (1.0,), driver=driver) for label, gbs in (("a", 100.0), ("b", 110.0))]
        assert only(compare(*sides)).verdict == verdict


def test_the_kind_of_a_single_run() -> None:
    """On one device the side that tells its kind tells the other's; between devices the wider spread counts."""
    gpu = make_side("a", 100.0, (1.0,), driver="580.65")
    for device, source in (("Fake GPU", "GPUs"), ("Other CPU", "CPUs in virtual machines")):
        found = compare(gpu, make_side("b", 150.0, (1.0,), device=device), anyway=True)
        assert any(f"that of {source};" in note for note in found.notes)


ANY_FLOAT = st.floats() | st.sampled_from([5e-324, 1e-300, 1e300, -0.0])


@settings(deadline=None, max_examples=60)
@given(st.lists(ANY_FLOAT, min_size=4, max_size=4), ANY_FLOAT, ANY_FLOAT)
def test_any_number_in_a_row_ends_in_json(values: list[float], error: float, sway: float) -> None:
    """Infinite, negative, tiny and huge figures and errors raise nothing, and the JSON is strict."""
    sides = []
    for label, numbers in (("a", values[:2]), ("b", values[2:])):
        side = make_side(label, 1.0, (1.0, 1.0), ci95_rel=error)
        figures = [replace(run.figures[0], value=x, sway=abs(sway)) for run, x in zip(side.runs, numbers, strict=True)]
        runs = [replace(run, figures=(figure,)) for run, figure in zip(side.runs, figures, strict=True)]
        sides.append(replace(side, runs=tuple(runs)))
    json.dumps(compare(*sides).as_json(), allow_nan=False)


def many_single(label: str, factors: tuple[float, ...], **changes: Any) -> Side:
    """Return one run with a case for each factor."""
    rows = [
        make_result(run_id=label, kernel=f"case-{i}", bandwidth_gbs=100 * factor, **changes)
        for i, factor in enumerate(factors)
    ]
    return Side(label=label, runs=tuple(runs_of(rows)))


def test_single_runs_whose_cases_change_in_both_directions() -> None:
    """Changes of one size in both directions are what two clock states do: single runs leave them UNCLEAR."""
    equal = many_single("a", (1.0,) * 8)
    both = compare(equal, many_single("b", (1.3, 1.31, 1.0, 0.77, 0.76, 1.0, 1.3, 1.3)))
    assert both.count()["UNCLEAR"] == 8 and "in the other direction" in both.cases[0].reason
    alike = compare(equal, many_single("b", (1.3, 1.31, 1.0, 1.3, 1.29, 1.0, 1.3, 0.5)))
    assert [alike.count()[v] for v in ("FASTER", "SLOWER")] == [5, 1]


def test_history_of_single_runs() -> None:
    """Stored runs of the system replace the spread of other devices, and are named; others are left out."""
    one, two = make_side("a", 100.0, (1.0,)), make_side("b", 110.0, (1.0,))
    history = make_side("h", 50.0, (0.999, 1.0, 1.001, 1.002, 0.998)).runs
    known = compare(one, two, history=history)
    assert (only(known).verdict, only(known).spread_source) == ("FASTER", "replicates")
    assert known.history == tuple(f"h-{i}" for i in range(5)) and not known.notes
    for changes in ({"system": "other"}, {"n": 5000}):
        case = only(compare(one, two, history=make_side("h", 100.0, **changes).runs))
        assert case.verdict == "UNCLEAR" and case.spread_source == "devices of this kind"


def test_unsteady_samples_widen_the_interval() -> None:
    """Samples that drift by 10 % leave a change of 50 % FASTER, within a wider interval, and one of 8 % UNCLEAR."""
    runs = make_side("a", 100.0).runs
    figure = replace(runs[0].figures[0], unsteady=("drift",), sway=0.1)
    drifting = Side(label="d", runs=(replace(runs[0], figures=(figure,)), *runs[1:]))
    for gbs, verdict in ((150.0, "FASTER"), (108.0, "UNCLEAR")):
        plain, wide = (only(compare(side, make_side("b", gbs))) for side in (make_side("a", 100.0), drifting))
        assert (plain.verdict, wide.verdict) == ("FASTER", verdict)
        assert plain.ratio_low is not None and wide.ratio_low == pytest.approx(plain.ratio_low / 1.1)
    assert wide.reason == "baseline, 1 of 3 runs: drift"


def test_several_candidates_share_the_error_rate() -> None:
    """Each candidate is compared with the baseline; many of them need larger differences than one alone."""

    def many(label: str) -> Side:
        rows = [
            make_result(run_id=f"{label}-{i}", kernel=f"case-{k}", bandwidth_gbs=100 * factor)
            for i, factor in enumerate(SPREAD)
            for k in range(20)
        ]
        return Side(label=label, runs=tuple(runs_of(rows)))

    found = compare_sides(many("a"), [many(f"b{i}") for i in range(30)])
    assert [one.candidate.label for one in found] == [f"b{i}" for i in range(30)]
    alone = compare(many("a"), many("b"), margin=1e-4).cases[0].ratio_high
    among = compare_sides(many("a"), [many(f"b{i}") for i in range(30)], margin=1e-4)[0].cases[0].ratio_high
    assert alone is not None and among is not None and among > alone


def test_another_tool_is_compared_by_its_statistic() -> None:
    """A tool that tells the best alone is held against our best, and the conversion is said."""
    foreign = [
        Run(
            name=f"s{i}",
            figures=(Figure(case={"kernel": "triad", "dtype": "float64", "n": 1000}, best=110.0 * f),),
            tool="STREAM",
            notes=("STREAM's best rate is compared with our best",),
        )
        for i, f in enumerate(SPREAD)
    ]
    found = compare(make_side("a", 100.0), Side(label="s", runs=tuple(foreign)))
    case = only(found)
    assert found.statistic == "best" and case.verdict == "SAME"
    assert case.baseline_gbs == pytest.approx(110.0, rel=1e-5)
    assert found.notes[0] == "STREAM's best rate is compared with our best"
    assert not found.across_devices


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_margins_that_make_no_sense(margin: float) -> None:
    """A margin is a positive fraction."""
    with pytest.raises(UsageError, match="is not a margin"):
        compare(make_side("a", 1.0), make_side("b", 1.0), margin=margin)


@pytest.mark.parametrize("gbs", [0.0, float("inf"), float("nan")])
def test_bandwidths_without_a_logarithm(gbs: float) -> None:
    """A bandwidth of zero or without bound is no figure."""
    assert only(compare(make_side("a", 100.0), make_side("b", 1.0, bandwidth_gbs=gbs))).verdict == "UNCLEAR"


@contextmanager
def latency_suite() -> Iterator[Suite]:
    """Register a suite whose metric is a latency in ns, with a column of its own that identifies its cases."""
    suite = Suite()
    suite.name = "toy-latency"
    suite.metric = Metric(name="latency", column="hop_ns", unit="ns", higher_is_better=False)
    suite.columns = (
        Column(name="hop_ns", type="float", doc="latency", unit="ns"),
        Column(name="stride", type="int", doc="stride", unit="bytes", identity=True),
    )
    with registered(suite):
        yield suite


def test_a_metric_of_which_less_is_better(capsys: pytest.CaptureFixture[str]) -> None:
    """Less is FASTER where lower is better; a column that identifies cases tells them apart and is shown."""
    with latency_suite() as suite:

        def measured(label: str, latency: dict[int, float]) -> Side:
            rows = [
                make_result(run_id=f"{label}-{i}", suite=suite.name, extra={"hop_ns": ns * factor, "stride": stride})
                for i, factor in enumerate(SPREAD)
                for stride, ns in latency.items()
            ]
            return Side(label=label, runs=tuple(runs_of(rows)))

        found = compare(measured("a", {64: 100.0, 4096: 200.0}), measured("b", {64: 80.0, 4096: 240.0}))
        assert [(c.other_columns, c.verdict) for c in found.cases] == [
            ({"stride": 64}, "FASTER"),
            ({"stride": 4096}, "SLOWER"),
        ]
        faster, slower = found.cases
        assert faster.ratio == pytest.approx(0.8) and faster.reason.startswith("20.0 % faster")
        assert faster.ratio_low is not None and faster.ratio_high is not None
        assert faster.ratio_low < 0.8 < faster.ratio_high < 1
        assert (faster.unit, faster.metric, faster.baseline_gbs) == ("ns", "hop_ns", pytest.approx(100.0, rel=1e-5))
        assert found.regressions(0.19) == [slower] and found.regressions(0.21) == []
        show_comparison(found)
        assert "ns by the median time" in capsys.readouterr().out
