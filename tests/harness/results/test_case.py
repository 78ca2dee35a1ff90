"""The identity of a case: its key, its label, what matches it, and the order of rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bandmark.results.case import CaseId, case_label, identity_columns, in_order, matrix_of, model_of
from bandmark.results.row import Column, add_columns, remove_columns
from fakes import make_result

IDENTITY = (
    "device",
    "backend",
    "kernel",
    "dtype",
    "suite",
    "m",
    "n",
    "weight_format",
    "variant",
    "layer",
    "heads",
    "head_dim",
    "pattern",
    "read_fraction",
    "elapsed_s",
    "peer",
)


def test_which_columns_identify_a_case() -> None:
    """The column table says so, and a suite from outside adds to it."""
    assert identity_columns() == IDENTITY
    add_columns([Column(name="stride_bytes", type="int", doc="", identity=True)])
    try:
        assert identity_columns() == (*IDENTITY, "stride_bytes")
    finally:
        remove_columns(["stride_bytes"])


def test_the_key_tells_cases_apart() -> None:
    """Rows of one run differ in their identity exactly if they are different cases."""
    row = make_result()
    case = CaseId.of(row)
    assert case == CaseId.of(replace(row, bandwidth_gbs=1.0, status="suspect", reason="x"))
    others: list[Any] = [replace(row, **{name: 7}) for name in IDENTITY]  # type: ignore[arg-type]
    assert len({CaseId.of(other) for other in others} | {case}) == 1 + len(IDENTITY)
    assert len({CaseId.of(other).key for other in others} | {case.key}) == 1 + len(IDENTITY)


def test_the_label_is_the_case_in_words() -> None:
    """Backend, kernel, format, dtype, variant and matrix; sizes and the device are left out."""
    assert CaseId.of(make_result()).label == "numpy triad float64"
    row = make_result(kernel="gemv", weight_format="int8", dtype="float32", variant="v32", layer="tiny qkv", m=4, n=8)
    assert CaseId.of(row).label == "numpy gemv int8 float32 v32 tiny qkv"
    assert case_label({"backend": "cupy", "kernel": "copy"}) == "cupy copy"


@pytest.mark.parametrize(
    ("entry", "matches"),
    [
        ({}, True),
        ({"backend": "numpy", "kernel": "triad", "dtype": "float64"}, True),
        ({"kernel": "triad", "variant": None, "colour": "blue"}, True),
        ({"kernel": "triad", "n": 999}, False),
        ({"kernel": "copy"}, False),
        ({"variant": "wide"}, False),
    ],
)
def test_what_an_entry_names_must_be_the_cases(entry: dict[str, Any], matches: bool) -> None:
    """An entry may leave identity columns out, and names none with another value."""
    assert CaseId.of(make_result()).matches(entry) is matches


def test_names_of_a_models_matrix() -> None:
    """A label is the model, a space, and the matrix, which may have spaces."""
    row = make_result(layer="tiny expert+shared gate_up")
    assert (model_of(row), matrix_of(row)) == ("tiny", "expert+shared gate_up")
    assert model_of(make_result()) == matrix_of(make_result()) == ""


def test_rows_are_sorted_by_the_kernel_table() -> None:
    """By run, kernel, dtype, backend and variant as the tables list them; unknown kernels come last."""
    wanted = [
        make_result(kernel="copy", dtype="float64"),
        make_result(kernel="copy", dtype="float32", backend="numpy"),
        make_result(kernel="copy", dtype="float32", backend="torch"),
        make_result(kernel="copy", dtype="float32", backend="torch", variant="wide"),
        make_result(kernel="triad", n_elements=10),
        make_result(kernel="triad", n_elements=1000),
        make_result(kernel="gemv"),
        make_result(kernel="zzz"),
        make_result(run_id="20270101T000000Z-0000", kernel="copy"),
    ]
    assert in_order(reversed(wanted)) == wanted


def test_a_models_matrices_keep_their_order() -> None:
    """Within a format and library they stand as they were measured, large before small; other rows go by size."""
    layers = [make_result(kernel="gemv", n_elements=n, layer=f"tiny {name}") for name, n in (("qkv", 9), ("o", 5))]
    plain = [make_result(kernel="gemv", n_elements=n) for n in (9, 5)]
    assert [row.layer for row in in_order(layers)] == ["tiny qkv", "tiny o"]
    assert [row.n_elements for row in in_order(plain)] == [5, 9]


def test_values_of_a_foreign_identity_column_are_in_order() -> None:
    """Cases that differ in the column of a suite from outside are sorted by it, as numbers."""
    add_columns([Column(name="stride_bytes", type="int", doc="", identity=True)])
    try:
        rows = [make_result(suite="toy", extra={"stride_bytes": stride}) for stride in (64, 128, 4096)]
        rows = [make_result(suite="toy"), *rows]
        assert in_order(reversed(rows)) == rows
    finally:
        remove_columns(["stride_bytes"])
