"""Read the CSV tables of the data folder into dataclasses."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, fields
from importlib.resources import files
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from bandmark.errors import FileError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def read_table(name: str, row_type: type[T]) -> tuple[T, ...]:
    """Return the rows of a CSV file of the package's data folder, in file order; see `parse_table`."""
    text = files("bandmark").joinpath("data", name).read_text(encoding="utf-8")
    return parse_table(text, row_type, file=f"data/{name}")


def parse_table(text: str, row_type: type[T], *, file: str) -> tuple[T, ...]:
    """Return the lines of a CSV text as instances of a dataclass.

    Each field takes the column of its name, read by its annotation: str, int, float, bool (0 or 1), one of these
    or None, or a tuple of these separated by |. An empty cell is the field's default if it has one, else None, an
    empty string or an empty tuple where the annotation allows it. Other columns are ignored.

    Raises:
        FileError: a column is missing or a cell does not fit its annotation; the message names file, line and column.
    """
    lines = csv.DictReader(text.splitlines(keepends=True), strict=True)
    hints = get_type_hints(row_type)
    columns = [field for field in fields(row_type) if field.init]
    _require_columns((field.name for field in columns), lines.fieldnames or (), file)
    rows = []
    try:
        for cells in lines:
            place = f"{file}, line {lines.line_num}"
            # DictReader files surplus cells under None and fills up a short line with None.
            if None in cells or None in cells.values():
                raise FileError(f"{place}: expected {len(lines.fieldnames or ())} cells, as in the header.")
            rows.append(row_type(**{f.name: _read(cells[f.name], f, hints[f.name], place) for f in columns}))
    except csv.Error as error:
        raise FileError(f"{file}, line {lines.reader.line_num}: {error}.") from error
    return tuple(rows)


def _require_columns(names: Iterable[str], header: Iterable[str], file: str) -> None:
    """Raise FileError if the header lacks a column."""
    present = set(header)
    if missing := [name for name in names if name not in present]:
        raise FileError(f"{file}, line 1: column {', '.join(missing)} is missing.")


def _read(cell: str, field: Field[Any], annotation: Any, place: str) -> Any:
    """Return the value of a cell."""
    if not cell and field.default is not MISSING:
        return field.default
    try:
        return _convert(cell, annotation)
    except ValueError as error:
        raise FileError(f"{place}, column {field.name}: {cell!r} is not accepted; expected {error}.") from None


def _convert(cell: str, annotation: Any) -> Any:
    """Return a cell as its annotation says; raises ValueError with what is expected."""
    if get_origin(annotation) is tuple:
        item = get_args(annotation)[0]
        return tuple(_convert(part, item) for part in cell.split("|") if part)
    options = get_args(annotation)
    if NoneType in options:
        (annotation,) = (option for option in options if option is not NoneType)
        if not cell:
            return None
    return _READERS[annotation](cell)


def _whole_number(cell: str) -> int:
    try:
        return int(cell)
    except ValueError:
        raise ValueError("a whole number") from None


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("a number")
    return value


def _truth(cell: str) -> bool:
    if cell not in ("0", "1"):
        raise ValueError("0 or 1")
    return cell == "1"


_READERS: dict[Any, Callable[[str], Any]] = {str: str, int: _whole_number, float: _number, bool: _truth}
