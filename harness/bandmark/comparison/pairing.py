"""Match cases of the baseline with cases of the candidate, and check that they were measured alike.

Figures of bandmark belong together by their key. Size and variant are settings, which must be equal; only where one run
has several rows that differ in nothing else do they tell cases apart. Another tool's figure names no backend, and a
copy engine no dtype: it is compared with every figure of bandmark that fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bandmark.comparison.figures import DETAILS, Figure, Run, Side
from bandmark.errors import UsageError

Statistic = Literal["median", "best"]
"""The metric by the median time, or by the shortest."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One case on both sides, a figure per run; None where a run lacks it."""

    shown: Figure
    """What names the case."""
    baseline: tuple[Figure | None, ...]
    candidate: tuple[Figure | None, ...]

    @property
    def figures(self) -> list[Figure]:
        """All figures of the case."""
        return [figure for figure in (*self.baseline, *self.candidate) if figure is not None]


def common_statistic(baseline: Side, candidate: Side) -> Statistic:
    """Return what both sides have: the median where possible, else the best; raises UsageError if they share none."""
    figures = [f for side in (baseline, candidate) for run in side.runs for f in run.figures if not f.doubts]
    if all(f.value is not None for f in figures):
        return "median"
    if all(f.best is not None for f in figures):
        return "best"
    raise UsageError(
        f"{baseline.label} and {candidate.label} have no statistic in common: one has only the median time, the "
        "other only the shortest. Compare each with a run of bandmark, which has both."
    )


def pair_up(baseline: Side, candidate: Side) -> tuple[list[Pair], list[str]]:
    """Return the cases that both sides have, in the order of the baseline, and notes on those that only one has.

    Raises:
        UsageError: there is no such case.
    """
    index = _Index((*baseline.runs, *candidate.runs))
    # Another tool's figure may stand for several of bandmark's, which say what cases there are.
    leading, other = (candidate, baseline) if candidate.is_ours and not baseline.is_ours else (baseline, candidate)
    pairs = []
    for shown in index.cases(leading):
        if any(index.find(run, shown) for run in other.runs):
            sides = (tuple(index.find(run, shown) for run in side.runs) for side in (baseline, candidate))
            pairs.append(Pair(shown, *sides))
    if not pairs:
        names = [_names([f for run in side.runs for f in run.figures]) for side in (baseline, candidate)]
        raise UsageError(
            f"{baseline.label} and {candidate.label} have no case in common: one has {names[0]}, the other {names[1]}."
        )
    notes = []
    for side, against, label in ((baseline, candidate, "baseline"), (candidate, baseline, "candidate")):
        alone = [f for f in index.cases(side) if not any(index.find(run, f) for run in against.runs)]
        if alone:
            notes.append(f"only in the {label}: {_names(alone)}")
    return pairs, notes


def _names(figures: Sequence[Figure]) -> str:
    """Return the names of the first cases, and how many there are besides."""
    labels = list(dict.fromkeys(figure.label for figure in figures))
    more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
    return ", ".join(labels[:3]) + more if labels else "no figure"


