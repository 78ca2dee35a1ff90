"""What model does a Hugging Face config.json describe? Reads the shape, and names what is missing or nonsense."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bandmark.errors import FileError
from bandmark.models.model import Model

TIED_BY_DEFAULT = ("gemma", "cohere")
"""Families whose output matrix is the embedding where the file does not say (their classes' default)."""

GEMMA3_DEFAULTS = {"vocab_size": 262208, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256}
"""What a gemma3_text config leaves out, as Gemma3TextConfig of transformers fills it in."""

LARGEST = 10**8
"""No size of a model's shape is beyond this."""

UNKNOWN_SHAPES = (
    "mamba", "rwkv", "t5", "bart", "whisper", "bert", "falcon", "nemotron", "jamba", "gpt2", "gpt_neo", "gptj", "bloom",
    "opt", "mpt", "starcoder2", "gemma3n", "gemma4", "mllama", "deepseek_v4", "kimi_linear", "lfm2", "zamba", "bamba",
)  # fmt: skip
"""Families whose layers are not made of the matrices that are counted here, by the start of their names."""

UNKNOWN_KINDS = ("phi", "minimax")
"""The same by their whole names: their namesakes are counted."""

LAYER_TYPES = ("full_attention", "sliding_attention", "linear_attention", "chunked_attention")


class _Fields:
    """The fields of a config, with the file's name for messages."""

    def __init__(self, file: str, values: Mapping[str, Any]) -> None:
        self.file, self.values = file, values

    def fault(self, text: str) -> FileError:
        """Return the error for a fault of this file."""
        return FileError(f"{self.file}: {text} It must be the config.json of a decoder-only model.")

    def size(self, *names: str, default: int | None = None, least: int = 1) -> int:
        """Return a whole number by the first of its names that is there; without default it must be."""
        name = next((n for n in names if self.values.get(n) is not None), None)
        if name is None:
            if default is None:
                raise self.fault(f"field {' or '.join(map(repr, names))} is missing.")
            return default
        value = self.values[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
            raise self.fault(f"field {name!r} is {value!r}; it takes a whole number from {least} on.")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fault(f"field {name!r} is {value!r}; it takes true or false.")
        return value


def read_config(path: Path) -> Model:
    """Return the model of a config.json, named after its folder or file.

    Raises:
        FileError: the file can't be read or is not JSON, or a field is missing or nonsense; the message names it.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}. Name a config.json or a model of the table.") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is not JSON ({error}). Name the config.json of a Hugging Face model.") from error
    if not isinstance(values, dict):
        raise FileError(f"{path} holds no JSON object. Name the config.json of a Hugging Face model.")
    folder = path.resolve().parent.name
    return to_model(values, name=folder if path.name == "config.json" and folder else path.stem, file=str(path))


def to_model(values: Mapping[str, Any], *, name: str, file: str) -> Model:
    """Return the model that a config's fields describe.

    Raises:
        FileError: a field is missing or nonsense, or the kind of model is none that is counted here.
    """
    inner = values.get("text_config")
    if isinstance(inner, dict):
        values = {**{k: values[k] for k in ("tie_word_embeddings", "model_type") if k in values}, **inner}
    kind = str(values.get("model_type", "")).lower()
    if kind == "gemma3_text":
        values = {"sliding_window": 4096, **GEMMA3_DEFAULTS, **values}
    fields = _Fields(file, values)
    if kind.startswith("llama4"):
        fields = _Fields(file, {**values, **_llama4(fields)})
    if kind.startswith(UNKNOWN_SHAPES) or kind in UNKNOWN_KINDS:
        raise fields.fault(f"field 'model_type' is {kind!r}, whose layers are not known here.")
    return Model(name=name, **_shape(fields), **_experts(fields), **_latent(fields), **_layer_kinds(fields))


def _llama4(fields: _Fields) -> dict[str, Any]:
    """Return Llama 4's fields by their usual names: it calls the experts' width intermediate_size."""
    return {
        "moe_intermediate_size": fields.size("intermediate_size"),
        "intermediate_size": fields.size("intermediate_size_mlp"),
        "n_shared_experts": 1,
        "decoder_sparse_step": fields.size("interleave_moe_layer_step", default=1),
        "sliding_window": fields.size("attention_chunk_size", default=8192),
    }


def _shape(fields: _Fields) -> dict[str, Any]:
    """Return the fields that every model has."""
    hidden, heads = fields.size("hidden_size"), fields.size("num_attention_heads")
    kv_heads = fields.size("num_key_value_heads", default=heads)
    if heads % kv_heads:
        raise fields.fault(f"field 'num_key_value_heads' is {kv_heads}, which does not divide the {heads} heads.")
    if fields.values.get("head_dim") is None and hidden % heads:
        raise fields.fault(f"field 'num_attention_heads' is {heads}, which does not divide 'hidden_size' {hidden}.")
    kind = str(fields.values.get("model_type", ""))
    moe_width = fields.values.get("moe_intermediate_size")
    return {
        "layers": fields.size("num_hidden_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": fields.size("head_dim", default=max(1, hidden // heads)),
        "intermediate": fields.size("intermediate_size", default=1 if moe_width else None),
        "vocab": fields.size("vocab_size"),
        "tied": fields.flag("tie_word_embeddings", kind.startswith(TIED_BY_DEFAULT)),
    }


def _experts(fields: _Fields) -> dict[str, Any]:
    """Return the fields of a mixture of experts; none for a dense model."""
    names = ("n_routed_experts", "num_local_experts", "num_experts")
    experts = fields.size(*names, default=0, least=0)
    if experts < 2:
        return {}
    chosen = fields.size("num_experts_per_tok", "experts_per_token", "top_k_experts")
    if chosen > experts:
        raise fields.fault(f"field 'num_experts_per_tok' is {chosen}, but there are {experts} experts.")
    width = fields.size("moe_intermediate_size", "intermediate_size")
    shared = fields.size("n_shared_experts", default=0, least=0) * width
    layers = fields.size("num_hidden_layers")
    dense = fields.size("first_k_dense_replace", default=0, least=0)
    listed = fields.values.get("mlp_only_layers")
    step = fields.size("decoder_sparse_step", default=1)
    if isinstance(listed, list):
        dense = max(dense, len(listed))
    if step > 1:
        dense = layers - layers // step
    if dense > layers:
        raise fields.fault(f"{dense} dense layers are more than the {layers} of 'num_hidden_layers'.")
    return {
        "experts": experts,
        "experts_per_token": chosen,
        "expert_intermediate": width,
        "shared_intermediate": fields.size("shared_expert_intermediate_size", default=shared, least=0),
        "dense_layers": dense,
    }


def _latent(fields: _Fields) -> dict[str, Any]:
    """Return the fields of multi-head latent attention; none without it."""
    if fields.values.get("kv_lora_rank") is None:
        return {}
    return {
        "q_rank": fields.size("q_lora_rank", default=0, least=0),
        "kv_rank": fields.size("kv_lora_rank"),
        "nope_dim": fields.size("qk_nope_head_dim"),
        "rope_dim": fields.size("qk_rope_head_dim"),
        "v_dim": fields.size("v_head_dim"),
    }


def _layer_kinds(fields: _Fields) -> dict[str, Any]:
    """Return how many layers see the whole context, a window of it, or keep a state instead."""
    kinds = layer_types(fields)
    found: dict[str, Any] = {}
    if linear := sum(kind == "linear_attention" for kind in kinds):
        found = {
            "linear_layers": linear,
            "linear_k_heads": fields.size("linear_num_key_heads"),
            "linear_v_heads": fields.size("linear_num_value_heads"),
            "linear_dim": fields.size("linear_value_head_dim"),
            "output_gate": fields.flag("attn_output_gate", True),
        }
    if sliding := sum(kind in ("sliding_attention", "chunked_attention") for kind in kinds):
        found["window"] = fields.size("sliding_window")
    if linear or sliding:
        found["full_layers"] = len(kinds) - linear - sliding
    return found


def layer_types(fields: _Fields) -> Sequence[str]:
    """Return the kind of attention of each layer: as listed, or by the rule of the family."""
    layers, values = fields.size("num_hidden_layers"), fields.values
    listed = values.get("layer_types")
    if listed is not None:
        if not isinstance(listed, list) or len(listed) != layers or not all(isinstance(k, str) for k in listed):
            raise fields.fault(f"field 'layer_types' must be a list of {layers} names, one for each layer.")
        if unknown := sorted(set(listed) - set(LAYER_TYPES)):
            raise fields.fault(f"field 'layer_types' has {', '.join(unknown)}, whose layers are not known here.")
        return listed
    if "linear_num_value_heads" in values:
        every = fields.size("full_attention_interval", default=4)
        return ["full_attention" if (i + 1) % every == 0 else "linear_attention" for i in range(layers)]
    if values.get("sliding_window") is None or values.get("use_sliding_window") is False:
        return ["full_attention"] * layers
    kind = str(values.get("model_type", ""))
    usual = (
        4
        if kind.startswith("llama4")
        else 6
        if kind.startswith("gemma3")
        else 2
        if kind.startswith(("gemma2", "gpt_oss"))
        else layers + 1
    )
    every = fields.size("sliding_window_pattern", default=usual)
    return ["full_attention" if (i + 1) % every == 0 else "sliding_attention" for i in range(layers)]
