"""Match cases of the baseline with cases of the candidate, and check that they were measured alike.

Figures of bandmark belong together by their key. Size and variant are settings, which must be equal; only where one run
has several rows that differ in nothing else do they tell cases apart. Another tool's figure names no backend, and a
copy engine no dtype: it is compared with every figure of bandmark that fits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from bandmark.comparison import DETAILS, Figure, Run, Side, Statistic
from bandmark.errors import UsageError


@dataclass(frozen=True, slots=True)
class Pair:
    """One case on both sides, a figure per run, None where a run lacks it; and a figure that names the case."""

    shown: Figure
    baseline: tuple[Figure | None, ...]
    candidate: tuple[Figure | None, ...]

    @property
    def figures(self) -> list[Figure]:
        """All figures of the case."""
        return [figure for figure in (*self.baseline, *self.candidate) if figure is not None]


def common_statistic(baseline: Side, candidate: Side) -> Statistic:
    """Return what both sides have: the median where possible, else the best; raises UsageError if they share none."""
    figures = [figure for figure in (*baseline.figures, *candidate.figures) if not figure.doubts]
    if all(figure.value is not None for figure in figures):
        return "median"
    if all(figure.best is not None for figure in figures):
        return "best"
    raise UsageError(
        f"{baseline.label} and {candidate.label} have no statistic in common: one has only the median time, the "
        "other only the shortest. Compare each with a run of bandmark, which has both."
    )


def pair_up(baseline: Side, candidate: Side) -> tuple[list[Pair], list[str]]:
    """Return the cases that both sides have, and notes on those that only one has; raises UsageError if none is."""
    index = _Index((*baseline.runs, *candidate.runs))
    # Another tool's figure may stand for several of bandmark's, which say what cases there are.
    leading = candidate if candidate.is_ours and not baseline.is_ours else baseline
    cases = [Pair(case, index.row(baseline, case), index.row(candidate, case)) for case in index.cases(leading)]
    pairs = [pair for pair in cases if any(pair.baseline) and any(pair.candidate)]
    if not pairs:
        raise UsageError(
            f"{baseline.label} and {candidate.label} have no case in common: one has {_names(baseline.figures)}, "
            f"the other {_names(candidate.figures)}."
        )
    alone = {"baseline": index.alone(baseline, candidate), "candidate": index.alone(candidate, baseline)}
    return pairs, [f"only in the {label}: {_names(figures)}" for label, figures in alone.items() if figures]


def _names(figures: Sequence[Figure]) -> str:
    labels = list(dict.fromkeys(figure.label for figure in figures))
    more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
    return ", ".join(labels[:3]) + more if labels else "no figure"


class _Index:
    """The figures of some runs by case."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._several: set[tuple[Hashable, str]] = set()
        """Keys, and columns that tell figures of the key apart in any of the runs."""
        for run in runs:
            values: dict[tuple[Hashable, str], set[Any]] = defaultdict(set)
            for figure, name in product(run.figures, DETAILS):
                values[figure.key, name].add(figure.get(name))
            self._several.update(place for place, seen in values.items() if len(seen) > 1)
        self._figures = {id(run): self._by_identity(run.figures) for run in runs}

    def _by_identity(self, figures: Iterable[Figure]) -> dict[Hashable, Figure]:
        first: dict[Hashable, Figure] = {}
        for figure in figures:
            first.setdefault(self._identity(figure), figure)
        return first

    def _identity(self, figure: Figure) -> Hashable:
        key = figure.key
        return (key, *[figure.get(name) for name in DETAILS if (key, name) in self._several])

    def cases(self, side: Side) -> list[Figure]:
        return list(self._by_identity(side.figures).values())

    def alone(self, side: Side, other: Side) -> list[Figure]:
        return [case for case in self.cases(side) if not any(self.row(other, case))]

    def row(self, side: Side, case: Figure) -> tuple[Figure | None, ...]:
        return tuple(self._find(run, case) for run in side.runs)

    def _find(self, run: Run, case: Figure) -> Figure | None:
        """Return a run's figure of a case; of several sizes in another tool's result the same one, or the largest."""
        if run.tool == "bandmark" and case.get("backend") is not None:
            return self._figures[id(run)].get(self._identity(case))
        fitting = [figure for figure in run.figures if _fits(figure, case)]
        same_size = [figure for figure in fitting if figure.get("n") == case.get("n")]
        return max(same_size or fitting, key=lambda figure: figure.get("n") or 0, default=None)


def _fits(figure: Figure, case: Figure) -> bool:
    """Return whether a figure is of a case, where another tool does not name backend or dtype."""
    same = all(figure.get(name) == case.get(name) for name in ("kernel", "weight_format"))
    named = all(_agree(figure.get(name), case.get(name)) for name in ("backend", "dtype"))
    return same and named and figure.metric.column == case.metric.column


