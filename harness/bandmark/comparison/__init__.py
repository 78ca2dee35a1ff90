"""Compare sets of runs case by case; this module describes them as figures, runs and sides.

From files to verdicts: foreign and sides read figures, pairing matches cases, statistics estimates changes, compare
judges them, table shows the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bandmark.results.case import case_label, identity_columns
from bandmark.results.row import Row
from bandmark.suites import SUITES, Metric

Statistic = Literal["median", "best"]
"""The metric by the median time, or by the shortest."""

DETAILS = ("layer", "m", "n", "variant")
"""Identity columns that tell cases apart where a run has several of them, and are settings elsewhere."""

MARGIN = 0.02
"""Relative change up to which cases count as the same, unless the user says otherwise."""

_SETTINGS_ONLY = ("device", "heads", "head_dim")
"""Identity columns that are compared, or may differ, but do not decide which cases belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one run says of one case."""

    case: Mapping[str, Any]
    """Identity columns; another tool's figure lacks what it does not name."""
    metric: Metric = SUITES["bandwidth"].metric
    value: float | None = None
    """The metric by the median time; None where the tool has no median, or no figure."""
    best: float | None = None
    """The metric by the shortest time."""
    error: float | None = None
    """Relative standard error of value within its run."""
    doubts: tuple[str, ...] = ()
    """Why the figure can't be relied on."""
    unsteady: tuple[str, ...] = ()
    """In what way the samples have no one speed."""
    sway: float = 0.0
    """Relative change of the figure that the unsteadiness explains."""
    row: Row | None = None
    """The row it comes from, if it is bandmark's."""

    def get(self, column: str) -> Any:
        """Return the value of an identity column, None if it is not named."""
        return self.case.get(column)

    def log(self, statistic: Statistic) -> float | None:
        """Return the logarithm of the figure, negative if lower is better; None where it has none."""
        value = self.value if statistic == "median" else self.best
        if value is None or not 0 < value < math.inf:
            return None
        return math.log(value) if self.metric.higher_is_better else -math.log(value)

    @property
    def key(self) -> tuple[Any, ...]:
        """What is compared with what: the metric, suite, backend, kernel, dtype, format and columns of other suites."""
        return (self.metric.column, *map(self.get, key_columns()))

    @property
    def label(self) -> str:
        """The case in words: numpy triad float64."""
        return case_label({**self.case, "variant": None})


def key_columns() -> tuple[str, ...]:
    """Return the identity columns that decide which cases belong together."""
    return tuple(name for name in identity_columns() if name not in (*DETAILS, *_SETTINGS_ONLY))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of bandmark, or one output of another tool."""

    name: str
    """Its run_id, or the name of the file."""
    figures: tuple[Figure, ...]
    tool: str = "bandmark"
    system: str | None = None
    device: str | None = None
    kind: str | None = None
    """Kind of its device, a key of bandmark.comparison.statistics.PRIORS; None if it is not known."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The baseline or a candidate: runs that are replicates of each other."""

    label: str
    runs: tuple[Run, ...]

    @property
    def figures(self) -> list[Figure]:
        """The figures of all runs."""
        return [figure for run in self.runs for figure in run.figures]

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that the runs name."""
        return tuple(dict.fromkeys(run.device for run in self.runs if run.device))

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems that the runs name."""
        return tuple(dict.fromkeys(run.system for run in self.runs if run.system))

    @property
    def is_ours(self) -> bool:
        """Whether all runs are bandmark's."""
        return all(run.tool == "bandmark" for run in self.runs)
