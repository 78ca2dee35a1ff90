"""Show a comparison: headings, tables and footnotes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table

from bandmark.comparison.figures import Side
from bandmark.comparison.statistics import ERROR_RATE
from bandmark.comparison.verdict import CaseComparison, Comparison, Verdict
from bandmark.show.console import console, escape
from bandmark.suites.table import SHORT_DTYPES

_STYLES = {"FASTER": "green", "SLOWER": "red", "SAME": "", "UNCLEAR": "yellow"}
"""Colours on a terminal; the words alone tell as much."""

_FAR = 10.0
"""Factor beyond which the end of an interval is not told: few noisy runs can put it at a million."""

_CASE_HEADER = ("kernel", "backend", "dtype")
_Cells = Callable[[CaseComparison], Sequence[str]]


def show_comparison(comparison: Comparison, file: TextIO | None = None) -> None:
    """Print a comparison: what was compared, the cases, and in words why each is UNCLEAR and what to do."""
    out = console(file or sys.stdout)
    out.print(escape(heading(comparison)) + "\n")
    footnotes: list[str] = []
    header = ("baseline", "candidate", "change", "interval", "verdict", "notes")
    _print_table(out, comparison.cases, header, lambda case: _cells(case, footnotes))
    if comparison.across_devices and any(case.peak_verdict for case in comparison.cases):
        out.print("\nOf each device's own peak:\n")
        shown = [case for case in comparison.cases if case.peak_verdict]
        _print_table(out, shown, ("baseline", "candidate", "change", "verdict"), _peak_cells)
    out.print()
    for number, note in enumerate(footnotes, start=1):
        out.print(escape(f"{number}: {note}"))
    for note in comparison.notes:
        out.print(escape(f"note: {note}"))
    out.print(escape(summary(comparison)))
    out.print(f"[dim]{escape(legend(comparison))}[/dim]" if out.is_terminal else escape(legend(comparison)))


def _print_table(out: Console, cases: Sequence[CaseComparison], header: Sequence[str], cells: _Cells) -> None:
    drawn = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in (*_CASE_HEADER, *header):
        words = name in (*_CASE_HEADER, "verdict", "notes")
        whole = name != _CASE_HEADER[0]
        drawn.add_column(name, justify="left" if words else "right", no_wrap=whole, overflow="fold")
    for case in cases:
        dtype = SHORT_DTYPES.get(case.dtype or "", case.dtype or "any")
        kernel = " ".join(
            map(str, ((case.layer or "").partition(" ")[2] or case.kernel, *(case.other_columns or {}).values()))
        )
        names = (kernel, case.backend or "-", case.weight_format or dtype)
        row = [escape(text) for text in (*names, *cells(case))]
        drawn.add_row(*row, style=_STYLES[_verdict_shown(case, header)])
    out.print(drawn)


def _verdict_shown(case: CaseComparison, header: Sequence[str]) -> str:
    return case.verdict if "notes" in header else case.peak_verdict or case.verdict


def _cells(case: CaseComparison, footnotes: list[str]) -> tuple[str, ...]:
    note = f"{case.reason}. Next: {case.next_step}" if case.next_step else ""
    if note and note not in footnotes:
        footnotes.append(note)
    return (
        _figure(case.baseline_gbs),
        _figure(case.candidate_gbs),
        _change(case.ratio),
        _interval(case.ratio_low, case.ratio_high),
        case.verdict,
        str(footnotes.index(note) + 1) if note else "",
    )


def _peak_cells(case: CaseComparison) -> tuple[str, ...]:
    before, after = case.baseline_percent_of_peak, case.candidate_percent_of_peak
    shown = ["-" if p is None else f"{p:.1f}%" for p in (before, after)]
    return (*shown, _change(case.peak_ratio), case.peak_verdict or "")


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


def heading(comparison: Comparison) -> str:
    """Return what was compared with what."""
    return "\n".join((_side("baseline ", comparison.baseline), _side("candidate", comparison.candidate)))


def _side(name: str, side: Side) -> str:
    runs = f"{len(side.runs)} run{'s' if len(side.runs) > 1 else ''}"
    tool = "" if side.is_ours else f" of {side.runs[0].tool}"
    device = ", ".join(side.devices) or "device not named"
    system = f" ({', '.join(side.systems)})" if side.systems else ""
    return f"{name}  {side.label}: {runs}{tool} on {device}{system}"


def summary(comparison: Comparison) -> str:
    """Return how many cases have each verdict, in a line, and where the spread between runs is known from."""
    text = f"{len(comparison.cases)} case{'s' if len(comparison.cases) > 1 else ''}: {_counts(comparison.count())}."
    if of_peak := _counts(comparison.count("peak_verdict")):
        text += f" Of their own peaks: {of_peak}."
    if comparison.history:
        named = ", ".join(comparison.history[:3])
        more = f" and {len(comparison.history) - 3} more" if len(comparison.history) > 3 else ""
        text += f" The spread between runs is also known from {len(comparison.history)} stored runs: {named}{more}."
    return text


def _counts(counts: Mapping[Verdict, int]) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number)


def legend(comparison: Comparison) -> str:
    """Return how to read the tables."""
    units = " or ".join(dict.fromkeys(case.unit for case in comparison.cases)) or "GB/s"
    units = units.replace("GB/s", "GB/s (10^9 bytes)")
    time = "median time" if comparison.statistic == "median" else "shortest time of a run"
    margin = f"{100 * comparison.margin:g} %"
    return (
        f"baseline, candidate: {units} by the {time}, mean of the runs. interval: of the change, from the "
        f"spread between runs; it holds for all cases at once with {100 * (1 - ERROR_RATE):g} % confidence, for SAME "
        f"for the case with 90 %. FASTER, SLOWER: the interval leaves out 0, and the change is over {margin}. SAME: "
        f"the interval is within {margin}."
    )
