"""Read the shape of a model from a Hugging Face config.json, by the table of known architectures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bandmark.errors import FileError
from bandmark.models.architectures import Architecture, load_architectures
from bandmark.models.gguf import read_gguf
from bandmark.models.model import Matrix, Model, find_model
from bandmark.models.weights import FileModel, own_format

_MAX_SIZE, _MAX_LAYERS, _MAX_FILE_BYTES = 10**8, 10**4, 2**24

_ASSUMED = "llama"
"""The architecture that `--assume dense` takes: attention and a gated feed-forward block in each layer."""

_EXPERTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
_CHOSEN = ("num_experts_per_tok", "experts_per_token", "top_k_experts", "num_experts_per_token", "moe_k", "moe_topk")
_SHARED_EXPERTS = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert")
_SHARED_WIDTHS = ("shared_expert_intermediate_size", "shared_intermediate_size", "moe_shared_expert_intermediate_size")
_DENSE_FIRST = ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index")
"""Names that makers give to one size, whatever the architecture."""

_FULL, _WINDOW, _LINEAR, _MAMBA, _INDEXED = "full", "window", "linear", "mamba", "indexed"
_LAYER_TYPES = {
    "full_attention": _FULL, "attention": _FULL, "sliding_attention": _WINDOW, "chunked_attention": _WINDOW,
    "linear_attention": _LINEAR, "mamba": _MAMBA, "indexed_attention": _INDEXED,
}  # fmt: skip
_Sizes = dict[str, int]


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of a config under their usual names, with the file's name for messages."""

    file: str
    values: Mapping[str, Any]
    architecture: Architecture

    def error(self, text: str) -> FileError:
        return FileError(f"{self.file}: {text} It must be the config.json of a decoder-only model.")

    def size(self, *names: str, default: int | None = None, minimum: int = 1, maximum: int = _MAX_SIZE) -> int:
        """Return a whole number by the first of its names that is there; without a default one of them must be.

        A list of equal numbers, one for each layer, is that number.
        """
        name = next((n for n in names if self.values.get(n) is not None), None)
        if name is None:
            if default is None:
                raise self.error(f"field {' or '.join(map(repr, names))} is missing.")
            return default
        value = self.values[name]
        if isinstance(value, list) and value and value == value[:1] * len(value):
            value = value[0]
        if type(value) is not int or not minimum <= value <= maximum:
            accepted = f"a whole number of at least {minimum} and at most {maximum}"
            raise self.error(f"field {name!r} is {_short(value)}; it takes {accepted}.")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = default if self.values.get(name) is None else self.values[name]
        if not isinstance(value, bool):
            raise self.error(f"field {name!r} is {_short(value)}; it takes true or false.")
        return value

    @property
    def layers(self) -> int:
        return self.size("num_hidden_layers", maximum=_MAX_LAYERS)

    def per_layer(self, name: str) -> Sequence[str] | None:
        """Return a list of one word for each layer, or None where the file has none."""
        types = self.values.get(name)
        if types is None:
            return None
        if not isinstance(types, list) or len(types) != self.layers or not all(isinstance(t, str) for t in types):
            raise self.error(f"field {name!r} must be a list of {self.layers} names, one for each layer.")
        return types


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def find_or_read(name: str, *, assume_dense: bool = False) -> Model:
    """Return a model by its name in the table, or from its config.json or .gguf; raises UsageError or FileError."""
    if name.endswith((".json", ".gguf")) or "/" in name or Path(name).exists():
        path = Path(name)
        path = path / "config.json" if path.is_dir() and path.suffix != ".gguf" else path
        stat = path.stat() if path.exists() else None
        return _read_file(path, assume_dense, stat and (stat.st_mtime_ns, stat.st_size))
    return find_model(name)


@lru_cache(maxsize=8)
def _read_file(path: Path, assume_dense: bool, _changed: object) -> Model:
    """Return the model of a file, read once as long as it does not change: a run asks for it several times."""
    return read_gguf(path) if path.suffix == ".gguf" else _read_config(path, assume_dense)


def find_matrices(name: str) -> list[Matrix]:
    """Return the matrices of a model of the table, or of a file; raises UsageError or FileError."""
    return find_or_read(name).matrices()


