"""Fit the decode model to published rates, and write its constants and the table of its errors into the package.

`make decode-fit` runs it. It reads published_decode.csv beside it, and writes bandmark/data/decode_efficiency.csv and
bandmark/data/decode_validation.csv.

A step's time is a sum of six parameters times what the step has of each. Each parameter is a value that all classes of
device share, drawn to what is physically likely, and a class's difference from it, drawn to nothing: a class with few
rows keeps to the others. The differences of expected and published times are relative, and odd rows weigh less (least
squares, iteratively reweighted as in Huber, Robust Statistics, 1981, section 7.8). On top comes a factor per engine and
its year, drawn towards 1, the value of today's llama.cpp, of which most rows are.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from bandmark.decoding.step import NARROW_BITS, Efficiency, Step, step_of
from bandmark.decoding.text import ValidationRow
from bandmark.models.model import find_model
from bandmark.models.weights import find_format
from bandmark.tables import parse_table

TOOLS = Path(__file__).parent
PACKAGE = TOOLS.parent / "harness" / "bandmark"
RATES = TOOLS / "published_decode.csv"
CONSTANTS = PACKAGE / "data" / "decode_efficiency.csv"
TABLE = PACKAGE / "data" / "decode_validation.csv"

CLASSES = ("unified", "card", "hbm", "apple", "amd")
Numbers = NDArray[np.float64]

PARAMETERS = ("reading", "conversion", "layer_s", "routed_layer_s", "recurrent_layer_s", "sequence_cost")
LIKELY = np.array([1.18, 0.10, 30e-6, 20e-6, 60e-6, 0.017])
"""Reads reach 85 % of a peak; a layer is some ten launches of a few microseconds each, a mixture or recurrence more."""
LIKELY_WITHIN = np.array([0.06, 0.06, 15e-6, 10e-6, 30e-6, 0.01])
CLASS_WITHIN = np.array([0.12, 0.08, 30e-6, 20e-6, 30e-6, 0.003])
"""How far the common values may be from the likely ones, and a class's from the common (standard deviations)."""
NOISE = 0.10
"""Relative difference of a row that is not odd."""

BASE_ENGINE = "llama.cpp"
PRIOR_ROWS = 2
"""Rows that speak for a factor of 1 against an engine's own."""
ROUNDS = 15

COVERED = 0.85
"""Part of a class's held-out errors, of an engine that is not known, that its stated spread covers."""

MIN_SPREAD = 1.15
"""Versions of one engine differ as much."""

TYPICAL_LAYERS = 40
"""Layers of a model whose shape is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRate:
    """A published decode rate: of a model of the table, or of one whose bytes per token are stated."""

    device: str
    peak_gbs: float
    device_class: str
    """unified: LPDDR that an NVIDIA GPU and a CPU share; card: GDDR; hbm; apple; amd: its GDDR and LPDDR."""
    engine: str
    label: str
    model: str
    weights: str
    read_gb: float = 0.0
    layers: int = TYPICAL_LAYERS
    routed_layers: int = 0
    recurrent_layers: int = 0
    batch: int
    context: int
    tokens_per_s: float
    set_aside: str
    """Why the rate can't be predicted; empty: it can."""
    note: str
    source: str

    @property
    def seconds(self) -> float:
        """Seconds of a step of the whole batch."""
        return self.batch / self.tokens_per_s


def load_rates() -> list[PublishedRate]:
    """Return all published rates in file order."""
    return list(parse_table(RATES.read_text(encoding="utf-8"), PublishedRate, file=RATES.name))


@cache
def step(rate: PublishedRate) -> Step:
    """Return the step that a rate was measured on."""
    if rate.model:
        model, weights = find_model(rate.model), find_format(rate.weights)
        return step_of(model, weights, context=rate.context, batch=rate.batch)
    read, weights = rate.read_gb * 1e9, find_format(rate.weights)
    return Step(
        weight_bytes=read,
        cache_bytes=0.0,
        needed_bytes=read,
        layers=rate.layers,
        routed_layers=rate.routed_layers,
        recurrent_layers=rate.recurrent_layers,
        narrow=weights.body_bits < NARROW_BITS,
        batch=rate.batch,
        active_parameters=read,
    )


@dataclass(frozen=True, slots=True)
class Fit:
    """The parameters of each class of device, and the factor of each engine on the time of a step."""

    classes: Mapping[str, Sequence[float]]
    engines: Mapping[str, float] = field(default_factory=dict)

    def expected_s(self, rate: PublishedRate, *, engine_known: bool = True) -> float:
        """Return the expected seconds of a published rate's step, at least those at the peak."""
        seconds = float(amounts(rate) @ np.asarray(self.classes[rate.device_class]))
        factor = self.engines.get(rate.engine, 1.0) if engine_known else 1.0
        return max(step(rate).roof_s(rate.peak_gbs), seconds * factor)


