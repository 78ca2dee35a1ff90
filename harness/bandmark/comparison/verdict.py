"""Give the verdict on each case, the reason, and the next step where it is inconclusive; hold the results.

FASTER and SLOWER need a change that differences between runs do not explain in any of the cases at once (statistics)
and that is larger than the margin. SAME is not the lack of a change: it is shown by equivalence (D. J. Schuirmann, A
comparison of the two one-sided tests procedure, J. Pharmacokinet. Biopharm. 15 (1987)): the 90 % interval of the case
lies within the margin. Everything else is UNCLEAR. Unsteady samples widen the limit by what they explain, and rule out
SAME; a row that is suspect for another reason has no verdict, since nothing says how far it is off.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from bandmark.comparison.figures import Side
from bandmark.comparison.statistics import Estimate

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["FASTER", "SLOWER", "SAME", "UNCLEAR"]

MARGIN = 0.02
"""Relative change up to which cases count as the same, unless the user says otherwise."""

_CLOCK_TOLERANCE = 0.05
"""Relative difference of the sides' processor clocks from which the clock may be what was compared."""

_MIN_RUNS = 3
"""Runs a side below which the spread between runs is that of other devices of its kind, and not the system's own."""

MAX_RUNS = 20
"""Runs a side that are worth advising; beyond, the machine must become quieter."""

_MEASURE_AGAIN = "measure the runs in doubt again on a quiet machine, or leave them out"
_MORE_RUNS = f"measure {_MIN_RUNS} runs a side, taken in turns, or name stored runs of this system with --history"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a case besides its estimate."""

    doubts: Sequence[str] = ()
    """Why some of the figures can't be relied on, each with the run that it is about."""
    unsteady: Sequence[str] = ()
    """In what way samples have no one speed."""
    sway: float = 0.0
    """Change of the logarithm that the unsteady samples explain."""
    clock_ratio: float | None = None
    """Clock of the candidate over that of the baseline, on the same device; None where it was not recorded."""
    mirrored: bool = False
    """Whether other cases changed by as much in the other direction, as a clock with two states has it."""
    higher_is_better: bool = True


def decide(case: Estimate, evidence: Evidence, margin: float) -> tuple[Verdict, str, str | None]:
    """Return the verdict on a case, the reason, and the next step where it is UNCLEAR.

    Args:
        case, evidence: what is known of it.
        margin: relative change up to which it is the same, 0.02 for 2 %.
    """
    if evidence.doubts:
        return "UNCLEAR", "; ".join(evidence.doubts), _MEASURE_AGAIN
    if not math.isfinite(case.log_ratio):
        return "UNCLEAR", "one side has no figure", "measure the side that has no figure"
    edge, size = math.log1p(margin), abs(case.log_ratio)
    if size > case.limit + evidence.sway and size > edge:
        return _different(case, evidence)
    if evidence.unsteady:
        return "UNCLEAR", "; ".join(evidence.unsteady), _MEASURE_AGAIN
    if size + case.limit_alone <= edge:
        return "SAME", f"the change is within {100 * margin:g} %, with 95 % confidence on either side", None
    return "UNCLEAR", *_open(case, edge, margin)


def _different(case: Estimate, evidence: Evidence) -> tuple[Verdict, str, str | None]:
    """Return FASTER or SLOWER, unless the clock or a second state of it explains the change."""
    faster = case.log_ratio > 0
    change = describe_change(case.log_ratio, higher_is_better=evidence.higher_is_better)
    clock = evidence.clock_ratio
    if clock is not None and abs(clock - 1) > _CLOCK_TOLERANCE and (clock > 1) == faster:
        reason = f"{change}, but the candidate's clock was {describe_change(math.log(clock))} as well"
        return "UNCLEAR", reason, "let the device settle or lock its clock, and measure the sides in turns"
    if evidence.mirrored:
        reason = f"{change}, and other cases changed by as much in the other direction: a clock of two states does that"
        return "UNCLEAR", reason, _MORE_RUNS
    limit = math.copysign(case.limit + evidence.sway, case.log_ratio if evidence.higher_is_better else -case.log_ratio)
    percent = _percent(limit)
    reason = f"{change}; differences between runs explain {percent:.{1 if percent < 9.95 else 0}f} % at most"
    return "FASTER" if faster else "SLOWER", reason + (f" ({run_count(case.runs)})" if case.is_assumed else ""), None


def run_count(runs: Sequence[int]) -> str:
    """Write how many runs the sides have: '1 run a side'."""
    low, high = min(runs), max(runs)
    return f"{low} run{'s' if low > 1 else ''} a side" if low == high else f"{low} and {high} runs"


