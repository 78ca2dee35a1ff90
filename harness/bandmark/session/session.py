"""The one driver of a run: from options to rows and files, for the command line, the API, decode and tests."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from itertools import chain
from pathlib import Path

from bandmark import __version__
from bandmark.backends.select import Target, open_target
from bandmark.device.machine import preflight, read_machine
from bandmark.errors import FileError, UsageError
from bandmark.measure.sampling import Schedule, StopRule
from bandmark.models.config import find_matrices
from bandmark.options import RunOptions
from bandmark.results.files import RunFiles
from bandmark.results.record import RunRecord
from bandmark.results.row import SCHEMA, Row
from bandmark.session.rows import Outcome, build_rows
from bandmark.session.runner import measure_groups, utc_now
from bandmark.suites import SUITES
from bandmark.suites.base import Group, RunFacts, Suite, group_seconds
from bandmark.suites.selection import pick

_QUICK_RULE = StopRule(min_time_s=0.1, warmup_s=0.05, max_warmup_s=0.3)


Progress = Callable[[int, int, str], None]
Watcher = Callable[[Callable[[], list[Outcome]]], None]
"""Called before each group: how many are done, how many there are, and the next in words."""


@dataclass(slots=True, kw_only=True)
class Session:
    """A run: what will be measured, all that is known beforehand, and the outcomes so far."""

    options: RunOptions
    run_id: str
    started: datetime
    system: str
    target: Target
    groups: list[Group]
    time_limit_s: float
    notes: list[str]
    """What the user should know before trusting the figures."""
    outcomes: list[Outcome] = field(default_factory=list)
    measured_groups: int = 0
    interrupted: bool = False
    csv: Path | None = None
    """The result file, once it was written."""
    save_error: FileError | None = None
    """Why the last rows are not in the files, if they could not be written."""

    def facts(self) -> RunFacts:
        """Return what all rows have in common."""
        return RunFacts(
            run_id=self.run_id,
            system=self.system,
            version=__version__,
            device=self.target.device,
            peak=self.target.peak,
            data=self.options.data,
            caches=self.target.machine.core_caches,
            libraries=self.target.libraries(),
        )

    def rows(self) -> list[Row]:
        """Return the rows of all outcomes so far, in the order of result files."""
        return build_rows(self.outcomes, self.facts())

    def record(self) -> RunRecord:
        """Return the run record: everything about the run that a row has no room for."""
        facts = self.facts()
        return RunRecord(
            schema=SCHEMA,
            run_id=self.run_id,
            bandmark_version=__version__,
            started_utc=f"{self.started:%Y-%m-%dT%H:%M:%SZ}",
            finished_utc=f"{utc_now():%Y-%m-%dT%H:%M:%SZ}",
            system=self.system,
            complete=self.measured_groups == len(self.groups),
            settings=asdict(self.options),
            machine=self.target.machine,
            device=facts.device,
            backends=facts.libraries,
            peak=facts.peak,
            notes=self.notes,
            samples=[
                outcome.measurement.to_entry({"device": None, **outcome.columns})
                for outcome in self.outcomes
                if outcome.measurement is not None
            ],
            rows=len(self.outcomes),
        )


def planned_seconds(session: Session) -> list[tuple[Group, float]]:
    """Return the groups of a session, each with the seconds of sampling that it may take."""
    return [*zip(session.groups, group_seconds(session.groups, session.time_limit_s), strict=True)]


def run_session(
    options: RunOptions,
    *,
    output: Path | None = None,
    to_files: bool = False,
    force: bool = False,
    name_file: Callable[[Session], Path] = lambda session: Path(f"{session.run_id}.csv"),
    on_start: Callable[[Session], None] = lambda session: None,
    progress: Progress = lambda done, total, label: None,
    watcher: Watcher = lambda outcomes: None,
) -> Session:
    """Measure, and write the files as the run goes.

    An interrupt (Ctrl-C) ends the run early; what was measured is kept, and the session says so.

    Args:
        options: what to measure and how.
        output: the CSV to write; None for the one that name_file names.
        to_files: whether to write files at all.
        force: replace existing files.
        name_file: returns the CSV of an open session; by default a new file named after the run.
        on_start: called with the session before anything is measured.
        progress: called before each group.
        watcher: called after each round of samples, with a function that returns the outcomes so far, unverified.

    Raises:
        UsageError: an option is not accepted, or does not go with the device.
        BackendUnavailable: a backend that was asked for can't be used.
        FileError: a file exists or can't be written.
    """
    files = RunFiles(output, force=force) if to_files and output else None
    session = open_session(options)
    try:
        if to_files and files is None:
            files = RunFiles(name_file(session))
        on_start(session)
        _measure(session, files, progress, watcher)
    finally:
        session.target.close()
    return session


def _measure(session: Session, files: RunFiles | None, progress: Progress, watcher: Watcher) -> None:
    """Measure all groups, saving after each."""
    rule = _QUICK_RULE if session.options.quick else StopRule()
    total = len(session.groups)
    schedule = Schedule(limit_s=session.time_limit_s, watcher=watcher)
    outcomes = measure_groups(session.groups, session.options, rule, schedule)
    try:
        for done, group in enumerate(session.groups):
            progress(done, total, group.label)
            session.outcomes += next(outcomes)
            session.measured_groups += 1
            if files:
                _save(session, files)
    except KeyboardInterrupt:
        session.interrupted = True
        if files and session.outcomes:  # it may have come while the last group was being saved
            _save(session, files)


def _save(session: Session, files: RunFiles) -> None:
    """Write the files; a disk that is full now may have room after the next group, so the run goes on."""
    try:
        files.save(session.rows(), session.record().to_json())
        session.csv, session.save_error = files.csv, None
    except FileError as error:
        session.save_error = error


def open_session(options: RunOptions) -> Session:
    """Resolve options against this machine; raises UsageError or BackendUnavailable."""
    suites = select_suites(options)
    options.check()
    for suite in suites:
        suite.check(options)
    machine = read_machine()
    target = open_target(
        machine,
        names=options.backends,
        address=options.device,
        threads=options.threads,
        cpus=options.cpus,
        peak=options.peak,
    )
    try:
        groups = [group for suite in suites for group in suite.plan(options, target)]
        notes = [*target.notes, *preflight(machine, on_cpu=target.on_cpu, threads=target.backends[0].threads)]
        notes += [target.peak.explanation] if target.peak.gbs is None else []
        notes += chain.from_iterable(suite.notes(options) for suite in suites)
        now = utc_now()
        return Session(
            options=_without_paths(options),
            run_id=new_run_id(now),
            started=now,
            system=options.system or _system_name(target.peak.device_id or target.device.name),
            target=target,
            groups=groups,
            time_limit_s=options.time_limit_s or _time_limit(suites, groups, options),
            notes=notes,
        )
    except BaseException:
        target.close()
        raise


def _without_paths(options: RunOptions) -> RunOptions:
    """Return options that name a model in place of its file: a path says more of the machine than a record should."""
    return replace(options, layer=find_matrices(options.layer)[0].model) if options.layer else options


def select_suites(options: RunOptions) -> list[Suite]:
    """Return the suites to run: those named, else those that the other options ask for.

    Raises:
        UsageError: there is no suite of some name, or an option goes with a suite that does not run.
    """
    names = options.suites or tuple(suite.name for suite in SUITES.values() if suite.is_default(options))
    chosen = [suite for suite in pick("suite", names, SUITES) if suite.name in names or suite.in_all]
    for suite in SUITES.values():
        if suite.name not in names:
            _refuse_options_of(suite, options)
    return chosen


def _refuse_options_of(suite: Suite, options: RunOptions) -> None:
    for option in (option for option in fields(options) if option.name in suite.own_options):
        if getattr(options, option.name) is not None:
            flag = option.metadata["flag"]
            raise UsageError(f"{flag} goes with --suite {suite.name}: add that, or leave {flag} out.")


def _time_limit(suites: Sequence[Suite], groups: Sequence[Group], options: RunOptions) -> float:
    """Return the seconds of sampling where no limit is given: what each suite takes, or its groups together."""
    limit_s = 0.0
    for suite in suites:
        own = [group for group in groups if group.suite is suite]
        cases = sum(len(group.runnable) for group in own if group.min_time_s is None)
        limit_s += max(suite.time_limit_s(options, cases), sum(group.min_time_s or 0.0 for group in own))
    return limit_s


def new_run_id(now: datetime) -> str:
    """Return a run's name: its start in UTC and random digits, 20261123T101500Z-3f2a7c1d.

    Eight of them, since a thousand nodes may start in one second: four gave eight of those the name of another.
    """
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def _system_name(name: str) -> str:
    """Return a device's name as the name of a system: 'NVIDIA GB10' -> 'nvidia-gb10'."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm|c)\)", " ", name.lower())).strip("-") or "unknown"
