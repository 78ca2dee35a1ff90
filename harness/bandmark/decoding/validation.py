"""Show published rates beside expected ones, with the errors of fits that have not seen the row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import groupby
from statistics import median

from rich.table import Table

from bandmark.decoding.step import FITTED
from bandmark.show.console import print_parts, text_table
from bandmark.tables import read_table

MAX_MEDIAN_ERROR = 0.10
MAX_SET_ASIDE = 2
"""The validation holds up to this median absolute error of held-out rows, and this many rows set aside."""

_HEADER = ("label", "batch", "context", "published", "expected", "error", "held out", "bound", "")
_LEGEND = (
    "published, expected and bound: tokens per second of all sequences of the batch; error: expected over published, "
    "less 1; held out: the same error by a fit that has not seen the row; bound: the published peak over the bytes of "
    "a token."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRow:
    """A published rate beside what is expected, in tokens per second of the whole batch."""

    device: str
    peak_gbs: float
    engine: str
    label: str
    batch: int
    context: int
    published: float
    bound: float
    expected: float
    held_out_error: float
    """Error of a fit without this row."""
    set_aside: str
    """Why the row can't be predicted; empty: it can."""
    note: str
    source: str

    @property
    def error(self) -> float:
        """Expected over published, less 1."""
        return self.expected / self.published - 1


@dataclass(frozen=True, slots=True)
class Validation:
    """The rows of data/decode_validation.csv, which `make decode-fit` writes."""

    checked: tuple[ValidationRow, ...]
    set_aside: tuple[ValidationRow, ...]

    @property
    def median_error(self) -> float:
        """Median absolute error of the held-out rows."""
        return median(abs(row.held_out_error) for row in self.checked)

    @property
    def worst(self) -> ValidationRow:
        """The row with the largest held-out error."""
        return max(self.checked, key=lambda row: abs(row.held_out_error))

    @property
    def over_bound(self) -> list[ValidationRow]:
        """The rows whose published rate exceeds the bound."""
        return [row for row in self.checked if row.published > row.bound]

    @property
    def holds(self) -> bool:
        """Whether median error, bounds and the number of rows set aside are within their limits."""
        return self.median_error <= MAX_MEDIAN_ERROR and not self.over_bound and len(self.set_aside) <= MAX_SET_ASIDE

    def as_json(self) -> dict[str, object]:
        """Return the validation for programs."""
        return {
            "holds": self.holds,
            "median_abs_error": self.median_error,
            "median_limit": MAX_MEDIAN_ERROR,
            "worst": self.worst.label,
            "rows": [{**asdict(row), "error": row.error} for row in self.checked],
            "set_aside": [{"label": r.label, "device": r.device, "reason": r.set_aside} for r in self.set_aside],
        }


def load_validation() -> Validation:
    """Return the shipped table of errors."""
    rows = read_table("decode_validation.csv", ValidationRow)
    checked = tuple(row for row in rows if not row.set_aside)
    return Validation(checked, tuple(row for row in rows if row.set_aside))


def show_validation(validation: Validation) -> None:
    """Print a table per device and engine, the fit, and the verdict."""
    parts: list[Table | str] = []
    rows = sorted(validation.checked, key=lambda row: (row.device, row.engine))
    for (device, peak, engine), group in groupby(rows, key=lambda row: (row.device, row.peak_gbs, row.engine)):
        parts += [f"{device} ({peak:g} GB/s), {engine}", text_table(_HEADER, map(_cells, group), left=1), ""]
    print_parts([*parts, _LEGEND, "", _fit(), "", *_verdict(validation)])


def _cells(row: ValidationRow) -> list[str]:
    return [
        row.label,
        str(row.batch),
        str(row.context),
        f"{row.published:.2f}",
        f"{row.expected:.2f}",
        f"{row.error:+.1%}",
        f"{row.held_out_error:+.1%}",
        f"{row.bound:.1f}",
        "above the bound" if row.published > row.bound else "",
    ]


def _fit() -> str:
    factors = ", ".join(f"{name} {factor:.2f}" for name, factor in FITTED.engines.items())
    return (
        f"fit: {FITTED.share:.0%} of the peak, {FITTED.dense_layer_s * 1e6:.0f} us for a dense layer, "
        f"{FITTED.routed_layer_s * 1e6:.0f} us for one with experts or recurrence, {FITTED.sequence_cost:g} bytes' "
        f"reading per parameter for each further sequence; time by engine, relative to that: {factors}"
    )


def _verdict(validation: Validation) -> list[str]:
    worst, aside = validation.worst, validation.set_aside
    return [
        *(f"set aside: {row.device}, {row.label} ({row.published:g}): {row.set_aside}" for row in aside),
        f"set aside: {len(aside)} of {len(validation.checked) + len(aside)} rows, at most {MAX_SET_ASIDE} allowed",
        f"above the bound: {len(validation.over_bound)} rows, none allowed",
        f"median absolute error, held out: {validation.median_error:.1%}, at most {MAX_MEDIAN_ERROR:.0%} allowed",
        f"worst row, held out: {worst.held_out_error:+.1%}: {worst.device}, {worst.label}, {worst.engine}",
        f"the validation {'holds' if validation.holds else 'FAILS'}",
    ]
