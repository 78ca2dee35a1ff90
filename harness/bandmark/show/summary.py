"""The answer of a run in a few lines: best figures, percent of peak, verdict, place, and what was flagged."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeGuard

from bandmark.judge.bands import normal_gbs, place
from bandmark.results.row import MEASURED, Row
from bandmark.suites import Suite, by_suite, metric_of, suite_of
from bandmark.suites.table import dtype, figure
from bandmark.units import count_of

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*[A-Za-z_])(?!\.\d)")
"""A number that stands alone: not part of a name such as block8, of a version or of 64x32."""

_HEADLINES = 2
"""Kernels that get a line of their own, with verdict."""


def positive(value: float | None) -> TypeGuard[float]:
    """Return whether a figure can be drawn and ranked."""
    return value is not None and math.isfinite(value) and value > 0


def has_peak(row: Row) -> bool:
    """Return whether the metric of a row is one that published peaks are given for."""
    return metric_of(row).unit == "GB/s"


def ranked(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that may be called best, the best first: ok and verified; bandwidths, from memory alone."""
    counted = [
        row
        for row in rows
        if row.status == "ok"
        and row.verified
        and positive(metric_of(row).value(row))
        and (row.regime == "dram" or not has_peak(row))
    ]
    return sorted(counted, key=_rank)


def _rank(row: Row) -> float:
    metric = metric_of(row)
    return (metric.value(row) or 0.0) * (-1 if metric.higher_is_better else 1)


def best_of_kernels(rows: Sequence[Row]) -> dict[str, Row]:
    """Return the best row of each kernel: those that answer for the suite first, then the best kernel first."""
    best: dict[str, Row] = {}
    for row in ranked(rows):
        best.setdefault(row.kernel, row)
    names = dict.fromkeys((*(suite_of(rows[0]).headline_kernels if best else ()), *best))
    return {name: best[name] for name in names if name in best}


def merge_numbers(notes: Sequence[str]) -> dict[str, str]:
    """Return what each note is merged into: notes that differ in numbers alone become one, with their ranges."""
    alike: dict[str, list[str]] = {}
    for note in dict.fromkeys(notes):
        alike.setdefault(_NUMBER.sub("#", note), []).append(note)
    return {note: _merged(group) for group in alike.values() for note in group}


def _merged(notes: Sequence[str]) -> str:
    ranges = iter([_range(numbers) for numbers in zip(*map(_NUMBER.findall, notes), strict=True)])
    return _NUMBER.sub(lambda match: next(ranges), notes[0])


def _range(numbers: Sequence[str]) -> str:
    return "-".join(dict.fromkeys((min(numbers, key=float), max(numbers, key=float))))


def summary(rows: Sequence[Row]) -> list[str]:
    """Return the lines that end a run, and one on what was flagged; what curves say stands below their tables."""
    lines = [line for suite, own in by_suite(rows) if not suite.is_curve for line in _answer(suite, own)]
    return [*lines, _flagged(rows)]


def _answer(suite: Suite, rows: Sequence[Row]) -> list[str]:
    best, metric = best_of_kernels(rows), suite.metric
    if not best:
        return [f"{suite.title}: no figure to quote: no row is ok{' and from memory' * has_peak(rows[0])}"]
    figures = ", ".join(f"{name} {figure(metric.value(row))}" for name, row in best.items())
    lines = [f"best {metric.name} of each kernel, {metric.unit}: {figures}"]
    if not has_peak(rows[0]) or not suite.headline_kernels:
        return lines
    chosen = headline_rows(rows)
    lines += map(headline, chosen)
    if not chosen[0].peak_gbs:
        lines.append("percent of peak and verdict unknown: --peak GBS, or --peak 2x5600, gives the peak")
    return [*lines, f"{chosen[0].kernel} is {place(chosen[0].bandwidth_gbs or 0.0)}"]


def headline_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the best rows of the kernels that answer for a suite, the most important first; none without a figure."""
    return list(best_of_kernels(rows).values())[:_HEADLINES]


def headline(row: Row) -> str:
    """Return a bandwidth with its percentage of the peak and its verdict."""
    text = f"{row.kernel} {figure(row.bandwidth_gbs)} GB/s ({row.backend} {dtype(row)})"
    if row.percent_of_peak is None:
        return text
    text += f", {row.percent_of_peak:.0f} % of the peak of {row.peak_gbs:g} GB/s"
    return f"{text}: {normal_gbs(row.verdict, row.peak_gbs) or 'no published measurements to judge it by'}"


def _flagged(rows: Sequence[Row]) -> str:
    """Return one sentence on the rows that are not ok, with the most frequent reason of those that ran."""
    doubtful = [row for row in rows if row.status not in ("ok", "unsupported")]
    if not doubtful:
        return f"flagged: nothing in {count_of(sum(row.status in MEASURED for row in rows), 'row')}"
    measured = [row.reason or "" for row in doubtful if row.status != "skipped"]
    reasons = measured or [row.reason or "" for row in doubtful]
    merged = merge_numbers(reasons)
    reason, count = Counter(merged[reason] for reason in reasons).most_common(1)[0]
    kinds = ", ".join(f"{n} {status}" for status, n in Counter(row.status for row in doubtful).items())
    often = "" if count == len(doubtful) else f" in {count} of them"
    return f"flagged: {kinds} of {count_of(len(rows), 'row')}; {reason}{often}"
