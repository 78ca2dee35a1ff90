"""What a suite is: its cases, its metric, and how its rows are filled and shown.

A suite plans groups of cases; a group prepares workloads; the driver samples them; the suite turns each measurement
into the columns of a row. Everything above this package goes by suites and metrics and knows no kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from bandmark.results.row import MEASURED, Column, Row

if TYPE_CHECKING:
    from bandmark.backends.base import Backend, Workload
    from bandmark.backends.select import Target
    from bandmark.device.device import Device
    from bandmark.device.peaks import Peak
    from bandmark.measure.measurement import Measurement
    from bandmark.measure.sampling import StopRule
    from bandmark.options import RunOptions

Values = dict[str, Any]
"""The values of a row by column, on their way to becoming one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """The figure that a suite's rows are compared by, ranked by and drawn with."""

    name: str
    """In words: bandwidth, latency."""
    column: str
    """The column that holds it, computed from the median time."""
    unit: str
    higher_is_better: bool
    best_column: str | None = None
    """The column that holds the same by the shortest time, if there is one."""

    def value(self, row: Row) -> float | None:
        """Return the figure of a row, None where it has none."""
        number: float | None = row.get(self.column)
        return number


BANDWIDTH = Metric(
    name="bandwidth", column="bandwidth_gbs", unit="GB/s", higher_is_better=True, best_column="bandwidth_best_gbs"
)
"""Bytes read and written over the time of a launch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """A column of the table that people see: its heading, and the text of a row's cell."""

    title: str
    text: Any  # Callable[[Row], str]; a dataclass field that is a function would be bound as a method
    left: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """Figures over a quantity, as lines: both axes are logarithmic."""

    title: str
    unit: str
    """Of the figures."""
    over: str
    """The quantity, in words. A working set is in bytes."""
    points: Mapping[str, Sequence[tuple[float, float]]]
    """By the name of the line, in order of the quantity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row to be."""

    columns: Mapping[str, Any]
    """Everything about the row that is known before it is measured, by column."""
    backend: Backend
    variant: str | None = None
    """One of the backend's variants; None for the one that it chooses."""
    skip_reason: str | None = None
    """Why the backend does not run it; such a case becomes a row without figures."""
    skip_status: Literal["unsupported", "skipped"] = "unsupported"


@dataclass(frozen=True, slots=True)
class Interval:
    """A part of a longer measurement: a group that goes on with the open workloads of the one before."""

    is_verified: bool
    """Whether the outputs are verified after it; else the last verification counts for it."""
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The cases that are compared with each other, and therefore sampled in turns."""

    suite: Suite
    label: str
    """In words, for the progress bar and messages."""
    cases: tuple[Case, ...]
    min_time_s: float | None = None
    """Seconds of sampling that the group adds to the time limit of a run; None if it shares the usual one."""
    in_turns: bool = True
    """Whether the cases are sampled in turns. Cases that live in a cache would push each other out of it."""
    rule: StopRule | None = None
    """When a case is measured well enough; None for the rule of the run."""
    halved_what: str = "the size"
    """What `halved` halves, in words."""
    interval: Interval | None = None
    """Which part of a longer measurement it is; then its own time is all that it takes. None for a whole one."""

    @property
    def runnable(self) -> tuple[Case, ...]:
        """The cases that will be measured."""
        return tuple(case for case in self.cases if case.skip_reason is None)

    def inputs(self, options: RunOptions) -> Any:
        """Return what the operands of all cases hold."""
        return None

    def copies(self) -> int:
        """Return how many buffer sets launches rotate through."""
        return 1

    def prepare(self, case: Case, inputs: Any, copies: int) -> Workload:
        """Place the operands of a case and bind the kernel to them.

        Raises:
            MemoryError: they do not fit.
            NotImplementedError: the case does not go with the operands after all.
        """
        raise NotImplementedError

    def halved(self) -> Group | None:
        """Return the group with half the elements, None if there is nothing to halve."""
        return None


def group_seconds(groups: Sequence[Group], limit_s: float) -> list[float]:
    """Return the seconds that each group asks for; those that ask for none share the rest."""
    own_s = sum(group.min_time_s or 0.0 for group in groups)
    sharing = sum(group.min_time_s is None for group in groups)
    each_s = max((limit_s - own_s) / max(1, sharing), limit_s / max(1, len(groups)))
    return [group.min_time_s or each_s for group in groups]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What all rows of a run have in common."""

    run_id: str
    system: str
    version: str
    device: Device
    peak: Peak
    data: str
    caches: Mapping[str, int]
    """Bytes of each level of the caches that one core reaches, by LEVELS; empty where the system does not say."""
    libraries: Mapping[str, Mapping[str, Any]]
    """Version, driver, threads and build of each backend, by name."""


