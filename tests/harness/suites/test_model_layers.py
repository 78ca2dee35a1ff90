"""The suite model-layers: a model's matrices as cases, the sets they rotate over, and the sums of a decode step."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bandmark.device.memory import MemoryBudget
from bandmark.errors import FileError, UsageError
from bandmark.models.model import Matrix
from bandmark.options import RunOptions
from bandmark.results.row import Row
from bandmark.suites import SUITES, model_layers
from bandmark.suites.model_layers import (
    _MATRIX_TIME_S,
    _QUICK_MATRIX_TIME_S,
    _REST_OF_STEP,
    _MatrixGroup,
    adds_up,
    matrix_shapes,
    step_totals,
    total,
)
from bandmark.suites.sizing import _ROTATED_CACHES, MAX_LAYER_SETS, MAX_SETS
from bandmark_kernels import Shape
from fakes import FAKE_GPU, PLENTY, FakeBackend, make_matrix_group, make_peak, make_result, make_target

LAYERS = SUITES["model-layers"]
MATRICES = [Matrix("my-model", "qkv", 640, 128, 4), Matrix("my-model", "down", 128, 200, 4)]


@pytest.fixture
def _my_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of two matrices."""
    monkeypatch.setattr(model_layers, "_matrices", lambda name: MATRICES)


def plan(backends: list[FakeBackend], *, budget: MemoryBudget = PLENTY, **options: Any) -> list[_MatrixGroup]:
    """The groups of my-model's matrices."""
    for backend in backends:
        backend.room = budget
    given: dict[str, Any] = {"layer": "my-model", "dtypes": ("float32",)} | options
    groups: Any = LAYERS.plan(RunOptions(**given), make_target(backends, peak=make_peak(None)))
    return list(groups)


@pytest.mark.usefixtures("_my_model")
def test_a_models_matrices_are_groups_of_their_own() -> None:
    """A matrix is planned once per format, with its rows, columns, name and uses, and brings its own sampling time."""
    groups = plan([FakeBackend()])
    groups += plan([FakeBackend()], weights=("int8",), quick=True)
    assert [(g.kernel.label, g.shape) for g in groups] == [
        ("gemv", Shape(128, m=640)),
        ("gemv", Shape(200, m=128)),
        ("gemv int8", Shape(128, m=640)),
        ("gemv int8", Shape(200, m=128)),
    ]
    assert [g.cases[0].columns["layer"] for g in groups] == ["my-model qkv", "my-model down"] * 2
    assert {g.cases[0].columns["layer_uses"] for g in groups} == {4}
    assert [g.min_time_s for g in groups] == [_MATRIX_TIME_S] * 2 + [_QUICK_MATRIX_TIME_S, None]


@pytest.mark.usefixtures("_my_model")
def test_what_can_not_be_quantized_says_so() -> None:
    """Rows of quantized weights are whole scale groups: 200 weights are none, and the row is unsupported."""
    able, unable = FakeBackend(), FakeBackend(name="none", unsupported={"gemv": "has no op"})
    plain, packed = plan([able, unable]), plan([able, unable], weights=("int8",))
    assert all(group.cases[0].skip_reason is None for group in (*plain, packed[0]))
    case, other = packed[1].cases
    assert case.skip_reason == "its rows have 200 weights, and quantized rows a multiple of 64"
    assert (case.skip_status, other.skip_status, other.skip_reason) == ("unsupported", "unsupported", "has no op")


@pytest.mark.usefixtures("_my_model")
def test_a_matrix_without_room_is_skipped() -> None:
    """A model's matrix is measured as it is or not at all: what exceeds the limit is left out, with need and limit."""
    budget = MemoryBudget(10**9, 400_000, "so much is free")
    large, small = plan([FakeBackend()], budget=budget)
    assert small.runnable and large.runnable
    two = [FakeBackend(name="one", memory_name="one"), FakeBackend(name="two", memory_name="two")]
    large, small = plan(two, budget=budget)
    assert small.runnable and not large.runnable
    assert {case.skip_status for case in large.cases} == {"skipped"}
    assert large.cases[0].skip_reason == "it needs 646 KiB, but so much is free: 391 KiB"


@pytest.mark.usefixtures("_my_model")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--suite model-layers needs a model"),
        ({"layer": "my-model", "size_bytes": 100}, "leave --size out"),
        ({"layer": "my-model", "kernels": ("triad",)}, "--layer is for gemv"),
        ({"layer": "my-model", "dtypes": ("x",)}, "unknown dtype 'x'"),
    ],
)
def test_options_that_do_not_go_with_a_model(options: dict[str, Any], message: str) -> None:
    """A run without a model, a size beside the model's, kernels that no matrix is for, and unknown dtypes."""
    with pytest.raises(UsageError, match=message):
        LAYERS.check(RunOptions(**options))


def test_an_unknown_model_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    """The nearest name is offered; a config.json without what a transformer has is refused as well."""
    with pytest.raises(UsageError, match=r"Did you mean 'llama-3\.1-8b'"):
        LAYERS.check(RunOptions(layer="llama-3.1-8"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 64}))
    with pytest.raises(FileError, match="'num_attention_heads' is missing"):
        LAYERS.check(RunOptions(layer=str(tmp_path / "config.json")))


