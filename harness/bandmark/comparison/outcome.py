"""What comes out of a comparison? Typed rows, and the pandas frame that a notebook wants."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from bandmark.comparison.decide import Verdict
from bandmark.comparison.figures import Side

if TYPE_CHECKING:
    import pandas as pd

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseComparison:
    """One case on both sides. Bandwidths in GB/s; ratios are candidate over baseline, so above 1 is faster."""

    kernel: str
    backend: str | None
    dtype: str | None
    weight_format: str | None
    variant: str | None
    m: int | None
    n: int | None
    baseline_gbs: float | None
    """Geometric mean of the runs."""
    candidate_gbs: float | None
    ratio: float | None
    ratio_low: float | None
    """Lower end of the interval on which the verdict rests: for SAME the 90 % interval of the case, else the one that
    holds for all cases of the comparison at once. None if it is unbounded."""
    ratio_high: float | None
    verdict: Verdict
    reason: str
    next_step: str | None
    """What to do where the verdict is UNCLEAR."""
    baseline_runs: int
    candidate_runs: int
    spread: float | None
    """Relative standard deviation between runs, moderated over the cases."""
    baseline_percent_of_peak: float | None = None
    """This and what follows is filled where the devices differ and both peaks are known."""
    candidate_percent_of_peak: float | None = None
    peak_ratio: float | None = None
    """The candidate's percentage of its peak over the baseline's of its own."""
    peak_verdict: Verdict | None = None
    peak_reason: str | None = None
    layer: str | None = None
    """Model and matrix of a GEMV that multiplied by a model's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A candidate against the baseline, case by case."""

    baseline: Side
    candidate: Side
    statistic: Literal["median", "best"]
    """Which bandwidth was compared: by the median time, or by the shortest where another tool has no other."""
    margin: float
    across_devices: bool
    cases: tuple[CaseComparison, ...]
    history: tuple[str, ...]
    """Stored runs from which the spread between runs is known besides the compared ones."""
    notes: tuple[str, ...]

    def count(self) -> dict[Verdict, int]:
        """Return how many cases have each verdict on their bandwidth."""
        counted = Counter(case.verdict for case in self.cases)
        return {verdict: counted[verdict] for verdict in VERDICTS}

    def count_of_peak(self) -> dict[Verdict, int]:
        """Return how many cases have each verdict on their percentage of the peak."""
        counted = Counter(case.peak_verdict for case in self.cases)
        return {verdict: counted[verdict] for verdict in VERDICTS}

    def regressions(self, beyond: float = 0.0) -> list[CaseComparison]:
        """Return the cases that are SLOWER by more than a fraction of the baseline's bandwidth."""
        return [c for c in self.cases if c.verdict == "SLOWER" and c.ratio is not None and 1 - c.ratio > beyond]

    def frame(self) -> pd.DataFrame:
        """Return the cases as a frame, a row each; the columns are the fields of CaseComparison."""
        import pandas as pd

        return pd.DataFrame([asdict(case) for case in self.cases])

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as what json can write."""
        return {
            **{name: _side(side) for name, side in (("baseline", self.baseline), ("candidate", self.candidate))},
            "statistic": self.statistic,
            "margin": self.margin,
            "across_devices": self.across_devices,
            "count": self.count(),
            "cases": [asdict(case) for case in self.cases],
            "history": list(self.history),
            "notes": list(self.notes),
        }


def _side(side: Side) -> dict[str, Any]:
    return {
        "label": side.label,
        "runs": [run.name for run in side.runs],
        "tools": sorted({run.tool for run in side.runs}),
        "systems": list(side.systems),
        "devices": list(side.devices),
    }
