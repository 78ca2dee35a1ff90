"""Fit the decode model to published rates, and write its constants and the table of its errors into the package.

`make decode-fit` runs it. It reads published_decode.csv beside it, and writes the end of bandmark/decoding/step.py and
bandmark/data/decode_validation.csv.

Four parameters for all rows are found by least absolute error of the logarithm of a step's time, which a few odd rows
do not move; on top comes a factor per engine, drawn towards 1 where the engine has few rows.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from statistics import median

from bandmark.decoding.step import Efficiency, Step, step_of
from bandmark.decoding.text import ValidationRow
from bandmark.models.model import find_model
from bandmark.models.weights import find_format
from bandmark.tables import parse_table

TOOLS = Path(__file__).parent
PACKAGE = TOOLS.parent / "harness" / "bandmark"
RATES = TOOLS / "published_decode.csv"
MODULE = PACKAGE / "decoding" / "step.py"
TABLE = PACKAGE / "data" / "decode_validation.csv"

MARKER = "# Written by `make decode-fit` from the rates of tools/published_decode.csv, each with its source.\n"

SHARES = [round(0.60 + 0.02 * i, 2) for i in range(19)]
DENSE_LAYER_S = [20e-6 + 5e-6 * i for i in range(14)]
"""From 20 us: a layer is some ten kernels in a row, of a few microseconds each even where there is little to read."""

ROUTED_LAYER_S = [10e-6 * i for i in range(16)]
SEQUENCE_COSTS = [0.005 * i for i in range(9)]
START = Efficiency(share=0.8, dense_layer_s=4e-5, routed_layer_s=8e-5, sequence_cost=0.015)
MAX_ROUNDS = 6

PRIOR_ROWS = 2
"""Rows that speak for a factor of 1 against an engine's own."""

COVERED = 0.8
"""Part of the held-out errors that the stated uncertainty covers."""

TYPICAL_LAYERS = 40
"""Layers of a model whose shape is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRate:
    """A published decode rate: of a model of the table, or of one whose bytes per token are stated."""

    device: str
    peak_gbs: float
    device_class: str
    """unified: LPDDR that a CPU and a GPU share; card: GDDR."""
    engine: str
    label: str
    model: str
    weights: str
    read_gb: float = 0.0
    layers: int = TYPICAL_LAYERS
    routed: bool = False
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
    read = rate.read_gb * 1e9
    return Step(
        weight_bytes=read,
        cache_bytes=0.0,
        needed_bytes=read,
        layers=rate.layers,
        routed=rate.routed,
        batch=rate.batch,
        active_parameters=read,
    )


@dataclass(frozen=True, slots=True)
class Fit:
    """The parameters of all rates, and the factor of each engine on the time of a step."""

    efficiency: Efficiency
    engines: Mapping[str, float] = field(default_factory=dict)

    def expected_s(self, rate: PublishedRate) -> float:
        """Return the expected seconds of a published rate's step, at least those at the peak."""
        roof_s = step(rate).roof_s(rate.peak_gbs)
        return max(roof_s, self.efficiency.seconds(step(rate), roof_s) * self.engines.get(rate.engine, 1.0))


def fit(rates: Sequence[PublishedRate]) -> Fit:
    """Return the parameters of least error over a grid, by coordinates, and the factor of each engine."""
    best = START
    for _ in range(MAX_ROUNDS):
        before = best
        best = _least_error(
            [replace(best, share=s, routed_layer_s=r) for s in SHARES for r in ROUTED_LAYER_S], rates, best
        )
        best = _least_error(
            [replace(best, share=s, dense_layer_s=d) for s in SHARES for d in DENSE_LAYER_S], rates, best
        )
        best = _least_error([replace(best, sequence_cost=cost) for cost in SEQUENCE_COSTS], rates, best)
        if best == before:
            break
    return Fit(best, _engines(Fit(best), rates))


def _least_error(candidates: Iterable[Efficiency], rates: Sequence[PublishedRate], present: Efficiency) -> Efficiency:
    """Return the candidate of least error, or the present parameters where none is better."""
    known = [(step(rate), step(rate).roof_s(rate.peak_gbs), rate.seconds) for rate in rates]

    def error(candidate: Efficiency) -> float:
        return sum(abs(math.log(candidate.seconds(one, roof) / seconds)) for one, roof, seconds in known)

    return min([present, *candidates], key=error)


def _engines(base: Fit, rates: Sequence[PublishedRate]) -> dict[str, float]:
    """Return each engine's factor: the median of its rows' errors, drawn towards 1."""
    factors = {}
    for engine in sorted({rate.engine for rate in rates}):
        errors = [math.log(rate.seconds / base.expected_s(rate)) for rate in rates if rate.engine == engine]
        factors[engine] = math.exp(median(errors) * len(errors) / (len(errors) + PRIOR_ROWS))
    return factors


def validate(rates: Sequence[PublishedRate]) -> list[ValidationRow]:
    """Return each rate beside what the fit of all expects, and the error of a fit that has not seen it."""
    used = [rate for rate in rates if not rate.set_aside]
    of_all = fit(used)
    return [_row(rate, of_all, fit([other for other in used if other is not rate])) for rate in rates]


def _row(rate: PublishedRate, of_all: Fit, without: Fit) -> ValidationRow:
    return ValidationRow(
        device=rate.device,
        peak_gbs=rate.peak_gbs,
        engine=rate.engine,
        label=rate.label,
        batch=rate.batch,
        context=rate.context,
        published=rate.tokens_per_s,
        bound=rate.batch / step(rate).roof_s(rate.peak_gbs),
        expected=rate.batch / of_all.expected_s(rate),
        held_out_error=rate.seconds / without.expected_s(rate) - 1,
        set_aside=rate.set_aside,
        note=rate.note,
        source=rate.source,
    )


def uncertainty(rows: Sequence[ValidationRow]) -> float:
    """Return the factor within which four of five held-out rows lie, as 1.15 for 15 % either way."""
    errors = sorted(abs(math.log(1 + row.held_out_error)) for row in rows if not row.set_aside)
    return math.exp(errors[math.ceil(COVERED * len(errors)) - 1])


def constants(efficiency: Efficiency, factor: float, rows: int) -> str:
    """Return the end of the module with the fitted constants."""
    return (
        f"{MARKER}FITTED = {efficiency!r}\n"
        f'"""The parameters of least error for {rows} published rates."""\n\n'
        f"UNCERTAINTY = {factor!r}\n"
        '"""Four of five published rates lie within this factor of what a fit without them expects."""\n'
    )


def table(rows: Sequence[ValidationRow]) -> str:
    """Return the rows as CSV, numbers with eight significant figures."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in fields(ValidationRow))
    writer.writerows([f"{cell:.8g}" if isinstance(cell, float) else cell for cell in astuple(row)] for row in rows)
    return text.getvalue()


def main() -> None:
    """Write the constants and the table."""
    rates = load_rates()
    rows = validate(rates)
    used = [rate for rate in rates if not rate.set_aside]
    before = MODULE.read_text(encoding="utf-8").partition(MARKER)[0]
    MODULE.write_text(
        before + constants(fit(used).efficiency, uncertainty(rows), len(used)), encoding="utf-8", newline="\n"
    )
    TABLE.write_text(table(rows), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
