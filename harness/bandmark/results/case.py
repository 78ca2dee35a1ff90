"""The identity of a case: what tells a row, or an entry of samples, from the others of its run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bandmark.results.row import Row, columns
from bandmark_kernels import DTYPES, FORMATS, KERNELS

_NAMED_FIRST = ("backend", "kernel", "weight_format", "dtype", "variant", "layer")
"""Identity columns in the order in which a label names them. Sizes and the device are not part of a label."""

_UNNAMED = ("device", "suite", "m", "n", "heads", "head_dim", "peer")


@dataclass(frozen=True, slots=True)
class CaseId:
    """The values of the identity columns, in the order of the columns; None where a column does not apply."""

    values: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, row: Row) -> CaseId:
        """Return the identity of a row."""
        return cls(tuple((name, row.get(name)) for name in identity_columns()))

    @property
    def key(self) -> tuple[Any, ...]:
        """The values alone, for use as a key within a run."""
        return tuple(value for _, value in self.values)

    @property
    def label(self) -> str:
        """The case in words, for messages: numpy triad float64."""
        return case_label(dict(self.values))

    def matches(self, entry: Mapping[str, Any]) -> bool:
        """Return whether a mapping names no identity column with another value; columns may be missing."""
        return all(entry[name] == value for name, value in self.values if name in entry)


def identity_columns() -> tuple[str, ...]:
    """Return the names of the columns that identify a case."""
    return tuple(c.name for c in columns() if c.identity)


def case_label(values: Mapping[str, Any]) -> str:
    """Return what identifies a case in words, from the values of its identity columns."""
    others = [name for name in identity_columns() if name not in (*_NAMED_FIRST, *_UNNAMED)]
    words = [str(values[name]) for name in (*_NAMED_FIRST, *others) if values.get(name) is not None]
    if values.get("peer") is not None:
        words.append(f"peer={values['peer']}")
    if values.get("pattern") is not None and values.get("n") is not None:
        words.append(f"n={values['n']}")  # points of a curve differ in it
    return " ".join(words)


def model_of(row: Row) -> str:
    """Return the model in the column layer, which holds "llama-3.1-8b qkv"; empty where there is none."""
    return (row.layer or "").partition(" ")[0]


def matrix_of(row: Row) -> str:
    """Return the matrix in the column layer; empty where there is none."""
    return (row.layer or "").partition(" ")[2]


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Sort rows as result files have them: by run, kernel table, dtype, weight format, backend, variant and size.

    The matrices of a model keep the order of its layers, in which they were measured.
    """
    kernels, dtypes, formats = list(KERNELS), list(DTYPES), [None, *FORMATS]
    others = [name for name in identity_columns() if name == "peer" or name not in (*_NAMED_FIRST, *_UNNAMED)]

    def sort_key(row: Row) -> tuple[Any, ...]:
        size = 0 if row.layer else row.n_elements or 0
        return (
            row.run_id,
            _position(kernels, row.kernel),
            row.kernel,
            _position(dtypes, row.dtype),
            _position(formats, row.weight_format),
            row.backend,
            row.variant or "",
            size,
            tuple((value is not None, value) for value in map(row.get, others)),
        )

    return sorted(rows, key=sort_key)


def _position(names: list[Any], name: Any) -> int:
    """Return the place of a name in a list, behind its end for others."""
    return names.index(name) if name in names else len(names)
