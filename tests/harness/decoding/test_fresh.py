"""A quick run for a prediction: this machine's rows of the kernels that are asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bandmark.decoding import fresh
from bandmark.decoding.measured import weight_bandwidth
from bandmark.models.weights import FORMATS
from bandmark.session.session import Request, open_session


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """The requests of a test, which are run on small arrays."""
    seen: list[Request] = []

    def small(request: Request) -> object:
        seen.append(request)
        return open_session(replace(request, backends=("numpy",), size_bytes=32768, time_limit_s=0.3))

    monkeypatch.setattr(fresh, "open_session", small)
    return seen


def test_a_quick_run_gives_a_system(asked: list[Request], capsys: pytest.CaptureFixture[str]) -> None:
    """The kernels that are named are measured, with this machine's memory, and told of if a library here runs them."""
    found = fresh.measure_here(("gemv", "kv", "read"))
    assert asked == [Request(kernels=("gemv", "kv", "read"), quick=True)]
    assert {row.kernel for row in found.rows if row.bandwidth_gbs} == {"gemv", "read"}
    assert found.device_class == "cpu" and found.memory_bytes
    assert weight_bandwidth(found, FORMATS["fp16"]).gbs > 0
    assert "quick run of gemv, read" in capsys.readouterr().err


def test_gemv_is_measured_in_the_formats_of_the_weights(
    asked: list[Request], capsys: pytest.CaptureFixture[str]
) -> None:
    """Packed weights are measured as such where a library runs them; a format that none runs has no figure."""
    found = fresh.measure_here(("gemv", "read"), ("int8", "nvfp4"))
    assert asked == [Request(kernels=("gemv", "read"), quick=True, weights=("int8", "nvfp4"))]
    assert [(r.weight_format, bool(r.bandwidth_gbs)) for r in found.rows if r.kernel == "gemv"] == [
        ("int8", True),
        ("nvfp4", False),
    ]
    assert weight_bandwidth(found, FORMATS["int8"]).words.startswith("gemv int8 (numpy)")
    assert "quick run of gemv (int8), read" in capsys.readouterr().err


def test_where_no_library_runs_the_formats_plain_gemv_stands_in(asked: list[Request]) -> None:
    """Without any packed row there is still a bandwidth, and the words say what it is of."""
    found = fresh.measure_here(("gemv",), ("nvfp4", "fp8"))
    assert asked == [
        Request(kernels=("gemv",), quick=True, weights=("nvfp4", "fp8")),
        Request(kernels=("gemv",), quick=True),
    ]
    assert {row.weight_format for row in found.rows} == {None}
    assert weight_bandwidth(found, FORMATS["nvfp4"]).words.startswith("no gemv row in nvfp4")
