"""Read the shape of a model from a Hugging Face config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bandmark.errors import FileError
from bandmark.models.model import Matrix, Model, find_model

_TIED_BY_DEFAULT = ("gemma", "cohere")
"""Families whose output matrix is the embedding where the file does not say (the default of their classes)."""

_GEMMA3_DEFAULTS = {
    "vocab_size": 262208, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "sliding_window": 4096,
}  # fmt: skip
"""What a gemma3_text config leaves out, as Gemma3TextConfig of transformers fills it in."""

_MAX_SIZE = 10**8

_UNKNOWN_FAMILIES = (
    "mamba", "rwkv", "t5", "bart", "whisper", "bert", "falcon", "nemotron", "jamba", "gpt2", "gpt_neo", "gptj", "bloom",
    "opt", "mpt", "starcoder2", "gemma3n", "gemma4", "mllama", "deepseek_v4", "kimi_linear", "lfm2", "zamba", "bamba",
)  # fmt: skip
"""Families whose layers are not made of the matrices that are counted here, by the start of their names."""

_UNKNOWN_TYPES = ("phi", "minimax")
"""The same by their whole names: phi3 and minimax_m2 are counted."""

_WINDOW_TYPES = ("sliding_attention", "chunked_attention")
_LAYER_TYPES = ("full_attention", "linear_attention", *_WINDOW_TYPES)
_FULL_EVERY = {"llama4": 4, "gemma3": 6, "gemma2": 2, "gpt_oss": 2}
"""Every how many layers one attends to the whole context where there is a window, by the start of the family's name."""
_Sizes = dict[str, int]


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of a config, with the file's name for messages."""

    file: str
    values: Mapping[str, Any]

    @property
    def family(self) -> str:
        return str(self.values.get("model_type", "")).lower()

    def error(self, text: str) -> FileError:
        return FileError(f"{self.file}: {text} It must be the config.json of a decoder-only model.")

    def size(self, *names: str, default: int | None = None, minimum: int = 1) -> int:
        """Return a whole number by the first of its names that is there; without a default one of them must be."""
        name = next((n for n in names if self.values.get(n) is not None), None)
        if name is None:
            if default is None:
                raise self.error(f"field {' or '.join(map(repr, names))} is missing.")
            return default
        value = self.values[name]
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= _MAX_SIZE:
            raise self.error(f"field {name!r} is {value!r}; it takes a whole number of at least {minimum}.")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = default if self.values.get(name) is None else self.values[name]
        if not isinstance(value, bool):
            raise self.error(f"field {name!r} is {value!r}; it takes true or false.")
        return value


def find_or_read(name: str) -> Model:
    """Return a model by its name in the table or from its config.json; raises UsageError or FileError."""
    if name.endswith(".json") or "/" in name or Path(name).exists():
        path = Path(name)
        return _read_config(path / "config.json" if path.is_dir() else path)
    return find_model(name)


def find_matrices(name: str) -> list[Matrix]:
    """Return the matrices of a model of the table, or of a config.json; raises UsageError or FileError."""
    return find_or_read(name).matrices()


