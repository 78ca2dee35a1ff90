"""What is compared? Figures, which make up runs, which make up the sides of a comparison."""

from __future__ import annotations

from dataclasses import dataclass

from bandmark.results.row import Row

Key = tuple[str | None, str, str | None, str | None]
"""Backend, kernel, dtype and weight format of a case; None in another tool's figure that has no such thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one run says of one case."""

    backend: str | None
    kernel: str
    dtype: str | None
    weight_format: str | None = None
    variant: str | None = None
    m: int | None = None
    n: int | None = None
    gbs: float | None = None
    """Bandwidth by the median time in GB/s, by our byte count; None where the tool has no median, or no figure."""
    best_gbs: float | None = None
    """Bandwidth by the shortest time in GB/s; None where the tool does not tell."""
    error: float | None = None
    """Relative standard error of gbs within its run."""
    doubts: tuple[str, ...] = ()
    """Why the figure can't be relied on."""
    row: Row | None = None
    """The row it comes from, if it is ours."""

    @property
    def key(self) -> Key:
        """What is compared with what."""
        return (self.backend, self.kernel, self.dtype, self.weight_format)

    @property
    def layer(self) -> str | None:
        """Which matrix of a model it is of; None where it is of none."""
        return None if self.row is None else self.row.layer

    @property
    def name(self) -> str:
        """What people call the case: 'triad numpy float64'."""
        parts = (self.kernel, self.layer, self.backend, self.dtype, self.weight_format)
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of bandmark, or one file of another tool."""

    name: str
    """Its run_id, or the name of the file."""
    figures: tuple[Figure, ...]
    tool: str = "bandmark"
    system: str | None = None
    device: str | None = None
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
