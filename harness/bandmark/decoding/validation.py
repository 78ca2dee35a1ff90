"""Do the predictions hold? Published rates beside expected ones, with the errors of fits that have not seen the row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any

from bandmark.decoding.fit import expected_s, fitted, held_out
from bandmark.decoding.published import Published, load_published, usable

MEDIAN_LIMIT = 0.10
"""The median absolute error of held-out rows is at most this."""

SET_ASIDE_LIMIT = 2


@dataclass(frozen=True, slots=True)
class Checked:
    """A published row beside what is predicted of it, in tokens per second."""

    row: Published
    expected: float
    error: float
    """Expected over published, less 1."""
    held_out: float
    """The same from a fit without the row."""

    @property
    def exceeds_bound(self) -> bool:
        """Whether more was published than the bound allows."""
        return self.row.tokens_per_s > self.row.bound


@dataclass(frozen=True, slots=True)
class Validation:
    """All rows, checked."""

    checked: tuple[Checked, ...]
    set_aside: tuple[Published, ...]

    @property
    def median_error(self) -> float:
        """Median absolute error of the held-out rows."""
        return median(abs(c.held_out) for c in self.checked)

    @property
    def worst(self) -> Checked:
        """The row with the largest held-out error."""
        return max(self.checked, key=lambda c: abs(c.held_out))

    @property
    def over_bound(self) -> list[Checked]:
        """The rows whose published rate exceeds the bound."""
        return [c for c in self.checked if c.exceeds_bound]

    @property
    def holds(self) -> bool:
        """Whether the promise holds: median, bounds, and few rows set aside."""
        few = len(self.set_aside) <= SET_ASIDE_LIMIT
        return self.median_error <= MEDIAN_LIMIT and not self.over_bound and few

    def as_json(self) -> dict[str, Any]:
        """Return the validation for programs."""
        return {
            "holds": self.holds,
            "median_abs_error": self.median_error,
            "median_limit": MEDIAN_LIMIT,
            "worst": self.worst.row.label,
            "rows": [_plain(c) for c in self.checked],
            "set_aside": [{"label": r.label, "device": r.device, "reason": r.set_aside} for r in self.set_aside],
        }


def _plain(checked: Checked) -> dict[str, Any]:
    row = checked.row
    return {
        "device": row.device,
        "engine": row.engine,
        "label": row.label,
        "batch": row.step.batch,
        "context": row.context,
        "published": row.tokens_per_s,
        "bound": row.bound,
        "expected": checked.expected,
        "error": checked.error,
        "held_out_error": checked.held_out,
        "note": row.note,
        "source": row.source,
    }


@lru_cache(maxsize=1)
def validate() -> Validation:
    """Check every published row; takes about a second."""
    return check(load_published())


def check(rows: Sequence[Published]) -> Validation:
    """Check these rows by the fit of all published ones, and by fits of these without the row."""
    used = usable(tuple(rows))
    checked = []
    for row, held in zip(used, held_out(used), strict=True):
        expected = row.step.batch / expected_s(fitted(), row)
        checked.append(Checked(row, expected, expected / row.tokens_per_s - 1, held))
    return Validation(tuple(checked), tuple(row for row in rows if row.set_aside))
