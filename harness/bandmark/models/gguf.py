"""Read a model from the header of a GGUF file: every tensor's bytes are there, so they are counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bandmark.errors import FileError
from bandmark.models.architectures import load_architectures
from bandmark.models.gguf_header import HELP, Tensor, read_header
from bandmark.models.model import Products
from bandmark.models.weights import FileModel, WeightFormat

_PART = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")


@dataclass(frozen=True, slots=True, kw_only=True)
class _CountedModel(FileModel):
    """A model whose parameters, cache and state are counted from its tensors."""

    products: tuple[tuple[str, int, int, int], ...]
    others: int  # parameters of norms, biases and the like
    routed: int
    embeddings: int  # parameters of matrices of which a token reads a row
    cached: tuple[tuple[int, bool], ...]
    """Of each layer that attends: values cached for a token, and whether it attends to a window."""
    state: int
    """Values of the state of all recurrent layers."""

    def _products(self) -> Products:
        yield from self.products

    def _vector_parameters(self) -> int:
        return self.others

    @property
    def embedding_parameters(self) -> int:
        return self.embeddings

    @property
    def routed_parameters(self) -> int:
        return self.routed

    @property
    def expert_parameters(self) -> int:
        return self.routed // max(1, self.moe_layers * self.experts)

    def _cached(self, tokens: int) -> int:
        window = self.window or tokens
        return 2 * sum(values * (min(tokens, window) if slides else tokens) for values, slides in self.cached)

    def state_bytes(self) -> int:
        return 2 * 4 * self.state


def read_gguf(path: Path) -> FileModel:
    """Return the model of a GGUF file and of the other parts of a split one; raises FileError."""
    split = _PART.search(path.name)
    parts = [path]
    if split:
        parts = [
            path.with_name(f"{path.name[: split.start()]}-{i:05}-of-{split[1]}.gguf")
            for i in range(1, int(split[1]) + 1)
        ]
    headers = [read_header(part) for part in parts]
    keys = headers[0][0]
    tensors = tuple(tensor for _, listed in headers for tensor in listed)
    architecture = keys.get("general.architecture")
    if not isinstance(architecture, str):
        raise FileError(f"{path} names no architecture (general.architecture). {HELP}")
    header = _Header(path, architecture, keys, tensors)
    return _to_model(header, _PART.sub("", path.name).removesuffix(".gguf"))


@dataclass(frozen=True, slots=True)
class _Header:
    """The keys of an architecture, without its name in front, and the tensors."""

    path: Path
    architecture: str
    keys: Mapping[str, Any]
    tensors: tuple[Tensor, ...]

    def size(self, key: str, default: int = 0) -> int:
        value = self.keys.get(f"{self.architecture}.{key}", default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 2**32:
            raise FileError(f"{self.path}: key {self.architecture}.{key} is {str(value)[:40]}, not a size. {HELP}")
        return value

    def layers_with(self, part: str) -> set[int]:
        """Return the layers that have a tensor whose name holds this."""
        return {t.layer for t in self.tensors if t.layer is not None and part in t.name}

    def named(self) -> dict[str, Tensor]:
        """Return the tensors by name; raises FileError for a name that stands there twice."""
        named = {tensor.name: tensor for tensor in self.tensors}
        if len(named) < len(self.tensors):
            names = Counter(tensor.name for tensor in self.tensors)
            twice = next(name for name, count in names.items() if count > 1)
            raise FileError(f"{self.path}: tensor {twice[:60]!r} stands there twice. {HELP}")
        return named

    def embedding(self) -> Tensor:
        """Return the table of the tokens; raises FileError where there is none."""
        for tensor in self.tensors:
            if tensor.name == "token_embd.weight" and len(tensor.shape) == 2:
                return tensor
        raise FileError(f"{self.path} has no token_embd.weight, so it is no language model. {HELP}")

    def experts(self) -> tuple[int, int]:
        """Return how many experts a layer has and how many a token uses, 0 and 0 of a dense model."""
        experts, chosen = self.size("expert_count"), self.size("expert_used_count")
        if not any(tensor.is_routed for tensor in self.tensors):
            return 0, 0
        if not 0 < chosen <= experts:
            raise FileError(f"{self.path}: {chosen} of {experts} experts used, which makes no sense. {HELP}")
        return experts, chosen


def _to_model(header: _Header, name: str) -> FileModel:
    embedding, named = header.embedding(), header.named()
    head = named.get("output.weight", embedding)
    others = [t for t in header.tensors if t is not head]
    tables, routed = [t for t in others if t.is_table], [t for t in others if t.is_routed]
    body = [t for t in others if not t.is_table and not t.is_routed]
    layers, recurrent, (experts, chosen) = header.layers_with(""), header.layers_with(".ssm_"), header.experts()
    products = [_product(t, chosen) for t in (*body, *routed) if t.is_matrix]
    return _CountedModel(
        name=name,
        layers=max(1, len(layers)),
        hidden=embedding.shape[0],
        heads=1,
        kv_heads=1,
        head_dim=1,
        intermediate=1,
        vocab=head.shape[1],
        tied=head is embedding,
        experts=experts,
        experts_per_token=chosen,
        dense_layers=len(layers - header.layers_with("_exps.")) if experts else 0,
        linear_layers=len(recurrent),
        window=header.size("attention.sliding_window") or None,
        products=(*products, ("lm_head", head.shape[1], head.shape[0], 1)),
        others=_weights(t for t in body if not t.is_matrix),
        routed=_weights(routed),
        embeddings=_weights(tables),
        cached=tuple(_cached(header, named, layer, recurrent) for layer in sorted(layers)),
        state=header.size("ssm.inner_size") * header.size("ssm.state_size") * len(recurrent),
        own_format=WeightFormat(
            name="gguf",
            body_bits=_bits(body),
            expert_bits=_bits(routed),
            head_bits=_bits([head]),
            block=1,
            kernel_format=None,
            needs_experts=False,
            source="the tensors of the file",
            counted=True,
        ),
    )


def _weights(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.weights for tensor in tensors)


def _bits(tensors: Sequence[Tensor]) -> float:
    return 8 * sum(t.size for t in tensors) / max(1, _weights(tensors))


def _product(tensor: Tensor, chosen: int) -> tuple[str, int, int, int]:
    """Return a matrix as a product of a decode step; of those of all experts, one expert's."""
    name, row = tensor.name.removesuffix(".weight").rpartition(".")[2], tensor.shape[0]
    return (name, tensor.shape[1], row, chosen) if tensor.is_routed else (name, tensor.weights // row, row, 1)


def _cached(header: _Header, named: Mapping[str, Tensor], layer: int, recurrent: set[int]) -> tuple[int, bool]:
    """Return how many values a layer caches for a token, 0 if it does not attend, and whether it sees a window."""
    latent, k, v, joint = (named.get(f"blk.{layer}.attn_{part}.weight") for part in ("kv_a_mqa", "k", "v", "qkv"))
    values = 0
    if latent is not None:
        values = latent.weights // latent.shape[0]
    elif k is not None:
        values = sum(t.weights // t.shape[0] for t in (k, v or k))
    elif joint is not None and layer not in recurrent:
        heads = header.size("attention.head_count")
        length = header.size("attention.key_length", joint.shape[0] // max(1, heads))
        values = 2 * length * header.size("attention.head_count_kv", heads)
    return values, bool(header.size("attention.sliding_window")) and _slides(header, layer)


def _slides(header: _Header, layer: int) -> bool:
    pattern = header.keys.get(f"{header.architecture}.attention.sliding_window_pattern")
    if isinstance(pattern, list):
        return layer < len(pattern) and pattern[layer] is True
    known = load_architectures().get(header.architecture.replace("-", "_"))
    every = pattern if isinstance(pattern, int) and pattern > 0 else known.full_every if known else 1
    return every == 0 or (layer + 1) % every != 0