def amounts(rate: PublishedRate) -> Numbers:
    """Return how much of each parameter a rate's step has: shape (6,)."""
    one = step(rate)
    roof_s = one.roof_s(rate.peak_gbs)
    sequences = (one.batch - 1) * one.active_parameters * roof_s / one.bytes
    return np.array([roof_s, roof_s * one.narrow, one.layers, one.routed_layers, one.recurrent_layers, sequences])


def fit(rates: Sequence[PublishedRate]) -> Fit:
    """Return the parameters of least error and the factor of each engine."""
    classes = sorted(CLASSES)
    seconds = np.array([rate.seconds for rate in rates])
    rows = np.array([np.kron([1.0, *(rate.device_class == c for c in classes)], amounts(rate)) for rate in rates])
    scales = np.concatenate([LIKELY_WITHIN, *[CLASS_WITHIN] * len(classes)])
    likely = np.concatenate([LIKELY, np.zeros(len(PARAMETERS) * len(classes))]) / scales
    factors, weights = np.ones(len(rates)), np.ones(len(rates))
    engines: dict[str, float] = {}
    for _ in range(ROUNDS):
        relative = rows * scales * (weights / (seconds / factors) / NOISE)[:, None]
        normal = relative.T @ relative + np.eye(len(likely))
        values = np.linalg.solve(normal, relative.T @ (weights / NOISE) + likely) * scales
        errors = np.log(seconds / (rows @ values))
        engines = {name: _factor(name, rates, errors) for name in sorted({rate.engine for rate in rates})}
        factors = np.array([engines[rate.engine] for rate in rates])
        weights = 1 / np.sqrt(np.maximum(1.0, np.abs(errors - np.log(factors)) / NOISE))
    common, *own = values.reshape(-1, len(PARAMETERS))
    return Fit({c: (common + difference).tolist() for c, difference in zip(classes, own, strict=True)}, engines)


def _factor(engine: str, rates: Sequence[PublishedRate], errors: Numbers) -> float:
    """Return an engine's factor: the median of its rows' errors, drawn towards 1."""
    own = [float(error) for rate, error in zip(rates, errors, strict=True) if rate.engine == engine]
    return 1.0 if engine == BASE_ENGINE else math.exp(median(own) * len(own) / (len(own) + PRIOR_ROWS))


def validate(rates: Sequence[PublishedRate]) -> list[ValidationRow]:
    """Return each rate beside what the fit of all expects, and the error of a fit that has not seen it."""
    used = [rate for rate in rates if not rate.set_aside]
    of_all = fit(used)
    return [_row(rate, of_all, fit([other for other in used if other is not rate])) for rate in rates]


def _row(rate: PublishedRate, of_all: Fit, without: Fit) -> ValidationRow:
    return ValidationRow(
        device=rate.device,
        device_class=rate.device_class,
        peak_gbs=rate.peak_gbs,
        engine=rate.engine,
        label=rate.label,
        batch=rate.batch,
        context=rate.context,
        published=rate.tokens_per_s,
        bound=rate.batch / step(rate).roof_s(rate.peak_gbs),
        expected=rate.batch / of_all.expected_s(rate, engine_known=False),
        held_out_error=rate.seconds / without.expected_s(rate) - 1,
        held_out_error_any_engine=rate.seconds / without.expected_s(rate, engine_known=False) - 1,
        set_aside=rate.set_aside,
        note=rate.note,
        source=rate.source,
    )


def spread(rows: Sequence[ValidationRow]) -> float:
    """Return the factor within which most held-out rows lie, as 1.15 for 15 % either way."""
    errors = sorted(abs(math.log(1 + row.held_out_error_any_engine)) for row in rows if not row.set_aside)
    return max(MIN_SPREAD, math.exp(errors[math.ceil(COVERED * len(errors)) - 1]))


def efficiencies(rates: Sequence[PublishedRate], rows: Sequence[ValidationRow]) -> list[Efficiency]:
    """Return the constants of each class, with four significant figures."""
    fitted, result = fit(rates), []
    for name in CLASSES:
        own = [row for row in rows if row.device_class == name]
        last = (spread(own), max(row.peak_gbs for row in own if not row.set_aside))
        values = [float(f"{value:.4g}") for value in (*fitted.classes[name], *last)]
        result.append(Efficiency(name, *values))
    return result


def table(rows: Sequence[ValidationRow] | Sequence[Efficiency]) -> str:
    """Return the rows as CSV, numbers with eight significant figures."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in fields(rows[0]))
    writer.writerows([f"{cell:.8g}" if isinstance(cell, float) else cell for cell in astuple(row)] for row in rows)
    return text.getvalue()


def main() -> None:
    """Write the constants and the table."""
    rates = load_rates()
    rows = validate(rates)
    used = [rate for rate in rates if not rate.set_aside]
    CONSTANTS.write_text(table(efficiencies(used, rows)), encoding="utf-8", newline="\n")
    TABLE.write_text(table(rows), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
