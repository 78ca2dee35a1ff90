"""Measure the devices of this machine within a budget of time, and judge what each of them gives."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bandmark.backends.discovery import LIBRARIES, discover
from bandmark.check.faults import Fault, clauses, known_faults
from bandmark.errors import EXIT_FAILED, EXIT_OK, EXIT_UNJUDGED, BackendUnavailable, UsageError
from bandmark.judge.expectations import MIN_DEVICES, Expectation, Hardware, Spread, find_limits, is_beyond
from bandmark.options import RunOptions
from bandmark.session.ranks import Figure, backend_facts, figures_of, hardware_of, rank_file, read_member, read_ticket
from bandmark.session.session import Session, run_session
from bandmark.suites.transfer import JUDGED

_KERNELS = ("read", "copy", "gemv")
"""A slow state of a DGX Spark shows in gemv while copy is as fast as ever. `run --quick` has the same cases, so that
limits follow from its results. Beside them pinned memory is copied both ways over the link of a GPU."""

_MAX_SAMPLING_S = 6.0
_SAMPLING_SHARE = 0.4
"""Share of a device's time that goes to sampling; the rest is for placing and verifying the arrays."""

_HALF = (0.4, 0.6)
"""Share of the limit at which a figure counts as half of what is expected."""

_NOTHING = "nothing to judge by"

_WRONG, _DEFECT, _SLOW = 3.0, 2.0, 1.0
"""Weights of the kinds of reasons; that of a slow case lies between 0 and 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a device is not as expected, or could not be judged."""

    exit_code: int
    text: str
    weight: float = 0.0
    """How bad it is among the reasons of an exit code."""


@dataclass(slots=True, kw_only=True)
class DeviceCheck:
    """What was measured of one device, and what is to be said of it."""

    address: str
    device: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    """The figure below which each case is too slow, where one is known."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    reasons: list[Reason] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """1 with a reason against the device, else 3 with one against judging it, else 0."""
        return exit_code(self.reasons)


def exit_code(reasons: Iterable[Reason]) -> int:
    """Return the exit code of all reasons together: 1 goes before 3, and 3 before 0."""
    codes = {reason.exit_code for reason in reasons}
    return next((code for code in (EXIT_FAILED, EXIT_UNJUDGED) if code in codes), EXIT_OK)


def check_devices(
    address: str | None, expectations: Sequence[Expectation] | None, history: Path | None, budget_s: float
) -> Iterator[DeviceCheck]:
    """Measure and judge devices one by one.

    Args:
        address: the device; None for all GPUs, and for the CPU unless a GPU shares its memory. A CPU beside GPUs that
            there is nothing to judge by is left as it is.
        expectations: what decides; None for the published bands and the history.
        history: a folder of earlier results, to which these are added.
        budget_s: seconds for everything.

    Raises:
        UsageError: there is no such device.
    """
    end = time.monotonic() + budget_s
    devices, problems = _devices(address)
    for problem in problems:
        yield _unjudged("cuda", "GPU", problem)
    for left, (place, backend) in zip(range(len(devices), 0, -1), devices, strict=True):
        share_s = (end - time.monotonic()) / left
        try:
            checked = _check(place, backend, share_s, expectations, history)
            if place == "cpu" and len(devices) > 1:  # beside GPUs it is judged where there is something to judge it by
                checked.reasons = [r for r in checked.reasons if not r.text.startswith(_NOTHING)]
            yield checked
        except BackendUnavailable as error:
            yield _unjudged(place, place, str(error))


def _unjudged(address: str, device: str, why: str) -> DeviceCheck:
    return DeviceCheck(address=address, device=device, reasons=[Reason(exit_code=EXIT_UNJUDGED, text=why)])


def _devices(address: str | None) -> tuple[list[tuple[str, str]], list[str]]:
    """Return address and backend of the devices to check, and why GPUs that may be there can't be used."""
    on_cpu = next(name for name, library in LIBRARIES.items() if library.on_cpu)
    if address == "cpu":
        return [(address, on_cpu)], []
    discovery = discover()
    found = [a for a in discovery.accelerators if address in (None, a.address, a.address.partition(":")[0])]
    devices = [(a.address, a.backends[0]) for a in found]
    if address is not None and not devices:
        raise UsageError(f"there is no device {address!r}; `bandmark devices` lists those that there are.")
    if address is None and not any(a.device.integrated for a in found):
        devices.append(("cpu", on_cpu))
    return devices, [] if found else discovery.hidden_gpus()


def _check(
    address: str, backend: str, share_s: float, expectations: Sequence[Expectation] | None, history: Path | None
) -> DeviceCheck:
    """Measure one device for so many seconds and judge it."""
    limit_s = max(0.5, min(_MAX_SAMPLING_S, _SAMPLING_SHARE * share_s))
    suites = ("bandwidth",) if address == "cpu" else ("bandwidth", "transfer")
    options = RunOptions(
        device=address, backends=(backend,), suites=suites, kernels=_KERNELS, quick=True, time_limit_s=limit_s
    )
    end, began = time.monotonic() + share_s, time.monotonic()
    earlier: list[Mapping[str, Figure]] = []
    stopped = False

    def stop_in_time(done: int, total: int, label: str) -> None:
        nonlocal stopped
        now = time.monotonic()
        stopped = done > 0 and now + (now - began) / done > end
        if stopped:
            raise KeyboardInterrupt  # which keeps what was measured

    def name_file(session: Session) -> Path:
        assert history is not None
        csv = rank_file(history, read_ticket())(session)
        device = csv.stem.removesuffix(f"-{session.run_id}").rpartition("-")[2]
        earlier.extend(read_member(file).figures for file in sorted(history.glob(f"*{device}*.csv")))
        return csv

    session = run_session(
        options,
        to_files=history is not None,
        name_file=name_file,
        on_start=_keep_judged_transfers,
        progress=stop_in_time,
    )
    if session.save_error is not None:
        raise session.save_error
    if session.interrupted and not stopped:
        raise KeyboardInterrupt
    return judge(session, expectations, earlier)


