"""The optimizer's step: exact bytes, which measured row stands for it, and what it needs in memory."""

from __future__ import annotations

from typing import Any

import pytest

from bandmark.decoding.measured import MeasuredSystem
from bandmark.decoding.optimizer import FLOAT32, MASTER, OptimizerState, state_of, step_bandwidth, train_steps
from bandmark.decoding.predict import NAMED
from bandmark.errors import UsageError
from bandmark.models.model import find_model, load_models
from fakes import make_result


def system(*rows: tuple[str, str, float], **changes: Any) -> MeasuredSystem:
    """Return a system with rows of (kernel, dtype, GB/s)."""
    made = [make_result(kernel=k, dtype=d, bandwidth_gbs=g, **changes) for k, d, g in rows]
    return MeasuredSystem("box", "Fake GPU", tuple(made), 100 * 10**9)


def test_bytes_per_parameter() -> None:
    """In float32 four words are read and three written; with bf16 weights, 2 + 12 bytes are read and 12 + 2 written."""
    assert (FLOAT32.read, FLOAT32.written, FLOAT32.stored) == (4 * 4, 3 * 4, 4 * 4)
    assert (MASTER.read, MASTER.written, MASTER.stored) == (2 + 3 * 4, 3 * 4 + 2, 2 + 2 + 3 * 4)


@pytest.mark.parametrize("name", sorted(load_models()))
def test_a_step_moves_all_parameters(name: str) -> None:
    """A step moves 28 bytes of every parameter, experts that rest included, at the system's bandwidth."""
    model = find_model(name)
    for step in train_steps([model], [], list(NAMED)):
        assert step.bytes == 28 * model.parameters
        assert step.seconds == pytest.approx(28 * model.parameters / step.system.weight_gbs / 1e9)
        assert step.needed_bytes == 16 * model.parameters


def test_the_rows_that_stand_for_it() -> None:
    """A row of adamw with this state comes first, then adamw with another, nstream and triad; the words say which."""
    rows = [("adamw", "float32", 50.0), ("adamw", "bfloat16", 40.0), ("nstream", "float32", 90.0)]
    assert step_bandwidth(system(*rows), FLOAT32).gbs == 50
    assert step_bandwidth(system(*rows), MASTER).gbs == 40
    assert step_bandwidth(system(rows[0]), MASTER).words == "no adamw row in bf16+master, so of adamw float32 (numpy)"
    found = step_bandwidth(system(rows[2], ("triad", "float32", 99.0)), FLOAT32)
    assert found.gbs == 90 and "so of nstream" in found.words
    assert "so of triad" in step_bandwidth(system(("triad", "float32", 99.0)), FLOAT32).words


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"dtype": "float32"}, FLOAT32),
        ({"dtype": "bfloat16"}, MASTER),
        ({"dtype": "float32", "weight_format": "bf16"}, MASTER),
        ({"kernel": "adamw_master", "dtype": "bfloat16"}, MASTER),
    ],
)
def test_the_state_of_a_row(changes: dict[str, Any], state: OptimizerState) -> None:
    """A row whose dtype or weight format is bf16 has a float32 master copy."""
    assert state_of(make_result(**{"kernel": "adamw"} | changes)) == state


def test_results_that_do_not_tell() -> None:
    """Without any of these rows, or with failed ones, the error says what to run."""
    for rows in (system(("copy", "float32", 9.0)), system(("adamw", "float32", 9.0), status="failed_verification")):
        with pytest.raises(UsageError, match=r"no measured row of adamw.*bandmark run"):
            step_bandwidth(rows, FLOAT32)


def test_memory() -> None:
    """16 bytes per parameter must leave a tenth of the memory: a 3B model fits 100 GB and an 8B model does not."""
    measured = system(("adamw", "float32", 50.0))
    small, large = (train_steps([find_model(n)], [measured], [])[0] for n in ("llama-3.2-3b", "llama-3.1-8b"))
    assert small.fits is True and large.fits is False
    unknown = MeasuredSystem("box", "Fake GPU", measured.rows, None)
    assert train_steps([find_model("llama-3.2-3b")], [unknown], [])[0].fits is None
