"""The table of models: counts that agree with the published ones, and a source in every row."""

from __future__ import annotations

import pytest

from bandmark.errors import UsageError
from bandmark.models.catalog import KnownModel, find_model, load_models

ROWS = list(load_models().values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.model.name)
def test_parameters_agree_with_the_published_count(row: KnownModel) -> None:
    """The count from the shape is within 1 % of what the makers publish, for every model of the table."""
    assert row.published_b is not None
    assert row.model.parameters / 1e9 == pytest.approx(row.published_b, rel=0.01)


@pytest.mark.parametrize("row", [r for r in ROWS if r.published_active_b], ids=lambda row: row.model.name)
def test_active_parameters_agree(row: KnownModel) -> None:
    """A token's parameters are the published ones, with the embedding or without, as the makers count, within 1.5 %."""
    active = row.model.active_parameters
    counts = (active / 1e9, (active + row.model.embedding_parameters) / 1e9)
    assert row.published_active_b in [pytest.approx(count, rel=0.015) for count in counts]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.model.name)
def test_every_row_has_its_source(row: KnownModel) -> None:
    """Each row names a page, and its layers of all kinds are no more than its layers."""
    assert row.source.startswith("https://")
    assert row.model.whole_context_layers + row.model.linear_layers <= row.model.layers


def test_names_are_found_in_any_case() -> None:
    """A name is found whatever its case; an unknown one brings the nearest and all others."""
    assert find_model("Llama-3.1-8B").layers == 32
    with pytest.raises(UsageError, match=r"Did you mean 'qwen3-8b'\? Choose from llama-3\.2-1b"):
        find_model("qwen3_8b")
