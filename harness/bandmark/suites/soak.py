"""The suite soak: one case for minutes or days, an interval a row, and what changed meanwhile."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from bandmark.errors import UsageError
from bandmark.judge.bands import kernel_class
from bandmark.judge.warnings import DRIFTS_FROM, slow_spell
from bandmark.measure.sampling import StopRule
from bandmark.measure.stats import two_states
from bandmark.results.row import Row
from bandmark.suites.base import Case, Group, Interval, TableColumn, Values
from bandmark.suites.kernels import KernelGroup, KernelSuite, VariedSuite
from bandmark.suites.plateaus import Plateau, find_plateaus
from bandmark.suites.selection import default_dtypes, fastest, pick_kernels, selected_dtypes, selected_kernels
from bandmark.suites.table import GBS, KERNEL, LIBRARY, SPREAD, figure
from bandmark.units import format_duration
from bandmark_kernels import Kernel

if TYPE_CHECKING:
    from bandmark.backends.select import Target
    from bandmark.options import RunOptions

_DURATION_S = 600.0
_INTERVALS = 200
_MIN_INTERVAL_S = 2.0  # the warm-up takes a quarter of the first at most

_WINDOWS = 50
"""Windows of an interval, however long: what a run keeps does not grow with its duration."""

_MAX_LAUNCHES = 10_000
"""Launches of a window: where they replay from a CUDA graph, it holds them all."""

_VERIFY_EVERY = 10  # intervals from one verification to the next

_SHOWN = 20  # lines of the table


class Soak(VariedSuite):
    """Bandwidth of one case, interval by interval."""

    name = "soak"
    title = "bandwidth of one case over minutes or days: --duration 10m, --kernel"
    in_all = False
    own_options = ("duration_s",)

    def check(self, options: RunOptions) -> None:
        """Raise UsageError for more than one kernel or dtype, and for a second limit of the time."""
        selected_kernels(options)
        selected_dtypes(options, [])
        if len(self.kernels(options)) > 1 or len(options.dtypes or ()) > 1:
            raise UsageError("The suite soak samples one case: give one --kernel and one --dtype.")
        if options.time_limit_s is not None:
            raise UsageError("--duration says how long the suite soak samples: leave --time-limit out.")

    def kernels(self, options: RunOptions) -> list[Kernel]:
        """Return the kernel."""
        return pick_kernels(options.kernels or ("read",))

    def time_limit_s(self, options: RunOptions, cases: int) -> float:
        """Return the seconds of sampling."""
        return options.duration_s or _DURATION_S

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return a group for each interval, all of the case that is the fastest by a few launches."""
        duration_s = self.time_limit_s(options, 0)
        count = max(1, min(_INTERVALS, int(duration_s / _MIN_INTERVAL_S)))
        one_s = duration_s / count
        dtypes = options.dtypes or tuple(dtype.name for dtype in default_dtypes(target, quick=True))
        sized = replace(options, dtypes=dtypes, time_limit_s=one_s)
        group = KernelSuite.plan(self, sized, target)[0]
        assert isinstance(group, KernelGroup)
        case = fastest(group, options)
        return [self._interval(group, case, k, count, one_s) for k in range(count)]

    def _interval(self, group: KernelGroup, case: Case, k: int, count: int, one_s: float) -> KernelGroup:
        columns = {
            **case.columns,
            "suite": self.name,
            "pattern": self.name,
            "elapsed_s": float(f"{(k + 1) * one_s:.9g}"),
        }
        return replace(
            group,
            label=f"{self.name} {group.label} at {format_duration(k * one_s)}",
            cases=(replace(case, columns=columns),),
            min_time_s=one_s,
            rule=_rule(one_s, is_first=k == 0),
            interval=Interval(is_verified=k % _VERIFY_EVERY == 0 or k == count - 1, is_last=k == count - 1),
        )

    def own_columns(self, columns: Mapping[str, Any]) -> Values:
        """Return what makes a case of the kernel table one of the suite."""
        return {"suite": self.name, "pattern": self.name}

    def case_columns(self, row: Row) -> Mapping[str, Any] | None:
        """Return the columns of a stored row's case."""
        columns = super().case_columns(row)
        return None if columns is None or row.elapsed_s is None else {**columns, "elapsed_s": row.elapsed_s}

    def shown(self, rows: Sequence[Row]) -> list[Row]:
        """Return of each twentieth of the intervals of a run the slowest."""
        kept = []
        for own in _runs(rows):
            size = math.ceil(len(own) / _SHOWN)
            parts = (own[k : k + size] for k in range(0, len(own), size))
            kept += [min(part, key=_gbs) for part in parts]
        return kept

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of the table."""
        return (
            KERNEL,
            LIBRARY,
            TableColumn(title="until", text=lambda row: format_duration(row.elapsed_s or 0.0)),
            GBS,
            SPREAD,
            TableColumn(title="MHz", text=lambda row: figure(row.clock_mhz)),
            TableColumn(title="degC", text=lambda row: figure(row.temperature_c)),
            TableColumn(title="W", text=lambda row: figure(row.power_w)),
        )

    def legend(self, rows: Sequence[Row]) -> str:
        """Return what the headings mean."""
        return (
            "until: sampling time by the end of the interval; of each twentieth of the intervals the slowest is shown. "
            "MHz, degC, W: clock of the processors, temperature and power of the device in the interval."
        )

    def headline(self, rows: Sequence[Row]) -> str | None:
        """Return for each run its level, the changes with their moments, or the shares of two speeds."""
        return "\n".join(line for own in _runs(self.measured(rows)) for line in _story(own)) or None


def _rule(interval_s: float, *, is_first: bool) -> StopRule:
    """Return a rule that never ends before the interval does; the device is warm after the first."""
    rule = StopRule(min_samples=sys.maxsize, window_s=interval_s / _WINDOWS, max_launches=_MAX_LAUNCHES)
    return rule if is_first else replace(rule, warmup_s=0.0, max_warmup_s=0.0)


def _runs(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows of each run, in order of time: files that were merged have several."""
    ordered = sorted(rows, key=lambda row: (row.run_id, row.elapsed_s or 0.0))
    return [list(own) for _, own in groupby(ordered, key=lambda row: row.run_id)]


