"""A quick run for a prediction: this machine's rows of the kernels that are asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bandmark.decoding import fresh
from bandmark.decoding.measured import weight_bandwidth
from bandmark.models.weights import FORMATS
from bandmark.options import RunOptions
from bandmark.session import session


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[RunOptions]:
    """The options of the runs of a test, which are run on small arrays."""
    options_of_runs: list[RunOptions] = []
    open_session, run_session = session.open_session, session.run_session

    def small(options: RunOptions) -> RunOptions:
        return replace(options, backends=("numpy",), size_bytes=32768, time_limit_s=0.3)

    def run(options: RunOptions, **more: Any) -> session.Session:
        options_of_runs.append(options)
        return run_session(small(options), **more)

    monkeypatch.setattr(fresh, "open_session", lambda options: open_session(small(options)))
    monkeypatch.setattr(fresh, "run_session", run)
    return options_of_runs


def test_a_quick_run_gives_a_system(asked: list[RunOptions], capsys: pytest.CaptureFixture[str]) -> None:
    """The kernels that are named are measured, with this machine's memory, and told of if a library here runs them."""
    system = fresh.measure_here(("gemv", "kv", "read"))
    assert asked == [RunOptions(kernels=("gemv", "kv", "read"), quick=True)]
    assert {row.kernel for row in system.rows if row.bandwidth_gbs} == {"gemv", "read"}
    assert system.device_class == "cpu" and system.memory_bytes
    assert weight_bandwidth(system, FORMATS["fp16"]).gbs > 0
    assert "quick run of read, gemv" in capsys.readouterr().err


def test_gemv_is_measured_in_the_formats_of_the_weights(
    asked: list[RunOptions], capsys: pytest.CaptureFixture[str]
) -> None:
    """Packed weights are measured as such where a library runs them; a format that none runs has no figure."""
    system = fresh.measure_here(("gemv", "read"), ("int8", "nvfp4"))
    assert asked == [RunOptions(kernels=("gemv", "read"), quick=True, weights=("int8", "nvfp4"))]
    assert [(r.weight_format, bool(r.bandwidth_gbs)) for r in system.rows if r.kernel == "gemv"] == [
        ("int8", True),
        ("nvfp4", False),
    ]
    assert weight_bandwidth(system, FORMATS["int8"]).words.startswith("gemv int8 (numpy)")
    assert "quick run of read, gemv (int8)" in capsys.readouterr().err


def test_where_no_library_runs_the_formats_plain_gemv_stands_in(asked: list[RunOptions]) -> None:
    """Without any packed row there is still a bandwidth, and the words say what it is of."""
    system = fresh.measure_here(("gemv",), ("nvfp4", "fp8"))
    assert asked == [RunOptions(kernels=("gemv",), quick=True)]
    assert {row.weight_format for row in system.rows} == {None}
    assert weight_bandwidth(system, FORMATS["nvfp4"]).words.startswith("no gemv row in nvfp4")


def test_an_interrupted_run_is_no_measurement(asked: list[RunOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while this machine is measured ends the command instead of predicting from half a run."""
    run = fresh.run_session

    def interrupted(options: RunOptions, **more: Any) -> session.Session:
        result = run(options, **more)
        result.interrupted = True
        return result

    monkeypatch.setattr(fresh, "run_session", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fresh.measure_here(("read",))