def _read_config(path: Path) -> Model:
    """Return the model of a config.json, named after its folder or file."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}. Name a config.json or a model of the table.") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is not JSON ({error}). Name the config.json of a Hugging Face model.") from error
    if not isinstance(values, dict):
        raise FileError(f"{path} holds no JSON object. Name the config.json of a Hugging Face model.")
    folder = path.resolve().parent.name
    return _to_model(values, name=folder if path.name == "config.json" and folder else path.stem, file=str(path))


def _to_model(values: Mapping[str, Any], *, name: str, file: str) -> Model:
    fields = _usual_fields(values, file)
    if fields.family.startswith(_UNKNOWN_FAMILIES) or fields.family in _UNKNOWN_TYPES:
        raise fields.error(f"field 'model_type' is {fields.family!r}, whose layers are not known here.")
    sizes = _shape(fields) | _experts(fields) | _latent(fields) | _layers(fields)
    return Model(
        name=name,
        tied=fields.flag("tie_word_embeddings", fields.family.startswith(_TIED_BY_DEFAULT)),
        output_gate="linear_layers" in sizes and fields.flag("attn_output_gate", True),
        **sizes,
    )


def _usual_fields(values: Mapping[str, Any], file: str) -> _Fields:
    """Return the fields of the language model under their usual names, whatever its family calls them."""
    inner = values.get("text_config")
    if isinstance(inner, dict):
        values = {**{k: values[k] for k in ("tie_word_embeddings", "model_type") if k in values}, **inner}
    fields = _Fields(file, values)
    if fields.family == "gemma3_text":
        return _Fields(file, {**_GEMMA3_DEFAULTS, **values})
    if fields.family.startswith("llama4"):
        # Llama 4 calls the experts' width intermediate_size.
        usual = {
            "moe_intermediate_size": fields.size("intermediate_size"),
            "intermediate_size": fields.size("intermediate_size_mlp"),
            "n_shared_experts": 1,
            "decoder_sparse_step": fields.size("interleave_moe_layer_step", default=1),
            "sliding_window": fields.size("attention_chunk_size", default=8192),
        }
        return _Fields(file, {**values, **usual})
    return fields


def _shape(fields: _Fields) -> _Sizes:
    hidden, heads = fields.size("hidden_size"), fields.size("num_attention_heads")
    kv_heads = fields.size("num_key_value_heads", default=heads)
    if heads % kv_heads:
        raise fields.error(f"field 'num_key_value_heads' is {kv_heads}, which does not divide the {heads} heads.")
    if fields.values.get("head_dim") is None and hidden % heads:
        raise fields.error(f"field 'num_attention_heads' is {heads}, which does not divide 'hidden_size' {hidden}.")
    # A mixture of experts may have no dense layer, and then no width of one.
    all_experts = bool(fields.values.get("moe_intermediate_size"))
    return {
        "layers": fields.size("num_hidden_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": fields.size("head_dim", default=max(1, hidden // heads)),
        "intermediate": fields.size("intermediate_size", default=1 if all_experts else None),
        "vocab": fields.size("vocab_size"),
    }


def _experts(fields: _Fields) -> _Sizes:
    experts = fields.size("n_routed_experts", "num_local_experts", "num_experts", default=0, minimum=0)
    if experts < 2:
        return {}
    chosen = fields.size("num_experts_per_tok", "experts_per_token", "top_k_experts")
    if chosen > experts:
        raise fields.error(f"field 'num_experts_per_tok' is {chosen}, but there are {experts} experts.")
    width = fields.size("moe_intermediate_size", "intermediate_size")
    shared = fields.size("n_shared_experts", default=0, minimum=0) * width
    return {
        "experts": experts,
        "experts_per_token": chosen,
        "expert_intermediate": width,
        "shared_intermediate": fields.size("shared_expert_intermediate_size", default=shared, minimum=0),
        "dense_layers": _dense_layers(fields),
    }


def _dense_layers(fields: _Fields) -> int:
    """Return how many layers of a mixture of experts have no experts."""
    layers, step = fields.size("num_hidden_layers"), fields.size("decoder_sparse_step", default=1)
    first, listed = fields.size("first_k_dense_replace", default=0, minimum=0), fields.values.get("mlp_only_layers")
    dense = max(first, len(listed) if isinstance(listed, list) else 0)
    if step > 1:
        dense = layers - layers // step
    if dense > layers:
        raise fields.error(f"{dense} dense layers are more than the {layers} of 'num_hidden_layers'.")
    return dense


def _latent(fields: _Fields) -> _Sizes:
    if fields.values.get("kv_lora_rank") is None:
        return {}
    return {
        "q_rank": fields.size("q_lora_rank", default=0, minimum=0),
        "kv_rank": fields.size("kv_lora_rank"),
        "nope_dim": fields.size("qk_nope_head_dim"),
        "rope_dim": fields.size("qk_rope_head_dim"),
        "v_dim": fields.size("v_head_dim"),
    }


def _layers(fields: _Fields) -> _Sizes:
    """Return how many layers see the whole context, a window of it, or keep a state instead."""
    types = _layer_types(fields)
    sizes = {}
    if linear := types.count("linear_attention"):
        sizes = {
            "linear_layers": linear,
            "linear_k_heads": fields.size("linear_num_key_heads"),
            "linear_v_heads": fields.size("linear_num_value_heads"),
            "linear_dim": fields.size("linear_value_head_dim"),
        }
    if any(kind in _WINDOW_TYPES for kind in types):
        sizes["window"] = fields.size("sliding_window")
    if sizes:
        sizes["full_layers"] = types.count("full_attention")
    return sizes


def _layer_types(fields: _Fields) -> Sequence[str]:
    """Return the kind of attention of each layer: as listed, or by the rule of the family."""
    if fields.values.get("layer_types") is not None:
        return _listed_types(fields)
    if "linear_num_value_heads" in fields.values:
        usual, every = "linear_attention", fields.size("full_attention_interval", default=4)
    elif fields.values.get("sliding_window") is None or fields.values.get("use_sliding_window") is False:
        usual, every = "full_attention", 1
    else:
        never = _MAX_SIZE + 1
        every = next((n for start, n in _FULL_EVERY.items() if fields.family.startswith(start)), never)
        usual, every = "sliding_attention", fields.size("sliding_window_pattern", default=every)
    layers = range(1, fields.size("num_hidden_layers") + 1)
    return ["full_attention" if layer % every == 0 else usual for layer in layers]


def _listed_types(fields: _Fields) -> Sequence[str]:
    layers, types = fields.size("num_hidden_layers"), fields.values["layer_types"]
    if not isinstance(types, list) or len(types) != layers or not all(isinstance(kind, str) for kind in types):
        raise fields.error(f"field 'layer_types' must be a list of {layers} names, one for each layer.")
    if unknown := sorted(set(types) - set(_LAYER_TYPES)):
        raise fields.error(f"field 'layer_types' has {', '.join(unknown)}, whose layers are not known here.")
    return types
