"""What do the rows of a model's matrices say together? Which they are, and one pass over all of them.

A row of `bandmark run --layer` names model, matrix, and how often a decode step uses one of that shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from bandmark.results.row import MEASURED, Row
from bandmark.units import format_seconds

COMES_ON_TOP = "Attention over the cache, norms and all else that a token takes come on top."


def model_of(row: Row) -> str:
    """Return the model whose matrix a row is of; empty where it is of none."""
    return (row.layer or "").partition(" ")[0]


def matrix_of(row: Row) -> str:
    """Return which of the model's matrices a row is of; empty where it is of none."""
    return matrix_name(row.layer)


def matrix_name(layer: str | None) -> str:
    """Return the matrix in a cell of the column layer."""
    return (layer or "").partition(" ")[2]


def shapes(rows: Sequence[Row]) -> list[str]:
    """Return a line for each model: its matrices, each with rows, columns and uses."""
    lines = []
    for model in _models(rows):
        own = {matrix_of(r): f"{matrix_of(r)} {r.m} x {r.n}, {r.layer_uses}" for r in rows if model_of(r) == model}
        lines.append(f"matrices of {model} (rows x columns, how often in a step): {'; '.join(own.values())}")
    return lines


def passes(rows: Sequence[Row]) -> list[str]:
    """Return a line for each model, library and format: bytes, time and bandwidth of a pass over all matrices."""
    lines = []
    for model in _models(rows):
        own = sorted((row for row in rows if model_of(row) == model), key=_setting)
        all_names = list(dict.fromkeys(matrix_of(row) for row in rows if model_of(row) == model))
        sums = [line for _, group in groupby(own, key=_setting) for line in _pass(list(group), all_names)]
        if sums:
            lines.append(f"One decode step's matrices of {model}, one after the other, at the median times above:")
            lines += [*sums, COMES_ON_TOP]
    return lines


def adds_up(row: Row) -> bool:
    """Return whether a row is of a model's matrix that was measured, so that its time counts in a pass."""
    return row.status in MEASURED and bool(row.time_median_s and row.layer_uses)


def total(rows: Iterable[Row]) -> tuple[int, float]:
    """Return bytes and seconds of as many launches of each row as a step uses such matrices."""
    own = list(rows)
    seconds = sum((row.layer_uses or 0) * (row.time_median_s or 0.0) for row in own)
    return sum((row.layer_uses or 0) * (row.bytes_moved or 0) for row in own), seconds


def _models(rows: Sequence[Row]) -> list[str]:
    return [model for model in dict.fromkeys(map(model_of, rows)) if model]


def _setting(row: Row) -> tuple[str, ...]:
    """What is equal among the rows that add up."""
    return (row.device, row.backend, row.dtype, row.weight_format or "", row.variant or "")


def _pass(rows: Sequence[Row], names: Sequence[str]) -> Iterator[str]:
    """Yield the line of one setting; none where nothing was measured, and no sum where a matrix is missing."""
    first = rows[0]
    label = " ".join(filter(None, (first.backend, first.number_format, first.variant)))
    found = {matrix_of(row): row for row in rows if adds_up(row)}
    if not found:
        return
    if missing := [name for name in names if name not in found]:
        yield f"{label}: no sum, for {', '.join(missing)} {'was' if len(missing) == 1 else 'were'} not measured"
        return
    moved, seconds = total(found.values())
    cached = [name for name, row in found.items() if row.regime in ("cache", "mixed")]
    doubtful = [name for name, row in found.items() if row.status != "ok"]
    yield (
        f"{label}: {moved / 1e9:.4g} GB in {format_seconds(seconds)}, {moved / seconds / 1e9:.4g} GB/s"
        + (f"; not from memory: {_all_or(cached, names)}" if cached else "")
        + (f"; suspect: {_all_or(doubtful, names)}" if doubtful else "")
    )


def _all_or(some: Sequence[str], names: Sequence[str]) -> str:
    return "all" if len(some) == len(names) else ", ".join(some)
