"""Judge a fleet: spread, outliers, groups of two speeds, differences of the stack, missing ranks and trends.

Every step looks at each member once, or sorts the figures of a group; none compares members in pairs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bandmark.errors import EXIT_FAILED, EXIT_OK, EXIT_UNJUDGED
from bandmark.judge.expectations import MIN_DEVICES, Expectation, Hardware, Spread, find_limits, is_beyond
from bandmark.measure.stats import quantile, two_states
from bandmark.session.ranks import Figure, Member

_MIN_TWO_SPEEDS = 10
"""Devices of a group from which two speeds are told from chance."""

_MIN_CHANGE = 0.03
"""Change of a device against its own earlier runs from which it is listed; run to run varies by less (README)."""


@dataclass(slots=True)
class Section:
    """A table of the report, whose cells are texts, numbers or None."""

    name: str
    title: str
    header: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@dataclass(slots=True, kw_only=True)
class Fleet:
    """What is to be said of a fleet."""

    sections: list[Section]
    exclude: list[str]
    """The nodes to leave out of a job."""
    observed: Mapping[Hardware, Mapping[str, Spread]]
    """What groups of enough devices show, for an expectation file."""
    members: int
    judged: int
    """Figures that were compared with a limit."""

    @property
    def exit_code(self) -> int:
        """1 with outliers, a slower group or missing members, 3 where no figure could be judged, else 0."""
        findings = ("outliers", "two_speeds", "missing")
        if any(section.rows for section in self.sections if section.name in findings):
            return EXIT_FAILED
        return EXIT_OK if self.judged else EXIT_UNJUDGED


@dataclass(slots=True)
class _Group:
    """The newest results of equal devices, the figures by case."""

    members: list[Member] = field(default_factory=list)
    cases: dict[str, list[tuple[Member, Figure, float]]] = field(default_factory=lambda: defaultdict(list))


def judge(members: Iterable[Member], expectations: Sequence[Expectation] = (), nodes: Sequence[str] = ()) -> Fleet:
    """Judge the members of a fleet.

    Args:
        members: what was read, in any order; of several results of a device the newest counts.
        expectations: limits that hold beside the spread of a group, and alone in a group of few devices.
        nodes: the names of nodes that should have results.
    """
    newest, earlier, failed = _newest(members)
    groups = _groups(newest)
    observed = {hardware: _observed(group) for hardware, group in groups.items()}
    judged, outliers = _all_outliers(groups, observed, expectations)
    outliers += _broken(newest)
    speeds = [row for hardware, group in groups.items() for row in _two_speeds(hardware, group)]
    missing = [*_missing(newest, failed, nodes)]
    sections = [
        Section("outliers", "Too slow, or wrong", _OUTLIER, sorted(outliers, key=lambda row: row[5] or -100.0)),
        Section("two_speeds", "Groups of two speeds", _SPEEDS, speeds),
        Section("missing", "Missing", ("member", "reason"), missing),
        Section("drift", "What differs between equal devices", _DRIFT, [*_drift(newest)]),
        Section("trend", "Changes against a device's own earlier runs", _TREND, [*_trend(newest, earlier)]),
        Section("distribution", "Distribution", _SPREAD, [*_distribution(observed, groups)]),
    ]
    named = [row[0] for row in (*outliers, *missing)]
    exclude = _nodes_of(named, {m.ticket.name: m.ticket.node for m in (*newest, *failed)}, nodes)
    enough = {hardware: seen for hardware, seen in observed.items() if len(groups[hardware].members) >= MIN_DEVICES}
    return Fleet(sections=sections, exclude=sorted(exclude), observed=enough, members=len(newest), judged=judged)


def _nodes_of(names: Iterable[str], node_of: Mapping[str, str], nodes: Sequence[str]) -> set[str]:
    """Return the nodes of members by their names, each once; a node may be named itself."""
    return {node_of.get(name, name) for name in names if name in node_of or name in nodes}


def _all_outliers(
    groups: Mapping[Hardware, _Group],
    observed: Mapping[Hardware, Mapping[str, Spread]],
    expectations: Sequence[Expectation],
) -> tuple[int, list[tuple[Any, ...]]]:
    """Return how many figures were judged, and the rows of those beyond a limit."""
    judged, outliers = 0, list[tuple[Any, ...]]()
    for hardware, group in groups.items():
        limits = find_limits(expectations, hardware)
        for case, measured in group.cases.items():
            counted, rows = _outliers(case, measured, observed[hardware][case], limits.get(case))
            judged += counted
            outliers += rows
    return judged, outliers


def _groups(members: Iterable[Member]) -> dict[Hardware, _Group]:
    """Return the members with equal devices, and their figures by case."""
    groups: dict[Hardware, _Group] = defaultdict(_Group)
    for member in members:
        if member.hardware is not None:
            group = groups[member.hardware]
            group.members.append(member)
            for case, figure in member.figures.items():
                if figure.value is not None:
                    group.cases[case].append((member, figure, figure.value))
    return groups


def _newest(members: Iterable[Member]) -> tuple[list[Member], dict[str, list[Member]], list[Member]]:
    """Return the members of each device's newest launch, the earlier ones by device, and those that failed since."""
    runs: dict[str, list[Member]] = defaultdict(list)
    newest: list[Member] = []
    failed: list[Member] = []
    earlier: dict[str, list[Member]] = defaultdict(list)
    for member in sorted(members, key=lambda member: member.run_id):
        (runs[member.device] if member.problem is None or member.figures else failed).append(member)
    for device, own in runs.items():
        ranks = set()  # those of one launch may share a device
        for member in reversed(own):
            is_newest = member.ticket.job == own[-1].ticket.job and member.ticket.rank not in ranks
            (newest if is_newest else earlier[device]).append(member)
            ranks.add(member.ticket.rank)
    return newest, earlier, [member for member in failed if _is_latest(member, runs.get(member.device, []))]


