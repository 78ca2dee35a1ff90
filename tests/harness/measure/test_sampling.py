"""The sampling loop, on a pretend device where every true time is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandmark.judge.warnings import NOISY_FROM, sample_warnings
from bandmark.measure.measurement import Measurement, Reading
from bandmark.measure.sampling import (
    CaseFailedError,
    Schedule,
    StopRule,
    _agree,
    _noise_has_settled,
    launches_for,
    measure_group,
    stop_reason,
    take,
    warm_up,
)
from bandmark.measure.stats import summarize
from fakes import (
    FakeDevice,
    Law,
    alternating,
    drifting,
    noisy,
    slow_first,
    steady,
    throttled,
    with_outliers,
)

RULE = StopRule()
FOREVER = 1e9
BYTES = 3_000_000
QUANTA = (0.0, 1.024e-6, 2.048e-6)


def measure(law: Law, *, rule: StopRule = RULE, deadline: float = FOREVER, quantum: float = 0.0) -> Measurement:
    """Measure one case on a device of its own."""
    device = FakeDevice(quantum_s=quantum, host_launch_s=5e-6)
    return measure_group([device.launcher(law)], device.clock, rule, deadline)[0]


def warnings_of(samples: Measurement, max_clock_mhz: float | None = None) -> list[str]:
    """What the judge says of verified samples."""
    return sample_warnings(replace(samples, max_clock_mhz=max_clock_mhz, max_error=0.0))


def test_a_window_holds_nothing_but_the_launches_it_announced() -> None:
    """Between start and stop there are as many launches as start was told of, and nothing else."""
    device = FakeDevice(host_launch_s=5e-6)
    launchers = [device.launcher(steady(t)) for t in (1e-5, 3e-4, 2e-2)]
    measure_group(launchers, device.clock, RULE, FOREVER)
    for number in range(len(launchers)):
        assert launchers[number].windows == launchers[number].announced
    open_window: int | None = None
    for event, number in device.log:
        if event == "start":
            assert open_window is None
            open_window = number
        else:
            assert open_window == number
            open_window = None if event == "stop" else number


def test_launch_cost_on_the_host_is_hidden() -> None:
    """A launch shorter than its cost on the host is timed as the device sees it."""
    samples = measure(steady(2e-6))
    assert median(samples.seconds_per_launch) == pytest.approx(2e-6, rel=1e-9)


def test_take_divides_nothing() -> None:
    """One window's reading is the time of all its launches."""
    device = FakeDevice()
    assert take(device.launcher(steady(0.25)), 4) == Reading(pytest.approx(1.0))


@pytest.mark.parametrize("deadline", [0.0, FOREVER])
def test_warm_up_is_untimed_and_has_at_least_one_launch(deadline: float) -> None:
    """The first launch of each case is in no sample, even when there is no time for more warm-up."""
    device = FakeDevice()
    launchers = [device.launcher(slow_first(steady(1e-3), 1, 500)) for _ in range(2)]
    measured = measure_group(launchers, device.clock, RULE, deadline)
    for launcher, samples in zip(launchers, measured, strict=True):
        assert launcher.launched > len(samples.seconds_per_launch) * samples.launches_per_sample
        assert max(samples.seconds_per_launch) == pytest.approx(1e-3, rel=1e-6)


def test_warm_up_waits_for_a_device_that_leaves_idle_late() -> None:
    """Samples begin when the last five windows agree, not when the least warm-up time is over."""
    samples = measure(lambda now, launch: 1e-3 * (1 + max(0.0, 1 - now)))
    assert max(samples.seconds_per_launch) <= 1.02e-3


def test_warm_up_takes_a_quarter_of_the_time_at_most() -> None:
    """On a device that never settles, warm-up ends at a quarter of the time that is left (and one round more)."""
    device = FakeDevice()
    launchers = [device.launcher(drifting(1e-3, 5.0)) for _ in range(2)]
    warm_up(launchers, device.clock, RULE, 4.0)
    assert 1.0 <= device.clock.now <= 1.1


def test_warm_up_ends_after_its_longest_time() -> None:
    """With all the time in the world, warm-up of a device that never settles takes max_warmup_s and no more."""
    device = FakeDevice()
    warm_up([device.launcher(noisy(1e-2, 0.5))], device.clock, RULE, FOREVER)
    assert RULE.max_warmup_s <= device.clock.now <= RULE.max_warmup_s + 0.1


def test_a_steady_device_is_warm_after_the_least_time() -> None:
    """Warm-up lasts warmup_s where windows agree from the start."""
    device = FakeDevice()
    estimates = warm_up([device.launcher(steady(1e-3))], device.clock, RULE, FOREVER)
    assert RULE.warmup_s <= device.clock.now <= RULE.warmup_s + 0.02
    assert estimates == [pytest.approx(1e-3)]


