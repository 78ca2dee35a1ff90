"""Tables of models and systems: columns that line up within 80, and notes that are said once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.decoding.layout import LEAST, WIDTH, Line, lay_out, paragraphs


def test_columns_line_up() -> None:
    """Cells end where the parts of their system's name end, which end at the bottom of the heading."""
    lines = lay_out("GB", ["a", "a longer name"], [Line("one", " 1", ["x", "y"]), Line("two", "22", ["xxxx", "z"])])
    assert lines == [
        f"{'':2}  {'':9}  {'a longer':>9}",
        f"GB  {'a':>9}  {'name':>9}",
        "one",
        f" 1  {'x':>9}  {'y':>9}",
        "two",
        f"22  {'xxxx':>9}  {'z':>9}",
    ]


def test_a_model_is_named_once() -> None:
    """Further lines of the same model have no heading of their own."""
    lines = lay_out("", ["s"], [Line("m", "", ["1"]), Line("m", "", ["2"]), Line("n", "", ["3"])])
    assert [line.strip() for line in lines] == ["s", "m", "1", "2", "n", "3"]


def test_a_line_needs_a_cell_for_each_system() -> None:
    """A line that is short of cells is a mistake of the program, and not shown."""
    with pytest.raises(ValueError, match="must have 2 cells"):
        lay_out("", ["a", "b"], [Line("one", "", ["x"])])


@given(
    names=st.lists(st.text("ab -", min_size=1, max_size=30).filter(str.strip), min_size=1, max_size=9),
    size=st.integers(1, 20),
)
def test_no_line_is_too_long_and_no_cell_is_lost(names: list[str], size: int) -> None:
    """Systems beyond the width come in further tables, each with all models; every cell stands there once."""
    lines = [Line(f"model {i}", f"f{i}", [f"c{i}.{j}.".ljust(size, "x") for j in range(len(names))]) for i in range(3)]
    shown = lay_out("GB", names, lines)
    assert max(map(len, shown)) <= WIDTH
    words = " ".join(shown).split()
    assert all(words.count(cell) == 1 for line in lines for cell in line.cells)
    tables = words.count("GB")
    assert shown.count("model 0") == shown.count("model 2") == tables
    assert (tables == 1) == (2 + len(names) * (2 + max(LEAST, len(lines[0].cells[0]))) <= WIDTH)
    assert sum(map(len, "".join(names).split())) <= len("".join(words))


def test_each_note_once() -> None:
    """Notes keep their order, are said once, and no line is longer than WIDTH."""
    long = "word " * 60
    lines = paragraphs(["first", long, "first"])
    assert lines[0] == "first" and lines.count("first") == 1
    assert len(lines) == 5 and max(map(len, lines)) <= WIDTH
