"""Measure each accelerator of this machine alone, one after the other, and then all of them at once.

Each measurement is a child process with its own pair of files, as under torchrun. The children of the last step begin
at one moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bandmark.fleet.summary import Fleet, Section, judge
from bandmark.fleet.torchrun import OPENING_S, Child, child_command, part_path
from bandmark.session.ranks import Figure, Member, Ticket

_TOGETHER = ("case", "devices", "sum", "sum_alone", "unit", "percent_of_alone", "fairness", "slowest")


def device_path(output: Path, address: str, step: str = "") -> Path:
    """Return where a device's rows go: F.csv becomes F.cuda1.csv, or F.cuda1-together.csv for a step."""
    return part_path(output, address.replace(":", "") + (step and f"-{step}"))


def measure_devices(
    names: Mapping[str, str],
    arguments: Sequence[str],
    output: Path,
    *,
    deadline_s: float,
    announce: Callable[[str], None],
) -> tuple[list[Member], list[Member]]:
    """Return what each device measured alone, and what each measured while all others did, too.

    Args:
        names: the devices in words, by address.
        arguments: the command line of `bandmark`, to which each child adds its device and file.
        output: the CSV that the children's files are named after.
        deadline_s: seconds after which a child counts as hung.
        announce: called with each step in words.
    """

    def measure(addresses: Sequence[str], step: str, start_at: float) -> list[Member]:
        children = {a: Child(ticket=Ticket(node=names[a]), deadline_s=deadline_s) for a in addresses}

        def run(address: str) -> Member:
            csv = device_path(output, address, step)
            command = child_command([*arguments, "--device", address], csv)
            return children[address].measure(command, csv, start_at)

        with ThreadPoolExecutor(len(children)) as pool:
            try:
                return list(pool.map(run, children))
            except KeyboardInterrupt:
                for child in children.values():
                    child.end_soon()
                raise

    alone = []
    for address, name in names.items():
        announce(f"{name} alone")
        alone += measure([address], "", time.time())
    announce(f"all {len(names)} at once")
    return alone, measure(list(names), "together", time.time() + OPENING_S)


def judge_devices(alone: Sequence[Member], together: Sequence[Member]) -> Fleet:
    """Judge the devices at once as a fleet, beside what each did alone; who failed alone is missing, too."""
    fleet = judge(together)
    failed = [(f"{m.ticket.name} alone", m.problem) for m in alone if m.problem is not None]
    next(section for section in fleet.sections if section.name == "missing").rows.extend(failed)
    fleet.sections.insert(0, Section("together", "All devices at once", _TOGETHER, [*_compare(alone, together)]))
    return fleet


def _compare(alone: Sequence[Member], together: Sequence[Member]) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each case: the sum beside that of the devices alone, and the slowest over the fastest.

    Latencies have no sum.
    """
    for case in dict.fromkeys(case for member in together for case in member.figures):
        now, before = _figures(together, case), _figures(alone, case)
        if not now:
            continue
        up, unit = next((figure.higher_is_better, figure.unit) for figure in now.values())
        speeds = {name: (figure.value or 0.0) ** (1 if up else -1) for name, figure in now.items()}
        slowest, fastest = (choose(speeds, key=speeds.__getitem__) for choose in (min, max))
        total = sum(speeds.values()) if up else None
        sum_alone = sum(before[name].value or 0.0 for name in now) if up and now.keys() <= before.keys() else None
        percent = 100 * total / sum_alone if total and sum_alone else None
        yield (case, len(now), total, sum_alone, unit, percent, speeds[slowest] / speeds[fastest], slowest)


def _figures(members: Sequence[Member], case: str) -> dict[str, Figure]:
    """Return the figures of a case by the name of the device; those without a value are left out."""
    figures = {member.ticket.name: member.figures.get(case) for member in members}
    return {name: figure for name, figure in figures.items() if figure is not None and figure.value}
