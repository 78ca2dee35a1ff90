"""Hold the result of a comparison, and show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, get_args

from rich.table import Table

from bandmark.comparison import Side, Statistic
from bandmark.comparison.statistics import ERROR_RATE
from bandmark.results.reading import JsonObject
from bandmark.show.console import escape, print_parts
from bandmark.units import count_of
from bandmark_kernels.core.dtypes import SHORT_DTYPES

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["FASTER", "SLOWER", "SAME", "UNCLEAR"]

_STYLES = {"FASTER": "green", "SLOWER": "red", "SAME": "", "UNCLEAR": "yellow"}
_FIGURES = ("baseline", "candidate", "change", "interval")  # columns that are aligned to the right
_FAR = 10.0  # factor beyond which the end of an interval is not told: few noisy runs can put it at a million


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
    suite: str | None = None
    other_columns: JsonObject | None = None
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
    statistic: Statistic
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

    def as_json(self) -> JsonObject:
        """Return the comparison as what json can write."""
        sides = {
            name: {
                "label": side.label,
                "runs": [run.name for run in side.runs],
                "tools": sorted({run.tool for run in side.runs}),
                "systems": list(side.systems),
                "devices": list(side.devices),
            }
            for name, side in (("baseline", self.baseline), ("candidate", self.candidate))
        }
        return sides | {
            "statistic": self.statistic,
            "margin": self.margin,
            "across_devices": self.across_devices,
            "count": self.count(),
            "cases": [asdict(case) for case in self.cases],
            "history": list(self.history),
            "notes": list(self.notes),
        }


def show_comparison(comparison: Comparison) -> None:
    """Print a comparison: what was compared, the cases, and in words why each is UNCLEAR and what to do."""
    notes = list(dict.fromkeys(_footnote(case) for case in comparison.cases if case.next_step))
    rows = [_cells(case, notes) for case in comparison.cases]
    parts: list[Table | str] = [
        _heading("baseline ", comparison.baseline),
        _heading("candidate", comparison.candidate) + "\n",
        _table(("baseline", "candidate", "change", "interval", "verdict", "notes"), rows),
    ]
    if peak_rows := [_peak_cells(case) for case in comparison.cases if case.peak_verdict]:
        parts += ["\nOf each device's own peak:\n", _table(("baseline", "candidate", "change", "verdict"), peak_rows)]
    parts += ["", *[f"{number}: {text}" for number, text in enumerate(notes, start=1)]]
    parts += [f"note: {note}" for note in comparison.notes]
    print_parts([*parts, _summary(comparison), _legend(comparison)])


def _heading(name: str, side: Side) -> str:
    tool = "" if side.is_ours else f" of {side.runs[0].tool}"
    system = f" ({', '.join(side.systems)})" if side.systems else ""
    place = f"{', '.join(side.devices) or 'device not named'}{system}"
    return f"{name}  {side.label}: {count_of(len(side.runs), 'run')}{tool} on {place}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table of cases; only the first column may have a name so long that it takes a second line."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("kernel", "backend", "dtype", *header):
        justify: Literal["left", "right"] = "right" if name in _FIGURES else "left"
        table.add_column(name, justify=justify, no_wrap=name != "kernel", overflow="fold")
    for cells in rows:
        style = next(_STYLES[cell] for cell in cells if cell in _STYLES)
        table.add_row(*map(escape, cells), style=style)
    return table


def _footnote(case: CaseComparison) -> str:
    return f"{case.reason}. Next: {case.next_step}"


def _names(case: CaseComparison) -> tuple[str, ...]:
    words = ((case.layer or "").partition(" ")[2] or case.kernel, *(case.other_columns or {}).values())
    dtype = case.weight_format or SHORT_DTYPES.get(case.dtype or "", case.dtype or "any")
    return " ".join(map(str, words)), case.backend or "-", dtype


def _cells(case: CaseComparison, notes: Sequence[str]) -> tuple[str, ...]:
    figures = (_figure(case.baseline_gbs), _figure(case.candidate_gbs), _change(case.ratio))
    note = str(notes.index(_footnote(case)) + 1) if case.next_step else ""
    return (*_names(case), *figures, _interval(case.ratio_low, case.ratio_high), case.verdict, note)


def _peak_cells(case: CaseComparison) -> tuple[str, ...]:
    percents = (f"{case.baseline_percent_of_peak:.1f}%", f"{case.candidate_percent_of_peak:.1f}%")
    return (*_names(case), *percents, _change(case.peak_ratio), case.peak_verdict or "")


def _figure(value: float | None) -> str:
    """Write a figure with four digits, so that a change of 1 % shows."""
    return "-" if value is None else f"{value:.0f}" if value >= 1000 else f"{value:#.4g}"


def _change(ratio: float | None) -> str:
    """Write a ratio as a change: +2.7%, or x3.01 from twice the figure on."""
    if ratio is None:
        return "-"
    return f"{round(100 * (ratio - 1), 1) + 0.0:+.1f}%" if ratio < 2 else f"x{ratio:.2f}"


def _interval(low: float | None, high: float | None) -> str:
    """Write an interval of ratios; an end beyond a factor of _FAR is said to be beyond, for no more is known of it."""
    return "unknown" if low is None else f"{_end(low)} to {_end(high)}"


def _end(ratio: float | None) -> str:
    if ratio is None or ratio > _FAR:
        return f">x{_FAR:g}"
    return f"<{100 / _FAR - 100:.0f}%" if ratio < 1 / _FAR else _change(ratio)


def _summary(comparison: Comparison) -> str:
    """Return how many cases have each verdict, in a line, and where the spread between runs is known from."""
    text = f"{count_of(len(comparison.cases), 'case')}: {_counts(comparison.count())}."
    if of_peak := _counts(comparison.count("peak_verdict")):
        text += f" Of their own peaks: {of_peak}."
    if history := comparison.history:
        more = f" and {len(history) - 3} more" if len(history) > 3 else ""
        named = ", ".join(history[:3])
        text += f" The spread between runs is also known from {len(history)} stored runs: {named}{more}."
    return text


def _counts(counts: Mapping[Verdict, int]) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number)


def _legend(comparison: Comparison) -> str:
    """Return how to read the tables."""
    units = " or ".join(dict.fromkeys(case.unit for case in comparison.cases)).replace("GB/s", "GB/s (10^9 bytes)")
    time = "median time" if comparison.statistic == "median" else "shortest time of a run"
    margin = f"{100 * comparison.margin:g} %"
    return (
        f"baseline, candidate: {units} by the {time}, mean of the runs. interval: of the change, from the "
        f"spread between runs; it holds for all cases at once with {100 * (1 - ERROR_RATE):g} % confidence, for SAME "
        f"for the case with 90 %. FASTER, SLOWER: the interval leaves out 0, and the change is over {margin}. SAME: "
        f"the interval is within {margin}."
    )
