"""How does a run go, from what was asked for to its rows? Group by group, writing as it goes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import median
from time import perf_counter
from typing import Any

from bandmark.backends.base import Workload
from bandmark.device.machine import CpuUse, others_share, read_cpu_use
from bandmark.device.telemetry import Telemetry
from bandmark.measure.sampling import CaseFailedError, Clock, Samples, StopRule, measure_group, take
from bandmark.results.row import Row
from bandmark.session.problems import failed
from bandmark.session.rows import Context, Outcome, assemble, with_ceiling, with_slow_reads
from bandmark.suites.plan import Case, Group, halved
from bandmark.suites.rotation import group_copies
from bandmark_kernels.core.inputs import Inputs, Pattern, make_inputs

OVERTIME = 1.25
"""How far past the time limit a group may still begin; later ones are skipped, and their rows say so."""

MOST_HALVINGS = 8
"""How often a size is halved when a device has no room for it after all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """How the groups of a run are measured."""

    rule: StopRule = field(default_factory=StopRule)
    time_limit_s: float = 90.0
    seed: int = 1
    data: Pattern = "random"
    clock: Clock = perf_counter


@dataclass(slots=True)
class Measured:
    """The rows of a run so far, and the raw samples behind them."""

    rows: list[Row] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    """One entry per measured case: what identifies its row, and seconds per launch in the order of sampling."""


Progress = Callable[[int, int, Group], None]
"""Called before each group: how many are done, how many there are, and the next."""

Save = Callable[[Measured], None]
"""Called after each group with all that was measured so far."""


