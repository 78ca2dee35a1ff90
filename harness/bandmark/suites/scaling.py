"""The suite scaling: bandwidth by the number of processors that work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bandmark.device.placement import by_kind, read_processors
from bandmark.device.system import format_cpu_list, parse_cpu_list
from bandmark.results.row import Row
from bandmark.suites.base import Case, Curve, Draft, Group, RunFacts, TableColumn, Values
from bandmark.suites.kernels import KernelGroup, VariedSuite
from bandmark.suites.ladder import backends_with
from bandmark.suites.table import GBS, KERNEL, LIBRARY, SPREAD, figure
from bandmark_kernels.core.kernel import Inputs

if TYPE_CHECKING:
    from bandmark.backends.base import Workload
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

_EVERY_COUNT = 16
"""Up to so many processors each number of them is measured, beyond it sixteen numbers."""

_SATURATES = 0.95
"""Share of the highest bandwidth from which a number of processors saturates the memory."""

_KINDS = ("cores-", "node-")
"""How the patterns of rows begin that are of one kind of core, or of one NUMA node (placement.by_kind)."""

_NEEDED = "counts threads of a CPU (--device cpu), and needs numba (pip install numba)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _ThreadsGroup(KernelGroup):
    """A kernel on every number of threads, over the same arrays."""

    def prepare(self, case: Case, inputs: Inputs, copies: int) -> Workload:
        """Bind the kernel to the first threads of the team, or to processors of one kind."""
        cpus = case.columns.get("cpus")
        workload: Workload = case.backend.routines["scaling"](
            case.backend,
            inputs,
            case.variant,
            copies,
            threads=case.columns["threads"],
            cpus=cpus and parse_cpu_list(cpus.removeprefix("cpu ")),
        )
        return workload


class Scaling(VariedSuite):
    """read and triad on one processor, on each added one, and on all; on each kind of core and NUMA node alone."""

    name = "scaling"
    kernel_names = ("read", "triad")
    title = "bandwidth by number of CPU threads, and how many saturate the memory"

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each kernel."""
        able = backends_with("scaling", target.backends)
        groups = super().plan(options, replace(target, backends=able[:1] or target.backends[:1]))
        kinds = by_kind(read_processors(target.team.cpus)) if target.team else {}
        return [part for group in groups if isinstance(group, KernelGroup) for part in self._parts(group, kinds)]

    def _parts(self, group: KernelGroup, kinds: Mapping[str, Sequence[int]]) -> Iterator[Group]:
        """Yield the numbers of threads, and the kinds: those one by one, since each has arrays of its own."""
        case = group.cases[0]
        threads = case.backend.threads
        if threads is None or "scaling" not in case.backend.routines:
            yield replace(group, cases=(replace(case, skip_reason=_NEEDED),))
            return
        counts = sorted({-(-threads * k // _EVERY_COUNT) for k in range(1, _EVERY_COUNT + 1)})
        alone = [
            {"pattern": name, "threads": len(cpus), "cpus": f"cpu {format_cpu_list(cpus)}"}
            for name, cpus in kinds.items()
        ]
        for points, in_turns in ((list(map(_columns, counts)), True), (alone, False)):
            if points:
                yield _ThreadsGroup(
                    suite=self,
                    label=group.label,
                    cases=tuple(replace(case, columns={**case.columns, **point}) for point in points),
                    min_time_s=group.min_time_s,
                    in_turns=in_turns,
                    kernel=group.kernel,
                    dtype=group.dtype,
                    shape=group.shape,
                )

    def case_columns(self, row: Row) -> Mapping[str, Any] | None:
        """Return the columns of a stored row's case, of a kind with the processors that are of it."""
        columns = super().case_columns(row)
        if columns is None or not _is_kind(row):
            return columns
        return {**columns, "pattern": row.pattern, "threads": row.threads, "cpus": row.cpus}

    def own_columns(self, columns: Mapping[str, Any]) -> Values:
        """Return the number of threads that the pattern names, where it names one."""
        count = str(columns.get("pattern") or "").removeprefix("threads-")
        return {"suite": self.name} | (_columns(int(count)) if count.isdecimal() else {})

    def fill(self, draft: Draft, facts: RunFacts) -> None:
        """Fill the bandwidth; percentages of the peak are for all processors together."""
        values = draft.values
        all_threads = facts.libraries.get(values["backend"], {}).get("threads")
        if values.get("threads") != all_threads and not str(values.get("pattern")).startswith(_KINDS):
            values["cpus"] = None
        super().fill(draft, facts)

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of the table."""
        return (
            KERNEL,
            LIBRARY,
            TableColumn(title="threads", text=lambda row: str(row.threads or "-")),
            *([TableColumn(title="on", text=_kind, left=True)] if any(map(_is_kind, rows)) else []),
            GBS,
            TableColumn(
                title="each", text=lambda row: figure(row.bandwidth_gbs and row.bandwidth_gbs / (row.threads or 1))
            ),
            SPREAD,
        )

    def shown(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows by the number of threads, and then those of each kind."""
        return sorted(rows, key=lambda row: (row.kernel, row.backend, _kind(row), row.threads or 0))

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        return "each: bandwidth of one of the threads, which are on a core each as far as there are cores."

    def headline(self, rows: Sequence[Row]) -> str | None:
        """Return the number of threads that saturates the memory, by kernel, and what each kind reaches alone."""
        lines = []
        for name, points in self._points(rows).items():
            highest = max(gbs for _, gbs in points)
            count = next(count for count, gbs in points if gbs >= _SATURATES * highest)
            lines.append(f"{name}: {count:g} of {points[-1][0]:g} threads reach 95 % of {figure(highest)} GB/s")
        lines += [
            f"{self.series(row)}: {row.pattern} alone reaches {figure(row.bandwidth_gbs)} GB/s"
            for row in self.measured(self.shown(rows))
            if _is_kind(row)
        ]
        return "\n".join(lines) or None

    def _points(self, rows: Sequence[Row]) -> dict[str, list[tuple[float, float]]]:
        return self.lines(rows, lambda row: None if _is_kind(row) else row.threads)

    def series(self, row: Row) -> str:
        """Return backend and kernel."""
        return f"{row.backend} {row.kernel}"

    def curve(self, rows: Sequence[Row]) -> Curve | None:
        """Return bandwidth over threads, from four numbers of them on."""
        points = self._points(rows)
        enough = any(len(line) >= 4 for line in points.values())
        return Curve("bandwidth by threads", "GB/s", "threads", points) if enough else None


def _columns(count: int) -> Values:
    return {"pattern": f"threads-{count}", "threads": count}


def _is_kind(row: Row) -> bool:
    return (row.pattern or "").startswith(_KINDS)


def _kind(row: Row) -> str:
    return str(row.pattern) if _is_kind(row) else ""