@given(seconds=st.floats(6e-6, 2.0))
def test_launches_fill_a_window(seconds: float) -> None:
    """K launches last at least window_s, and one fewer would not."""
    k = launches_for(seconds, RULE)
    assert k * seconds >= RULE.window_s * (1 - 1e-12)
    assert k == 1 or (k - 1) * seconds < RULE.window_s


@pytest.mark.parametrize("seconds", [0.0, -1e-9, 1e-9])
def test_launches_are_bounded(seconds: float) -> None:
    """A launch too short to see gets the most launches, not an endless window or a division by zero."""
    assert launches_for(seconds, RULE) == RULE.max_launches


def test_every_sample_of_a_case_has_the_same_launches() -> None:
    """K stays as warm-up found it, even if the device then changes speed."""
    device = FakeDevice()
    launcher = device.launcher(throttled(1e-4, 4e-4, after_s=0.6))
    (samples,) = measure_group([launcher], device.clock, RULE, FOREVER)
    assert set(launcher.windows[-len(samples.seconds_per_launch) :]) == {samples.launches_per_sample}
    assert samples.launches_per_sample in (50, 51)


def test_cases_take_turns() -> None:
    """Each round samples every case that is left once, and begins with another one, so that each follows each."""
    device = FakeDevice()
    launchers = [device.launcher(steady(1e-3)) for _ in range(3)]
    measured = measure_group(launchers, device.clock, RULE, FOREVER)
    taken = len(measured[0].seconds_per_launch)
    assert device.order()[-3 * taken :] == ([0, 1, 2, 1, 2, 0, 2, 0, 1] * taken)[: 3 * taken]


def test_drift_hits_all_cases_of_a_group_alike() -> None:
    """Two equal cases on a drifting device get the same median, because they take turns."""
    device = FakeDevice()
    rule = StopRule(min_samples=100, precision=0.0)
    launchers = [device.launcher(drifting(1e-3, 0.2)) for _ in range(2)]
    one, two = measure_group(launchers, device.clock, rule, 4.0)
    assert median(one.seconds_per_launch) == pytest.approx(median(two.seconds_per_launch), rel=0.003)
    assert max(one.seconds_per_launch) > 1.3 * min(one.seconds_per_launch)


def test_a_case_that_is_done_leaves_the_rounds() -> None:
    """A case that has converged is not sampled again while a noisy one goes on."""
    device = FakeDevice()
    launchers = [device.launcher(steady(1e-3)), device.launcher(noisy(1e-3, 0.5))]
    quick, slow = measure_group(launchers, device.clock, RULE, FOREVER)
    assert quick.stop_reason == "converged"
    assert len(slow.seconds_per_launch) > len(quick.seconds_per_launch)
    extra = len(slow.seconds_per_launch) - len(quick.seconds_per_launch)
    assert device.order()[-extra:] == [1] * extra


def test_converged_needs_samples_time_and_a_narrow_interval() -> None:
    """On a steady device sampling ends at once when there are both enough samples and enough time."""
    short = measure(steady(1e-3))
    assert short.stop_reason == "converged"
    assert sum(short.seconds_per_launch) * short.launches_per_sample == pytest.approx(RULE.min_time_s, rel=0.02)
    long = measure(steady(0.2))
    assert long.stop_reason == "converged"
    assert len(long.seconds_per_launch) == RULE.min_samples


@pytest.mark.parametrize(("samples", "seconds"), [(19, 1.0), (40, 0.0124)])
def test_converged_is_not_said_early(samples: int, seconds: float) -> None:
    """Below the least number of samples, or the least time, agreement of the samples ends nothing."""
    seen = Measurement(launches_per_sample=1)
    for _ in range(samples):
        seen.add(Reading(seconds))
    assert stop_reason(seen, RULE, out_of_time=False) is None
    for _ in range(RULE.min_samples):
        seen.add(Reading(seconds))
    assert stop_reason(seen, RULE, out_of_time=False) == "converged"


@pytest.mark.parametrize(("half_width", "converged"), [(0.0049, True), (0.0051, False)])
def test_converged_is_an_interval_within_the_precision(half_width: float, converged: bool) -> None:
    """Sampling ends at a half-width of 0.5 % of the median, and goes on above it."""
    seen = Measurement(launches_per_sample=1)
    for number in range(40):
        seen.add(Reading(1 + half_width * (1 if number % 2 else -1)))
    assert (stop_reason(seen, RULE, out_of_time=False) == "converged") is converged


