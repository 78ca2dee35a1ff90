"""Were figures measured alike? What must be equal for a difference to mean anything, and what is only worth saying."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bandmark.comparison.figures import Figure, Side

if TYPE_CHECKING:
    from bandmark.comparison.pairing import Pair


def _size(figure: Figure) -> str | None:
    if figure.n is None:
        return None
    return f"{figure.n} elements" if figure.m is None else f"{figure.m} x {figure.n}"


def _heads(figure: Figure) -> str | None:
    """Return the heads of an attention: with the size they tell everything of it."""
    row = figure.row
    return None if row is None or row.heads is None else f"{row.heads} of {row.head_dim}"


def _of_row(name: str) -> Callable[[Figure], Any]:
    return lambda figure: None if figure.row is None else getattr(figure.row, name)


SETTINGS: tuple[tuple[str, Callable[[Figure], Any]], ...] = (
    ("schema", _of_row("schema")),
    ("data", _of_row("data")),
    ("regime", _of_row("regime")),
    ("size", _size),
    ("heads", _heads),
    ("threads", _of_row("threads")),
    ("variant", _of_row("variant")),
    ("copies", _of_row("copies")),
)
"""What decides the bandwidth besides the device and the software, each with how a figure tells it."""

OF_THE_DEVICE = ("size", "threads", "copies")
"""Settings that follow from the device: between devices they differ by right, and are noted."""

CHOSEN_BY_RUN = ("variant",)
"""What a run finds out for itself, and may find otherwise the next time: never more than a note."""


def alike(one: Figure, other: Figure) -> bool:
    """Return whether two figures were measured under the same settings; unknown ones do not matter."""
    return all(_agree(read(one), read(other)) for name, read in SETTINGS if name not in CHOSEN_BY_RUN)


def _agree(one: Any, other: Any) -> bool:
    return one is None or other is None or one == other


def unlike(pairs: Sequence[Pair], *, across: bool) -> tuple[list[str], list[str]]:
    """Return the differences that forbid a comparison, and those that are only worth a note.

    Args:
        pairs: the cases that both sides have.
        across: whether the sides are different devices.
    """
    refusals: list[str] = []
    notes: list[str] = []
    for name, read in SETTINGS:
        found = [(pair, values) for pair in pairs if len(values := _values_of(pair, read)) > 1]
        if found:
            first, values = found[0]
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            text = f"{name}: {' against '.join(map(str, values))} ({first.shown.name}{more})"
            is_note = name in CHOSEN_BY_RUN or (across and name in OF_THE_DEVICE)
            (notes if is_note else refusals).append(text)
    return refusals, notes


def _values_of(pair: Pair, read: Callable[[Figure], Any]) -> list[Any]:
    """Return the known values of a setting among the figures of a case, each once."""
    return [value for value in dict.fromkeys(read(figure) for figure in pair.figures) if value is not None]


def dtype_difference(baseline: Side, candidate: Side) -> list[str]:
    """Return the difference of the sides' sets of dtypes, if both are ours."""
    if not baseline.is_ours or not candidate.is_ours:
        return []
    sets = [sorted({f.dtype for run in side.runs for f in run.figures if f.dtype}) for side in (baseline, candidate)]
    return [] if sets[0] == sets[1] else [f"dtypes: {', '.join(sets[0])} against {', '.join(sets[1])}"]


def version_notes(baseline: Side, candidate: Side) -> list[str]:
    """Return what else differs between the sides: it may be what is compared, and is said in any case."""
    notes = list(dict.fromkeys(note for side in (baseline, candidate) for run in side.runs for note in run.notes))
    found = []
    for name in ("bandmark_version", "backend_version", "driver"):
        values = [_values(side, name) for side in (baseline, candidate)]
        if all(values) and values[0] != values[1]:
            found.append(f"{name}: {', '.join(values[0])} against {', '.join(values[1])}")
    if baseline.systems and candidate.systems and baseline.systems != candidate.systems:
        found.append(f"system: {', '.join(baseline.systems)} against {', '.join(candidate.systems)}")
    if not baseline.devices or not candidate.devices:
        found.append("one side does not name its device: it is taken to be the other's")
    return [*notes, *found]


def _values(side: Side, name: str) -> list[str]:
    """Return the values of a column among the figures of a side; versions of a backend with its name."""
    rows: Iterable[Any] = (f.row for run in side.runs for f in run.figures if f.row is not None)
    with_name = name == "backend_version"
    return sorted(
        {
            f"{row.backend} {getattr(row, name)}" if with_name else str(getattr(row, name))
            for row in rows
            if getattr(row, name) is not None
        }
    )
