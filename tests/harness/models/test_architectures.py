"""The table of architectures: every row is whole, and agrees with the classes of transformers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bandmark.errors import FileError
from bandmark.models.architectures import Architecture, load_architectures
from bandmark.models.config import _to_model

ROWS = list(load_architectures().values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.model_type)
def test_every_row_is_whole(row: Architecture) -> None:
    """Names are pairs, defaults are JSON, the window's rule is a small number, and no two names stand for one size."""
    pairs = [pair.split("=") for pair in row.names]
    assert all(len(pair) == 2 and pair[0] != pair[1] for pair in pairs)
    assert len({usual for usual, _ in pairs}) == len(pairs)
    for pair in row.defaults:
        name, value = pair.split("=")
        assert name and json.loads(value) is not None
    assert 0 <= row.full_every <= 6 and not row.model_type.endswith("_text")


def test_encoders_and_other_non_decoders_are_not_known() -> None:
    """What does not decode a token from a cache alone is in no row."""
    assert not {"bert", "t5", "bart", "whisper", "rwkv", "mamba", "zamba", "gemma3n", "jetmoe"} & set(
        load_architectures()
    )


def _language_parameters(model: Any) -> int:
    """Return the distinct parameters of a model without its parts for images and sound."""
    towers = ("vision", "audio", "multi_modal")
    named = {id(p): (name, p) for name, p in model.named_parameters() if not any(part in name for part in towers)}
    return sum(parameter.numel() for _, parameter in named.values())


@pytest.mark.slow
def test_every_causal_model_of_transformers_is_right_or_refused() -> None:
    """Built without memory from its default config, each class has the parameters counted within 1 %, or is refused."""
    torch = pytest.importorskip("torch", reason="needs torch")
    transformers = pytest.importorskip("transformers", reason="needs the extra models-check")
    from transformers.models.auto import configuration_auto, modeling_auto

    transformers.logging.set_verbosity_error()
    right, wrong = [], []
    for name in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        try:
            config = configuration_auto.CONFIG_MAPPING[name]()
            with torch.device("meta"):
                model = transformers.AutoModelForCausalLM.from_config(config)
            model.tie_weights()
        except Exception:  # a class that its own defaults do not build
            continue
        try:
            values = json.loads(json.dumps(config.to_dict(), default=str))
            counted = _to_model(values, name=name, file=name).parameters
        except FileError:
            continue
        agrees = abs(counted / _language_parameters(model) - 1) < 0.01
        (right if agrees else wrong).append(name)
    assert wrong == [] and len(right) >= 85