def test_noise_settled_ends_what_cannot_converge() -> None:
    """Strong steady noise ends sampling when more samples no longer change it, and the interval stays wide."""
    samples = measure(noisy(1e-2, 0.3))
    assert samples.stop_reason == "noise_settled"
    assert len(samples.seconds_per_launch) >= 128


@pytest.mark.parametrize(
    ("noise", "settled"),
    [
        ([0.1] * 127, False),
        ([0.1] * 128, True),
        ([0.5] * 64 + [0.1 + 0.0002 * i for i in range(64)], True),
        ([0.5] * 64 + [0.1 + 0.005 * i for i in range(64)], False),
    ],
)
def test_noise_has_settled(noise: list[float], settled: bool) -> None:
    """The last 64 noise values must scatter by less than 5 % of their mean, and there must be 128 of them."""
    assert _noise_has_settled(noise) is settled


def test_time_limit_is_named() -> None:
    """A noisy case that runs out of time says so, and ends within a round of the deadline."""
    device = FakeDevice()
    (samples,) = measure_group([device.launcher(noisy(1e-2, 0.5))], device.clock, RULE, 1.0)
    assert samples.stop_reason == "time_limit"
    assert 1.0 <= device.clock.now <= 1.05


@pytest.mark.parametrize("deadline", [-5.0, 0.0])
def test_a_few_samples_are_taken_even_out_of_time(deadline: float) -> None:
    """A case that gets its turn too late still has few_samples samples."""
    device = FakeDevice()
    measured = measure_group([device.launcher(steady(0.5)) for _ in range(2)], device.clock, RULE, deadline)
    assert [len(s.seconds_per_launch) for s in measured] == [RULE.few_samples] * 2
    assert [s.stop_reason for s in measured] == ["time_limit"] * 2


def test_nothing_is_deleted() -> None:
    """Every window after warm-up is a sample: outliers, the drift and the slow start of a throttle among them."""
    for law in (with_outliers(steady(6e-3), 10, 20.0), drifting(6e-3, 0.1), throttled(6e-3, 9e-3, after_s=0.6)):
        device = FakeDevice()
        launcher = device.launcher(law)
        taken: list[float] = []
        stop = launcher.stop

        def spy(stop=stop, taken=taken) -> Reading:
            reading = stop()
            taken.append(reading.seconds)
            return reading

        launcher.stop = spy  # type: ignore[method-assign]
        (samples,) = measure_group([launcher], device.clock, RULE, FOREVER)
        assert samples.launches_per_sample == 1
        assert samples.seconds_per_launch == [float(f"{t:.9g}") for t in taken[-len(samples.seconds_per_launch) :]]
        warm = len(taken) - len(samples.seconds_per_launch)
        assert sum(taken[:warm]) <= RULE.max_warmup_s + max(taken)


def test_outliers_move_the_mean_and_not_the_estimate() -> None:
    """The median of samples with rare outliers is the true time, and the outliers are there to see."""
    samples = measure(with_outliers(steady(6e-3), 10, 20.0))
    assert median(samples.seconds_per_launch) == pytest.approx(6e-3, rel=1e-9)
    assert max(samples.seconds_per_launch) == pytest.approx(0.12)


@settings(max_examples=60, deadline=None)
@given(seconds=st.floats(6e-6, 0.2), quantum=st.sampled_from(QUANTA))
def test_the_estimate_is_true_whatever_the_clocks_step(seconds: float, quantum: float) -> None:
    """On a steady device the bandwidth is within 0.2 % of the truth for every launch time and event clock."""
    samples = measure(slow_first(steady(seconds), 2, 30.0), quantum=quantum)
    assert BYTES / median(samples.seconds_per_launch) == pytest.approx(BYTES / seconds, rel=0.002)
    assert samples.stop_reason == "converged"
    assert warnings_of(samples) == []


@pytest.mark.parametrize("quantum", QUANTA)
@pytest.mark.parametrize("seconds", [8e-6, 1e-4, 8e-4])
@pytest.mark.parametrize("seed", range(3))
def test_the_estimate_is_true_under_launch_noise(seconds: float, quantum: float, seed: int) -> None:
    """With launches that scatter by 1 % the bandwidth is within 0.2 % of the truth, and nothing is flagged."""
    samples = measure(noisy(seconds, 0.01, seed), quantum=quantum)
    assert BYTES / median(samples.seconds_per_launch) == pytest.approx(BYTES / seconds, rel=0.002)
    assert warnings_of(samples) == []


