"""How much of the bandwidth do real engines get, and what does a token cost beside its bytes?

A step takes  bytes / (share x bandwidth) + layers x cost of a layer + (batch - 1) x parameters x cost of a sequence.
The share is that of the published peak. A layer's cost (kernels too small to fill the memory, launches, gaps) does not
shrink with bandwidth: it is why small models on fast cards stay far below their bound. Mixtures of experts and
recurrent layers have a cost of their own. Four parameters for all rows, found by least absolute relative error, which a
few odd rows do not move; on top a factor per engine, drawn towards 1 where the engine has few rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from statistics import median

from bandmark.decoding.published import Published, load_published, usable
from bandmark.decoding.step import Step

SHARES = [round(0.60 + 0.02 * i, 2) for i in range(19)]
DENSE_LAYER_S = [20e-6 + 5e-6 * i for i in range(14)]
"""From 20 us: a layer is some ten kernels in a row, of a few microseconds each even where there is little to read."""

ROUTED_LAYER_S = [10e-6 * i for i in range(16)]
SEQUENCE_COSTS = [0.005 * i for i in range(9)]

PRIOR_ROWS = 2
"""Rows that speak for a factor of 1 against an engine's own."""

READ_SHARE = 0.85
"""What a plain read measures of the peak where most published rows come from: 231-234 of 273 GB/s, antirez/ds4#773."""

KNOWN_CLASSES = ("unified", "card")
"""Classes of device that the published rows cover."""

COVERED = 0.8
"""Part of the held-out errors that the stated uncertainty covers."""


@dataclass(frozen=True, slots=True)
class Efficiency:
    """The fitted parameters."""

    share: float
    dense_layer_s: float
    routed_layer_s: float
    sequence_cost: float
    """Time of a further sequence of the batch, as bytes of reading for each active parameter."""
    engines: Mapping[str, float] = field(default_factory=dict)
    """Factor on the time of an engine."""

    def seconds(self, step: Step, roof_s: float, engine: str | None = None, *, measured: bool = False) -> float:
        """Return the expected seconds of a step whose bytes alone take roof_s, at the peak or as measured by reading.

        A step is never expected to be faster than its roof.
        """
        share = min(1.0, self.share / READ_SHARE) if measured else self.share
        layer = self.routed_layer_s if step.routed else self.dense_layer_s
        per_byte = roof_s / step.bytes
        sequences = (step.batch - 1) * step.active_parameters * self.sequence_cost * per_byte
        total = roof_s / share + step.layers * layer + sequences
        return max(roof_s, total * self.engines.get(engine or "", 1.0))

    def full_batch(self, step: Step) -> float:
        """Return the batch from which the sequences' own work takes longer than reading the weights once."""
        if not self.sequence_cost:
            return math.inf
        return 1 + step.weight_bytes / self.share / (self.sequence_cost * step.active_parameters)


def fit(rows: Sequence[Published]) -> Efficiency:
    """Return the parameters of least absolute error of the logarithm of a step's time, over a grid, by coordinates."""
    found = Efficiency(0.8, 4e-5, 8e-5, 0.015)
    for _ in range(6):
        before = found
        pairs = [replace(found, share=s, routed_layer_s=r) for s in SHARES for r in ROUTED_LAYER_S]
        found = _best(pairs, rows, found)
        pairs = [replace(found, share=s, dense_layer_s=d) for s in SHARES for d in DENSE_LAYER_S]
        found = _best(pairs, rows, found)
        found = _best([replace(found, sequence_cost=c) for c in SEQUENCE_COSTS], rows, found)
        if found == before:
            break
    return replace(found, engines=_engines(found, rows))


def _best(candidates: Iterable[Efficiency], rows: Sequence[Published], now: Efficiency) -> Efficiency:
    known = [(row, row.step.roof_s(row.peak_gbs), row.seconds) for row in rows]

    def error(candidate: Efficiency) -> float:
        return sum(abs(math.log(candidate.seconds(row.step, roof) / seconds)) for row, roof, seconds in known)

    return min([now, *candidates], key=error)


def _engines(base: Efficiency, rows: Sequence[Published]) -> dict[str, float]:
    """Return each engine's factor: the median of its rows' errors, drawn towards 1."""
    factors = {}
    for engine in sorted({row.engine for row in rows}):
        errors = [math.log(row.seconds / expected_s(base, row)) for row in rows if row.engine == engine]
        factors[engine] = math.exp(median(errors) * len(errors) / (len(errors) + PRIOR_ROWS))
    return factors


def expected_s(efficiency: Efficiency, row: Published) -> float:
    """Return the expected seconds of a published row's step."""
    return efficiency.seconds(row.step, row.step.roof_s(row.peak_gbs), row.engine)


def held_out(rows: Sequence[Published]) -> list[float]:
    """Return the relative error of each row's expected rate, from a fit that has not seen the row."""
    fits = (fit([*rows[:i], *rows[i + 1 :]]) for i in range(len(rows)))
    return [row.seconds / expected_s(found, row) - 1 for row, found in zip(rows, fits, strict=True)]


@lru_cache(maxsize=1)
def fitted() -> Efficiency:
    """The parameters from all published rows that are not set aside."""
    return fit(usable(load_published()))
