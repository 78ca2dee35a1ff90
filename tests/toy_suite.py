"""A suite that is not part of the distribution: latency in ns, lower is better, with an identity column of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bandmark.backends.base import Workload
from bandmark.backends.select import Target
from bandmark.options import RunOptions
from bandmark.results.row import Column, Row
from bandmark.suites.base import Case, Draft, Group, Metric, RunFacts, Suite, TableColumn
from fakes import FakeBackend, FakeDevice, FakeLauncher, noisy

HOPS = 1000
"""Accesses of a launch, each of which waits for the one before."""

STRIDES = (64, 4096)

LATENCY_S = {64: 10e-9, 4096: 100e-9}
"""What an access takes on the pretend machine, by stride."""


class ChaseWorkload:
    """A launch of the toy kernel on a virtual clock."""

    variant: str | None = None
    copies = 1
    note = None

    def __init__(self, launcher: FakeLauncher) -> None:
        self.start, self.launch, self.stop = launcher.start, launcher.launch, launcher.stop

    def verify(self) -> float:
        """Return that every hop led where it should."""
        return 0.0

    def close(self) -> None:
        """Release nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaseGroup(Group):
    """One stride on every backend."""

    stride: int
    slowdown: float

    def inputs(self, options: RunOptions) -> int:
        """Return the seed."""
        return options.seed

    def prepare(self, case: Case, inputs: int, copies: int) -> Workload:
        """Return a launch of HOPS accesses, with 1 % of noise."""
        backend: Any = case.backend
        assert isinstance(backend, FakeBackend)
        law = noisy(self.slowdown * LATENCY_S[self.stride] * HOPS, 0.01, seed=inputs + self.stride)
        workload: Any = ChaseWorkload(FakeDevice(clock=backend.clock).launcher(law))
        return workload  # type: ignore[no-any-return]

    def halved(self) -> Group | None:
        """Return nothing: the ring is as small as it gets."""
        return None


class Chase(Suite):
    """Latency of dependent accesses, by stride."""

    name = "toy"
    title = "latency of dependent accesses"
    metric = Metric(name="latency", column="hop_ns", unit="ns", higher_is_better=False)
    columns = (
        Column(name="hop_ns", type="float", doc="time_median_s over the accesses of a launch", unit="ns"),
        Column(name="stride_bytes", type="int", doc="distance of two accesses", unit="bytes", identity=True),
    )
    kernel_names = ("chase",)

    def __init__(self, slowdown: float = 1.0) -> None:
        """Take how much slower than LATENCY_S the machine is."""
        self.slowdown = slowdown

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each stride."""
        return [self._group(stride, target) for stride in STRIDES]

    def _group(self, stride: int, target: Target) -> ChaseGroup:
        cases = tuple(Case(columns=_columns(b.name, stride), backend=b) for b in target.backends)
        return ChaseGroup(suite=self, label=f"chase {stride}", cases=cases, stride=stride, slowdown=self.slowdown)

    def case_columns(self, row: Row) -> Mapping[str, Any] | None:
        """Return the columns of a stored row's case."""
        stride = row.get("stride_bytes")
        return _columns(row.backend, stride) if stride in STRIDES else None

    def fill(self, draft: Draft, facts: RunFacts) -> None:
        """Fill the latency."""
        if draft.measurement is not None and draft.values.get("verified"):
            draft.values["hop_ns"] = draft.measurement.summary.median_s / HOPS * 1e9

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return stride and latency."""
        return (
            TableColumn(title="backend", text=lambda row: row.backend, left=True),
            TableColumn(title="stride", text=lambda row: str(row.get("stride_bytes"))),
            TableColumn(title="ns", text=lambda row: f"{row.get('hop_ns'):.1f}"),
        )

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what ns means here."""
        return "ns: median time of a dependent access."

    def headline(self, rows: Sequence[Row]) -> str | None:
        """Return the longest latency."""
        latencies = [row.get("hop_ns") for row in rows if row.get("hop_ns") is not None]
        return f"memory latency: {max(latencies):.0f} ns" if latencies else None


def _columns(backend: str, stride: int) -> dict[str, Any]:
    return {"suite": "toy", "kernel": "chase", "dtype": "float64", "backend": backend, "stride_bytes": stride}
