"""Which figures of one side are to be held against which of the other?

Figures of ours belong together by backend, kernel, dtype and weight format. Size and variant are settings, to be equal;
only where one run has several rows that differ in nothing else do they tell cases apart. Another tool's figure names no
backend, and a copy engine no dtype: it is held against every figure of ours that fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from bandmark.comparison.figures import Figure, Key, Run, Side
from bandmark.comparison.settings import alike
from bandmark.errors import UsageError

Statistic = Literal["median", "best"]
"""Bandwidth by the median time, or by the shortest."""


Telling = Mapping[Key, Sequence[str]]
"""Which fields tell figures of one key apart, besides the key."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One case on both sides, a figure per run; None where a run lacks it."""

    shown: Figure
    """What names the case."""
    baseline: tuple[Figure | None, ...]
    candidate: tuple[Figure | None, ...]

    @property
    def figures(self) -> list[Figure]:
        """All that there is of it."""
        return [figure for figure in (*self.baseline, *self.candidate) if figure is not None]


def common_statistic(baseline: Side, candidate: Side) -> Statistic:
    """Return what both sides tell: the median where possible, else the best; raises UsageError if they share none."""
    figures = [[f for run in side.runs for f in run.figures if not f.doubts] for side in (baseline, candidate)]
    if all(f.gbs is not None for f in chain(*figures)):
        return "median"
    if all(f.best_gbs is not None for f in chain(*figures)):
        return "best"
    raise UsageError(
        f"{baseline.label} and {candidate.label} have no statistic in common: one tells only the median time, the "
        "other only the shortest. Compare each with a run of bandmark, which has both."
    )


def pair_up(baseline: Side, candidate: Side) -> tuple[list[Pair], list[str]]:
    """Return the cases that both sides have, in the order of the baseline, and notes on those that only one has.

    Raises:
        UsageError: there is no such case.
    """
    runs = (*baseline.runs, *candidate.runs)
    several = _telling(runs)
    # Another tool's figure may stand for several of ours: ours say which cases there are.
    leading, other = (candidate, baseline) if candidate.is_ours and not baseline.is_ours else (baseline, candidate)
    pairs = []
    for shown in _cases(leading, several):
        if any(_find(run, shown, several) for run in other.runs):
            sides = (tuple(_find(run, shown, several) for run in side.runs) for side in (baseline, candidate))
            pairs.append(Pair(shown, *sides))
    if not pairs:
        raise UsageError(
            f"{baseline.label} and {candidate.label} have no case in common: one has {_names(baseline)}, "
            f"the other {_names(candidate)}."
        )
    return pairs, _left_over(baseline, candidate, several)


def _left_over(baseline: Side, candidate: Side, several: Telling) -> list[str]:
    """Return a note for each side that has cases which the other lacks."""
    notes = []
    for side, other, label in ((baseline, candidate, "baseline"), (candidate, baseline, "candidate")):
        alone = [f for f in _cases(side, several) if not any(_find(run, f, several) for run in other.runs)]
        if alone:
            names = [f.name for f in alone]
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            notes.append(f"only in the {label}: {', '.join(names[:3])}{more}")
    return notes


def _cases(side: Side, several: Telling) -> list[Figure]:
    """Return one figure of each case of a side."""
    found: dict[Any, Figure] = {}
    for figure in chain.from_iterable(run.figures for run in side.runs):
        found.setdefault(_identity(figure, several), figure)
    return list(found.values())


def _identity(figure: Figure, several: Telling) -> tuple[Any, ...]:
    return (*figure.key, *[getattr(figure, name) for name in several.get(figure.key, ())])


def _find(run: Run, case: Figure, several: Telling) -> Figure | None:
    """Return a run's figure of a case; of several sizes in another tool's result the same one, or the largest."""
    found = [f for f in run.figures if _fits(f, case)]
    if run.tool == "bandmark" and case.backend is not None:
        identity = _identity(case, several)
        return next((f for f in found if _identity(f, several) == identity), None)
    same = [f for f in found if f.n == case.n]
    return max(same or found, key=lambda f: f.n or 0, default=None)


def _fits(figure: Figure, case: Figure) -> bool:
    """Return whether a figure is of a case; what one of them does not name does not matter."""
    named = ((figure.backend, case.backend), (figure.dtype, case.dtype))
    same = (figure.kernel, figure.weight_format) == (case.kernel, case.weight_format)
    return same and all(a is None or b is None or a == b for a, b in named)


def _telling(runs: Sequence[Run]) -> Telling:
    """Return which of size and variant tell figures of one run apart that have the same key."""
    found: dict[Key, tuple[str, ...]] = {}
    for run in runs:
        by_key: dict[Key, list[Figure]] = {}
        for figure in run.figures:
            by_key.setdefault(figure.key, []).append(figure)
        for key, figures in by_key.items():
            names = [n for n in ("m", "n", "variant") if len({getattr(f, n) for f in figures}) > 1]
            found[key] = tuple(dict.fromkeys((*found.get(key, ()), *names)))
    return found


def _names(side: Side) -> str:
    names = list(dict.fromkeys(f.name for run in side.runs for f in run.figures))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if names else "no figure"


def history_groups(history: Sequence[Run], baseline: Side, candidate: Side) -> list[list[Run]]:
    """Return stored runs of the sides' systems in groups under the same conditions, each of two runs at least.

    The compared runs themselves are left out: they would count twice.
    """
    compared = {run.name for side in (baseline, candidate) for run in side.runs}
    systems = {*baseline.systems, *candidate.systems}
    groups: dict[Any, list[Run]] = {}
    for run in history:
        if run.system in systems and run.name not in compared:
            groups.setdefault(_conditions(run), []).append(run)
    return [group for group in groups.values() if len(group) > 1]


def _conditions(run: Run) -> tuple[Any, ...]:
    """Return what must be equal for runs to be replicates."""
    rows = [f.row for f in run.figures if f.row is not None]
    versions = sorted({(r.bandmark_version, r.backend, r.backend_version or "", r.driver or "") for r in rows})
    return (run.system, run.device, tuple(versions))


def of_history(group: Sequence[Run], pair: Pair) -> tuple[Figure | None, ...]:
    """Return the figures of stored runs that were measured like a pair's and are in no doubt."""
    model = next(f for f in pair.figures if f.row is not None)
    found = []
    for run in group:
        fitting = [f for f in run.figures if f.key == model.key and not f.doubts and alike(f, model)]
        found.append(fitting[0] if len(fitting) == 1 else None)
    return tuple(found)
