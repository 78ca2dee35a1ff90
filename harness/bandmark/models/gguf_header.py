"""Read the header of a GGUF file: its keys, and name, shape and bytes of each tensor.

The format is that of ggml-org/ggml, docs/gguf.md: a magic word, the version, the numbers of tensors and of key-value
pairs, the pairs, then name, dimensions, type and offset of each tensor.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bandmark.errors import FileError

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
HELP = "Name a whole GGUF file of a language model."


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file."""

    name: str
    shape: tuple[int, ...]
    """The length of a row first, as in the file."""
    size: float
    """Bytes."""

    @property
    def weights(self) -> int:
        """How many there are."""
        return math.prod(self.shape)

    @property
    def layer(self) -> int | None:
        """The number of its layer, None where it is of none."""
        found = re.match(r"blk\.(\d{1,6})\.", self.name)
        return int(found[1]) if found else None

    @property
    def is_matrix(self) -> bool:
        """Whether vectors are multiplied by it."""
        return self.name.endswith(".weight") and len(self.shape) > 1

    @property
    def is_table(self) -> bool:
        """Whether a token reads a row of it."""
        return self.name.startswith(_EMBEDDINGS)

    @property
    def is_routed(self) -> bool:
        """Whether it holds the matrices of all experts."""
        return self.is_matrix and "_exps." in self.name


class _Reader:
    """Reads values of a header in turn; raises FileError where it ends early or makes no sense."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file

    def error(self, text: str) -> FileError:
        return FileError(f"{self.path}: {text}. {HELP}")

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

    def tensor(self) -> Tensor:
        name, shape = self.text(), tuple(self.number("Q") for _ in range(self.count("I", 4, "dimensions")))
        kind, _ = self.number("I"), self.number("Q")
        if kind not in _BLOCKS:
            raise self.error(f"tensor {name[:60]!r} is of type {kind}, whose size is not known")
        if not shape or not 0 < math.prod(shape) <= _MAX_WEIGHTS:
            raise self.error(f"tensor {name[:60]!r} has the shape {shape}, which makes no sense")
        weights, size = _BLOCKS[kind]
        return Tensor(name, shape, math.prod(shape) / weights * size)


def read_header(path: Path) -> tuple[dict[str, Any], list[Tensor]]:
    """Return the keys and the tensors of a file; raises FileError."""
    try:
        if path.exists() and not path.is_file():
            raise FileError(f"{path} is no regular file. {HELP}")
        with path.open("rb") as file:
            reader = _Reader(path, file)
            if file.read(4) != b"GGUF" or reader.number("I") not in (2, 3):
                raise reader.error("this is no little-endian GGUF file of version 2 or 3")
            tensors, pairs = reader.count("Q", _MAX_TENSORS, "tensors"), reader.count("Q", _MAX_TENSORS, "keys")
            keys = {reader.text(): reader.value(reader.number("I")) for _ in range(pairs)}
            return keys, [reader.tensor() for _ in range(tensors)]
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}. {HELP}") from error
