"""The sampling loop, from warm-up to the rule that ends it.

It talks to a clock and to launchers, never to a backend by name, so that every rule here is tested on a fake device
with a virtual clock. A sample is the time of K back-to-back launches, divided by K; between start and stop of a window
nothing but the launches happens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from bandmark.measure.measurement import Measurement, Reading
from bandmark.measure.stats import relative_stdev, summarize
from bandmark.results.row import StopReason

Clock = Callable[[], float]
"""Returns seconds of a clock that never goes back; only differences count."""


class Launcher(Protocol):
    """A prepared case on its device."""

    def start(self, launches: int) -> None:
        """Start the watch, with the device ready to run this many launches without waiting for the host."""

    def launch(self) -> object:
        """Run the kernel once, or queue it."""

    def stop(self) -> Reading:
        """Stop the watch after the last launch has finished, and read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRule:
    """When is a case measured well enough? Times in seconds."""

    min_samples: int = 20
    min_time_s: float = 0.5
    precision: float = 0.005
    """Half-width of the median's 95 % confidence interval, over the median, at which sampling ends."""
    window_s: float = 0.005
    """A window lasts at least this long: device event clocks tick in steps of up to 2 us, host clocks jitter."""
    max_launches: int = 900
    """CUDA queues about 1000 launches; one more blocks the host until the device has worked some off
    (forums.developer.nvidia.com/t/68937)."""
    warmup_s: float = 0.3
    """Least time of warm-up: clocks need this long to leave idle."""
    max_warmup_s: float = 3.0
    few_samples: int = 5
    """Samples taken even when the time limit has passed."""


_MAX_OVERTIME = 1.25
"""How far past the time limit a group may still begin; later ones are skipped, and their rows say so."""


@dataclass(slots=True, kw_only=True)
class Schedule:
    """The sampling time of a run. Preparing and verifying are not part of it."""

    limit_s: float
    clock: Clock = perf_counter
    sampled_s: float = 0.0
    watcher: Callable[[Callable[[], Any]], None] = lambda outcomes: None
    """Called after each round of samples, with a function that returns the outcomes so far, should it want them."""
    weights: Sequence[float] = (1.0,)
    """What each of the groups that are left takes of the time, by weight."""

    @property
    def is_over(self) -> bool:
        """Whether no further group may begin."""
        return self.sampled_s > _MAX_OVERTIME * self.limit_s

    def share(self) -> float:
        """Return the seconds of sampling that the next group may take."""
        return max(0.0, self.limit_s - self.sampled_s) * self.weights[0] / sum(self.weights)


class CaseFailedError(Exception):
    """A launch of one case of a group failed."""

    def __init__(self, index: int, problem: Exception) -> None:
        """Remember which launcher it was, by its place among the group's, and what the library raised."""
        super().__init__(f"launcher {index} failed")
        self.index = index
        self.problem = problem


def take(launcher: Launcher, launches: int) -> Reading:
    """Time one window: nothing but the launches stands between start and stop."""
    launch = launcher.launch
    launcher.start(launches)
    for _ in range(launches):
        launch()
    return launcher.stop()


def _take_of(launchers: Sequence[Launcher], index: int, launches: int) -> Reading:
    """Time one window of one of the launchers; raises CaseFailedError."""
    try:
        return take(launchers[index], launches)
    except Exception as problem:  # a library may raise anything
        raise CaseFailedError(index, problem) from problem


def measure_group(
    launchers: Sequence[Launcher],
    clock: Clock,
    rule: StopRule,
    deadline: float,
    on_round: Callable[[Sequence[Measurement]], None] = lambda measured: None,
) -> list[Measurement]:
    """Measure the cases of one group round by round, so that drift hits alike what will be compared.

    Each round begins with another case: what a library leaves in caches and threads hits now one, now another.

    Args:
        launchers: the prepared cases; those that are done early leave the rounds.
        clock: the host's clock, for time limits only.
        rule: when a case is done.
        deadline: when the group must end, on that clock; each case still gets rule.few_samples.
        on_round: called after each round, with what was seen so far.

    Raises:
        CaseFailedError: a launch failed; it says of which case.
    """
    begin = clock()
    estimates = warm_up(launchers, clock, rule, deadline)
    warmed_up = clock() - begin >= rule.warmup_s
    measured = [Measurement(launches_per_sample=launches_for(t, rule), warmed_up=warmed_up) for t in estimates]
    first = 0
    while any(s.stop_reason is None for s in measured):
        for index in (*range(first, len(measured)), *range(first)):
            samples = measured[index]
            if samples.stop_reason is None:
                samples.add(_take_of(launchers, index, samples.launches_per_sample))
                samples.stop_reason = stop_reason(samples, rule, clock() >= deadline)
        first = (first + 1) % len(measured)
        on_round(measured)
    return measured


def launches_for(seconds_per_launch: float, rule: StopRule) -> int:
    """Return K: as many launches as fill a window, at least one."""
    if seconds_per_launch <= 0:
        return rule.max_launches
    return min(rule.max_launches, max(1, math.ceil(rule.window_s / seconds_per_launch)))


def stop_reason(samples: Measurement, rule: StopRule, out_of_time: bool) -> StopReason | None:
    """Return why a case is done, or None while it is not."""
    n = len(samples.seconds_per_launch)
    if n >= rule.min_samples and sum(samples.seconds_per_launch) * samples.launches_per_sample >= rule.min_time_s:
        interval = summarize(samples.seconds_per_launch).ci95_rel
        if interval is not None and interval <= rule.precision:
            return "converged"
        if _noise_has_settled(samples.noise):
            return "noise_settled"
    return "time_limit" if out_of_time and n >= rule.few_samples else None


def _noise_has_settled(noise: Sequence[float], window: int = 64, tolerance: float = 0.05) -> bool:
    """Return whether more samples no longer change the noise.

    This is NVBench's second stopping rule: the standard deviation of the last 64 noise values is below 5 % of their
    mean (nvbench/detail/stdrel_criterion.cxx).
    """
    return len(noise) >= 2 * window and relative_stdev(noise[-window:]) < tolerance


def warm_up(launchers: Sequence[Launcher], clock: Clock, rule: StopRule, deadline: float) -> list[float]:
    """Launch untimed until the device runs steadily; return an estimate of each case's seconds per launch.

    At least one launch each (it pays for page faults, code loading and lazy initialisation), then windows of growing
    length until rule.warmup_s has passed and the last five windows of every case agree within 1 %. Slow launches and
    short limits end it early: it takes at most a quarter of the time that is left.
    """
    begin = clock()
    limit = begin + min(rule.max_warmup_s, max(0.0, deadline - begin) / 4)
    first = [_take_of(launchers, index, 1).seconds for index in range(len(launchers))]
    windows = [[t] for t in first]
    while clock() < limit and not (clock() - begin >= rule.warmup_s and all(map(_agree, windows))):
        for i, seen in enumerate(windows):
            count = launches_for(seen[-1], rule)
            seen.append(_take_of(launchers, i, count).seconds / count)
    return [seen[-1] for seen in windows]


def _agree(windows: Sequence[float], count: int = 5, tolerance: float = 0.01) -> bool:
    """Return whether the last few windows agree."""
    last = windows[-count:]
    return len(last) == count and max(last) - min(last) <= tolerance * min(last)
