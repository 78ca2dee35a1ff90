"""Measure the groups of a run, one after the other: prepare, verify, sample, verify."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import median
from typing import Any

from bandmark.backends.base import Workload
from bandmark.device.cpu import cpu_count, others_share, read_cpu_use
from bandmark.device.sensors import SensorReading, throttling
from bandmark.errors import describe, first_of
from bandmark.measure.measurement import Measurement
from bandmark.measure.sampling import CaseFailedError, Schedule, StopRule, measure_group, take
from bandmark.options import RunOptions
from bandmark.session.rows import Outcome
from bandmark.suites.base import Case, Group, group_seconds

_MAX_HALVINGS = 8
"""How often a size is halved when a device has no room for it after all."""


def measure_groups(
    groups: Sequence[Group], options: RunOptions, rule: StopRule, schedule: Schedule
) -> Iterator[list[Outcome]]:
    """Measure every group in turn and yield its outcomes, a list for each group."""
    schedule.weights = group_seconds(groups, schedule.limit_s)
    opened = _Opened()
    try:
        for group in groups:
            if schedule.is_over and not _has_own_time(group, options):
                reason = f"the time limit of {schedule.limit_s:g} s had passed; --time-limit S gives more"
                yield skipped(group, reason)
            else:
                yield GroupRun(group, options, group.rule or rule, schedule, opened).run()
            schedule.weights = schedule.weights[1:]
    finally:
        opened.close()


def _has_own_time(group: Group, options: RunOptions) -> bool:
    """Return whether a group may take its seconds whatever others took: unless --time-limit is given."""
    return group.min_time_s is not None and options.time_limit_s is None


def skipped(group: Group, reason: str) -> list[Outcome]:
    """Return the outcomes of a group that is left out."""
    return [_planned(group, case) or _without(group, case, "skipped", reason) for case in group.cases]


def _planned(group: Group, case: Case) -> Outcome | None:
    """Return the outcome of a case that was never meant to be measured."""
    return None if case.skip_reason is None else _without(group, case, case.skip_status, case.skip_reason)


def _without(group: Group, case: Case, status: str, reason: str, **more: Any) -> Outcome:
    """Return the outcome of a case without a measurement."""
    columns = {**case.columns, "variant": case.variant}
    return Outcome(suite=group.suite, columns=columns, status=status, reason=reason, **more)


@dataclass(slots=True)
class _Opened:
    """The workloads that are open, by position of the case in the group; those of an interval outlive it."""

    workloads: dict[int, Workload] = field(default_factory=dict)
    errors: dict[int, float] = field(default_factory=dict)
    """What their last verification yielded."""

    def close(self) -> None:
        """Close them all."""
        self.errors.clear()
        while self.workloads:
            self.workloads.popitem()[1].close()


@dataclass(slots=True)
class GroupRun:
    """One group on its way from operands to outcomes."""

    group: Group
    options: RunOptions
    rule: StopRule
    schedule: Schedule
    opened: _Opened = field(default_factory=_Opened)
    halvings: int = 0
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    """By position of the case in the group."""
    repeated: set[int] = field(default_factory=set)
    """Positions of cases whose variant turned out to be one that runs already: they get no row."""

    def run(self) -> list[Outcome]:
        """Measure the group; on a device without room, with half the size, as often as it takes."""
        while True:
            try:
                self._attempt()
                break
            except MemoryError as error:
                smaller = self.group.halved() if self.halvings < _MAX_HALVINGS else None
                if smaller is None:
                    self._fail_rest(f"out of memory: {error}")
                    break
                self.group, self.halvings = smaller, self.halvings + 1
                self.outcomes.clear()
                self.repeated.clear()
        missing = "no samples were taken"
        return [
            _planned(self.group, case) or self.outcomes.get(i) or _without(self.group, case, "error", missing)
            for i, case in self._cases()
        ]

    def _cases(self) -> list[tuple[int, Case]]:
        return [(i, case) for i, case in enumerate(self.group.cases) if i not in self.repeated]

    def _attempt(self) -> None:
        """Measure the group at its present size; raises MemoryError if an operand does not fit."""
        if not self.group.runnable:
            return
        own_s = (self.group.min_time_s or 0.0) if _has_own_time(self.group, self.options) else 0.0
        share_s = own_s if self.group.interval else max(self.schedule.share(), own_s)
        inputs, copies = None if self.opened.workloads else self.group.inputs(self.options), self.group.copies()
        cases = self._cases()
        for batch in [cases] if self.group.in_turns else [[case] for case in cases]:
            self._measure_cases(batch, inputs, copies, share_s * len(batch) / len(cases))

    def _measure_cases(self, cases: Sequence[tuple[int, Case]], inputs: Any, copies: int, share_s: float) -> None:
        """Prepare some cases, and measure them in turns."""
        workloads = self.opened.workloads
        for sensors in filter(None, (case.backend.sensors for case in self.group.runnable)):
            sensors.reset()
        try:
            for i, case in cases:
                if case.skip_reason is None and i not in workloads:
                    self._open(i, case, inputs, copies)
            if workloads:
                self._measure(workloads, share_s)
        finally:
            if not self._goes_on():
                self.opened.close()

    def _open(self, index: int, case: Case, inputs: Any, copies: int) -> None:
        """Add a case to the open workloads, unless it fails or is what another one is already."""
        workload, opened = self._prepare(index, case, inputs, copies), self.opened.workloads
        if workload is None:
            return
        if _sameness(case, workload) in [_sameness(self.group.cases[i], other) for i, other in opened.items()]:
            self.repeated.add(index)
            workload.close()
        else:
            opened[index] = workload

    def _goes_on(self) -> bool:
        """Return whether the next group takes the workloads over: those of its size that have done their work."""
        interval, outcomes = self.group.interval, self.outcomes
        measured = all(i in outcomes and outcomes[i].measurement for i in self.opened.workloads)
        return interval is not None and not interval.is_last and measured and not self.halvings

    def _prepare(self, index: int, case: Case, inputs: Any, copies: int) -> Workload | None:
        """Return a case's workload after a trial launch, or None with its outcome stored."""
        workload = None
        try:
            workload = self.group.prepare(case, inputs, copies)
            error = workload.verify() if case.backend.verifies_first else None
            take(workload, 1)
        except BaseException as problem:  # a library may raise anything; the row says what, and the run goes on
            if workload is not None:
                workload.close()
            if not isinstance(problem, Exception):
                raise
            if isinstance(problem, NotImplementedError):
                self.outcomes[index] = _without(self.group, case, "skipped", str(problem))
            else:
                self.outcomes[index] = self._failure(case, problem)
            return None
        if error is not None and not error <= 1:
            workload.close()
            reason = f"before timing, the output is wrong by {error:.3g} times the tolerance"
            self.outcomes[index] = _without(self.group, case, "failed_verification", reason, max_error=error)
            return None
        return workload

    def _measure(self, workloads: Mapping[int, Workload], share_s: float) -> None:
        """Sample the workloads in turns, then verify each; one that fails leaves, and the others begin anew."""
        clock = self.schedule.clock
        started, begin, before = utc_now(), clock(), read_cpu_use(clock())
        try:
            launchers, look = list(workloads.values()), lambda seen: self._look(workloads, seen)
            measured = measure_group(launchers, clock, self.rule, begin + share_s, look)
        except CaseFailedError as stopped:
            self.schedule.sampled_s += clock() - begin
            failed = list(workloads)[stopped.index]
            self.outcomes[failed] = self._failure(self.group.cases[failed], stopped.problem)
            if rest := {i: workload for i, workload in workloads.items() if i != failed}:
                self._measure(rest, max(0.0, share_s - (clock() - begin)))
            return
        self.schedule.sampled_s += clock() - begin
        on_cpu, after = self.group.runnable[0].backend.threads is not None, read_cpu_use(clock())
        others, reading = others_share(before, after, cpu_count()) if on_cpu else None, self._sensor_reading()
        shared = self._shared_readings(reading, measured, others, started)
        for (i, workload), samples in zip(workloads.items(), measured, strict=True):
            self.outcomes[i] = self._verified(i, workload, samples, reading, shared)

    def _look(self, workloads: Iterable[int], measured: Sequence[Measurement]) -> None:
        """Let who watches the run see the cases that are being sampled."""
        suite, cases = self.group.suite, self.group.cases
        self.schedule.watcher(
            lambda: [
                Outcome(suite=suite, columns=cases[i].columns, measurement=replace(samples))
                for i, samples in zip(workloads, measured, strict=True)
            ]
        )

    def _sensor_reading(self) -> SensorReading:
        """Return the first library's reading of the device, with the warnings and throttle reasons of all."""
        readings = [case.backend.telemetry() for case in self.group.runnable]
        return replace(
            next((r for r in readings if r != SensorReading()), SensorReading()),
            warnings=tuple(dict.fromkeys(warning for r in readings for warning in r.warnings)),
            throttle_reasons=tuple(dict.fromkeys(reason for r in readings for reason in r.throttle_reasons)),
        )

    def _shared_readings(
        self, reading: SensorReading, measured: Sequence[Measurement], others: float | None, started: datetime
    ) -> Mapping[str, Any]:
        """Return what was read of the device: the cases ran in turns, so it holds for all of them."""
        clocks = [mhz for samples in measured for mhz in samples.clocks_mhz]
        return {
            "clock_mhz": reading.clock_mhz or (median(clocks) if clocks else None),
            "max_clock_mhz": reading.max_clock_mhz,
            "memory_clock_mhz": reading.memory_clock_mhz,
            "temperature_c": reading.temperature_c,
            "power_w": reading.power_w,
            "others_share": None if others is None else float(f"{others:.3g}"),
            "started_utc": f"{started:%Y-%m-%dT%H:%M:%SZ}",
        }

    def _halving_note(self) -> str | None:
        times = "once" if self.halvings == 1 else f"{self.halvings} times"
        return f"{self.group.halved_what} was halved {times} for want of device memory" if self.halvings else None

    def _verified(
        self, index: int, workload: Workload, samples: Measurement, reading: SensorReading, shared: Mapping[str, Any]
    ) -> Outcome:
        """Return the outcome of a measured case."""
        case = self.group.cases[index]
        try:
            if index not in self.opened.errors or (self.group.interval and self.group.interval.is_verified):
                self.opened.errors[index] = workload.verify()
            error = self.opened.errors[index]
        except Exception as problem:  # as in _prepare; without verification there is no figure
            return self._failure(case, problem, "verification failed to run: ")
        warnings, notes = throttling(reading, len(samples.braked_samples), len(samples.seconds_per_launch))
        measurement = replace(
            samples,
            idle_power_w=getattr(workload, "idle_power_w", None),
            pages=getattr(workload, "pages", None),
            max_error=float(f"{error:.9g}"),
            variant=workload.variant,
            copies=workload.copies,
            warnings=[*reading.warnings, *warnings],
            note="; ".join(filter(None, (workload.note, *notes, self._halving_note()))) or None,
            **shared,
        )
        return Outcome(suite=self.group.suite, columns=case.columns, measurement=measurement)

    def _failure(self, case: Case, problem: BaseException, stage: str = "") -> Outcome:
        """Return the outcome of a case whose library raised.

        Memory that the device shares with the system is not tried out: running out of it freezes such machines (DGX
        Spark, NVIDIA/open-gpu-kernel-modules#1358).

        Raises:
            MemoryError: there was no room, and with fewer elements there may be.
        """
        reason = describe(problem)
        if case.backend.lacks_memory(first_of(problem)):
            if not case.backend.device.integrated:
                raise MemoryError(reason.removeprefix("MemoryError: "))
            reason = f"{reason.rstrip('.')}; the memory is the system's, so no smaller size is tried: --size takes less"
        return _without(self.group, case, "error", stage + reason)

    def _fail_rest(self, reason: str) -> None:
        """Give the cases that were not finished an error; those with a reason of their own keep it."""
        self.outcomes = {i: o for i, o in self.outcomes.items() if o.measurement is None}
        for i, case in self._cases():
            if case.skip_reason is None and i not in self.outcomes:
                self.outcomes[i] = _without(self.group, case, "error", reason)


def _sameness(case: Case, workload: Workload) -> tuple[Any, ...]:
    """Return what tells the cases of a group apart once each has its variant."""
    return case.backend.name, workload.variant, case.columns.get("pattern")


def utc_now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)