def _open(case: Estimate, edge: float, margin: float) -> tuple[str, str]:
    """Return why a case is UNCLEAR, and what would settle it: errors shrink with the root of the runs."""
    size = abs(case.log_ratio)
    if size > edge:
        excess, reason = case.limit / size, "differences between runs explain a change of this size in one of the cases"
    else:
        excess = case.limit_alone / (edge - size) if size < edge else math.inf
        reason = f"the change may be within {100 * margin:g} % or beyond"
    if case.is_assumed:
        return reason, _MORE_RUNS
    runs = min(case.runs)
    wanted = max(runs + 1, math.ceil(runs * min(excess, 1e3) ** 2))
    if wanted <= MAX_RUNS:
        return reason, f"about {wanted} runs a side tell, taken in turns"
    if case.limit_alone < edge:
        return reason, "the change is so close to the margin that more runs won't tell; choose another --margin"
    return reason, "quieten the machine (other programs, clocks, power): its runs differ too much for more to help"


def describe_change(log_ratio: float, *, higher_is_better: bool = True) -> str:
    """Write a difference of logarithms, above zero for faster, as a change of the metric: '5.1 % faster'."""
    percent = _percent(log_ratio if higher_is_better else -log_ratio)
    return f"{percent:.{1 if percent < 100 else 0}f} % {'faster' if log_ratio >= 0 else 'slower'}"


def _percent(log_ratio: float) -> float:
    """Return the size of a change in percent; beyond a factor of 10^6 no more is known of it than that."""
    return 100 * abs(math.expm1(min(log_ratio, math.log(1e6))))


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseComparison:
    """One case on both sides. Ratios are candidate over baseline."""

    kernel: str
    backend: str | None
    dtype: str | None
    weight_format: str | None
    variant: str | None
    m: int | None
    n: int | None
    baseline_gbs: float | None
    """Geometric mean of the runs, in `unit`: GB/s unless the metric is another one."""
    candidate_gbs: float | None
    ratio: float | None
    ratio_low: float | None
    """Lower end of the interval on which the verdict rests: for SAME the 90 % interval of the case, else the one that
    holds for all cases of the comparison at once."""
    ratio_high: float | None
    verdict: Verdict
    reason: str
    next_step: str | None
    """What to do where the verdict is UNCLEAR."""
    baseline_runs: int
    candidate_runs: int
    spread: float | None
    """Relative standard deviation between runs."""
    baseline_percent_of_peak: float | None = None
    """This and what follows is filled where the devices differ and both peaks are known."""
    candidate_percent_of_peak: float | None = None
    peak_ratio: float | None = None
    """The candidate's percentage of its peak over the baseline's of its own."""
    peak_verdict: Verdict | None = None
    peak_reason: str | None = None
    layer: str | None = None
    """Model and matrix of a GEMV that multiplied by a model's."""
    spread_source: str = "replicates"
    """Where the spread between runs is from: replicates, or other devices of this kind, as with 1 run a side."""
    metric: str = "bandwidth_gbs"
    unit: str = "GB/s"
    higher_is_better: bool = True
    other_columns: dict[str, Any] | None = None
    """Further columns that identify the case, in suites that have some."""

    def loss(self) -> float:
        """Return by how much the candidate is worse, relative to the baseline; below zero where it is better."""
        change = 1 - self.ratio if self.ratio is not None else 0.0
        return change if self.higher_is_better else -change


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A candidate against the baseline, case by case."""

    baseline: Side
    candidate: Side
    statistic: Literal["median", "best"]
    """Which time the figures are by: the median, or the shortest where another tool has no other."""
    margin: float
    across_devices: bool
    cases: tuple[CaseComparison, ...]
    history: tuple[str, ...]
    """Stored runs that the spread between runs is known from besides the compared ones."""
    notes: tuple[str, ...]

    def count(self, column: str = "verdict") -> dict[Verdict, int]:
        """Return how many cases have each verdict; column is verdict or peak_verdict."""
        counted = Counter(getattr(case, column) for case in self.cases)
        return {verdict: counted[verdict] for verdict in get_args(Verdict)}

    def regressions(self, beyond: float = 0.0) -> list[CaseComparison]:
        """Return the cases that are SLOWER by more than a fraction of the baseline's figure."""
        return [case for case in self.cases if case.verdict == "SLOWER" and case.loss() > beyond]

    def frame(self) -> pd.DataFrame:
        """Return a row per case: the fields of CaseComparison, and identity columns of suites from outside."""
        import pandas as pd

        return pd.DataFrame([asdict(case) | (case.other_columns or {}) for case in self.cases])

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as what json can write."""
        return {
            "baseline": _side_as_json(self.baseline),
            "candidate": _side_as_json(self.candidate),
            "statistic": self.statistic,
            "margin": self.margin,
            "across_devices": self.across_devices,
            "count": self.count(),
            "cases": [asdict(case) for case in self.cases],
            "history": list(self.history),
            "notes": list(self.notes),
        }


def _side_as_json(side: Side) -> dict[str, Any]:
    return {
        "label": side.label,
        "runs": [run.name for run in side.runs],
        "tools": sorted({run.tool for run in side.runs}),
        "systems": list(side.systems),
        "devices": list(side.devices),
    }
