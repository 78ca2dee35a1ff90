"""Which models does bandmark know? Reads data/models.csv, a row per model, each with the source of its shape."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from bandmark.errors import unknown_name
from bandmark.models.config import read_config
from bandmark.models.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model of the table, with what its makers publish about it."""

    model: Model
    published_b: float | None
    """Published number of parameters, in 1e9."""
    published_active_b: float | None
    """Published number of parameters that a token uses, in 1e9; some makers count the embedding, some do not."""
    source: str


def _row(cells: dict[str, str]) -> KnownModel:
    shape: dict[str, int | bool | str] = {"name": cells["name"]}
    for field in fields(Model):
        if field.name != "name" and (text := cells[field.name]):
            shape[field.name] = text == "1" if field.name in ("tied", "output_gate") else int(text)
    return KnownModel(
        model=Model(**shape),  # type: ignore[arg-type]
        published_b=float(cells["published_b"]) if cells["published_b"] else None,
        published_active_b=float(cells["published_active_b"]) if cells["published_active_b"] else None,
        source=cells["source"],
    )


@lru_cache(maxsize=1)
def load_models() -> dict[str, KnownModel]:
    """All rows of data/models.csv by name, in file order, read once."""
    text = files("bandmark").joinpath("data", "models.csv").read_text(encoding="utf-8")
    rows = map(_row, csv.DictReader(text.splitlines()))
    return {row.model.name: row for row in rows}


def find_model(name: str) -> Model:
    """Return a model of the table; raises UsageError with the nearest name and all of them."""
    models = load_models()
    if name.lower() not in models:
        raise unknown_name("model", name, models)
    return models[name.lower()].model


def find_or_read(name: str) -> Model:
    """Return a model by its name in the table or from its config.json; raises UsageError or FileError."""
    if name.endswith(".json") or "/" in name or Path(name).exists():
        path = Path(name)
        return read_config(path / "config.json" if path.is_dir() else path)
    return find_model(name)