def test_the_estimate_is_unbiased_where_a_window_is_one_launch() -> None:
    """With 1 % noise on each window the error averages out over runs, and stays within each run's interval."""
    errors = []
    for seed in range(60):
        samples = measure(noisy(7e-3, 0.01, seed), quantum=2.048e-6)
        errors.append(median(samples.seconds_per_launch) / 7e-3 - 1)
        assert samples.stop_reason == "converged"
    assert abs(sum(errors) / len(errors)) < 0.0005
    # The interval that ends sampling has a half-width of 0.5 % at most, at 95 % confidence.
    assert sum(abs(e) > RULE.precision for e in errors) <= 6
    assert median(map(abs, errors)) < 0.002


@pytest.mark.parametrize(
    "law",
    [
        drifting(1e-3, 0.3),
        drifting(1e-3, -0.15),
        alternating(1e-3, 1.2e-3, period_s=0.5),
        alternating(1e-3, 1.5e-3, period_s=0.5, share_slow=0.4),
        throttled(1e-3, 1.3e-3, after_s=0.5),
        throttled(1e-3, 1.08e-3, after_s=0.55),
    ],
    ids=["slower", "faster", "two speeds", "less than half slow", "throttled", "throttled a little"],
)
@pytest.mark.parametrize("relative_sd", [0.0, 0.01])
def test_what_is_not_stationary_is_flagged(law: Law, relative_sd: float) -> None:
    """Drift, two speeds and a throttle while sampling are named, with and without noise."""
    scatter = noisy(1.0, relative_sd, seed=3)
    samples = measure(lambda now, launch: law(now, launch) * scatter(now, launch))
    assert warnings_of(samples)


def test_speeds_that_change_within_windows_show_as_spread() -> None:
    """Two speeds that change every few windows blur into each other; the quartiles then lie 10 % apart or more."""
    samples = measure(alternating(1e-3, 1.2e-3, period_s=0.1))
    s = summarize(samples.seconds_per_launch)
    assert s.q3_s - s.q1_s >= NOISY_FROM * s.median_s


def test_a_clock_that_is_held_down_all_the_time_is_flagged() -> None:
    """A device that runs at half its clock from the first sample shows no drift, but its clock tells."""
    device = FakeDevice()
    launcher = device.launcher(steady(1e-3), clock_mhz=lambda now: 1000.0)
    (samples,) = measure_group([launcher], device.clock, RULE, FOREVER)
    assert warnings_of(samples, max_clock_mhz=2000.0) == ["the processors ran at 1000 MHz, 50 % of 2000 MHz"]
    assert warnings_of(samples, max_clock_mhz=1300.0) == []


def test_clocks_are_kept_where_the_device_tells_them() -> None:
    """A reading with a clock adds one clock, one without adds none; counters and sensors are kept apart."""
    samples = Measurement(launches_per_sample=2)
    samples.add(Reading(4.0, 1500.0))
    samples.add(Reading(6.0))
    samples.add(Reading(8.0, sensor_clock_mhz=1400.0))
    assert samples.seconds_per_launch == [2.0, 3.0, 4.0]
    assert (samples.clocks_mhz, samples.sensor_clocks_mhz) == ([1500.0], [1400.0])


def test_braked_samples_are_marked_and_kept() -> None:
    """A sample during which something held the clocks down keeps its time, and its position is noted."""
    samples = Measurement(launches_per_sample=1)
    for seconds, braked in ((1.0, False), (2.0, True), (1.0, False), (3.0, True)):
        samples.add(Reading(seconds, braked=braked))
    assert (samples.seconds_per_launch, samples.braked_samples) == ([1.0, 2.0, 1.0, 3.0], [1, 3])


def test_noise_is_kept_sample_by_sample() -> None:
    """After each sample the relative standard deviation of all samples so far is added."""
    samples = Measurement(launches_per_sample=1)
    for seconds in (1.0, 1.0, 4.0):
        samples.add(Reading(seconds))
    assert samples.noise == [float("inf"), 0.0, pytest.approx(3**0.5 / 2)]


def test_time_only_goes_forward_between_windows() -> None:
    """The fake device itself: windows follow each other, so that tests of the loop rest on a sound clock."""
    device = FakeDevice(host_launch_s=1e-6)
    starts: list[float] = []

    def law(now: float, launch: int) -> float:
        starts.append(now)
        return 1e-4

    measure_group([device.launcher(law), device.launcher(law)], device.clock, StopRule(min_time_s=0.01), FOREVER)
    assert all(later >= earlier for earlier, later in pairwise(starts))


