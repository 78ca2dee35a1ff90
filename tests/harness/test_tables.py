"""The reader of the package's CSV tables."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bandmark.errors import FileError
from bandmark.tables import parse_table, read_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A row with a field of every kind."""

    name: str
    names: tuple[str, ...]
    integrated: bool
    gbs: float
    bus: int | None
    clock: float | None
    layers: int = 0


HEADER = "name,names,integrated,gbs,bus,clock,layers,note\n"


def test_cells_are_read_by_the_annotation() -> None:
    """Each annotation has its reading, a tuple is split at |, and a column without a field is ignored."""
    (card,) = parse_table(HEADER + 'A,B 1|B 2,1,273,256,8.5,3,"x, y"\n', Card, file="t.csv")
    assert card == Card(
        name="A", names=("B 1", "B 2"), integrated=True, gbs=273.0, bus=256, clock=8.5, layers=3
    )  # fmt: skip
    assert isinstance(card.gbs, float)


def test_empty_cells() -> None:
    """An empty cell is the default, None, an empty string or an empty tuple."""
    (card,) = parse_table(HEADER + ",,0,1,,,,\n", Card, file="t.csv")
    assert card == Card(name="", names=(), integrated=False, gbs=1.0, bus=None, clock=None, layers=0)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("A,B,yes,1,,,,", "t.csv, line 3, column integrated: 'yes' is not accepted; expected 0 or 1."),
        ("A,B,,1,,,,", "column integrated: '' is not accepted; expected 0 or 1."),
        ("A,B,1,,,,,", "column gbs: '' is not accepted; expected a number."),
        ("A,B,1,nan,,,,", "column gbs: 'nan' is not accepted; expected a number."),
        ("A,B,1,1,2.5,,,", "column bus: '2.5' is not accepted; expected a whole number."),
        ("A,B,1,1,,fast,,", "column clock: 'fast' is not accepted; expected a number."),
        ("A,B,1,1", "t.csv, line 3: expected 8 cells, as in the header."),
        ("A,B,1,1,,,,,more", "t.csv, line 3: expected 8 cells, as in the header."),
        ('A,"B', "t.csv, line 3: unexpected end of data."),
    ],
)
def test_errors_name_file_line_and_column(line: str, words: str) -> None:
    """A cell that does not fit, or a line of another length, is an error that says where it is and what is expected."""
    with pytest.raises(FileError) as error:
        parse_table(f"{HEADER}A,B,1,1,,,,\n{line}\n", Card, file="t.csv")
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["", "name,names,integrated,bus,clock,layers\n"])
def test_missing_columns_are_named(text: str) -> None:
    """A field without a column is an error, also where the table has no rows."""
    with pytest.raises(FileError, match=r"t\.csv, line 1: column .*gbs.* is missing"):
        parse_table(text, Card, file="t.csv")


def test_a_cell_with_a_line_end_counts_its_lines() -> None:
    """The line that is named is the one where the row ends, as an editor counts."""
    with pytest.raises(FileError, match=r"line 4, column gbs"):
        parse_table(HEADER + 'A,B,1,1,,,,"two\nlines"\nA,B,1,x,,,,\n', Card, file="t.csv")


def test_files_of_the_package() -> None:
    """A table of the data folder is read by its name, in file order."""

    @dataclass(frozen=True)
    class Named:
        name: str

    assert read_table("models.csv", Named)[0] == Named("llama-3.2-1b")