class _Index:
    """The figures of some runs by case."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._details: dict[tuple[Any, ...], tuple[str, ...]] = {}
        """Which of DETAILS tell figures of one key apart in any of the runs."""
        for run in runs:
            by_key: dict[tuple[Any, ...], list[Figure]] = {}
            for figure in run.figures:
                by_key.setdefault(figure.key, []).append(figure)
            for key, figures in by_key.items():
                names = [name for name in DETAILS if len({f.get(name) for f in figures}) > 1]
                self._details[key] = tuple(dict.fromkeys((*self._details.get(key, ()), *names)))
        self._figures = {id(run): self._by_identity(run) for run in runs}

    def _by_identity(self, run: Run) -> dict[tuple[Any, ...], Figure]:
        """Return the figures of a run by what identifies them, the first of equal ones."""
        return {self._identity(figure): figure for figure in reversed(run.figures)}

    def _identity(self, figure: Figure) -> tuple[Any, ...]:
        key = figure.key
        return (*key, *[figure.get(name) for name in self._details.get(key, ())])

    def cases(self, side: Side) -> list[Figure]:
        """Return one figure of each case of a side."""
        cases: dict[Any, Figure] = {}
        for run in side.runs:
            for figure in run.figures:
                cases.setdefault(self._identity(figure), figure)
        return list(cases.values())

    def find(self, run: Run, case: Figure) -> Figure | None:
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
    """Return whether two values are equal, or one of them is unknown."""
    return one is None or other is None or one == other


def _column(name: str) -> Callable[[Figure], Any]:
    return lambda figure: None if figure.row is None else figure.row.get(name)


def _size(figure: Figure) -> str | None:
    m, n = figure.get("m"), figure.get("n")
    return None if n is None else f"{n} elements" if m is None else f"{m} x {n}"


def _heads(figure: Figure) -> str | None:
    """Return the heads of an attention: the size does not tell few large ones from many small ones."""
    return None if figure.get("heads") is None else f"{figure.get('heads')} of {figure.get('head_dim')}"


_SETTINGS: Mapping[str, Callable[[Figure], Any]] = {
    "schema": _column("schema"),
    "data": _column("data"),
    "regime": _column("regime"),
    "size": _size,
    "heads": _heads,
    "threads": _column("threads"),
    "variant": _column("variant"),
    "copies": _column("copies"),
}
"""What decides a figure besides the device and the software, and how to read it from a figure."""

_OF_THE_DEVICE = ("size", "threads", "copies")
"""Settings that follow from the device: between devices a difference is only noted."""

_CHOSEN_BY_RUN = ("variant",)
"""What a run finds out for itself, and may choose differently the next time: never more than a note."""


def alike(one: Figure, other: Figure) -> bool:
    """Return whether two figures were measured under the same settings; unknown ones do not matter."""
    return all(_agree(read(one), read(other)) for name, read in _SETTINGS.items() if name not in _CHOSEN_BY_RUN)


def setting_differences(pairs: Sequence[Pair], *, across: bool) -> tuple[list[str], list[str]]:
    """Return the differences that forbid a comparison, and those that are only worth a note.

    Args:
        pairs: the cases that both sides have.
        across: whether the sides are different devices.
    """
    refusals: list[str] = []
    notes: list[str] = []
    for name, read in _SETTINGS.items():
        values_of = [(pair, dict.fromkeys(v for f in pair.figures if (v := read(f)) is not None)) for pair in pairs]
        differing = [(pair, values) for pair, values in values_of if len(values) > 1]
        if differing:
            first, values = differing[0]
            more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
            text = f"{name}: {' against '.join(map(str, values))} ({first.shown.label}{more})"
            is_note = name in _CHOSEN_BY_RUN or (across and name in _OF_THE_DEVICE)
            (notes if is_note else refusals).append(text)
    return refusals, notes


def dtype_differences(baseline: Side, candidate: Side) -> list[str]:
    """Return the difference of the sides' sets of dtypes, if both are bandmark's."""
    if not baseline.is_ours or not candidate.is_ours:
        return []
    sides = [_values(side, "dtype") for side in (baseline, candidate)]
    return [] if sides[0] == sides[1] else [f"dtypes: {', '.join(sides[0])} against {', '.join(sides[1])}"]


def version_notes(baseline: Side, candidate: Side) -> list[str]:
    """Return what else differs between the sides: it may be what is compared, so it is always noted."""
    notes = list(dict.fromkeys(note for side in (baseline, candidate) for run in side.runs for note in run.notes))
    for name in ("bandmark_version", "backend_version", "driver"):
        before, after = (_values(side, name) for side in (baseline, candidate))
        if before and after and before != after:
            notes.append(f"{name}: {', '.join(before)} against {', '.join(after)}")
    if baseline.systems and candidate.systems and baseline.systems != candidate.systems:
        notes.append(f"system: {', '.join(baseline.systems)} against {', '.join(candidate.systems)}")
    if not baseline.devices or not candidate.devices:
        notes.append("one side does not name its device: it is taken to be the other's")
    return notes


def _values(side: Side, name: str) -> list[str]:
    """Return the values of a column among the figures of a side; versions of a backend with its name."""
    rows = [f.row for run in side.runs for f in run.figures if f.row is not None and f.row.get(name) is not None]
    with_backend = name == "backend_version"
    return sorted({f"{row.backend} {row.get(name)}" if with_backend else str(row.get(name)) for row in rows})


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


def history_figures(group: Sequence[Run], pair: Pair) -> tuple[Figure | None, ...]:
    """Return the figures of stored runs that were measured like a pair's and are in no doubt."""
    model = next(f for f in pair.figures if f.row is not None)
    figures = []
    for run in group:
        fitting = [f for f in run.figures if f.key == model.key and not f.doubts and alike(f, model)]
        figures.append(fitting[0] if len(fitting) == 1 else None)
    return tuple(figures)
