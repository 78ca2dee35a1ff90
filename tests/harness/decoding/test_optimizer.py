"""The optimizer's step: exact bytes, which measured row stands for it, and what it needs in memory."""

from __future__ import annotations

from typing import Any

import pytest

from bandmark.decoding.measured import MeasuredSystem
from bandmark.decoding.optimizer import FORMS, form_of, step_bandwidth, train_steps
from bandmark.decoding.systems import NAMED
from bandmark.errors import UsageError
from bandmark.models.catalog import find_model, load_models
from fakes import make_result

FLOAT32, MASTER = FORMS


def system(*rows: tuple[str, str, float], **changes: Any) -> MeasuredSystem:
    """Return a system with rows of (kernel, dtype, GB/s)."""
    made = [make_result(kernel=k, dtype=d, bandwidth_gbs=g, **changes) for k, d, g in rows]
    return MeasuredSystem("box", "Fake GPU", tuple(made), 100 * 10**9)


def test_bytes_per_parameter() -> None:
    """In float32 four words are read and three written; with bf16 weights, 2 + 12 bytes are read and 12 + 2 written."""
    assert (FLOAT32.read, FLOAT32.written, FLOAT32.moved, FLOAT32.stored) == (16, 12, 28, 16)
    assert (MASTER.read, MASTER.written, MASTER.moved, MASTER.stored) == (14, 14, 28, 16)


@pytest.mark.parametrize("name", sorted(load_models()))
def test_a_step_moves_all_parameters(name: str) -> None:
    """A step moves 28 bytes of every parameter, experts that rest included, at the system's bandwidth."""
    model = find_model(name)
    for step in train_steps([model], [], list(NAMED)):
        assert step.bytes == 28 * model.parameters
        assert step.seconds == pytest.approx(28 * model.parameters / step.system.weight_gbs / 1e9)
        assert step.needed_bytes == 16 * model.parameters


def test_the_rows_that_stand_for_it() -> None:
    """A row of adamw in its form comes first, then adamw in another, nstream and triad; the words say which."""
    rows = [("adamw", "float32", 50.0), ("adamw", "bfloat16", 40.0), ("nstream", "float32", 90.0)]
    assert step_bandwidth(system(*rows), FLOAT32).gbs == 50
    assert step_bandwidth(system(*rows), MASTER).gbs == 40
    assert step_bandwidth(system(rows[0]), MASTER).words == "no adamw row in bf16+master, so of adamw float32 (numpy)"
    found = step_bandwidth(system(rows[2], ("triad", "float32", 99.0)), FLOAT32)
    assert found.gbs == 90 and "so of nstream" in found.words
    assert "so of triad" in step_bandwidth(system(("triad", "float32", 99.0)), FLOAT32).words


@pytest.mark.parametrize(
    ("changes", "form"),
    [
        ({"dtype": "float32"}, "float32"),
        ({"dtype": "bfloat16"}, "bf16+master"),
        ({"dtype": "float32", "weight_format": "bf16"}, "bf16+master"),
        ({"kernel": "adamw_master", "dtype": "bfloat16"}, "bf16+master"),
    ],
)
def test_the_form_of_a_row(changes: dict[str, Any], form: str) -> None:
    """A row of adamw is of the form that its dtype, weight format or variant names."""
    assert form_of(make_result(**{"kernel": "adamw"} | changes)) == form


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
