"""What the rows of a model's matrices say together: shapes, and sums that leave nothing out unsaid."""

from __future__ import annotations

from dataclasses import replace

from bandmark.results.row import Row
from bandmark.show.layers import COMES_ON_TOP, matrix_of, model_of, passes, shapes, total
from fakes import make_result


def layer(name: str, uses: int, seconds: float, **changes: object) -> Row:
    """A measured row of a matrix of model `tiny`: 90 bytes read, 10 written."""
    row = make_result(kernel="gemv", m=4, n=8, layer=f"tiny {name}", layer_uses=uses, time_median_s=seconds)
    return replace(row, bytes_read=90, bytes_written=10, **changes)  # type: ignore[arg-type]


ROWS = [layer("qkv", 3, 2.0), layer("expert+shared gate_up", 5, 1.0)]


def test_names() -> None:
    """A label is the model, a space, and the matrix, which may have spaces."""
    assert (model_of(ROWS[1]), matrix_of(ROWS[1])) == ("tiny", "expert+shared gate_up")
    assert model_of(make_result()) == matrix_of(make_result()) == ""


def test_shapes_once_each() -> None:
    """Each matrix is told once, whatever the number of formats."""
    assert shapes([*ROWS, *(replace(row, weight_format="int8") for row in ROWS)]) == [
        "matrices of tiny (rows x columns, how often in a step): qkv 4 x 8, 3; expert+shared gate_up 4 x 8, 5"
    ]
    assert shapes([make_result()]) == []


def test_a_pass_over_all_matrices() -> None:
    """Bytes and times count as often as a step uses the matrix: 800 bytes in 3 x 2 + 5 x 1 seconds."""
    first, line, last = passes([*ROWS, make_result()])
    assert "matrices of tiny" in first and last == COMES_ON_TOP
    assert line == "numpy float64: 8e-07 GB in 11 s, 7.273e-08 GB/s"


def test_formats_and_libraries_are_summed_apart() -> None:
    """A line for each; one in which nothing was measured has none."""
    int8 = [replace(row, weight_format="int8", time_median_s=1e-3) for row in ROWS]
    none = [replace(row, backend="torch", status="unsupported", time_median_s=None) for row in ROWS]
    lines = passes([*ROWS, *int8, *none])
    assert [line.split(":")[0] for line in lines[1:-1]] == ["numpy float64", "numpy int8"]
    assert "in 8 ms" in lines[2]
    assert passes(none) == [] and passes([make_result()]) == []


def test_a_matrix_that_is_missing_leaves_no_sum() -> None:
    """Skipped matrices are named; no figure stands for less than all."""
    rows = [ROWS[0], replace(ROWS[1], status="skipped", reason="no time", time_median_s=None)]
    assert passes(rows)[1] == "numpy float64: no sum, for expert+shared gate_up was not measured"


def test_doubts_are_told() -> None:
    """A sum says what of it came from the cache, and which rows are suspect."""
    rows = [replace(ROWS[0], regime="cache"), replace(ROWS[1], status="suspect", reason="drift")]
    assert passes(rows)[1].endswith("GB/s; not from memory: qkv; suspect: expert+shared gate_up")
    assert passes([replace(row, regime="mixed") for row in ROWS])[1].endswith("GB/s; not from memory: all")
    assert "not from" not in passes([replace(row, regime=None) for row in ROWS])[1]


def test_damaged_rows_break_no_sum() -> None:
    """A row without its time or its uses, as an edited file may have, is one that was not measured."""
    for change in ({"time_median_s": None}, {"layer_uses": None}, {"layer_uses": 0}):
        rows = [ROWS[0], replace(ROWS[1], **change)]  # type: ignore[arg-type]
        assert passes(rows)[1] == "numpy float64: no sum, for expert+shared gate_up was not measured"
        assert passes([rows[1]]) == []


def test_bytes_and_seconds_of_a_step() -> None:
    """Each row counts as often as a step uses its matrix."""
    assert total(ROWS) == (800, 11.0) and total([]) == (0, 0)
