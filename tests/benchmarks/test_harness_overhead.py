"""What the harness itself costs: the time around windows whose launches do nothing, and of scrubbing texts."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest

from bandmark.measure.measurement import Measurement, Reading
from bandmark.measure.sampling import StopRule, stop_reason, take
from bandmark.results.privacy import clean_text

SAMPLES = 200


class NoOp:
    """A launcher without work, timed by the host's clock."""

    def __init__(self) -> None:
        self.begin = 0.0

    def start(self, launches: int) -> None:
        """Start the watch."""
        self.begin = perf_counter()

    def launch(self) -> None:
        """Do nothing."""

    def stop(self) -> Reading:
        """Read the watch."""
        return Reading(perf_counter() - self.begin)


def test_overhead_per_window(benchmark: Any) -> None:
    """A window of one launch: what start, launch and stop cost in Python, which hides in no sample on a CPU."""
    launcher = NoOp()
    reading = benchmark(take, launcher, 1)
    benchmark.extra_info["bytes"] = 0
    benchmark.extra_info["launches"] = 1
    assert reading.seconds >= 0


def test_overhead_per_launch(benchmark: Any) -> None:
    """A window of a thousand launches: what the loop adds to each."""
    launcher = NoOp()
    reading = benchmark(take, launcher, 1000)
    benchmark.extra_info["bytes"] = 0
    benchmark.extra_info["launches"] = 1000
    assert reading.seconds > 0


def test_overhead_per_sample(benchmark: Any) -> None:
    """A case of 200 samples: keeping them, and deciding after each whether to go on, between the windows."""
    rule = StopRule(min_time_s=0.0, precision=0.0)

    def keep() -> Measurement:
        samples = Measurement(launches_per_sample=1)
        for number in range(SAMPLES):
            samples.add(Reading(1e-3 * (1 + 0.1 * (number % 7))))
            stop_reason(samples, rule, out_of_time=False)
        return samples

    samples = benchmark(keep)
    benchmark.extra_info["bytes"] = 0
    benchmark.extra_info["samples"] = SAMPLES
    assert len(samples.seconds_per_launch) == SAMPLES


@pytest.mark.parametrize(
    "junk", ["a", "user", "a.", "a/", "0:", "00 ", "a@", "- ", "node", "1.", "a b/", "serial ", "/home", "aA1", "x_="]
)
@pytest.mark.parametrize("letters", [1250, 10_000])
def test_scrubbing_a_text(benchmark: Any, junk: str, letters: int) -> None:
    """A text of eight times the letters takes eight times as long, and not 64 times."""
    benchmark(clean_text, (junk * letters)[:letters])