def test_on_a_cpu_a_models_matrices_rotate() -> None:
    """Libraries on a CPU share as many sets as memory needs, up to a number that small matrices take."""
    room = MemoryBudget(10**8, 10**8, "pretend")
    one, two = (FakeBackend(name=n, threads=2, device=replace(FAKE_GPU, llc_bytes=10**6), room=room) for n in "ab")
    group = make_matrix_group([one, two])
    set_bytes = group.kernel.working_set(group.shape, group.dtype)
    assert group.copies() == -(-_ROTATED_CACHES * 10**6 // set_bytes) + 1 > MAX_SETS
    narrow = replace(one, room=MemoryBudget(10 * set_bytes, 0, ""))
    assert make_matrix_group([narrow]).copies() == 10
    assert make_matrix_group([one], shape=Shape(1, m=1)).copies() == MAX_LAYER_SETS


def test_each_case_on_a_device_has_its_own_sets() -> None:
    """On a device two cases share the room between them; without a case to run there is one set."""
    room = MemoryBudget(10**6, 10**6, "pretend")
    one, two = (FakeBackend(name=n, device=replace(FAKE_GPU, llc_bytes=10**7), room=room) for n in "ab")
    assert make_matrix_group([one]).copies() == 2 * make_matrix_group([one, two]).copies() == 40
    assert make_matrix_group([FakeBackend(unsupported={"gemv": "no"})]).copies() == 1


def test_half_the_sets_and_not_half_the_matrix() -> None:
    """The size is the model's: what is halved is the number of buffer sets, down to none."""
    group: Any = make_matrix_group([FakeBackend(threads=2, device=replace(FAKE_GPU, llc_bytes=100_000))])
    sets = [group.copies()]
    while (half := group.halved()) is not None:
        assert half.shape == group.shape and half.halved_what == "the number of sets"
        group = half
        sets.append(group.copies())
    assert sets == [22, 11, 5, 2, 1]


def layer(name: str, uses: int, seconds: float, **changes: Any) -> Row:
    """A measured row of a matrix of model `tiny`: 90 bytes read, 10 written."""
    row = make_result(kernel="gemv", m=4, n=8, layer=f"tiny {name}", layer_uses=uses, time_median_s=seconds)
    return replace(row, bytes_read=90, bytes_written=10, **changes)


ROWS = [layer("qkv", 3, 2.0), layer("expert+shared gate_up", 5, 1.0)]


def test_shapes_once_each() -> None:
    """Each matrix is named once, whatever the number of formats."""
    assert matrix_shapes([*ROWS, *(replace(row, weight_format="int8") for row in ROWS)]) == [
        "matrices of tiny (rows x columns, how often in a step): qkv 4 x 8, 3; expert+shared gate_up 4 x 8, 5"
    ]
    assert matrix_shapes([make_result()]) == []


def test_a_step_over_all_matrices() -> None:
    """Bytes and times count as often as a step uses the matrix: 800 bytes in 3 x 2 + 5 x 1 seconds."""
    first, line, last = step_totals([*ROWS, make_result()])
    assert "matrices of tiny" in first and last == _REST_OF_STEP
    assert line == "numpy float64: 8e-07 GB in 11 s, 7.273e-08 GB/s"
    assert LAYERS.headline(ROWS) == "\n".join(step_totals(ROWS))


def test_formats_and_libraries_are_summed_apart() -> None:
    """A line for each; one in which nothing was measured has none."""
    int8 = [replace(row, weight_format="int8", time_median_s=1e-3) for row in ROWS]
    none = [replace(row, backend="torch", status="unsupported", time_median_s=None) for row in ROWS]
    lines = step_totals([*ROWS, *int8, *none])
    assert [line.split(":")[0] for line in lines[1:-1]] == ["numpy float64", "numpy int8"]
    assert "in 8 ms" in lines[2]
    assert step_totals(none) == [] and step_totals([make_result()]) == []
    assert LAYERS.headline(none) is None


def test_a_matrix_that_is_missing_leaves_no_sum() -> None:
    """Skipped matrices are named; no figure stands for less than all."""
    rows = [ROWS[0], replace(ROWS[1], status="skipped", reason="no time", time_median_s=None)]
    assert step_totals(rows)[1] == "numpy float64: no sum, for expert+shared gate_up was not measured"


def test_a_sum_says_what_speaks_against_it() -> None:
    """A sum says what of it came from the cache, and which rows are suspect."""
    rows = [replace(ROWS[0], regime="cache"), replace(ROWS[1], status="suspect", reason="drift")]
    assert step_totals(rows)[1].endswith("GB/s; not from memory: qkv; suspect: expert+shared gate_up")
    assert step_totals([replace(row, regime="mixed") for row in ROWS])[1].endswith("GB/s; not from memory: all")
    assert "not from" not in step_totals([replace(row, regime=None) for row in ROWS])[1]


def test_damaged_rows_break_no_sum() -> None:
    """A row without its time or its uses, as an edited file may have, is one that was not measured."""
    changes: list[dict[str, Any]] = [{"time_median_s": None}, {"layer_uses": None}, {"layer_uses": 0}]
    for change in changes:
        rows = [ROWS[0], replace(ROWS[1], **change)]
        assert not adds_up(rows[1])
        assert step_totals(rows)[1] == "numpy float64: no sum, for expert+shared gate_up was not measured"
        assert step_totals([rows[1]]) == []


def test_bytes_and_seconds_of_a_step() -> None:
    """Each row counts as often as a step uses its matrix."""
    assert total(ROWS) == (800, 11.0) and total([]) == (0, 0)


def test_which_rows_are_a_models() -> None:
    """A row with a layer is of this suite; a model's run is asked for by --layer."""
    assert LAYERS.owns(ROWS[0]) and not LAYERS.owns(make_result(kernel="gemv"))
    assert LAYERS.is_default(RunOptions(layer="x")) and not LAYERS.is_default(RunOptions())
    assert not LAYERS.in_all
