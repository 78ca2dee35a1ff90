"""Tables of results for people: headings by suite, figures as text, and numbered footnotes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bandmark.judge.warnings import NOISY_FROM, rotation
from bandmark.measure.sampling import StopRule
from bandmark.results.row import MEASURED, Row
from bandmark.show.summary import merge_numbers
from bandmark.suites import suite_of
from bandmark.suites.base import Suite
from bandmark.suites.model_layers import matrix_shapes
from bandmark.units import format_bytes
from bandmark_kernels.core.compiled import MODES

_ROTATES = "launches rotate over sets of the arrays that are larger than the cache (column copies of the CSV)"

_FEW_SAMPLES = "fewer than {} samples before the time limit"
_SIZES = {"cache": "fits the last-level cache", "mixed": "is less than 4 last-level caches"}
_NOISY = (
    f"noisy: the quartiles lie {100 * NOISY_FROM:.0f} % of the median apart or more (column spread); "
    "close other programs and run again, longer with --time-limit"
)


@dataclass(frozen=True, slots=True)
class _TableRow:
    """One line of the table."""

    cells: tuple[str, ...]
    is_ok: bool
    """Whether nothing speaks against the figure."""


@dataclass(frozen=True, slots=True)
class _ResultTable:
    """The lines of the table and the footnotes that its marks refer to."""

    header: tuple[str, ...]
    left: tuple[bool, ...]
    """Whether each column is aligned to the left."""
    rows: tuple[_TableRow, ...]
    footnotes: tuple[str, ...]
    legend: str
    """What the headings mean."""


def build_table(suite: Suite, rows: Sequence[Row]) -> _ResultTable:
    """Return the table of a suite's rows, in their order, with numbered footnotes for whatever is not plainly ok."""
    columns = suite.table_columns(rows)
    several = {r.backend for r in rows if len({s.variant for s in rows if s.backend == r.backend}) > 1}
    footnotes: dict[str, int] = {}
    lines = []
    notes = [_notes(row, name_variant=row.backend in several) for row in rows]
    merged = merge_numbers([note for own in notes for note in own])
    for row, own in zip(rows, notes, strict=True):
        marks = {footnotes.setdefault(merged[note], len(footnotes) + 1) for note in own}
        cells = (*(column.text(row) for column in columns), ",".join(map(str, sorted(marks))))
        lines.append(_TableRow(cells, is_ok=row.status == "ok"))
    return _ResultTable(
        header=(*(column.title for column in columns), "notes"),
        left=(*(column.left for column in columns), True),
        rows=tuple(lines),
        footnotes=tuple(footnotes),
        legend=suite.legend(rows),
    )


def _notes(row: Row, *, name_variant: bool) -> list[str]:
    """Return what the reader of a row should know; variants are named where a backend's rows differ in them."""
    notes = list(_reasons(row))
    if row.status == "ok" and row.samples is not None and row.samples < StopRule().min_samples:
        notes.append(_FEW_SAMPLES.format(StopRule().min_samples))
    if row.status in MEASURED and row.working_set_bytes and row.regime != "dram" and not suite_of(row).is_curve:
        size = _SIZES.get(row.regime or "", "can't be compared with the cache, whose size is unknown")
        notes.append(f"the working set {size}: no percentages")
    if (row.iqr_rel or 0.0) >= NOISY_FROM:
        notes.append(_NOISY)
    if name_variant and row.variant and row.variant not in MODES:
        notes.append(f"variant {row.variant}")
    return [*notes, f"{row.verdict}, by published measurements"] if row.verdict else notes


def _reasons(row: Row) -> Iterator[str]:
    """Yield the reason of a row; how many sets rotate differs from matrix to matrix, so one footnote serves all."""
    reason = row.reason or ""
    if row.layer and rotation(row.copies) in reason:
        yield _ROTATES
        reason = reason.replace(rotation(row.copies), "").strip("; ")
    if reason:
        yield reason if row.status == "ok" else f"{row.status}: {reason}"


def heading(rows: Sequence[Row]) -> str:
    """Return the lines above the table: what was measured, on what, against which peak."""
    first = rows[0]
    versions = sorted({f"{r.backend} {r.backend_version}" for r in rows if r.backend_version})
    most = max((row.threads or 0 for row in rows), default=0)
    threads = f", {most} thread{'s' * (most > 1)}" if most else ""
    driver = f", driver {first.driver}" if first.driver else ""
    return "\n".join(
        [
            f"{first.device} ({first.system}), run {first.run_id}, bandmark {first.bandmark_version}",
            f"{', '.join(versions)}{threads}{driver}",
            *_sizes(rows),
            f"peak: {_peak(first)}",
            *(f"gemv, {line}" for line in matrix_shapes(rows)),
        ]
    )


def _sizes(rows: Sequence[Row]) -> list[str]:
    """Return the line about working sets and the cache, if any row has a working set."""
    sizes = sorted({r.working_set_bytes for r in rows if r.working_set_bytes})
    if not sizes:
        return []
    span = " to ".join(dict.fromkeys(map(format_bytes, (sizes[0], sizes[-1]))))
    cache = f", last-level cache {format_bytes(rows[0].llc_bytes)}" if rows[0].llc_bytes else ""
    return [f"working sets {span}{cache}"]


def _peak(row: Row) -> str:
    """Return the peak and what kind of source it has; the sources themselves are too long for a heading."""
    if not row.peak_gbs:
        return "unknown (--peak GBS sets it)"
    source = row.peak_source or "of unknown source"
    short = "published, `bandmark devices` names the sources" if source.startswith("published") else source
    return f"{row.peak_gbs:g} GB/s ({short})"