def _read_config(path: Path, assume_dense: bool) -> Model:
    """Return the model of a config.json, named after its folder or file."""
    try:
        if path.exists() and not path.is_file():
            raise FileError(f"{path} is no regular file. Name the config.json of a Hugging Face model.")
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise FileError(f"{path} is larger than any config.json. Name the config.json beside the weights.")
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}. Name a config.json or a model of the table.") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is not JSON ({error}). Name the config.json of a Hugging Face model.") from error
    if not isinstance(values, dict):
        raise FileError(f"{path} holds no JSON object. Name the config.json of a Hugging Face model.")
    folder = path.resolve().parent.name
    name = folder if path.name == "config.json" and folder else path.stem
    return _to_model(values, name=name, file=str(path), assume_dense=assume_dense)


def _to_model(values: Mapping[str, Any], *, name: str, file: str, assume_dense: bool = False) -> Model:
    fields = _usual_fields(values, file, assume_dense)
    sizes = _shape(fields) | _latent(fields) | _layers(fields) | ({} if assume_dense else _experts(fields))
    quantization = values.get("quantization_config")
    own, cache_bits, notes = own_format(quantization) if isinstance(quantization, dict) else (None, 16, ())
    if assume_dense:
        notes += ("--assume dense: counted as plain attention and gated feed-forward blocks, which it may not be",)
    return FileModel(
        name=f"{name} (assumed dense)" if assume_dense else name,
        tied=fields.flag("tie_word_embeddings", fields.architecture.tied),
        output_gate=fields.flag("attn_output_gate", False),
        gated=fields.architecture.gated,
        cache_bits=cache_bits,
        own_format=own,
        notes=notes,
        **sizes,
    )


def _usual_fields(values: Mapping[str, Any], file: str, assume_dense: bool) -> _Fields:
    """Return the fields of the language model under their usual names, whatever its family calls them."""
    outer, inner = values.get("model_type"), values.get("text_config")
    if isinstance(inner, dict):
        tie = {key: value for key, value in values.items() if key == "tie_word_embeddings" and value is not None}
        values = {"model_type": outer, **inner, **tie}
    if assume_dense:
        return _Fields(file, {**values, "layer_types": None}, load_architectures()[_ASSUMED])
    _architecture(outer, file)  # of a model of images and text both are known
    architecture = _architecture(values.get("model_type"), file)
    names = dict(pair.split("=") for pair in architecture.names)
    defaults = {name: json.loads(value) for name, value in (pair.split("=") for pair in architecture.defaults)}
    renamed = {usual: values[theirs] for usual, theirs in names.items() if values.get(theirs) is not None}
    given = {name: value for name, value in {**values, **renamed}.items() if value is not None}
    return _Fields(file, {**defaults, **given}, architecture)


def _architecture(model_type: object, file: str) -> Architecture:
    known = load_architectures()
    if architecture := known.get(str(model_type).lower().removesuffix("_text")):
        return architecture
    raise FileError(
        f"{file}: field 'model_type' is {_short(model_type)}, which is none of the {len(known)} architectures whose "
        "layers are known here, so its bytes can't be counted. Name its .gguf file, which lists them, or add --assume "
        "dense to count it as a dense decoder."
    )


def _shape(fields: _Fields) -> _Sizes:
    hidden, heads = fields.size("hidden_size"), fields.size("num_attention_heads")
    kv_heads = fields.size("num_key_value_heads", default=heads)
    if heads % kv_heads:
        raise fields.error(f"field 'num_key_value_heads' is {kv_heads}, which does not divide the {heads} heads.")
    if fields.values.get("head_dim") is None and hidden % heads and fields.values.get("kv_lora_rank") is None:
        raise fields.error(f"field 'num_attention_heads' is {heads}, which does not divide 'hidden_size' {hidden}.")
    # A mixture of experts may have no dense layer, and then no width of one; a block without gate is 4 times as wide.
    default = 1 if fields.values.get("moe_intermediate_size") else None if fields.architecture.gated else 4 * hidden
    return {
        "layers": fields.layers,
        "hidden": hidden,
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": fields.size("head_dim", default=max(1, hidden // heads)),
        "intermediate": fields.size("intermediate_size", default=default),
        "vocab": fields.size("vocab_size"),
    }