def _is_latest(member: Member, runs: Sequence[Member]) -> bool:
    """Return whether a member came after all runs of its device."""
    return not runs or runs[-1].run_id <= member.run_id


def _observed(group: _Group) -> dict[str, Spread]:
    spreads = {}
    for case, measured in group.cases.items():
        (_, first, _), values = measured[0], [value for _, _, value in measured]
        spreads[case] = Spread.of(values, higher_is_better=first.higher_is_better, unit=first.unit)
    return spreads


_OUTLIER = ("member", "device", "case", "value", "unit", "percent_of_median", "deviations", "reason")


def _outliers(
    case: str, measured: Sequence[tuple[Member, Figure, float]], spread: Spread, expected: float | None
) -> tuple[int, list[tuple[Any, ...]]]:
    """Return how many figures of a case were judged, and the rows of those beyond a limit."""
    own = spread.limit if spread.count >= MIN_DEVICES else None
    limits = {"limit by the spread of the group": own, "expected by the file": expected}
    rows: list[tuple[Any, ...]] = []
    for member, figure, value in measured:
        if reasons := _reasons(figure, value, limits, higher_is_better=spread.higher_is_better):
            percent = 100 * (value / spread.median - 1)
            deviations = (value - spread.median) / spread.mad if spread.mad and own is not None else None
            why = "; ".join(filter(None, (*reasons, figure.reason)))
            rows.append((member.ticket.name, member.device, case, value, figure.unit, percent, deviations, why))
    is_limited = own is not None or expected is not None
    return sum(is_limited or figure.verdict is not None for _, figure, _ in measured), rows


def _reasons(figure: Figure, value: float, limits: Mapping[str, float | None], *, higher_is_better: bool) -> list[str]:
    """Return why a figure is an outlier: the limits that it is beyond, and a low verdict."""
    beyond = {
        text: limit for text, limit in limits.items() if is_beyond(value, limit, higher_is_better=higher_is_better)
    }
    reasons = [f"{text} {limit:.4g} {figure.unit}" for text, limit in beyond.items()]
    low = [figure.verdict] if figure.verdict and figure.verdict.startswith("low for") else []
    return reasons + low


def _broken(members: Iterable[Member]) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each case that failed."""
    for member in members:
        for case, figure in member.figures.items():
            if figure.status in ("failed_verification", "error"):
                yield (member.ticket.name, member.device, case, None, figure.unit, None, None, figure.reason)


_SPEEDS = ("group", "case", "slower", "faster", "slower_devices", "faster_devices", "unit", "what_differs")


def _two_speeds(hardware: Hardware, group: _Group) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each case whose figures fall into two, with what differs between the two halves."""
    for case, measured in group.cases.items():
        states = two_states([value for _, _, value in measured]) if len(measured) >= _MIN_TWO_SPEEDS else None
        if states:
            low, high = states
            border = (low * high) ** 0.5
            sides = [[m for m, _, value in measured if (value < border) == below] for below in (True, False)]
            if not measured[0][1].higher_is_better:
                low, high, sides = high, low, sides[::-1]
            counts = (len(sides[0]), len(sides[1]))
            yield (str(hardware), case, low, high, *counts, measured[0][1].unit, _difference(*sides))


