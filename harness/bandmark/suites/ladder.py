"""Curves over the working set, from the first level of the caches to memory: what the suites latency and sweep share.

A curve's points are rows. They are sampled one after the other, since each must find its working set where the one
before it would have been.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from bandmark.measure.sampling import StopRule
from bandmark.results.row import MEASURED, Row
from bandmark.suites.base import Case, Curve, Draft, Group, RunFacts, Suite, Values
from bandmark.suites.plateaus import Plateau, find_plateaus, name_levels
from bandmark.suites.table import figure
from bandmark.units import format_bytes
from bandmark_kernels.memory import NEEDED

if TYPE_CHECKING:
    from bandmark.backends.base import Backend, Workload
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

_SMALLEST = 4096
_USUAL_LLC_BYTES = 2**25

_RULE = StopRule(min_time_s=0.02, window_s=1e-4, warmup_s=0.004, max_warmup_s=0.04)
_QUICK_RULE = StopRule(min_time_s=0.004, window_s=1e-4, warmup_s=0.002, max_warmup_s=0.01)
"""Samples of a tenth of a millisecond: few of them are hit by another program."""

_DEVICE_RULE = StopRule(min_time_s=0.1, window_s=2e-3, warmup_s=0.02, max_warmup_s=0.1)
"""On a GPU: windows in which the start of a launch, some 3 us, and the step of the event clock are nothing."""

_GPU_L1_BYTES = 256 * 2**10
"""The largest first-level cache of a multiprocessor (H100 and B200: 256 KiB, CUDA C++ Programming Guide, compute
capabilities 9.0 and 10.0): what a GPU's plateaus are told apart by, since none reports its own."""

_POINT_S = 0.12
_QUICK_POINT_S = 0.06
"""Seconds of sampling for each point, and for those in memory so many laps at the speed of a crowded machine."""

_LAPS = 8
_SLOW_GBS = 10.0


