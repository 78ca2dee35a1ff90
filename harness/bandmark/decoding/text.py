"""Print predicted rates as tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.table import Table

from bandmark.decoding.predict import Prediction, predict
from bandmark.decoding.step import FITTED, UNCERTAINTY
from bandmark.models.weights import stored_bytes
from bandmark.show.console import print_parts, text_table
from bandmark.units import format_seconds

_RATES_LEGEND = (
    "Tokens per second: expected, then < the upper bound, which is the bandwidth over the bytes of a token and which "
    "no engine can beat. ?: expected of a kind of memory that no published rate covers. too big: weights and cache do "
    "not leave a tenth of the memory free. GB: weights as stored. KV: bytes of cache for each token of context."
)

_MODEL_LEGEND = (
    "Rates in tokens per second. bound: the bandwidth over the bytes of a token, which no engine can beat. weights: "
    "least time to read them once. cache: its share of a step's least time. memory: whether weights and cache leave a "
    "tenth of it free."
)

_CPU_NOTE = (
    "On a CPU the expected rate holds only where the arithmetic keeps up with the memory. NumPy's gemv with quantized "
    "weights is bound by its conversion to float32: an engine made for such weights can beat what follows from it."
)


def show_rates(predictions: Sequence[Prediction]) -> None:
    """Print a line per model and format, a column per system."""
    systems = dict.fromkeys(p.system.name for p in predictions)
    rows = [_rates_row(list(group)) for _, group in groupby(predictions, key=lambda p: (p.model.name, p.weights.name))]
    table = text_table(("model", "weights", "GB", "KV", *systems), rows, left=2)
    print_parts([table, "", *_notes(predictions, _RATES_LEGEND)])


def _rates_row(predictions: Sequence[Prediction]) -> list[str]:
    first = predictions[0]
    kv = f"{first.model.kv_bytes_per_token():.0f}"
    return [first.model.name, first.weights.name, _stored_gb(first), kv, *map(_rates_cell, predictions)]


def _rates_cell(prediction: Prediction) -> str:
    """Return expected rate and bound, or that the model does not fit."""
    if prediction.fits is False:
        return "too big"
    mark = "" if prediction.system.is_covered else "?"
    return f"{_rate(prediction.expected)}{mark} <{_rate(prediction.bound)}"


def _rate(value: float) -> str:
    """Write a rate with two or three figures."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def _stored_gb(prediction: Prediction) -> str:
    gigabytes = stored_bytes(prediction.model, prediction.weights) / 1e9
    return f"{gigabytes:.4g}" if gigabytes < 1000 else f"{gigabytes:.0f}"


def _notes(predictions: Sequence[Prediction], legend: str) -> list[str]:
    """Return what the reader should know, each thing once."""
    first = predictions[0]
    notes = [
        f"Batch {first.step.batch}, {first.context} tokens of context in each sequence, 16-bit cache. Expected rates "
        f"are within {UNCERTAINTY - 1:.0%} for four of five published rates (bandmark decode --validate); the range "
        "is twice as wide for kinds of memory that none covers.",
        legend,
        *(f"{p.system.name}: {note}." for p in predictions for note in p.system.notes),
    ]
    if any(p.system.device_class == "cpu" for p in predictions):
        notes.append(_CPU_NOTE)
    return list(dict.fromkeys(notes))


def show_model(predictions: Sequence[Prediction]) -> None:
    """Print all about one model: per format and system the rates, times, shares and batches."""
    model, context = predictions[0].model, predictions[0].context
    parts: list[Table | str] = [
        f"{model.name}: {model.parameters / 1e9:.4g} B parameters, of which a token reads "
        f"{model.active_parameters / 1e9:.4g} B",
        f"{model.kv_bytes_per_token():.0f} bytes of 16-bit KV cache per token, "
        f"{model.kv_bytes(context) / 1e9:.3g} GB read after {context} tokens",
    ]
    for weights, group in groupby(predictions, key=lambda p: p.weights.name):
        rows = list(group)
        sizes = (
            f"{weights}: {_stored_gb(rows[0])} GB stored, {rows[0].step.weight_bytes / 1e9:.4g} GB read a step, "
            f"{rows[0].needed_bytes / 1e9:.4g} GB needed with the cache"
        )
        header = ("system", "bound", "expected", "from - to", "weights", "cache", "memory")
        parts += ["", sizes, text_table(header, map(_model_row, rows), left=1)]
    print_parts([*parts, "", *_batches(predictions), "", *_notes(predictions, _MODEL_LEGEND)])


def _model_row(p: Prediction) -> list[str]:
    return [
        p.system.name,
        _rate(p.bound),
        _rate(p.expected),
        f"{_rate(p.low)} - {_rate(p.high)}",
        format_seconds(p.weights_s),
        f"{p.cache_share:.0%}",
        {None: "unknown", True: "fits", False: "too big"}[p.fits],
    ]


def _batches(predictions: Sequence[Prediction]) -> list[Table | str]:
    """Return the expected rates of small batches for the narrowest format, up to where arithmetic would bound."""
    narrow = min(predictions, key=lambda p: p.step.weight_bytes).weights
    rows = [p for p in predictions if p.weights == narrow]
    limit = FITTED.full_batch(rows[0].step)
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
