"""The optimizer's step: exact bytes, which measured row stands for it, its bound, and what it needs in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bandmark.decoding.measured import MeasuredSystem
from bandmark.decoding.optimizer import TrainStep, show_steps, train_steps
from bandmark.decoding.predict import named_systems
from bandmark.errors import UsageError
from bandmark.models.model import find_model, load_models
from fakes import make_result

MODEL = find_model("llama-3.2-3b")


def system(*rows: tuple[str, str, float], **changes: Any) -> MeasuredSystem:
    """Return a system with rows of (kernel, dtype, GB/s)."""
    made = [make_result(kernel=k, dtype=d, bandwidth_gbs=g, **changes) for k, d, g in rows]
    return MeasuredSystem("box", "Fake GPU", tuple(made), 100 * 10**9)


def both_states(measured: MeasuredSystem) -> list[TrainStep]:
    """Return the step with a float32 state, and that with bf16 weights and a master copy."""
    return train_steps([MODEL], [measured], [])


def test_bytes_per_parameter() -> None:
    """In float32 four words are read and three written; with bf16 weights, 2 + 12 bytes are read and 12 + 2 written."""
    steps = [step.as_json() for step in both_states(system(("adamw", "float32", 50.0)))]
    moved = [(step["bytes_read"], step["bytes_written"], step["needed_bytes"]) for step in steps]
    per_parameter = [(4 * 4, 3 * 4, 4 * 4), (2 + 3 * 4, 3 * 4 + 2, 2 + 2 + 3 * 4)]
    assert moved == [tuple(n * MODEL.parameters for n in numbers) for numbers in per_parameter]


@pytest.mark.parametrize("name", sorted(load_models()))
def test_a_step_moves_all_parameters(name: str) -> None:
    """A step moves 28 bytes of every parameter, experts that rest included, at the system's bandwidth."""
    model = find_model(name)
    for step in train_steps([model], [], list(named_systems().values())):
        assert step.bytes == 28 * model.parameters
        assert step.seconds == step.bound_s == pytest.approx(28 * model.parameters / step.system.weight_gbs / 1e9)


def test_the_rows_that_stand_for_it() -> None:
    """A row of adamw with this state comes first, then adamw with another, nstream and triad; the notes say which."""
    rows = [("adamw", "float32", 50.0), ("adamw", "bfloat16", 40.0), ("nstream", "float32", 90.0)]
    assert [step.system.weight_gbs for step in both_states(system(*rows))] == [50, 40]
    notes = both_states(system(rows[0]))[1].system.notes
    assert notes[0].endswith("no adamw row in bf16+master, so of adamw float32 (numpy)")
    found = both_states(system(rows[2], ("triad", "float32", 99.0)))[0].system
    assert found.weight_gbs == 90 and "so of nstream" in found.notes[0]
    assert "so of triad" in both_states(system(("triad", "float32", 99.0)))[0].system.notes[0]


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"dtype": "float32"}, 0),
        ({"dtype": "bfloat16"}, 1),
        ({"dtype": "float32", "weight_format": "bf16"}, 1),
        ({"kernel": "adamw_master", "dtype": "bfloat16"}, 1),
    ],
)
def test_the_state_of_a_row(changes: dict[str, Any], state: int) -> None:
    """A row whose dtype or weight format is bf16 has a float32 master copy."""
    row = make_result(**{"kernel": "adamw", "bandwidth_gbs": 50.0} | changes)
    steps = both_states(MeasuredSystem("box", "Fake GPU", (row,), None))
    assert ["so of" in step.system.notes[0] for step in steps] == [state != 0, state != 1]


def test_results_that_do_not_tell() -> None:
    """Without any of these rows, or with failed ones, the error says what to run."""
    for rows in (system(("copy", "float32", 9.0)), system(("adamw", "float32", 9.0), status="failed_verification")):
        with pytest.raises(UsageError, match=r"no measured row of adamw.*bandmark run"):
            both_states(rows)


def test_the_bound_is_that_of_the_fastest_mixed_traffic() -> None:
    """A slow optimizer bounds nothing: copies may be faster; reads bound only where nothing writes as well."""
    rows = [("adamw", "float32", 10.0), ("copy", "float64", 40.0), ("read", "float64", 50.0)]
    step = both_states(system(*rows))[0]
    assert step.seconds == pytest.approx(step.bytes / 10e9) and step.bound_s == pytest.approx(step.bytes / 40e9)
    assert step.as_json()["bound_seconds"] == step.bound_s
    suspect = replace(make_result(kernel="adamw", bandwidth_gbs=90.0), status="suspect", reason="drift")
    measured = system(rows[2])
    step = both_states(replace(measured, rows=(*measured.rows, suspect)))[0]
    assert step.bound_s == step.seconds == pytest.approx(step.bytes / 50e9)


def test_without_a_bound_the_output_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Where no row is beyond doubt there is no bound, in the table as in JSON, and a note says why."""
    steps = both_states(system(("adamw", "float32", 50.0), regime="cache"))
    assert steps[0].bound_s is None and steps[0].as_json()["bound_seconds"] is None
    show_steps(steps)
    assert "box: no bound: no row is verified" in (out := capsys.readouterr().out)
    assert ">" not in out.splitlines()[1]


def test_the_time_stands_before_the_bound(capsys: pytest.CaptureFixture[str]) -> None:
    """A measured system has both, a published one its bound; a star marks what does not fit."""
    spark = named_systems()["dgx-spark"]
    large = find_model("llama-3.1-8b")
    show_steps(train_steps([large], [system(("adamw", "float32", 10.0), ("copy", "float32", 40.0))], [spark]))
    assert "22.5 s >5.62 s*" in (out := capsys.readouterr().out.splitlines()[1])
    assert out.endswith("  >824 ms*")


def test_memory() -> None:
    """16 bytes per parameter must leave a tenth of the memory: a 3B model fits 100 GB and an 8B model does not."""
    measured = system(("adamw", "float32", 50.0))
    small, large = (train_steps([find_model(n)], [measured], [])[0] for n in ("llama-3.2-3b", "llama-3.1-8b"))
    assert small.fits is True and large.fits is False
    assert both_states(replace(measured, memory_bytes=None))[0].fits is None
