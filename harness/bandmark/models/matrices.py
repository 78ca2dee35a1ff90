"""Name the weight matrices of a model's decode step, for `bandmark run --layer`.

Matrices of one input are one product, as vLLM, SGLang and llama.cpp's CUDA backend run them: query, key and value
("qkv"), gate and up ("gate_up"), and DeepSeek's two projections down to a rank ("qkv_a"). A mixture of experts has one
expert's matrices, of which a token reads several.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from bandmark.models.config import find_or_read
from bandmark.models.model import Model


@dataclass(frozen=True, slots=True)
class Matrix:
    """A weight matrix of m rows and n columns: a step multiplies it by a vector of n."""

    model: str
    name: str
    m: int
    n: int
    uses: int
    """How many matrices of this shape a step multiplies by, in all layers."""

    @property
    def label(self) -> str:
        """The cell of a result file's column layer: the model, a space, and the matrix."""
        return f"{self.model} {self.name}"


def matrices_of(model: Model) -> list[Matrix]:
    """Return the matrices of a decode step of one sequence, in the order of a layer; those of one shape once."""
    matrices: dict[tuple[int, int], Matrix] = {}
    for name, m, n, uses, _ in model.products():
        if same := matrices.get((m, n)):
            matrices[m, n] = replace(same, name=_joined(same.name, name), uses=same.uses + uses)
        elif m * n * uses:
            matrices[m, n] = Matrix(plain_name(model.name), name, m, n, uses)
    return list(matrices.values())


def _joined(first: str, second: str) -> str:
    """Return the name of two matrices of one shape: o+linear o, expert+shared gate_up."""
    kind, _, matrix = first.rpartition(" ")
    other_kind, _, other_matrix = second.rpartition(" ")
    if kind and other_kind and matrix == other_matrix:
        return f"{kind}+{other_kind} {matrix}"
    return f"{first}+{second}"


def plain_name(text: str) -> str:
    """Return a model's name in letters, digits, dots, hyphens and underscores, as a cell of a result file takes it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "model"


def find_matrices(name: str) -> list[Matrix]:
    """Return the matrices of a model of the table, or of a config.json; raises UsageError or FileError."""
    return matrices_of(find_or_read(name))
