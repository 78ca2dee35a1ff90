"""Weight formats: bits per weight, scales included, and the bytes of a model's weights.

Engines do not store all matrices of a model alike: the output matrix often stays in 16 bits, and in some files only
the experts are narrow. So a format gives the bits of the body, of the experts and of the output matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bandmark.errors import unknown_name
from bandmark.models.model import Model
from bandmark.tables import read_table


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFormat:
    """One way to store a model's weights; bits per weight include the scales."""

    name: str
    body_bits: float
    """Of the matrices that every token reads, but for the output matrix."""
    expert_bits: float
    head_bits: float
    block: int
    """Weights of a row that are stored together: they must divide the row."""
    kernel_format: str | None
    """The weight format of GEMV rows that read such bytes."""
    needs_experts: bool
    source: str
    counted: bool = False
    """Whether the bits are counted from a file's tensors, so that no other format is of this file."""

    def refusal(self, model: Model) -> str | None:
        """Return why a model can't have this format: it has no experts, or its rows are no whole blocks; else None."""
        if self.needs_experts and not model.experts:
            return f"{self.name} is for a mixture of experts, and {model.name} is dense. Take --weights mxfp4 or nvfp4."
        if model.hidden % self.block:
            return (
                f"{self.name} packs {self.block} weights of a row together, and rows of {model.name} have "
                f"{model.hidden}. Take another of --weights."
            )
        return None

    def bytes_read(self, model: Model, batch: int = 1) -> float:
        """Return the bytes that one step of a batch reads: every matrix once, of the experts those chosen."""
        experts = model.moe_layers * model.experts_read(batch) * model.expert_parameters
        return self._bytes(model.body_parameters, experts, model.head_parameters)

    def bytes_stored(self, model: Model) -> float:
        """Return the bytes of all weights in memory."""
        matrices = model.head_parameters + model.embedding_parameters
        return self._bytes(model.body_parameters, model.routed_parameters, matrices)

    def _bytes(self, body: float, experts: float, head: float) -> float:
        return (body * self.body_bits + experts * self.expert_bits + head * self.head_bits) / 8


FORMATS = {weights.name: weights for weights in read_table("weight_formats.csv", WeightFormat)}
"""The formats of data/weight_formats.csv by name, in the order of bits where they are one family."""


def find_format(name: str) -> WeightFormat:
    """Return a format; raises UsageError with the nearest name and all of them."""
    if name.lower() not in FORMATS:
        raise unknown_name("weight format", name, FORMATS)
    return FORMATS[name.lower()]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileModel(Model):
    """A model as a file has it."""

    own_format: WeightFormat | None = None
    """The format that the file's weights are in; None: an ordinary one, or one that is not known."""
    notes: tuple[str, ...] = ()
    """What to say wherever the model is shown."""


_KERNEL_FORMATS = {"int4": "int4", "int8": "int8", "float8": "fp8", "nvfp4": "nvfp4", "mxfp4": "mxfp4"}

_IGNORED = ("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules")
"""Names that makers give to the list of matrices that are not quantized."""

_ALGORITHMS = {
    "fp8": ("float8", 8.0), "fbgemm_fp8": ("float8", 8.0), "mxfp4": ("mxfp4", 4.25), "nvfp4": ("nvfp4", 4.5),
}  # fmt: skip
"""Kind and bits with scales of formats without parameters, by quant_method or quant_algo."""


def own_format(config: Mapping[str, Any]) -> tuple[WeightFormat | None, int, tuple[str, ...]]:
    """Return the weight format of a quantization_config, the bits of the cache's values, and what to say of them.

    The bits count the scales: AWQ and GPTQ have a 16-bit scale and a zero point for each group (16 + bits), NVFP4 an
    8-bit scale for 16 weights, MXFP4 one for 32, bitsandbytes' 4 bits a 32-bit scale for 64. Output matrices are not
    quantized in these files.
    """
    method = str(config.get("quant_method") or config.get("quant_algo") or "").lower()
    cache_bits = _cache_bits(config)
    notes = ("KV cache of 8 bits, as the file says",) if cache_bits == 8 else ()
    try:
        kind, bits = _stored_bits(method, config)
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration):
        unknown = f"quantization_config of method {method[:30]!r} is not known: the file's own format is not shown"
        return None, cache_bits, (unknown, *notes)
    ignored = str([config.get(name) for name in _IGNORED])
    return (
        WeightFormat(
            name=f"{method}-{kind}" if kind not in method else method,
            body_bits=16 if "self_attn" in ignored else bits,
            expert_bits=bits,
            head_bits=16,
            block=1,
            kernel_format=_KERNEL_FORMATS.get(kind),
            needs_experts=False,
            source="quantization_config of the file",
        ),
        cache_bits,
        notes,
    )


def _cache_bits(config: Mapping[str, Any]) -> int:
    """Return the bits of a value of the KV cache."""
    scheme = config.get("kv_cache_scheme")
    is_narrow = isinstance(scheme, Mapping) and scheme.get("num_bits") == 8
    return 8 if is_narrow or "fp8" in str(config.get("kv_cache_quant_algo", "")).lower() else 16


def _stored_bits(method: str, config: Mapping[str, Any]) -> tuple[str, float]:
    """Return the kind of numbers and the bits of a weight with its scales; raises for what is not known."""
    if method in ("awq", "gptq"):
        bits, group = int(config.get("bits") or config["w_bit"]), config.get("group_size") or config["q_group_size"]
        return f"int{bits}", bits + _per_weight(16 + bits, int(group))
    if method == "bitsandbytes":
        double = 8 / 64 if config.get("bnb_4bit_use_double_quant") else 32 / 64
        return ("int4", 4 + double) if config.get("load_in_4bit") else ("int8", {True: 8.0}[config["load_in_8bit"]])
    algorithm = str(config.get("quant_algo") or method).lower()
    if known := _ALGORITHMS.get(algorithm):
        return known
    if method != "compressed-tensors":
        raise ValueError(method)
    weights = next(iter(config["config_groups"].values()))["weights"]
    kind, bits, group = f"{weights['type']}{weights['num_bits']}", int(weights["num_bits"]), weights.get("group_size")
    if kind == "float4":
        return {16: ("nvfp4", 4.5), 32: ("mxfp4", 4.25)}[group]
    return kind, {"int": bits + _per_weight(16, group or 0), "float": float(bits)}[weights["type"]]


def _per_weight(bits: float, group: int) -> float:
    """Return what the scales of a group add to a weight; nothing where a whole row or column shares one."""
    return bits / group if group > 0 else 0.0
