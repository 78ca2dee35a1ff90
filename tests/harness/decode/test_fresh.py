"""A quick run for a prediction: this machine's rows of the kernels that are asked for."""

from __future__ import annotations

import pytest

from bandmark.decode import fresh
from bandmark.decode.measured import weight_bandwidth
from bandmark.decode.weights import FORMATS
from bandmark.request import Request, open_session


def test_a_quick_run_gives_a_system(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The kernels of the table that are named are measured, with this machine's memory; others are left out."""
    asked: list[Request] = []

    def small(request: Request) -> object:
        asked.append(request)
        return open_session(
            Request(kernels=request.kernels, backends=("numpy",), quick=True, size_bytes=32768, time_limit_s=0.3)
        )

    monkeypatch.setattr(fresh, "open_session", small)
    found = fresh.measure_here(("gemv", "read", "no such kernel"))
    assert asked == [Request(kernels=("gemv", "read"), quick=True)]
    assert {row.kernel for row in found.rows} == {"gemv", "read"}
    assert found.device_class == "cpu" and found.memory_bytes
    assert weight_bandwidth(found, FORMATS["fp16"]).gbs > 0
    assert "quick run of gemv, read" in capsys.readouterr().err