def new_run_id(now: datetime) -> str:
    """Return a run's name: its start in UTC and four random digits, 20261123T101500Z-3f2a."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def utc_now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


def run_groups(
    groups: Sequence[Group], context: Context, procedure: Procedure, *, progress: Progress, save: Save
) -> Measured:
    """Measure every group in turn, sharing the time limit out over those that are left."""
    measured = Measured()
    clock = procedure.clock
    begin = clock()
    spent_after = 0.0
    for done, group in enumerate(groups):
        progress(done, len(groups), group)
        if clock() > begin + OVERTIME * procedure.time_limit_s:
            reason = f"the time limit of {procedure.time_limit_s:g} s had passed; --time-limit S gives more"
            measured.rows += skipped(group, reason, context)
            save(measured)
            continue
        share = max(0.0, begin + procedure.time_limit_s - clock()) / (len(groups) - done)
        # Verification comes out of the group's share: the last group's tells how long it takes.
        runner = GroupRun(group, context, procedure, clock() + max(0.0, share - spent_after))
        runner.run()
        spent_after = runner.verify_s
        begin += runner.prepare_s
        measured.rows += runner.rows()
        measured.samples += runner.samples()
        save(measured)
    measured.rows = with_slow_reads(with_ceiling(measured.rows))
    save(measured)
    return measured


def skipped(group: Group, reason: str, context: Context) -> list[Row]:
    """Return the rows of a group that is left out."""
    return [assemble(case, Outcome(skipped=reason), context) for case in group.cases]


@dataclass(slots=True)
class GroupRun:
    """One group on its way from operands to outcomes."""

    group: Group
    context: Context
    procedure: Procedure
    deadline: float
    verify_s: float = 0.0
    prepare_s: float = 0.0
    """Time to fill the sets of a model's matrix, which together are larger than any array of a usual size, and to lay
    packed weights out as an op wants them; the time limit does not count it, or one would take the others' time."""
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    """By position of the case in the group."""
    repeated: set[int] = field(default_factory=set)
    """Positions of cases that turned out to be a form that runs already: they get no row."""
    copies: int | None = None
    """Over how many sets launches rotate; None before the first attempt."""

    def run(self) -> None:
        """Prepare, measure and verify; on a device without room, with half of what is halved, as often as it takes."""
        for halvings in range(MOST_HALVINGS + 1):
            try:
                self._attempt()
            except MemoryError as error:
                if halvings == MOST_HALVINGS or not self._halve():
                    self.outcomes = {i: o for i, o in self.outcomes.items() if o.samples is None}
                    self._fail_rest(f"out of memory: {error}")
                    return
                self.outcomes.clear()
                self.repeated.clear()
                continue
            if halvings:
                times = "once" if halvings == 1 else f"{halvings} times"
                what = "number of sets" if self.group.is_layer else "size"
                note = f"the {what} was halved {times} for want of device memory"
                self.outcomes = {i: replace(o, note=note) for i, o in self.outcomes.items()}
            return

    def _halve(self) -> bool:
        """Halve the size, of a model's matrix the sets of it; return whether there was anything to halve."""
        if self.group.is_layer:
            self.copies = (self.copies or 1) // 2
            return self.copies > 0
        if self.group.shape.n_elements < 2:
            return False
        self.group = halved(self.group)  # as many sets as before: more would take the room that was just made
        return True

    def rows(self) -> list[Row]:
        """Return the group's rows."""
        return [assemble(case, self.outcomes.get(i, Outcome()), self.context) for i, case in self._cases()]

    def samples(self) -> list[dict[str, Any]]:
        """Return the raw samples of the cases that have any, each with what identifies its row."""
        return [
            {
                "backend": case.backend.name,
                "kernel": case.kernel.name,
                "dtype": case.dtype.name,
                "variant": outcome.variant,
                **case.identity,
                "launches_per_sample": outcome.samples.launches,
                "seconds_per_launch": [float(f"{s:.9g}") for s in outcome.samples.seconds],
                "clocks_mhz": outcome.samples.clocks_mhz,
                "sensor_clocks_mhz": outcome.samples.sensor_clocks_mhz,
                "braked_samples": outcome.samples.braked,
                "memory_clock_mhz": outcome.telemetry.memory_clock_mhz,
            }
            for i, case in self._cases()
            if (outcome := self.outcomes.get(i)) is not None and outcome.samples is not None
        ]

    def _cases(self) -> list[tuple[int, Case]]:
        return [(i, case) for i, case in enumerate(self.group.cases) if i not in self.repeated]

    def _attempt(self) -> None:
        """Measure the group at its present size; raises MemoryError if an operand does not fit."""
        group, procedure = self.group, self.procedure
        if not group.runnable:
            return
        inputs = make_inputs(group.kernel, group.dtype, group.shape, seed=procedure.seed, pattern=procedure.data)
        self.copies = self.copies or group_copies([case for _, case in self._cases()])
        workloads: dict[int, Workload] = {}
        before = procedure.clock()
        try:
            for i, case in self._cases():
                if case.skip_reason is None and (workload := self._prepare(i, case, inputs, self.copies)):
                    running = {(self.group.cases[j].backend.name, w.variant) for j, w in workloads.items()}
                    if (case.backend.name, workload.variant) in running:
                        self.repeated.add(i)
                        workload.close()
                    else:
                        workloads[i] = workload
            if group.is_layer or group.kernel.weights:
                spent = procedure.clock() - before
                self.prepare_s, self.deadline = self.prepare_s + spent, self.deadline + spent
            if workloads:
                self._measure(workloads)
        finally:
            for workload in workloads.values():
                workload.close()

    def _prepare(self, index: int, case: Case, inputs: Inputs, copies: int) -> Workload | None:
        """Return a case's workload after a trial launch, or None with the reason kept as its outcome."""
        workload = None
        try:
            workload = case.backend.prepare(inputs, case.variant, copies)
            error = workload.verify() if case.backend.verifies_first else None
            take(workload, 1)
        except NotImplementedError as problem:
            self.outcomes[index] = Outcome(skipped=str(problem))
            return None
        except KeyboardInterrupt:
            if workload is not None:
                workload.close()
            raise
        except Exception as problem:  # a library may raise anything; the row says what, and the run goes on
            if workload is not None:
                workload.close()
            self.outcomes[index] = failed(case, problem)
            return None
        if error is not None and not error <= 1:
            workload.close()
            reason = f"before timing, the output is wrong by {error:.3g} times the tolerance"
            self.outcomes[index] = Outcome(max_error=error, error=reason)
            return None
        return workload

    def _measure(self, workloads: dict[int, Workload]) -> None:
        """Sample the workloads in turns, then verify each; one that fails leaves, and the others begin anew."""
        clock = self.procedure.clock
        started, before = utc_now(), read_cpu_use(clock())
        try:
            measured = measure_group(list(workloads.values()), clock, self.procedure.rule, self.deadline)
        except CaseFailedError as stopped:
            at = list(workloads)[stopped.index]
            self.outcomes[at] = failed(self.group.cases[at], stopped.problem)
            if rest := {i: workload for i, workload in workloads.items() if i != at}:
                self._measure(rest)
            return
        others = self._others_share(before, read_cpu_use(clock()))
        begin = clock()
        telemetry = self._telemetry(measured)
        for (i, workload), samples in zip(workloads.items(), measured, strict=True):
            self.outcomes[i] = replace(
                self._verified(i, workload, samples, started), telemetry=telemetry, others_share=others
            )
        self.verify_s = clock() - begin

    def _telemetry(self, measured: Sequence[Samples]) -> Telemetry:
        """Return what the libraries read of the device: the cases ran in turns, so it holds for all of them."""
        readings = [case.backend.telemetry() for case in self.group.runnable]
        seen = next((reading for reading in readings if reading != Telemetry()), Telemetry())
        doubts = dict.fromkeys(doubt for reading in readings for doubt in reading.doubts)
        clocks = [mhz for samples in measured for mhz in samples.clocks_mhz]
        clock = seen.clock_mhz or (median(clocks) if clocks else None)
        return replace(seen, clock_mhz=clock, doubts=tuple(doubts))

    def _verified(self, index: int, workload: Workload, samples: Samples, started: datetime) -> Outcome:
        """Return the outcome of a measured case."""
        try:
            error = workload.verify()
        except Exception as problem:  # as in _prepare; without verification there is no figure
            return failed(self.group.cases[index], problem, "verification failed to run: ")
        return Outcome(
            samples=samples,
            max_error=error,
            variant=workload.variant,
            copies=workload.copies,
            started_utc=f"{started:%Y-%m-%dT%H:%M:%SZ}",
        )

    def _others_share(self, before: CpuUse | None, after: CpuUse | None) -> float | None:
        """Return what other programs took of the processors, where processors are what is measured."""
        on_cpu = self.group.runnable[0].backend.threads is not None
        # The system's counters cover all of its processors, not only those that this process may use.
        return others_share(before, after, os.cpu_count() or 1) if on_cpu else None

    def _fail_rest(self, reason: str) -> None:
        for i, case in self._cases():
            if case.skip_reason is None and i not in self.outcomes:
                self.outcomes[i] = Outcome(error=reason)
