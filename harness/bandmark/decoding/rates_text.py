"""How are predicted rates shown? A table of models and systems, or all about one model."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby

from bandmark.decoding.fit import KNOWN_CLASSES, fitted
from bandmark.decoding.layout import WIDTH, Line, lay_out, paragraphs
from bandmark.decoding.predict import Prediction, predict
from bandmark.decoding.spread import uncertainty
from bandmark.models.weights import stored_bytes
from bandmark.units import format_seconds

LEGEND = (
    "Tokens per second: expected, then < the upper bound, which is the bandwidth over the bytes of a token and which "
    "no engine can beat. ? expected of a kind of memory that no published rate covers. too big: weights and cache do "
    "not leave a tenth of the memory free. GB: weights as stored. KV: cache of each token of context."
)


CPU = (
    "On a CPU the expected rate holds only where the arithmetic keeps up with the memory. NumPy's gemv with packed "
    "weights is bound by its conversion to float32: an engine made for such weights can beat what follows from it."
)

MODEL_LEGEND = (
    "Rates in tokens per second. bound: the bandwidth over the bytes of a token, which no engine can beat. weights: "
    "least time to read them once. cache: its share of a step's least time. memory: whether weights and cache leave a "
    "tenth of it free."
)


def cell(prediction: Prediction) -> str:
    """Return a table cell: expected and bound, or that the model does not fit."""
    if prediction.fits is False:
        return "too big"
    mark = "" if prediction.system.device_class in KNOWN_CLASSES else "?"
    return f"{_rate(prediction.expected)}{mark} <{_rate(prediction.bound)}"


def _rate(value: float) -> str:
    """Write a rate with two or three figures."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def rates_table(predictions: Sequence[Prediction]) -> str:
    """Return a line per model and format, a column per system."""
    systems = list(dict.fromkeys(p.system.name for p in predictions))
    groups = groupby(predictions, key=lambda p: (p.model.name, p.weights.name))
    table = lay_out(f" {'weights':10}{'GB':>6}", systems, [_line(list(group)) for _, group in groups])
    return "\n".join([*table, "", *notes(predictions)]) + "\n"


def _line(row: Sequence[Prediction]) -> Line:
    first = row[0]
    size = f"{_stored(first) / 1e9:.4g}" if _stored(first) < 1e12 else f"{_stored(first) / 1e9:.0f}"
    model = f"{first.model.name} (KV {first.model.kv_bytes_per_token():.0f} bytes)"
    return Line(model, f" {first.weights.name:10}{size:>6}", [cell(p) for p in row])


def _stored(prediction: Prediction) -> float:
    return stored_bytes(prediction.model, prediction.weights)


def notes(predictions: Sequence[Prediction], legend: str = LEGEND) -> list[str]:
    """Return what the reader should know, each thing once, in lines."""
    first = predictions[0]
    said = [
        f"Batch {first.step.batch}, {first.context} tokens of context in each sequence, 16-bit cache. Expected rates "
        f"are within {uncertainty() - 1:.0%} for four of five published rates (bandmark decode --validate); the spread "
        "is doubled for kinds of memory that none covers.",
        legend,
    ]
    said += [f"{p.system.name}: {note}." for p in predictions for note in p.system.notes]
    if any(p.system.device_class == "cpu" for p in predictions):
        said.append(CPU)
    return paragraphs(said)


def model_text(predictions: Sequence[Prediction]) -> str:
    """Return all about one model: per format and system the rates, times, shares and batches."""
    model = predictions[0].model
    lines = [
        f"{model.name}: {model.parameters / 1e9:.4g} B parameters, of which a token reads "
        f"{model.active_parameters / 1e9:.4g} B",
        f"{model.kv_bytes_per_token():.0f} bytes of 16-bit KV cache per token, "
        f"{model.kv_bytes(predictions[0].context) / 1e9:.3g} GB read after {predictions[0].context} tokens",
    ]
    for weights, group in groupby(predictions, key=lambda p: p.weights.name):
        rows = list(group)
        step = rows[0].step
        lines += [
            "",
            f"{weights}: {_stored(rows[0]) / 1e9:.4g} GB stored, {step.weight_bytes / 1e9:.4g} GB read a step, "
            f"{rows[0].needed_bytes / 1e9:.4g} GB needed with the cache",
        ]
        lines.append(f"  {'system':18}{'bound':>7}{'expected':>10}{'from - to':>15}{'weights':>11}{'cache':>7}  memory")
        lines += [_model_line(p) for p in rows]
    return "\n".join([*lines, "", *batch_lines(predictions), "", *notes(predictions, MODEL_LEGEND)]) + "\n"


def _model_line(p: Prediction) -> str:
    fits = {None: "unknown", True: "fits", False: "too big"}[p.fits]
    return (
        f"  {p.system.name[:17]:18}{_rate(p.bound):>7}{_rate(p.expected):>10}{_rate(p.low) + ' - ' + _rate(p.high):>15}"
        f"{format_seconds(p.weights_s):>11}{p.cache_share:7.0%}  {fits}"
    )


def batch_lines(predictions: Sequence[Prediction]) -> list[str]:
    """Return the expected rates of small batches for the narrowest format, up to where arithmetic would bound."""
    narrow = min(predictions, key=lambda p: p.step.weight_bytes).weights
    rows = [p for p in predictions if p.weights == narrow]
    limit = fitted().full_batch(rows[0].step)
    batches = [b for b in (1, 2, 4, 8, 16, 32) if b <= max(1.0, limit)]
    lines = [f"{narrow.name}, tokens per second of all sequences together, expected, by batch:"]
    lines.append(f"  {'system':18}" + "".join(f"{b:>9}" for b in batches))
    for p in rows:
        made = (predict(p.system, p.model, narrow, context=p.context, batch=b) for b in batches)
        lines.append(
            f"  {p.system.name[:17]:18}"
            + "".join(f"{_rate(m.expected) if m.fits is not False else 'too big':>9}" for m in made)
        )
    lines += textwrap.wrap(
        f"From about {limit:.0f} sequences on, their own arithmetic takes longer than reading the weights once, and "
        "bandwidth no longer says how fast a batch is (as fitted on one dense model up to batch 32)."
        + (" A batch of a mixture of experts also reads more experts." if rows[0].model.is_moe else ""),
        WIDTH,
    )
    return lines