@dataclass(slots=True, kw_only=True)
class Draft:
    """A row while it is being filled: by the run, by the suite, then by the rows beside it."""

    suite: Suite
    values: Values
    measurement: Measurement | None = None
    warnings: list[str] = field(default_factory=list)
    """Reasons why the figure may not be this machine's: with any of them the row is suspect."""
    notes: list[str] = field(default_factory=list)
    """What the row says although the figure is sound."""

    def fill_bandwidth(self) -> float | None:
        """Fill bandwidth by the median and by the shortest time; return the first, None where the output is wrong."""
        values, measurement = self.values, self.measurement
        if measurement is None or values.get("verified") is False:
            return None
        moved = values["bytes_read"] + values["bytes_written"]
        gbs: float = moved / measurement.summary.median_s / 1e9
        values["bandwidth_gbs"] = gbs
        values["bandwidth_best_gbs"] = moved / measurement.summary.min_s / 1e9
        return gbs


class Suite:
    """Base of all suites."""

    name: str
    """What --suite takes."""
    title: str
    """One line for `bandmark list`."""
    metric: Metric
    columns: tuple[Column, ...] = ()
    """Columns of its own, for suites that are not part of this distribution."""
    row_suites: tuple[str, ...] = ()
    """The values of the column suite that its rows have; none for the name of the suite itself."""
    kernel_names: tuple[str, ...] = ()
    """The values of the column kernel that its rows have."""
    dtype_names: tuple[str, ...] = ()
    """Values of the column dtype that no kernel of the table has."""
    is_curve = False
    """Whether its rows are points of curves: caches are meant, and neither --kernel nor --dtype selects cases."""
    headline_kernels: tuple[str, ...] = ()
    """The kernels that a leaderboard shows, the most important first; none for all of them."""
    in_all = True
    """Whether `--suite all` includes it."""

    own_options: tuple[str, ...] = ()
    """Options of a run that go with this suite alone."""

    def is_default(self, options: RunOptions) -> bool:
        """Return whether a run that names no suite includes this one."""
        return False

    def owns(self, row: Row) -> bool:
        """Return whether a row is of this suite."""
        return row.suite == self.name

    def check(self, options: RunOptions) -> None:
        """Raise UsageError for options that the suite can't follow, before anything is opened or measured."""

    def notes(self, options: RunOptions) -> list[str]:
        """Return what the options give up, and what they leave without effect."""
        return []

    def plan(self, options: RunOptions, target: Target) -> Sequence[Group]:
        """Return the groups of a run, in the order in which they are measured."""
        raise NotImplementedError

    def time_limit_s(self, options: RunOptions, cases: int) -> float:
        """Return the seconds of sampling that so many cases, all without a time of their own, share."""
        least_s, case_s = (12.0, 0.6) if options.quick else (90.0, 2.25)
        return max(least_s, cases * case_s)

    def case_columns(self, row: Row) -> Mapping[str, Any] | None:
        """Return what `Case.columns` was for a stored row, from its identity; None if there is no such case."""
        raise NotImplementedError

    def fill(self, draft: Draft, facts: RunFacts) -> None:
        """Fill the columns that a measurement of this suite yields, and note what speaks against the figure."""
        raise NotImplementedError

    def fill_across(self, drafts: Sequence[Draft], facts: RunFacts) -> None:
        """Fill the columns of measured rows that depend on the other rows of the run."""

    def impossible(self, row: Row) -> Iterator[tuple[str, float, str]]:
        """Yield column, value and what should stand there for each figure that no machine reaches."""
        yield from ()

    def measured(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows that have a figure."""
        return [row for row in rows if row.status in MEASURED and self.metric.value(row)]

    def series(self, row: Row) -> str:
        """Return the name of the curve that a row is a point of."""
        return " ".join(filter(None, (row.backend, row.kernel, row.variant)))

    def lines(self, rows: Iterable[Row], over: Callable[[Row], float | None]) -> dict[str, list[tuple[float, float]]]:
        """Return the figures of the measured rows over a quantity, in its order, by the name of the curve."""
        points: dict[str, list[tuple[float, float]]] = {}
        for row in self.measured(rows):
            if place := over(row):
                points.setdefault(self.series(row), []).append((float(place), self.metric.value(row) or 0.0))
        return {name: sorted(points[name]) for name in sorted(points)}

    def shown(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows that the table shows people; the files have all."""
        return rows

    def representatives(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows that may stand for the device where one figure does."""
        return rows

    def curve(self, rows: Sequence[Row]) -> Curve | None:
        """Return the rows as curves; None for suites whose rows are no points of curves."""
        return None

    def table_columns(self, rows: Sequence[Row]) -> tuple[TableColumn, ...]:
        """Return the columns of the table that people see, the notes left out."""
        raise NotImplementedError

    def legend(self, rows: Sequence[Row]) -> str:
        """Return one line that says what the headings of the table mean."""
        return ""

    def headline(self, rows: Sequence[Row]) -> str | None:
        """Return the text below the table that answers the question of the suite, None if no row does."""
        return None
