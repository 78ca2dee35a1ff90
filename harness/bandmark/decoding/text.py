"""Print predicted rates, and the published rates that they were fitted to, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from statistics import median

from rich.table import Table

from bandmark.decoding.predict import Prediction, System, predict
from bandmark.decoding.step import FITTED
from bandmark.models.model import Model
from bandmark.models.weights import FileModel, WeightFormat
from bandmark.show.console import print_parts, text_table
from bandmark.tables import read_table
from bandmark.units import format_seconds

_BOUND = "the bytes of a token at the device's fastest verified read, or at its published peak; no engine can beat it"
_MARK = "?: a guess, as no published rate is of this kind of device or of one as fast; its range is twice as wide."
_RATES_LEGEND = (
    f"Tokens per second: expected, then < the upper bound: {_BOUND}. {_MARK} "
    "too big: weights and cache do not leave a tenth of the memory free. GB: weights as stored. KV: bytes "
    "of cache for each token of context."
)
_MODEL_LEGEND = (
    f"Rates in tokens per second. bound: {_BOUND}. {_MARK} weights: time to read them once at their bandwidth. cache: "
    "its share of the time for the bytes of a step. memory: whether weights and cache leave a tenth of it free."
)
_CPU_NOTE = (
    "On a CPU the expected rate holds only where the arithmetic keeps up with the memory. NumPy's gemv with quantized "
    "weights is bound by its conversion to float32: an engine made for such weights can beat what follows from it."
)

_MAX_MEDIAN_ERROR = 0.10
_MAX_CLASS_ERROR = 0.15
_MIN_CLASS_ROWS = 5
_MIN_COVERAGE = 0.8
_MAX_SET_ASIDE = 2
_ROUNDING = 1e-3
"""The validation holds up to these median absolute errors of held-out rows, of all and of a class with so many rows,
from this part of a class's rows within its stated range, and up to this many rows set aside."""

_VALIDATION_HEADER = (
    "device", "engine", "label", "batch", "context", "published", "expected", "error", "held out", "bound", "",
)  # fmt: skip
_CLASS_HEADER = ("class", "rows", "median error", "range", "inside it")
_VALIDATION_LEGEND = (
    "Rates in tokens per second of all sequences of the batch. error: expected over published, less 1. held out: the "
    "same by a fit that has not seen the row. By class: held out, and the engine "
    "not known, as in a prediction. bound: the published peak over the bytes of a token."
)


def show_rates(predictions: Sequence[Prediction]) -> None:
    """Print a line per model and format, a column per system."""
    systems = dict.fromkeys(p.system.name for p in predictions)
    rows = []
    for (model, weights), group in groupby(predictions, key=lambda p: (p.model, p.weights)):
        labels = [model.name, weights.name, _stored_gb(model, weights), str(model.kv_bytes_per_token)]
        rows.append([*labels, *map(_rates_cell, group)])
    table = text_table(("model", "weights", "GB", "KV", *systems), rows, left=2)
    print_parts([table, "", *_notes(predictions, _RATES_LEGEND)])


def _rates_cell(prediction: Prediction) -> str:
    if prediction.fits is False:
        return "too big"
    bound = "" if prediction.bound is None else f" <{_rate(prediction.bound)}"
    return f"{_rate(prediction.expected)}{_mark(prediction)}{bound}"


def _mark(prediction: Prediction) -> str:
    return "" if prediction.system.is_covered else "?"


