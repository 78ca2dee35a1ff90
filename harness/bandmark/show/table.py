"""How are rows shown to people? The table of results, its marks and its footnotes, as plain text cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bandmark.judge.references import REFERENCES
from bandmark.judge.warnings import NOISY_FROM, rotation
from bandmark.results.row import MEASURED, Row
from bandmark.show.layers import matrix_of, shapes
from bandmark.units import format_bytes

HEADER = ("kernel", "backend", "dtype", "GB/s", "best", "spread", "%peak", "%Spark", "%5000", "%Stn", "notes")
"""The three named systems are DGX Spark, RTX PRO 5000 and DGX Station."""

WEIGHTS = "Gw/s"
"""10^9 weights per second: the column behind best, where a row has packed weights or is of a model's matrix."""

MATRIX = "matrix"
"""The first column where all rows are of a model's matrices; best then makes room for its longer names."""

LEFT = 3
"""So many columns hold words; the others hold figures."""

ROTATES = "launches rotate over sets of the arrays that are larger than the cache (column copies of the CSV)"

SHORT_DTYPES = {"float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16"}


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of the table, and whether it stands out."""

    cells: tuple[str, ...]
    plain: bool
    """Whether the row is plainly ok."""


@dataclass(frozen=True, slots=True)
class ResultTable:
    """The lines of the table and the footnotes that its marks refer to."""

    rows: tuple[TableRow, ...]
    footnotes: tuple[str, ...]
    header: tuple[str, ...]
    legend: str
    """What the columns' names mean."""


def build_table(results: Iterable[Row]) -> ResultTable:
    """Return the table of some results, in their order, with numbered footnotes for whatever is not plainly ok."""
    footnotes: list[str] = []
    rows = []
    shown = list(results)
    mixed = {r.backend for r in shown if len({s.variant for s in shown if s.backend == r.backend}) > 1}
    header = _header(shown)
    for result in shown:
        notes = _notes(result, name_variant=result.backend in mixed)
        cells = _cells(result) | {"notes": ",".join(_mark(note, footnotes) for note in notes)}
        rows.append(TableRow(tuple(cells[name] for name in header), plain=result.status == "ok"))
    legend = [*([WEIGHTS_LEGEND] if WEIGHTS in header else []), *([BEST_LEGEND] if "best" in header else []), LEGEND]
    return ResultTable(tuple(rows), tuple(footnotes), header, " ".join(legend))


def _header(shown: Sequence[Row]) -> tuple[str, ...]:
    """Return the columns that some results need."""
    layers = [result.layer is not None for result in shown]
    names = list(HEADER)
    if any(layers) or any(result.weight_format for result in shown if result.kernel == "gemv"):
        names[names.index("best")] = WEIGHTS  # 80 columns have no room for both
    return (MATRIX if layers and all(layers) else names[0], *names[1:])


def _mark(note: str, footnotes: list[str]) -> str:
    """Return the number of a footnote, adding it if it is new."""
    if note not in footnotes:
        footnotes.append(note)
    return str(footnotes.index(note) + 1)


def _notes(result: Row, *, name_variant: bool) -> list[str]:
    """Return what the reader of a row should know; variants are named where a backend's rows differ in them."""
    notes = []
    reason = result.reason or ""
    if result.layer and rotation(result.copies) in reason:
        # How many sets there are differs from matrix to matrix: said once for all, it is one footnote.
        notes.append(ROTATES)
        reason = reason.replace(rotation(result.copies), "").strip("; ")
    if reason:
        notes.append(f"{result.status}: {reason}" if result.status != "ok" else reason)
    if result.status in MEASURED and result.regime != "dram":
        where = {"cache": "fits the last-level cache", "mixed": "is less than 4 last-level caches"}
        known = where.get(result.regime or "", "can't be compared with the cache, whose size is unknown")
        notes.append(f"the working set {known}: no percentages")
    if result.iqr_rel is not None and result.iqr_rel >= NOISY_FROM:
        notes.append(
            f"noisy: the quartiles lie {100 * NOISY_FROM:.0f} % of the median apart or more (column spread); "
            "close other programs and run again, longer with --time-limit"
        )
    if result.variant and name_variant:
        notes.append(f"variant {result.variant}")
    if result.verdict:
        notes.append(f"{result.verdict}, by published measurements")
    return notes


def _cells(result: Row) -> dict[str, str]:
    """Return the cells of a row, but for its notes, by the name of their column."""
    spread = "-" if result.iqr_rel is None or result.bandwidth_gbs is None else f"{100 * result.iqr_rel:.1f}%"
    references = (_percent(getattr(result, reference.column)) for reference in REFERENCES)
    return {
        "kernel": matrix_of(result) or result.kernel,
        MATRIX: matrix_of(result),
        "backend": result.backend,
        "dtype": SHORT_DTYPES.get(result.number_format, result.number_format),
        "GB/s": _figure(result.bandwidth_gbs),
        "best": _figure(result.bandwidth_best_gbs),
        WEIGHTS: _figure(result.weights_per_s and result.weights_per_s / 1e9),
        "spread": spread,
        "%peak": _percent(result.percent_of_peak),
        **dict(zip(HEADER[HEADER.index("%peak") + 1 :], references, strict=False)),
    }


def _figure(value: float | None) -> str:
    """Write a bandwidth with at least three figures: 1310, 231.4, 27.36, 0.00524."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value:.3g}"
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def _percent(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def heading(results: Sequence[Row]) -> str:
    """Return the lines above the table: what was measured, on what, against which peak."""
    first = results[0]
    lines = [f"{first.device} ({first.system}), run {first.run_id}, bandmark {first.bandmark_version}"]
    versions = sorted({f"{r.backend} {r.backend_version}" for r in results if r.backend_version})
    threads = f", {first.threads} threads" if first.threads else ""
    driver = f", driver {first.driver}" if first.driver else ""
    lines.append(f"{', '.join(versions)}{threads}{driver}")
    sizes = sorted({r.working_set_bytes for r in results if r.working_set_bytes})
    if sizes:
        span = " to ".join(dict.fromkeys(map(format_bytes, (sizes[0], sizes[-1]))))
        cache = f", last-level cache {format_bytes(first.llc_bytes)}" if first.llc_bytes else ""
        lines.append(f"working sets {span}{cache}")
    lines += [f"peak: {_peak(first)}", *(f"gemv, {line}" for line in shapes(results))]
    return "\n".join(lines)


def _peak(result: Row) -> str:
    """Return the peak and what kind of source it has; the sources themselves are too long for a heading."""
    if not result.peak_gbs:
        return "unknown (--peak GBS sets it)"
    source = result.peak_source or "of unknown source"
    short = "published, `bandmark devices` names the sources" if source.startswith("published") else source
    return f"{result.peak_gbs:g} GB/s ({short})"


WEIGHTS_LEGEND = f"{WEIGHTS}: 10^9 weights per second; the dtype column names the format of packed weights."

BEST_LEGEND = "best: bytes / shortest time."

LEGEND = (
    "GB/s: bytes / median time; spread: distance of the quartiles over the median. "
    "GB is 10^9 bytes; each element read or written counts once. "
    "%Spark, %5000, %Stn: of DGX Spark's 273, RTX PRO 5000's 1344 and DGX Station's announced 8000 GB/s "
    "(it ships with 7100). STREAM-style kernels, a variant of STREAM."
)