@given(st.floats(1e-9, 1e3), st.integers(1, 1024))
def test_samples_are_rounded_when_they_are_taken(seconds: float, launches: int) -> None:
    """A sample has the nine digits that the run record stores, so that its statistics can be replayed exactly."""
    samples = Measurement(launches_per_sample=launches)
    samples.add(Reading(seconds))
    assert samples.seconds_per_launch == [float(f"{seconds / launches:.9g}")]
    assert samples.seconds_per_launch[0] == pytest.approx(seconds / launches, rel=1e-8)


@pytest.mark.parametrize(("deadline", "warmed_up"), [(FOREVER, True), (2.0, True), (0.4, False), (0.0, False)])
def test_a_warm_up_that_was_cut_short_is_told(deadline: float, warmed_up: bool) -> None:
    """It takes at most a quarter of the time; where that is less than the least warm-up, the samples say so."""
    device = FakeDevice()
    launchers = [device.launcher(steady(6e-3)), device.launcher(steady(1e-4))]
    measured = measure_group(launchers, device.clock, StopRule(warmup_s=0.3), deadline)
    assert [samples.warmed_up for samples in measured] == [warmed_up] * 2


def test_a_launch_that_fails_is_named() -> None:
    """An error of one case says which of the group's it was, with what the library raised."""

    class Broken:
        def start(self, launches: int) -> None: ...

        def launch(self) -> None:
            raise ZeroDivisionError("a library's own error")

        def stop(self) -> Reading:
            raise AssertionError

    device = FakeDevice()
    with pytest.raises(CaseFailedError, match="launcher 1 failed") as failure:
        measure_group([device.launcher(steady(1e-3)), Broken()], device.clock, RULE, FOREVER)
    assert failure.value.index == 1
    assert isinstance(failure.value.problem, ZeroDivisionError)


def test_the_first_window_of_a_warm_up_is_one_launch() -> None:
    """The first launch pays for page faults and code loading, so it is alone in its window, however late it began."""
    device = FakeDevice()
    device.clock.advance(1000.0)
    launcher = device.launcher(steady(1e-3))
    warm_up([launcher], device.clock, RULE, FOREVER)
    assert launcher.windows[0] == 1


@pytest.mark.parametrize(("spread", "agree"), [(0.0, True), (0.0099, True), (0.0101, False)])
def test_windows_agree_within_a_hundredth(spread: float, agree: bool) -> None:
    """The last five windows agree if slowest and fastest are within 1 %, whatever came before them."""
    assert _agree([9.0, 1.0, 1.0, 1.0 + spread, 1.0, 1.0]) is agree
    assert not _agree([1.0] * 4)


def test_what_else_a_window_showed_is_kept_sample_by_sample() -> None:
    """Lost time, load and energy are lists beside the seconds, rounded like them; what is unknown adds nothing."""
    samples = Measurement(launches_per_sample=2)
    samples.add(Reading(1.0))
    assert samples.preempted_s is None and not samples.load_gbs and not samples.energy_j
    for number in (1, 2):
        samples.add(Reading(1.0, preempted_s=0.123456 * number, load_gbs=1 / 3 * number, energy_j=2 / 3 * number))
    assert samples.preempted_s == [0.123, 0.247]
    assert samples.load_gbs == [0.333333333, 0.666666667]
    assert samples.energy_j == [0.666666667, 1.33333333]


@pytest.mark.parametrize(
    ("limit_s", "sampled_s", "weights", "share_s"),
    [(8.0, 0.0, (1.0,), 8.0), (8.0, 2.0, (1.0, 1.0, 1.0), 2.0), (8.0, 0.0, (3.0, 1.0), 6.0), (8.0, 9.0, (1.0,), 0.0)],
)
def test_groups_share_what_is_left(
    limit_s: float, sampled_s: float, weights: tuple[float, ...], share_s: float
) -> None:
    """The next group takes its weight among those that are left; nothing once the time has passed."""
    assert Schedule(limit_s=limit_s, sampled_s=sampled_s, weights=weights).share() == share_s


def test_a_warm_up_out_of_time_is_one_launch() -> None:
    """After the deadline there is the first launch alone, whatever the clock shows."""
    device = FakeDevice()
    device.clock.now = 1000.0
    launcher = device.launcher(steady(1e-2))
    assert warm_up([launcher], device.clock, RULE, 999.0) == [pytest.approx(1e-2)]
    assert launcher.launched == 1


def test_a_warm_up_counts_from_its_own_begin() -> None:
    """Late in a run it takes its quarter of what is left."""
    device = FakeDevice()
    device.clock.now = 1000.0
    warm_up([device.launcher(noisy(1e-3, 0.5))], device.clock, RULE, 1004.0)
    assert 1001.0 <= device.clock.now <= 1001.1
