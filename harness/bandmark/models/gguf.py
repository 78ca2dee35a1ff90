"""Read a model from the header of a GGUF file: every tensor's bytes are there, so they are counted.

The format is that of ggml-org/ggml, docs/gguf.md: a magic word, the version, the numbers of tensors and of key-value
pairs, the pairs, then name, dimensions, type and offset of each tensor.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bandmark.errors import FileError
from bandmark.models.architectures import load_architectures
from bandmark.models.model import Products
from bandmark.models.weights import FileModel, WeightFormat

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""struct codes of the types of values."""
_STRING, _ARRAY = 8, 9

_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
    26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
    40: (64, 36), 41: (128, 18),
}  # fmt: skip
"""Weights and bytes of a block by type of tensor: GGML_QUANT_SIZES of gguf-py 0.19.0 (ggml-org/llama.cpp)."""

_MAX_TEXT, _MAX_ITEMS, _MAX_TENSORS, _MAX_WEIGHTS = 2**20, 2**22, 2**17, 2**44

_EMBEDDINGS = ("token_embd.", "per_layer_token_embd.", "position_embd.")
_PART = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
_HELP = "Name a whole GGUF file of a language model."


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    """The length of a row first, as in the file."""
    size: float
    """Bytes."""

    @property
    def weights(self) -> int:
        return math.prod(self.shape)

    @property
    def layer(self) -> int | None:
        found = re.match(r"blk\.(\d{1,6})\.", self.name)
        return int(found[1]) if found else None

    @property
    def is_matrix(self) -> bool:
        return self.name.endswith(".weight") and len(self.shape) > 1

    @property
    def is_routed(self) -> bool:
        return self.is_matrix and "_exps." in self.name


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


