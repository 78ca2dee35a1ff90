"""Sessions of a check on fake backends, whose true bandwidth is known."""

from __future__ import annotations

from typing import Any

from bandmark.device.sensors import SensorReading
from bandmark.measure.sampling import StopRule
from bandmark.session.session import Session
from fakes import FAKE_GPU, FakeBackend, make_group, make_peak, make_target, measured

RULE = StopRule(min_time_s=0.1, warmup_s=0.05, max_warmup_s=0.3)
CASES = ("fake copy float32", "fake read float32", "fake gemv float32")


class Counted(FakeBackend):
    """A backend with counters of errors."""

    counters: dict[str, Any]
    sensors = None

    def facts(self) -> dict[str, Any]:
        """Return the counters."""
        return self.counters


def session(gbs: float = 0.01, *, memory: str | None = None, reading: Any = None, **more: Any) -> Session:
    """A measured session of copy, read and gemv at a speed; the peak is 0.0125 GB/s, so that 0.01 is 80 % of it."""
    backend = Counted(gbs=gbs, noise=0.001, readings=reading or SensorReading(), errors=more.pop("errors", {}))
    backend.counters = more.pop("counters", {"driver": "999.1"})
    target = make_target([backend], peak=make_peak(0.0125, memory_type=memory), address=more.pop("address", "cuda:0"))
    groups = [make_group(kernel, [backend], dtype="float32") for kernel in ("copy", "read", "gemv")]
    assert backend.device is FAKE_GPU
    return measured(groups, [backend], RULE, target=target, **more)
