"""Describe what is compared: figures, the runs that they make up, and the sides of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bandmark.results.case import case_label, identity_columns
from bandmark.results.row import Row
from bandmark.suites import SUITES, Metric

DETAILS = ("layer", "m", "n", "variant")
"""Identity columns that tell cases apart where a run has several of them, and are settings elsewhere."""

_SETTINGS_ONLY = ("device", "heads", "head_dim")
"""Identity columns that are compared, or may differ, but do not decide which cases belong together."""

BANDWIDTH = SUITES["bandwidth"].metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one run says of one case."""

    case: Mapping[str, Any]
    """What identifies the case, by column; another tool's figure lacks what it does not name."""
    metric: Metric = BANDWIDTH
    value: float | None = None
    """The metric by the median time; None where the tool has no median, or no figure."""
    best: float | None = None
    """The metric by the shortest time; None where it is not known."""
    error: float | None = None
    """Relative standard error of value within its run."""
    doubts: tuple[str, ...] = ()
    """Why the figure can't be relied on."""
    unsteady: tuple[str, ...] = ()
    """In what way the samples have no one speed: two states, drift, far samples."""
    sway: float = 0.0
    """Relative change of the figure that the unsteadiness explains."""
    row: Row | None = None
    """The row it comes from, if it is bandmark's."""

    def get(self, column: str) -> Any:
        """Return the value of an identity column, None if it is not named."""
        return self.case.get(column)

    @property
    def key(self) -> tuple[Any, ...]:
        """What is compared with what: metric, backend, kernel, dtype, weight format, and columns of other suites."""
        return (self.metric.column, *[self.get(name) for name in key_columns()])

    @property
    def label(self) -> str:
        """The case in words: numpy triad float64."""
        return case_label({name: value for name, value in self.case.items() if name != "variant"})


def key_columns() -> tuple[str, ...]:
    """Return the identity columns that decide which cases belong together."""
    return tuple(name for name in identity_columns() if name not in (*DETAILS, *_SETTINGS_ONLY))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of bandmark, or one file of another tool."""

    name: str
    """Its run_id, or the name of the file."""
    figures: tuple[Figure, ...]
    tool: str = "bandmark"
    system: str | None = None
    device: str | None = None
    kind: str | None = None
    """Kind of its device, a key of bandmark.comparison.statistics.PRIORS; None if it is not known."""
    notes: tuple[str, ...] = ()
    """How figures of another tool were converted, and what was left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The baseline or a candidate: runs that are replicates of each other."""

    label: str
    runs: tuple[Run, ...]

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that its runs name."""
        return tuple(dict.fromkeys(run.device for run in self.runs if run.device))

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems that its runs name."""
        return tuple(dict.fromkeys(run.system for run in self.runs if run.system))

    @property
    def is_ours(self) -> bool:
        """Whether all of its runs are bandmark's."""
        return all(run.tool == "bandmark" for run in self.runs)