def _story(rows: Sequence[Row]) -> list[str]:
    """Return the sentences about a run."""
    values = [*map(_gbs, rows)]
    levels = find_plateaus([row.elapsed_s or 0.0 for row in rows], values, 1 + DRIFTS_FROM, min_octaves=0)
    states = two_states([1 / gbs for gbs in values]) if len(levels) != 2 else None
    if states:
        return [_two_speeds(rows, 1 / states[0], 1 / states[1])]
    if len(levels) < 2:
        return [f"steady at {figure(median(values))} GB/s over {len(rows)} intervals"]
    return [_change(rows, before, after) for before, after in pairwise(levels)]


def _gbs(row: Row) -> float:
    return row.bandwidth_gbs or 0.0


def _two_speeds(rows: Sequence[Row], fast: float, slow: float) -> str:
    """Return the shares of two speeds between which a run went to and fro."""
    slow_rows = [row for row in rows if _gbs(row) < math.sqrt(fast * slow)]
    share = 100 * len(slow_rows) / len(rows)
    text = f"two speeds: {figure(fast)} GB/s for {100 - share:.0f} % of the time, {figure(slow)} GB/s for {share:.0f} %"
    return text + _slow_state(slow_rows, slow, fast)


def _change(rows: Sequence[Row], before: Plateau, after: Plateau) -> str:
    """Return a change of the level, with its moment."""
    last, first = rows[after.first - 1], rows[after.first]
    percent = 100 * (after.value / before.value - 1)
    text = f"{figure(before.value)} GB/s became {figure(after.value)} GB/s ({percent:+.0f} %)"
    text += f" after {format_duration(last.elapsed_s or 0.0)} ({first.started_utc})"
    slower = min(before, after, key=lambda level: level.value)
    return text + _slow_state(rows[slower.first : slower.last + 1], slower.value, max(before.value, after.value))


def _slow_state(rows: Sequence[Row], slow: float, fast: float) -> str:
    """Return the name of the known slow state that the slow rows are in, as an addition to a sentence."""
    clocks = [row.clock_mhz for row in rows if row.clock_mhz]
    fast = fast if kernel_class(rows[0].kernel) == "read" else slow
    name = slow_spell(slow, fast, median(clocks) if clocks else None, rows[0].device)
    return f": {name}" if name else ""