def _rate(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def _stored_gb(model: Model, weights: WeightFormat) -> str:
    return f"{weights.bytes_stored(model) / 1e9:.4g}"


def _notes(predictions: Sequence[Prediction], legend: str) -> list[str]:
    first = predictions[0]
    notes = [
        f"Batch {first.step.batch}, {first.context} tokens of context in each sequence, {first.model.cache_bits}-bit "
        "cache. Four of five published rates are within the range of what a fit without them expects (bandmark decode "
        "--validate).",
        legend,
        *(f"{p.model.name}: {note}." for p in predictions if isinstance(p.model, FileModel) for note in p.model.notes),
        *(f"{p.system.name}: {note}." for p in predictions for note in p.system.notes),
    ]
    if any(p.system.device_class == "cpu" for p in predictions):
        notes.append(_CPU_NOTE)
    return list(dict.fromkeys(notes))


def show_systems(systems: Mapping[str, System]) -> None:
    """Print the systems that are known by name."""
    rows = [
        [name, one.device_class, "" if one.is_covered else "?", f"{one.weight_gbs:g}", _memory_gb(one)]
        for name, one in systems.items()
    ]
    print_parts(
        [text_table(("system", "class", "", "GB/s", "GB"), rows, left=3), "", f"{_MARK} GB: empty where sizes differ."]
    )


def _memory_gb(system: System) -> str:
    return "" if system.memory_bytes is None else f"{system.memory_bytes / 1e9:g}"


def show_model(predictions: Sequence[Prediction]) -> None:
    """Print all about one model: per format and system the rates, times, shares and batches."""
    model, context = predictions[0].model, predictions[0].context
    parts: list[Table | str] = [
        f"{model.name}: {model.parameters / 1e9:.4g} B parameters, of which a token reads "
        f"{model.active_parameters / 1e9:.4g} B",
        f"{model.kv_bytes_per_token} bytes of {model.cache_bits}-bit KV cache per token, "
        f"{model.kv_bytes(context) / 1e9:.3g} GB read after {context} tokens",
    ]
    for weights, group in groupby(predictions, key=lambda p: p.weights):
        rows = list(group)
        step = rows[0].step
        sizes = (
            f"{weights.name}: {_stored_gb(model, weights)} GB stored, {step.weight_bytes / 1e9:.4g} GB read a step, "
            f"{step.needed_bytes / 1e9:.4g} GB needed with the cache"
        )
        header = ("system", "bound", "expected", "from - to", "weights", "cache", "memory")
        parts += ["", sizes, text_table(header, map(_model_row, rows), left=1)]
    print_parts([*parts, "", *_batches(predictions), "", *_notes(predictions, _MODEL_LEGEND)])


def _model_row(p: Prediction) -> list[str]:
    return [
        p.system.name,
        "unknown" if p.bound is None else _rate(p.bound),
        f"{_rate(p.expected)}{_mark(p)}",
        f"{_rate(p.low)} - {_rate(p.high)}",
        format_seconds(p.weights_s),
        f"{p.cache_share:.0%}",
        {None: "unknown", True: "fits", False: "too big"}[p.fits],
    ]


def _batches(predictions: Sequence[Prediction]) -> list[Table | str]:
    # For the narrowest format, up to where arithmetic would bound.
    narrow = min(predictions, key=lambda p: p.step.weight_bytes).weights
    rows = [p for p in predictions if p.weights == narrow]
    step = rows[0].step
    efficiency = rows[0].system.efficiency
    limit = 1 + step.weight_bytes * efficiency.reading / (efficiency.sequence_cost * step.active_parameters)
    batches = [batch for batch in (1, 2, 4, 8, 16, 32) if batch <= max(1.0, limit)]
    cells = [[p.system.name, *(_batch_cell(p, batch) for batch in batches)] for p in rows]
    return [
        f"{narrow.name}, tokens per second of all sequences together, expected, by batch:",
        text_table(("system", *map(str, batches)), cells, left=1),
        f"From about {limit:.0f} sequences on, their own arithmetic takes longer than reading the weights once, and "
        "bandwidth no longer says how fast a batch is (as fitted on one dense model up to batch 32)."
        + (" A batch of a mixture of experts also reads more experts." if rows[0].model.experts else ""),
    ]


def _batch_cell(p: Prediction, batch: int) -> str:
    prediction = predict(p.system, p.model, p.weights, context=p.context, batch=batch)
    return "too big" if prediction.fits is False else _rate(prediction.expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRow:
    """A published rate beside what is expected, in tokens per second of the whole batch."""

    device: str
    device_class: str
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
    held_out_error_any_engine: float
    """The same where the engine is not known, as in a prediction."""
    set_aside: str
    """Why the row can't be predicted; empty: it can."""
    note: str
    source: str

    @property
    def error(self) -> float:
        """Expected over published, less 1."""
        return self.expected / self.published - 1


class _ClassErrors:
    """The errors of one class of device where the engine is not known, as in a prediction."""

    def __init__(self, name: str, rows: Sequence[ValidationRow]) -> None:
        self.name, self.rows, self.spread = name, len(rows), FITTED[name].spread
        errors = [row.held_out_error_any_engine for row in rows]
        self.median_error = median(map(abs, errors))
        inside = sum(1 / self.spread - _ROUNDING <= 1 + error <= self.spread + _ROUNDING for error in errors)
        self.coverage = inside / len(rows)

    @property
    def holds(self) -> bool:
        """Whether errors and coverage are within their limits, where there are rows enough to say."""
        enough = self.rows >= _MIN_CLASS_ROWS
        return not enough or (self.median_error <= _MAX_CLASS_ERROR and self.coverage >= _MIN_COVERAGE)

    def cells(self) -> list[str]:
        """Return the line of the table."""
        range_of = f"{1 / self.spread - 1:+.0%} to {self.spread - 1:+.0%}"
        return [self.name, str(self.rows), f"{self.median_error:.1%}", range_of, f"{self.coverage:.0%}"]


class Validation:
    """The errors of published rates: by default the table that `make decode-fit` writes."""

    def __init__(self, rows: Sequence[ValidationRow] | None = None) -> None:
        rows = read_table("decode_validation.csv", ValidationRow) if rows is None else rows
        self.checked = [row for row in rows if not row.set_aside]
        self.set_aside = [row for row in rows if row.set_aside]
        self.median_error = median(abs(row.held_out_error) for row in self.checked)
        self.worst = max(self.checked, key=lambda row: abs(row.held_out_error))
        self.over_bound = [row for row in self.checked if row.published > row.bound]
        by_class = {name: [row for row in self.checked if row.device_class == name] for name in FITTED}
        self.classes = [_ClassErrors(name, own) for name, own in by_class.items() if own]

    @property
    def holds(self) -> bool:
        """Whether errors, coverage, bounds and the number of rows set aside are within their limits."""
        within = self.median_error <= _MAX_MEDIAN_ERROR and all(one.holds for one in self.classes)
        return within and not self.over_bound and len(self.set_aside) <= _MAX_SET_ASIDE

    def as_json(self) -> dict[str, object]:
        """Return the validation for programs."""
        return {
            "holds": self.holds,
            "median_abs_error": self.median_error,
            "median_limit": _MAX_MEDIAN_ERROR,
            "worst": self.worst.label,
            "classes": [vars(one) for one in self.classes],
            "rows": [{**asdict(row), "error": row.error} for row in self.checked],
            "set_aside": [{"label": r.label, "device": r.device, "reason": r.set_aside} for r in self.set_aside],
        }

    def show(self) -> None:
        """Print all rows, and the verdict."""
        rows = sorted(self.checked, key=lambda row: (row.device, row.engine))
        worst, aside = self.worst, self.set_aside
        print_parts(
            [
                text_table(_VALIDATION_HEADER, map(_validation_cells, rows), left=3),
                "",
                _VALIDATION_LEGEND,
                "",
                text_table(_CLASS_HEADER, [one.cells() for one in self.classes], left=1),
                "",
                *(f"set aside: {row.device}, {row.label} ({row.published:g}): {row.set_aside}" for row in aside),
                f"set aside: {len(aside)} of {len(self.checked) + len(aside)} rows, at most {_MAX_SET_ASIDE} allowed",
                f"above the bound: {len(self.over_bound)} rows, none allowed",
                f"median absolute error, held out: {self.median_error:.1%}, at most {_MAX_MEDIAN_ERROR:.0%} allowed",
                f"of each class: at most {_MAX_CLASS_ERROR:.0%}, and {_MIN_COVERAGE:.0%} of its rows within its range",
                f"worst row, held out: {worst.held_out_error:+.1%}: {worst.device}, {worst.label}, {worst.engine}",
                f"the validation {'holds' if self.holds else 'FAILS'}",
            ]
        )


def _validation_cells(row: ValidationRow) -> list[str]:
    rates = [f"{row.published:.2f}", f"{row.expected:.2f}", f"{row.error:+.1%}", f"{row.held_out_error:+.1%}"]
    over = "above the bound" if row.published > row.bound else ""
    return [row.device, row.engine, row.label, str(row.batch), str(row.context), *rates, f"{row.bound:.1f}", over]
