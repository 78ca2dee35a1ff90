"""How is the bandwidth of a benchmark worked out, kept and shown?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bandmark.backends.host import HostMemory
from bandmark.backends.numpy_backend import NumpyBackend
from bandmark.backends.team import Team
from bandmark.device.cpu import usable_cpus
from bandmark.device.machine import read_machine

Bench = Callable[[Callable[[], object], int], None]


@pytest.fixture(scope="session")
def backend() -> Iterator[NumpyBackend]:
    """The NumPy backend on all CPUs that this process may use."""
    with Team(usable_cpus()) as team:
        made = NumpyBackend(read_machine().as_device(), HostMemory(team))
        yield made
        made.close()


@pytest.fixture
def bandwidth(benchmark: Any) -> Bench:
    """Benchmark a launch that moves so many bytes, and keep them and GB/s at the median in extra_info."""

    def run(launch: Callable[[], object], moved: int) -> None:
        benchmark(launch)
        benchmark.extra_info["bytes"] = moved
        if benchmark.stats is not None:  # None where benchmarks are disabled: the launch then ran once, untimed
            benchmark.extra_info["gbs"] = moved / benchmark.stats.stats.median / 1e9

    return run


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print bytes and GB/s of each benchmark that has them."""
    session = getattr(config, "_benchmarksession", None)
    found = [b for b in (session.benchmarks if session else []) if "gbs" in b.extra_info]
    if not found:
        return
    terminalreporter.section("bandwidth at the median (GB = 1e9 bytes)")
    for bench in found:
        moved, gbs = bench.extra_info["bytes"], bench.extra_info["gbs"]
        terminalreporter.write_line(f"{bench.name:55s} {moved:>13,d} bytes {gbs:8.2f} GB/s")