class _Reader:
    """Reads values of a header in turn; raises FileError where it ends early or makes no sense."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file

    def error(self, text: str) -> FileError:
        return FileError(f"{self.path}: {text}. {_HELP}")

    def take(self, count: int) -> bytes:
        data = self.file.read(count)
        if len(data) < count:
            raise self.error("the header ends early, so the file is cut off")
        return data

    def number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0]

    def count(self, code: str, maximum: int, what: str) -> int:
        if (value := int(self.number(code))) > maximum:
            raise self.error(f"the header has {value} {what}, which makes no sense")
        return value

    def text(self) -> str:
        return self.take(self.count("Q", _MAX_TEXT, "bytes in a name")).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise self.error(f"the header has a value of type {kind}, which is not known")
        return self.number(_SCALARS[kind])

    def _array(self) -> list[Any]:
        """Return the numbers of a list; the words of a vocabulary are passed over."""
        kind, items = self.number("I"), self.count("Q", _MAX_ITEMS, "items in a list")
        if kind in _SCALARS:
            layout = f"<{items}{_SCALARS[kind]}"
            return list(struct.unpack(layout, self.take(struct.calcsize(layout))))
        if kind != _STRING:
            raise self.error(f"the header has a list of values of type {kind}, which is not known")
        for _ in range(items):
            self.text()
        return []

    def tensor(self) -> _Tensor:
        name, shape = self.text(), tuple(self.number("Q") for _ in range(self.count("I", 4, "dimensions")))
        kind, _ = self.number("I"), self.number("Q")
        if kind not in _BLOCKS:
            raise self.error(f"tensor {name[:60]!r} is of type {kind}, whose size is not known")
        if not shape or not 0 < math.prod(shape) <= _MAX_WEIGHTS:
            raise self.error(f"tensor {name[:60]!r} has the shape {shape}, which makes no sense")
        weights, size = _BLOCKS[kind]
        return _Tensor(name, shape, math.prod(shape) / weights * size)


def read_gguf(path: Path) -> FileModel:
    """Return the model of a GGUF file and of the other parts of a split one; raises FileError."""
    split = _PART.search(path.name)
    parts = [path]
    if split:
        parts = [
            path.with_name(f"{path.name[: split.start()]}-{i:05}-of-{split[1]}.gguf")
            for i in range(1, int(split[1]) + 1)
        ]
    headers = [_read_header(part) for part in parts]
    keys = headers[0][0]
    tensors = tuple(tensor for _, listed in headers for tensor in listed)
    header = _Header(path, str(keys.get("general.architecture")), keys, tensors)
    return _to_model(header, _PART.sub("", path.name).removesuffix(".gguf"))


def _read_header(path: Path) -> tuple[dict[str, Any], list[_Tensor]]:
    try:
        if path.exists() and not path.is_file():
            raise FileError(f"{path} is no regular file. {_HELP}")
        with path.open("rb") as file:
            reader = _Reader(path, file)
            if file.read(4) != b"GGUF" or reader.number("I") not in (2, 3):
                raise reader.error("this is no little-endian GGUF file of version 2 or 3")
            tensors, pairs = reader.count("Q", _MAX_TENSORS, "tensors"), reader.count("Q", _MAX_TENSORS, "keys")
            keys = {reader.text(): reader.value(reader.number("I")) for _ in range(pairs)}
            return keys, [reader.tensor() for _ in range(tensors)]
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}. {_HELP}") from error


@dataclass(frozen=True, slots=True)
class _Header:
    """The keys of an architecture, without its name in front, and the tensors."""

    path: Path
    architecture: str
    keys: Mapping[str, Any]
    tensors: tuple[_Tensor, ...]

    def size(self, key: str, default: int = 0) -> int:
        value = self.keys.get(f"{self.architecture}.{key}", default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 2**32:
            raise FileError(f"{self.path}: key {self.architecture}.{key} is {str(value)[:40]}, not a size. {_HELP}")
        return value

    def layers_with(self, part: str) -> set[int]:
        """Return the layers that have a tensor whose name holds this."""
        return {t.layer for t in self.tensors if t.layer is not None and part in t.name}

    def embedding(self) -> _Tensor:
        """Return the table of the tokens; raises FileError where there is none."""
        for tensor in self.tensors:
            if tensor.name == "token_embd.weight" and len(tensor.shape) == 2:
                return tensor
        raise FileError(f"{self.path} has no token_embd.weight, so it is no language model. {_HELP}")

    def experts(self) -> tuple[int, int]:
        """Return how many experts a layer has and how many a token uses, 0 and 0 of a dense model."""
        experts, chosen = self.size("expert_count"), self.size("expert_used_count")
        if not any(tensor.is_routed for tensor in self.tensors):
            return 0, 0
        if not 0 < chosen <= experts:
            raise FileError(f"{self.path}: {chosen} of {experts} experts used, which makes no sense. {_HELP}")
        return experts, chosen


def _to_model(header: _Header, name: str) -> FileModel:
    embedding, named = header.embedding(), {tensor.name: tensor for tensor in header.tensors}
    head = named.get("output.weight", embedding)
    tables = [t for t in header.tensors if t.name.startswith(_EMBEDDINGS) and t is not head]
    routed = [t for t in header.tensors if t.is_routed]
    body = [t for t in header.tensors if t not in (head, embedding, *tables, *routed)]
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


def _weights(tensors: Iterable[_Tensor]) -> int:
    return sum(tensor.weights for tensor in tensors)


def _bits(tensors: Sequence[_Tensor]) -> float:
    return 8 * sum(t.size for t in tensors) / max(1, _weights(tensors))


def _product(tensor: _Tensor, chosen: int) -> tuple[str, int, int, int]:
    """Return a matrix as a product of a decode step; of those of all experts, one expert's."""
    name, row = tensor.name.removesuffix(".weight").rpartition(".")[2], tensor.shape[0]
    return (name, tensor.shape[1], row, chosen) if tensor.is_routed else (name, tensor.weights // row, row, 1)


def _cached(header: _Header, named: Mapping[str, _Tensor], layer: int, recurrent: set[int]) -> tuple[int, bool]:
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
