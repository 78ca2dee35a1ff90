"""Tables of models and systems: columns that line up, names and notes that are said once."""

from __future__ import annotations

import pytest

from bandmark.decode.layout import WIDTH, Line, lay_out, paragraphs


def test_columns_line_up() -> None:
    """Cells end where the name of their system ends, and a column is as wide as its name or the least width."""
    lines = lay_out("GB", ["a", "a long name"], 4, [Line("one", " 1", ["x", "y"]), Line("two", "22", ["xxxx", "z"])])
    assert lines[0] == f"{'model':19}GB     a  a long name"
    assert lines[1] == f"{'one':19} 1     x            y"
    assert lines[2] == f"{'two':19}22  xxxx            z"


def test_a_model_is_named_once() -> None:
    """Further lines of the same model leave its name out, and a long name is cut."""
    lines = lay_out("", [], 4, [Line("m" * 30, "", []), Line("m" * 30, "", []), Line("n", "", [])])
    assert [line.strip() for line in lines[1:]] == ["m" * 18, "", "n"]


def test_a_line_needs_a_cell_for_each_system() -> None:
    """A line that is short of cells is a mistake of the program, and not shown."""
    with pytest.raises(ValueError, match="argument"):
        lay_out("", ["a", "b"], 4, [Line("one", "", ["x"])])


def test_each_note_once() -> None:
    """Notes keep their order, are said once, and no line is longer than WIDTH."""
    long = "word " * 60
    lines = paragraphs(["first", long, "first"])
    assert lines[0] == "first" and lines.count("first") == 1
    assert len(lines) == 4 and max(map(len, lines)) <= WIDTH
