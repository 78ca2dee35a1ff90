"""Does CuPy's view of the devices become plain facts, and a missing driver a sentence?"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest

from cupy_standin import CUDARuntimeError, StandIn


def devices(monkeypatch: pytest.MonkeyPatch, module: Any) -> Any:
    """Return the module under test, imported with a stand-in for CuPy."""
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.delitem(sys.modules, "bandmark.backends.cupy_devices", raising=False)
    found = importlib.import_module("bandmark.backends.cupy_devices")
    monkeypatch.delitem(sys.modules, "bandmark.backends.cupy_devices")
    return found


def test_facts_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are text, clocks are MHz, and 0 is unknown."""
    device = StandIn(lambda entry: 0.0)
    device.properties["l2CacheSize"] = 0
    ((address, facts),), problem = devices(monkeypatch, device.module()).list_accelerators()
    assert (address, problem) == ("cuda:0", None)
    assert facts.name == "NVIDIA RTX PRO 5000 Blackwell"
    assert facts.memory_clock_mhz == 14001
    assert facts.compute_capability == (12, 0)
    assert facts.integrated is False
    assert facts.llc_bytes is None


def test_no_driver_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """What CuPy raises without a driver becomes no device and a reason that says what to check."""
    module = StandIn(lambda entry: 0.0).module()

    def fail() -> int:
        raise CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")

    module.cuda.runtime.getDeviceCount = fail
    found, problem = devices(monkeypatch, module).list_accelerators()
    assert found == []
    assert "cudaErrorInsufficientDriver" in problem
    assert "nvidia-smi" in problem