def _experts(fields: _Fields) -> _Sizes:
    experts = fields.size(*_EXPERTS, default=0, minimum=0)
    shared = fields.size(*_SHARED_EXPERTS, default=0, minimum=0)
    if experts == 0 or experts + shared < 2:
        # Granite 4 without experts has its "shared" block alone.
        return {"intermediate": fields.size(*_SHARED_WIDTHS)} if fields.values.get("shared_intermediate_size") else {}
    chosen = fields.size(*_CHOSEN)
    if chosen > experts:
        raise fields.error(f"field 'num_experts_per_tok' is {chosen}, but there are {experts} experts.")
    width = fields.size("moe_intermediate_size", "intermediate_size")
    return {
        "experts": experts,
        "experts_per_token": chosen,
        "expert_intermediate": width,
        "shared_intermediate": fields.size(*_SHARED_WIDTHS, default=shared * width, minimum=0),
        "dense_layers": _dense_layers(fields),
    }


def _dense_layers(fields: _Fields) -> int:
    """Return how many layers of a mixture of experts have no experts."""
    if (types := fields.per_layer("mlp_layer_types")) is not None:
        return types.count("dense")
    layers, step = fields.layers, fields.size("decoder_sparse_step", "moe_layer_interval", "moe_layer_freq", default=1)
    first, listed = fields.size(*_DENSE_FIRST, default=0, minimum=0), fields.values.get("mlp_only_layers")
    if first > layers:
        raise fields.error(f"{first} dense layers are more than the {layers} of 'num_hidden_layers'.")
    named = {number for number in listed if isinstance(number, int)} if isinstance(listed, list) else set()
    return sum(layer < first or layer in named or (layer + 1) % step != 0 for layer in range(layers))


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
    """Return how many layers see the whole context, a window or a choice of it, or keep a state instead."""
    types = _layer_types(fields)
    sizes = {}
    if linear := types.count(_LINEAR):
        dim = fields.size("linear_value_head_dim")
        sizes = {
            "linear_layers": linear,
            "linear_k_heads": fields.size("linear_num_key_heads"),
            "linear_v_heads": fields.size("linear_num_value_heads"),
            "linear_k_dim": fields.size("linear_key_head_dim", default=dim),
            "linear_dim": dim,
        }
    if mamba := types.count(_MAMBA):
        heads = fields.size("mamba_n_heads")
        sizes |= {"ssm_layers": mamba, "ssm_heads": heads, "ssm_inner": heads * fields.size("mamba_d_head")}
        sizes |= {"ssm_groups": fields.size("mamba_n_groups"), "ssm_state": fields.size("mamba_d_state")}
    if indexed := types.count(_INDEXED):
        own = fields.per_layer("indexer_types")
        sizes |= {"index_layers": indexed if own is None else own.count("full")}
        sizes |= {"index_heads": fields.size("index_n_heads"), "index_dim": fields.size("index_head_dim")}
        sizes["index_topk"] = fields.size("index_topk")
    if _WINDOW in types:
        sizes["window"] = fields.size("sliding_window")
    if sizes:
        sizes["full_layers"] = types.count(_FULL) + indexed
    return sizes


def _layer_types(fields: _Fields) -> Sequence[str]:
    """Return the kind of attention of each layer: as listed, or by the rule of the architecture."""
    listed = fields.per_layer("layer_types")
    if listed is not None:
        if unknown := sorted(set(listed) - set(_LAYER_TYPES)):
            raise fields.error(f"field 'layer_types' has {', '.join(unknown)[:60]}, whose layers are not known here.")
        kinds = {**_LAYER_TYPES, "linear_attention": _MAMBA if "mamba_n_heads" in fields.values else _LINEAR}
        return [kinds[kind] for kind in listed]
    if fields.values.get("index_topk"):
        return [_INDEXED] * fields.layers
    if "linear_num_value_heads" in fields.values:
        return _every(fields, fields.size("full_attention_interval", default=4), _LINEAR)
    return _windows(fields)


def _windows(fields: _Fields) -> list[str]:
    """Return which layers see a window, where the file lists no layers."""
    every, pattern = fields.architecture.full_every, fields.values.get("sliding_window_pattern")
    if fields.values.get("sliding_window") is None or every == 1 or not fields.flag("use_sliding_window", True):
        return [_FULL] * fields.layers
    if first := fields.size("max_window_layers", default=0, minimum=0):
        return [_FULL] * min(first, fields.layers) + [_WINDOW] * (fields.layers - first)
    if isinstance(pattern, str):
        return _every(fields, len(pattern), _WINDOW)
    return _every(fields, fields.size("sliding_window_pattern", default=every, minimum=0), _WINDOW)


def _every(fields: _Fields, every: int, others: str) -> list[str]:
    """Return layers of which every so many-th sees the whole context, none for 0."""
    return [_FULL if every and layer % every == 0 else others for layer in range(1, fields.layers + 1)]