def _agree(one: Any, other: Any) -> bool:
    return one is None or other is None or one == other


_SETTINGS = ("schema", "data", "regime", "size", "heads", "threads", "variant", "copies")
"""What decides the figure of a case besides the device and the software."""

# What a run finds out for itself, what follows from the device where devices differ, and versions are only noted.
_CHOSEN_BY_RUN = "variant"
_OF_THE_DEVICE = ("size", "threads", "copies")
_VERSIONS = ("bandmark_version", "backend_version", "driver")


def _setting(figure: Figure, name: str) -> Any:
    m, n, heads, row = figure.get("m"), figure.get("n"), figure.get("heads"), figure.row
    if name == "size":
        return None if n is None else f"{n} elements" if m is None else f"{m} x {n}"
    if name == "heads":  # the size does not tell few large heads from many small ones
        return None if heads is None else f"{heads} of {figure.get('head_dim')}"
    if row is None or row.get(name) is None:
        return None
    return f"{row.backend} {row.backend_version}" if name == "backend_version" else row.get(name)


def setting_notes(
    pairs: Sequence[Pair], baseline: Side, candidate: Side, *, across: bool, anyway: bool = False
) -> list[str]:
    """Return what differs between the sides; across says that they are different devices.

    Raises:
        UsageError: a setting differs that decides the figures, and anyway is not set.
    """
    refusals: list[str] = []
    notes: list[str] = []
    for name in _SETTINGS:
        is_noted = name == _CHOSEN_BY_RUN or (across and name in _OF_THE_DEVICE)
        (notes if is_noted else refusals).extend(_case_difference(pairs, name))
    refusals += _side_difference(baseline, candidate, "dtype")
    if refusals and not anyway:
        raise UsageError(
            f"{baseline.label} and {candidate.label} were measured under unlike settings: {'; '.join(refusals)}. "
            "Measure both alike, or add --anyway to compare the cases that both have."
        )
    return [*[f"unlike settings: {text}" for text in refusals], *notes, *_software_notes(baseline, candidate)]


def _software_notes(baseline: Side, candidate: Side) -> list[str]:
    """Return what may be what is compared, and how figures of other tools were converted."""
    notes = list(dict.fromkeys(note for run in (*baseline.runs, *candidate.runs) for note in run.notes))
    for name in (*_VERSIONS, "system"):
        notes += _side_difference(baseline, candidate, name)
    if not baseline.devices or not candidate.devices:
        notes.append("one side does not name its device: it is taken to be the other's")
    return notes


def _case_difference(pairs: Sequence[Pair], name: str) -> list[str]:
    """Return the values of a setting in the first case in which it differs, if any, and how many others there are."""
    differing = []
    for pair in pairs:
        values = dict.fromkeys(_setting(figure, name) for figure in pair.figures)
        values.pop(None, None)
        if len(values) > 1:
            differing.append((pair.shown.label, " against ".join(map(str, values))))
    more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
    return [f"{name}: {text} ({label}{more})" for label, text in differing[:1]]


def _side_difference(baseline: Side, candidate: Side, name: str) -> list[str]:
    before, after = ({_setting(figure, name) for figure in side.figures} - {None} for side in (baseline, candidate))
    if not before or not after or before == after:
        return []
    return [f"{name}: {', '.join(sorted(before))} against {', '.join(sorted(after))}"]


def history_groups(history: Sequence[Run], baseline: Side, candidate: Side) -> list[list[Run]]:
    """Return stored runs of the sides' systems, but not the compared ones, in groups of one device and versions."""
    compared = {run.name for side in (baseline, candidate) for run in side.runs}
    groups: dict[Hashable, list[Run]] = defaultdict(list)
    for run in history:
        if run.system in (*baseline.systems, *candidate.systems) and run.name not in compared:
            versions = frozenset((name, _setting(f, name)) for f, name in product(run.figures, _VERSIONS))
            groups[run.system, run.device, versions].append(run)
    return [group for group in groups.values() if len(group) > 1]


def history_figures(group: Sequence[Run], pair: Pair) -> tuple[Figure | None, ...]:
    """Return the figures of stored runs that were measured like a pair's and are in no doubt."""
    figures = []
    for run in group:
        fitting = [figure for figure in run.figures if not figure.doubts and _are_alike(figure, pair.shown)]
        figures.append(fitting[0] if len(fitting) == 1 else None)
    return tuple(figures)


def _are_alike(one: Figure, other: Figure) -> bool:
    names = [name for name in _SETTINGS if name != _CHOSEN_BY_RUN]
    return one.key == other.key and all(_agree(_setting(one, name), _setting(other, name)) for name in names)