def ladder(largest: int, per_octave: int) -> list[int]:
    """Return working sets from 4 KiB up to the largest, in equal ratios, each a multiple of 256 bytes."""
    sizes, step = [], 0
    while (size := round(_SMALLEST * 2 ** (step / per_octave)) // 256 * 256) <= largest:
        sizes.append(size)
        step += 1
    return sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class PointGroup(Group):
    """Points of curves, measured by a routine of their backends."""

    in_turns: bool = False
    routine: str

    def inputs(self, options: RunOptions) -> int:
        """Return the seed of the random order or contents."""
        return options.seed

    def prepare(self, case: Case, inputs: int, copies: int) -> Workload:
        """Let the backend place the arrays."""
        assert isinstance(self.suite, PointSuite)
        make = case.backend.routines[self.routine]
        workload: Workload = make(case.backend, seed=inputs, **self.suite.parameters(case.columns))
        return workload


def llc_bytes(target: Target) -> int:
    """Return the size of the last-level cache; of one that is not known that of a server's share."""
    return target.device.llc_bytes or _USUAL_LLC_BYTES


def bytes_in_caches(options: RunOptions, target: Target, caches: int, share: int = 1) -> int:
    """Return --size, or so many last-level caches (two with --quick) as far as a share of the budget has room."""
    wanted = (2 if options.quick else caches) * llc_bytes(target)
    return options.size_bytes or min(wanted, target.backends[0].budget().default_bytes // share)


def backends_with(routine: str, backends: Sequence[Backend]) -> list[Backend]:
    """Return the backends that have a routine: those that can do all its cases, or else those that can do a part."""
    able = [backend for backend in backends if routine in backend.routines]
    return [backend for backend in able if backend.routines[routine].has_all] or able


class PointSuite(Suite):
    """Base of the suites whose cases are points of curves and run by a routine of their backends."""

    is_curve = True
    in_all = True
    routine: str

    def parameters(self, columns: Mapping[str, Any]) -> Values:
        """Return what the routine of a case takes, by keyword, from the case's columns."""
        raise NotImplementedError

    def offered(self, target: Target) -> Any:
        """Return the routine of the first backend that has it, None where none does."""
        able = backends_with(self.routine, target.backends)
        return able[0].routines[self.routine] if able else None

    def point(self, row: Row) -> Values | None:
        """Return what was known of a stored row before it was measured, from its identity; None if it is no point."""
        raise NotImplementedError

    def case_columns(self, row: Row) -> Mapping[str, Any] | None:
        """Return what `Case.columns` was for a stored row, from its identity; None if there is no such case."""
        columns = self.point(row)
        if columns is None:
            return None
        columns |= {"suite": self.name, "backend": row.backend}
        return columns if row.n else _without_size(columns)

    def time_limit_s(self, options: RunOptions, cases: int) -> float:
        """Return nothing: each group brings its seconds."""
        return 0.0

    def notes(self, options: RunOptions) -> list[str]:
        """Return which options select nothing here."""
        given = [flag for flag, value in (("--kernel", options.kernels), ("--dtype", options.dtypes)) if value]
        return [f"{' and '.join(given)}: without effect on the suite {self.name}"] if given else []

    def groups(self, options: RunOptions, target: Target, points: Sequence[Values], size: int) -> list[Group]:
        """Return groups of so many points each, every point on each backend that has the routine.

        Where none has it, the points without a size stand for the suite, unsupported.
        """
        able = backends_with(self.routine, target.backends)
        if not able:
            backend = target.backends[0]
            first = {self._label(point): point for point in points}
            return self.nothing(backend, NEEDED, *first.values())
        return [
            self._group([self._case(point, backend) for point in part for backend in able], options)
            for part in (points[k : k + size] for k in range(0, len(points), size))
        ]

    def nothing(self, backend: Backend, reason: str, *points: Values) -> list[Group]:
        """Return the group of rows that say, in place of these points, why nothing is measured."""
        cases = tuple(self._case(_without_size(point), backend, reason) for point in points)
        return [PointGroup(suite=self, label=self.name, cases=cases, routine=self.routine)]

    def _case(self, point: Values, backend: Backend, reason: str | None = None) -> Case:
        columns = {"suite": self.name, **point, "backend": backend.name}
        return Case(columns=columns, backend=backend, skip_reason=reason)

    def _label(self, point: Values) -> str:
        return " ".join(str(point[name]) for name in ("kernel", "pattern"))

    def _group(self, cases: Sequence[Case], options: RunOptions) -> PointGroup:
        first, moved = cases[0].columns, sum(case.columns["working_set_bytes"] for case in cases)
        return PointGroup(
            suite=self,
            label=f"{self.name} {format_bytes(first['working_set_bytes'])}",
            cases=tuple(cases),
            min_time_s=len(cases) * (_QUICK_POINT_S if options.quick else _POINT_S) + _LAPS * moved / _SLOW_GBS / 1e9,
            rule=_DEVICE_RULE if cases[0].backend.threads is None else _QUICK_RULE if options.quick else _RULE,
            routine=self.routine,
        )


def point_columns(kernel: str, dtype: str, pattern: str, *, n: int, size: int, threads: int | None) -> Values:
    """Return what is known of a point before it is measured; on a GPU no thread of the host works."""
    return {
        "kernel": kernel,
        "dtype": dtype,
        "pattern": pattern,
        "n": n,
        "n_elements": n,
        "working_set_bytes": size,
        "threads": threads,
    }


def first_cpu(cpus: str | None) -> str | None:
    """Return the first of the processors that a run was given, as in "cpu 0": it does the work alone."""
    return cpus and re.split("[-,]", cpus)[0]


def _without_size(columns: Mapping[str, Any]) -> Values:
    """Return the columns of a case that has no size, because nothing runs it."""
    sized = ("n", "n_elements", "working_set_bytes", "bytes_read", "bytes_written")
    return {name: value for name, value in columns.items() if name not in sized}


class Ladder(PointSuite):
    """Base of the suites whose curves go over working sets and have plateaus."""

    min_step: float
    """Ratio of two values from which they are of different levels."""

    def fill_across(self, drafts: Sequence[Draft], facts: RunFacts) -> None:
        """Name the level of each point on a plateau, with the size that the system reports of it."""
        reported, caches = facts.caches, facts.caches
        if facts.device.kind == "gpu":
            reported = {"L2": facts.device.llc_bytes} if facts.device.llc_bytes else {}
            caches = {"L1": _GPU_L1_BYTES, **reported}
        of = {Row.of(draft.values | {"status": "ok"}): draft for draft in drafts}
        for rows in self._curves(of):
            plateaus = self._plateaus(rows)
            names = name_levels([row.working_set_bytes or 0 for row in rows], plateaus, caches)
            for plateau, name in zip(plateaus, names, strict=True):
                for row in rows[plateau.first : plateau.last + 1]:
                    of[row].values |= {"level": name, "level_bytes": reported.get(name)}

    def _curves(self, rows: Iterable[Row]) -> list[list[Row]]:
        """Return the points of each curve that have a figure, in order of size."""
        curves: dict[str, list[Row]] = {}
        for row in sorted(self.measured(rows), key=lambda row: row.working_set_bytes or 0):
            if row.working_set_bytes:
                curves.setdefault(self.series(row), []).append(row)
        return [curves[name] for name in sorted(curves)]

    def _plateaus(self, rows: Sequence[Row]) -> list[Plateau]:
        """Return the plateaus by the shortest times: other programs disturb those least."""
        return find_plateaus([row.working_set_bytes or 0 for row in rows], [*map(self._best, rows)], self.min_step)

    def _best(self, row: Row) -> float:
        value, share = self.metric.value(row) or 1.0, (row.time_min_s or 1.0) / (row.time_median_s or 1.0)
        return value / share if self.metric.higher_is_better else value * share

    def shown(self, rows: Sequence[Row]) -> list[Row]:
        """Return the first measured row of each octave, and one for each reason to have none, curve by curve."""
        kept: dict[tuple[Any, ...], Row] = {}
        for row in sorted(rows, key=lambda row: row.working_set_bytes or 0):
            octave = math.floor(math.log2(row.working_set_bytes or 1) + 0.01)
            kept.setdefault((self.series(row), octave if row.status in MEASURED else row.reason), row)
        return sorted(kept.values(), key=lambda row: (self.series(row), row.working_set_bytes or 0))

    def representatives(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows in memory: figures of a cache are no figures of the machine's memory."""
        return [row for row in rows if row.level == "dram"] or rows

    def headline(self, rows: Sequence[Row]) -> str | None:
        """Return the plateaus of each curve: level, figure, and where it ends beside what the system reports."""
        lines = []
        for own in self._curves(rows):
            texts = [self._plateau(own[p.first : p.last + 1], p.end_bytes) for p in self._plateaus(own)]
            lines.append(f"{self.series(own[0])}: {'; '.join(texts) or 'no plateau stands out'}")
        return "\n".join(lines) or None

    def _plateau(self, rows: Sequence[Row], end_bytes: float | None) -> str:
        level, reported = rows[0].level or "?", rows[0].level_bytes
        text = f"{level} {figure(median(self.metric.value(row) or 0.0 for row in rows))} {self.metric.unit}"
        if end_bytes is None:
            return text
        system = f" (the system says {format_bytes(reported)})" if reported else ""
        return f"{text} to {format_bytes(round(end_bytes))}{system}"

    def curve(self, rows: Sequence[Row]) -> Curve | None:
        """Return the curves over the working set."""
        points = self.lines(rows, lambda row: row.working_set_bytes)
        return Curve(f"{self.metric.name} by working set", self.metric.unit, "working set", points) if points else None