def _keep_judged_transfers(session: Session) -> None:
    """Leave out the transfers that there are no published measurements of, and all sizes but the largest."""
    plain = [group for group in session.groups if not any(case.columns.get("direction") for case in group.cases)]
    judged = [
        replace(group, cases=cases)
        for group in session.groups
        if (cases := tuple(case for case in group.cases if case.columns.get("pattern") in JUDGED))
    ]
    session.groups = [*plain, *judged[-1:]]


def judge(
    session: Session, expectations: Sequence[Expectation] | None, earlier: Sequence[Mapping[str, Figure]]
) -> DeviceCheck:
    """Judge the rows of a session; the arguments are those of check_devices, with the earlier figures by case.

    An expectation decides alone. Without one the published band and the history both apply.
    """
    record, rows = session.record().to_json(), session.rows()
    figures, memory = figures_of(rows), figures_of([row for row in rows if row.direction is None])
    hardware, facts = hardware_of(record), backend_facts(record)
    limits = _history_limits(figures, earlier) if expectations is None else find_limits(expectations, hardware)
    signs = clauses(facts, session.target.peak.source)
    defects = [clause for clause in signs if _blamed([clause], "device")]
    unmeasured = [f"no time was left for {group.label}" for group in session.groups[session.measured_groups :]]
    unjudged = [*unmeasured, *_lacks(memory, limits, expectations, hardware)]
    judged = (_judge_case(case, f, limits.get(case), expectations is None) for case, f in figures.items())
    reasons = [
        *(Reason(exit_code=EXIT_FAILED, text=clause, weight=_DEFECT) for clause in defects),
        *filter(None, judged),
        *(Reason(exit_code=EXIT_UNJUDGED, text=text) for text in unjudged),
    ]
    faults = known_faults([*(figure.reason for figure in figures.values()), *signs, *(r.text for r in reasons)])
    address, device = session.target.address, session.target.device.name
    return DeviceCheck(
        address=address, device=device, figures=figures, limits=limits, facts=facts, reasons=reasons, faults=faults
    )


def _blamed(texts: Iterable[str | None], whom: str) -> list[Fault]:
    """Return the known faults in some texts that are the device's, or that of others."""
    return [fault for fault in known_faults(texts) if fault.blame == whom]


def _lacks(
    figures: Mapping[str, Figure],
    limits: Mapping[str, float],
    expectations: Sequence[Expectation] | None,
    hardware: Hardware,
) -> list[str]:
    """Return what there is nothing to judge by: all, or cases that the expectation leaves out."""
    if expectations is None:
        known = limits or any(figure.verdict for figure in figures.values())
        return [] if known else [f"{_NOTHING}: no published band and no history of {MIN_DEVICES} runs"]
    if not limits:
        return [f"{_NOTHING}: the file has no group for {hardware}"]
    return [f"no limit for {case}" for case in figures if case not in limits]


def _history_limits(figures: Mapping[str, Figure], earlier: Sequence[Mapping[str, Figure]]) -> dict[str, float]:
    """Return the limits by the earlier runs of a device, for cases that it has often enough."""
    limits = {}
    for case, figure in figures.items():
        values = [f.value for past in earlier if (f := past.get(case)) is not None and f.value is not None]
        if len(values) >= MIN_DEVICES:
            limits[case] = Spread.of(values, higher_is_better=figure.higher_is_better, unit=figure.unit).limit
    return limits


def _judge_case(case: str, figure: Figure, limit: float | None, by_band: bool) -> Reason | None:
    """Return what is to be said against a case; a low figure beside other programs can't be judged."""
    if figure.status in ("failed_verification", "error"):
        return Reason(exit_code=EXIT_FAILED, text=f"{case}: {figure.reason}", weight=_WRONG)
    if figure.value is None:
        return Reason(exit_code=EXIT_UNJUDGED, text=f"{case}: {figure.reason}", weight=_SLOW)
    share, text = 1.0, f"{case} {figure.value:.4g} {figure.unit}"
    if limit is not None and is_beyond(figure.value, limit, higher_is_better=figure.higher_is_better):
        share = figure.value / limit
        text += f", limit {limit:.4g}"
    elif by_band and (figure.verdict or "").startswith("low for"):
        text += f", {figure.verdict}"
    else:
        return None
    text += ", about half of what is expected" if _HALF[0] <= share <= _HALF[1] else ""
    if busy := _blamed([figure.reason], "others"):
        return Reason(exit_code=EXIT_UNJUDGED, text=f"{busy[0].name}: {text}", weight=_SLOW)
    return Reason(exit_code=EXIT_FAILED, text=text, weight=_SLOW * max(0.0, 1 - min(share, 1 / share)))