def _difference(slower: Sequence[Member], faster: Sequence[Member]) -> str:
    """Return the facts that most members of one half have and few of the other."""
    counts = [_count_facts(side) for side in (slower, faster)]
    parts = []
    for name in sorted(counts[0].keys() | counts[1].keys()):
        (a, times), (b, _) = (count.get(name, Counter({"unknown": 1})).most_common(1)[0] for count in counts)
        if a != b and counts[1].get(name, Counter())[a] * len(slower) < times * len(faster) / 2:
            parts.append(f"{name}: slower {a}, faster {b}")
    return "; ".join(parts) or "nothing that is recorded"


def _count_facts(members: Iterable[Member]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for member in members:
        for name, value in member.facts.items():
            counts[name][value] += 1
    return counts


_DRIFT = ("device", "key", "majority", "share_percent", "value", "members")


def _drift(members: Iterable[Member]) -> Iterator[tuple[Any, ...]]:
    """Yield each value of a fact that is not that of the majority of such devices, and who has it."""
    alike: dict[str, list[Member]] = defaultdict(list)
    for member in members:
        if member.hardware is not None:
            alike[member.hardware.device].append(member)
    for device, group in alike.items():
        for name, counts in _count_facts(group).items():
            if len(counts) > 1:
                majority, count = counts.most_common(1)[0]
                others: dict[str, list[str]] = defaultdict(list)
                for member in group:
                    if (value := member.facts.get(name, majority)) != majority:
                        others[value].append(member.ticket.name)
                for value, who in others.items():
                    yield (device, name, majority, 100 * count / len(group), value, ",".join(sorted(who)))


def _missing(members: Sequence[Member], failed: Sequence[Member], nodes: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield who has no result: ranks of the newest launch, members with a problem, and nodes that were named."""
    everyone = [*members, *failed]
    troubled = [*failed, *(member for member in members if member.problem is not None)]
    launched = [member for member in everyone if member.ticket.world is not None]
    absent: list[int] = []
    if launched:
        newest = max(launched, key=lambda member: member.run_id).ticket
        troubled = [member for member in troubled if member.ticket.job in (None, newest.job)]
        present = troubled + [member for member in launched if member.ticket.job == newest.job]
        absent = sorted({*range(newest.world or 0)} - {member.ticket.rank for member in present})
    yield from ((member.ticket.name, member.problem) for member in troubled)
    yield from ((f"rank {rank}", "it left nothing") for rank in absent)
    unknown = dict.fromkeys(nodes).keys() - {member.ticket.node for member in everyone}
    yield from ((node, "no result") for node in nodes if node in unknown)


_TREND = ("member", "device", "case", "value", "earlier_median", "unit", "change_percent", "earlier_runs")


def _trend(newest: Iterable[Member], earlier: Mapping[str, Sequence[Member]]) -> Iterator[tuple[Any, ...]]:
    """Yield the cases of devices that changed against the median of their own earlier runs."""
    for member in newest:
        for case, figure in member.figures.items() if member.device in earlier else ():
            past = [f.value for m in earlier[member.device] if (f := m.figures.get(case)) and f.value is not None]
            if past and figure.value is not None:
                usual = median(past)
                change = figure.value / usual - 1
                if abs(change) >= _MIN_CHANGE:
                    where = (member.ticket.name, member.device, case)
                    yield (*where, figure.value, usual, figure.unit, 100 * change, len(past))


_SPREAD = ("group", "case", "devices", "min", "q1", "median", "q3", "max", "unit", "mad_percent")


def _distribution(
    observed: Mapping[Hardware, Mapping[str, Spread]], groups: Mapping[Hardware, _Group]
) -> Iterator[tuple[Any, ...]]:
    for hardware, cases in observed.items():
        for case, spread in cases.items():
            values = sorted(value for _, _, value in groups[hardware].cases[case])
            figures = (quantile(values, q) for q in (0.0, 0.25, 0.5, 0.75, 1.0))
            mad = 100 * spread.mad / spread.median
            yield (str(hardware), case, len(values), *figures, spread.unit, mad)
