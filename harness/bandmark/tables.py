"""Read the CSV tables of the data folder into dataclasses."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from inspect import Parameter, signature
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin

from bandmark.errors import FileError

_T = TypeVar("_T")


def read_table(name: str, row_type: type[_T]) -> tuple[_T, ...]:
    """Return the rows of a CSV file of the package's data folder, in file order; see `parse_table`."""
    text = files("bandmark").joinpath("data", name).read_text(encoding="utf-8")
    return parse_table(text, row_type, file=f"data/{name}")


def parse_table(text: str, row_type: type[_T], *, file: str) -> tuple[_T, ...]:
    """Return the lines of a CSV text as instances of a dataclass.

    Each field takes the column of its name, read by its annotation: str, int, float, bool (0 or 1), one of these
    or None, or a tuple of these separated by |. An empty cell is the field's default if it has one, else None, "" or ()
    where the annotation allows it. Other columns are ignored.

    Raises:
        FileError: a column is missing or a cell does not fit its annotation; the message names file, line and column.
    """
    lines = csv.DictReader(text.splitlines(keepends=True), strict=True)
    columns = signature(row_type, eval_str=True).parameters
    if missing := [name for name in columns if name not in (lines.fieldnames or ())]:
        raise FileError(f"{file}, line 1: column {', '.join(missing)} is missing.")
    try:
        return tuple(row_type(**_values(cells, columns.values(), f"{file}, line {lines.line_num}")) for cells in lines)
    except csv.Error as error:
        raise FileError(f"{file}, line {lines.reader.line_num}: {error}.") from error


def _values(cells: Mapping[str, str], columns: Iterable[Parameter], place: str) -> dict[str, Any]:
    # DictReader files surplus cells under None and fills up a short line with None.
    if None in cells or None in cells.values():
        raise FileError(f"{place}: expected {len(cells.keys() - {None})} cells, as in the header.")
    return {column.name: _read(cells[column.name], column, place) for column in columns}


def _read(cell: str, column: Parameter, place: str) -> Any:
    if not cell and column.default is not Parameter.empty:
        return column.default
    try:
        return _convert(cell, column.annotation)
    except ValueError:
        expected = _EXPECTED.get(column.annotation) or _EXPECTED[get_args(column.annotation)[0]]
        raise FileError(f"{place}, column {column.name}: {cell!r} is not accepted; expected {expected}.") from None


def _convert(cell: str, annotation: Any) -> Any:
    if get_origin(annotation) is tuple:
        item = get_args(annotation)[0]
        return tuple(_convert(part, item) for part in cell.split("|") if part)
    options = get_args(annotation)
    if NoneType in options:
        return _convert(cell, options[0]) if cell else None
    return _READERS[annotation](cell)


def _number(cell: str) -> float:
    if not math.isfinite(value := float(cell)):
        raise ValueError(cell)
    return value


_READERS: dict[Any, Callable[[str], Any]] = {
    str: str, int: int, float: _number, bool: lambda cell: ("0", "1").index(cell) == 1,
}  # fmt: skip
_EXPECTED = {int: "a whole number", float: "a number", bool: "0 or 1"}
