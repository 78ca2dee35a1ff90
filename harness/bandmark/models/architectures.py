"""The architectures whose parameters and cache are known to follow from their sizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from bandmark.tables import read_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What a model_type means: how parameters and cache follow from a config, where that differs from Llama's."""

    model_type: str
    tied: bool
    """Whether the output matrix is the embedding where the file does not say."""
    gated: bool
    """Whether feed-forward blocks have a gate matrix."""
    full_every: int
    """Every how many layers one attends to the whole context; 0: none where there is a window, 1: all."""
    names: tuple[str, ...]
    """Sizes that go by another name here, as usual=theirs."""
    defaults: tuple[str, ...]
    """Fields that a file may leave out, as name=value."""


@cache
def load_architectures() -> dict[str, Architecture]:
    """Return the architectures of data/architectures.csv by model_type."""
    return {one.model_type: one for one in read_table("architectures.csv", Architecture)}
