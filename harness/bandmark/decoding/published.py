"""What tokens per second have others published? Reads data/published_decode.csv, a row per published figure."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

from bandmark.decoding.step import Step, step_of
from bandmark.models.catalog import find_model
from bandmark.models.weights import find_format

TYPICAL_LAYERS = 40
"""Layers of a model whose shape is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published decode rate, and the step that it was measured on."""

    label: str
    device: str
    device_class: str
    """unified: LPDDR that a CPU and a GPU share; card: GDDR."""
    engine: str
    peak_gbs: float
    context: int
    tokens_per_s: float
    step: Step
    set_aside: str
    """Why the row can't be predicted; empty: it can."""
    note: str
    source: str

    @property
    def seconds(self) -> float:
        """Seconds of a step of the whole batch."""
        return self.step.batch / self.tokens_per_s

    @property
    def bound(self) -> float:
        """Upper bound of tokens per second, from the published peak."""
        return self.step.bound(self.peak_gbs)


def _step(cells: dict[str, str]) -> Step:
    """Return the step of a row: of a model of the table, or from the bytes that the row states."""
    context, batch = int(cells["context"]), int(cells["batch"])
    if cells["model"]:
        return step_of(find_model(cells["model"]), find_format(cells["weights"]), context=context, batch=batch)
    read = float(cells["read_gb"]) * 1e9
    return Step(
        weight_bytes=read,
        cache_bytes=0.0,
        layers=int(cells["layers"] or TYPICAL_LAYERS),
        routed=cells["routed"] == "1",
        batch=batch,
        active_parameters=read,
    )


def _row(cells: dict[str, str]) -> Published:
    return Published(
        label=cells["label"],
        device=cells["device"],
        device_class=cells["device_class"],
        engine=cells["engine"],
        peak_gbs=float(cells["peak_gbs"]),
        context=int(cells["context"]),
        tokens_per_s=float(cells["tokens_per_s"]),
        step=_step(cells),
        set_aside=cells["set_aside"],
        note=cells["note"],
        source=cells["source"],
    )


@lru_cache(maxsize=1)
def load_published() -> tuple[Published, ...]:
    """All rows of data/published_decode.csv in file order, read once."""
    text = files("bandmark").joinpath("data", "published_decode.csv").read_text(encoding="utf-8")
    return tuple(_row(cells) for cells in csv.DictReader(text.splitlines()))


def usable(rows: tuple[Published, ...]) -> list[Published]:
    """Return the rows that are not set aside."""
    return [row for row in rows if not row.set_aside]


def at_rate(row: Published, tokens_per_s: float) -> Published:
    """Return a row as if this rate had been published."""
    return replace(row, tokens_per_s=tokens_per_s)
