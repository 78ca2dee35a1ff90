"""The suite scaling: bandwidth by the number of processors that work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bandmark.results.row import MEASURED, Row
from bandmark.suites.bandwidth import KernelGroup
from bandmark.suites.base import Case, Curve, Draft, Group, RunFacts, TableColumn, Values
from bandmark.suites.ladder import backends_with
from bandmark.suites.mix import VariedBandwidth
from bandmark.suites.table import SPREAD, figure
from bandmark_kernels.core.kernel import Inputs
from bandmark_kernels.memory import NEEDED

if TYPE_CHECKING:
    from bandmark.backends.base import Workload
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

_EVERY_COUNT = 16
"""Up to so many processors each number of them is measured, beyond it sixteen numbers."""

_SATURATES = 0.95
"""Share of the highest bandwidth from which a number of processors saturates the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ThreadsGroup(KernelGroup):
    """A kernel on every number of threads, over the same arrays."""

    def prepare(self, case: Case, inputs: Inputs, copies: int) -> Workload:
        """Bind the kernel to the first threads of the team."""
        threads = case.columns["threads"]
        workload: Workload = case.backend.routines["scaling"](case.backend, inputs, case.variant, copies, threads)
        return workload


class Scaling(VariedBandwidth):
    """read and triad on one processor, on each added one, and on all."""

    name = "scaling"
    row_suites = ("scaling",)
    kernel_names = ("read", "triad")
    title = "bandwidth by the number of processors: which number saturates the memory"

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each kernel."""
        able = backends_with("scaling", target.backends)
        groups = super().plan(options, replace(target, backends=able[:1] or target.backends[:1]))
        return [self._by_threads(group) for group in groups if isinstance(group, KernelGroup)]

    def _by_threads(self, group: KernelGroup) -> Group:
        case = group.cases[0]
        threads = case.backend.threads
        if threads is None or "scaling" not in case.backend.routines:
            return replace(group, cases=(replace(case, skip_reason=NEEDED),))
        counts = sorted({-(-threads * k // _EVERY_COUNT) for k in range(1, _EVERY_COUNT + 1)})
        cases = tuple(replace(case, columns={**case.columns, **_columns(count)}) for count in counts)
        return _ThreadsGroup(
            suite=self,
            label=group.label,
            cases=cases,
            min_time_s=group.min_time_s,
            kernel=group.kernel,
            dtype=group.dtype,
            shape=group.shape,
        )

    def own_columns(self, columns: Mapping[str, Any]) -> Values:
        """Return the number of threads that the pattern names, where it names one."""
        count = str(columns.get("pattern") or "").removeprefix("threads-")
        return {"suite": self.name} | (_columns(int(count)) if count.isdecimal() else {})

    def fill(self, draft: Draft, facts: RunFacts) -> None:
        """Fill the bandwidth; percentages of the peak are for all processors together."""
        if draft.values.get("threads") != facts.libraries.get(draft.values["backend"], {}).get("threads"):
            draft.values["cpus"] = None
        super().fill(draft, facts)

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of the table."""
        return (
            TableColumn(title="kernel", text=lambda row: row.kernel, left=True),
            TableColumn(title="backend", text=lambda row: row.backend, left=True),
            TableColumn(title="threads", text=lambda row: str(row.threads or "-")),
            TableColumn(title="GB/s", text=lambda row: figure(row.bandwidth_gbs)),
            TableColumn(
                title="each", text=lambda row: figure(row.bandwidth_gbs and row.bandwidth_gbs / (row.threads or 1))
            ),
            SPREAD,
        )

    def shown(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows by the number of threads."""
        return sorted(rows, key=lambda row: (row.kernel, row.backend, row.threads or 0))

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        return "each: bandwidth of one of the threads, which are on a core each as far as there are cores."

    def headline(self, rows: Sequence[Row]) -> str | None:
        """Return the number of threads that saturates the memory, by kernel."""
        lines = []
        for name, points in self._points(rows).items():
            highest = max(gbs for _, gbs in points)
            count = next(count for count, gbs in points if gbs >= _SATURATES * highest)
            lines.append(f"{name}: {count:g} of {points[-1][0]:g} threads reach 95 % of {figure(highest)} GB/s")
        return "\n".join(lines) or None

    def _points(self, rows: Sequence[Row]) -> dict[str, list[tuple[float, float]]]:
        points: dict[str, list[tuple[float, float]]] = {}
        for row in self.shown(rows):
            if row.status in MEASURED and row.bandwidth_gbs and row.threads:
                points.setdefault(f"{row.backend} {row.kernel}", []).append((float(row.threads), row.bandwidth_gbs))
        return points

    def curve(self, rows: Sequence[Row]) -> Curve | None:
        """Return bandwidth over threads, from four numbers of them on."""
        points = self._points(rows)
        enough = any(len(line) >= 4 for line in points.values())
        return Curve("bandwidth by threads", "GB/s", "threads", points) if enough else None


def _columns(count: int) -> Values:
    return {"pattern": f"threads-{count}", "threads": count}
