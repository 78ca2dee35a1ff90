"""Profiled bytes stand beside the claims that they belong to, launch by launch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bandmark.selftest import profiled
from bandmark.selftest.profiled import Moved, compare
from bandmark_kernels import QUANTIZED, Kernel
from cupy_gpu import Gpu
from cupy_sensors import Sensors
from cupy_standin import StandIn, install
from foreign_files import ncu_log


def test_launches_of_a_claim_add_up(tmp_path: Path) -> None:
    """A kernel of two launches takes two lines; a side of which nothing is claimed has no share."""
    (tmp_path / "claims.csv").write_text("label,launches,read,written\ndot v16,2,2000,0\ncopy v16,1,1000,1000\n")
    (tmp_path / "ncu.csv").write_text(ncu_log((1500, 0), (520, 10), (1010, 990)))
    assert list(compare(tmp_path / "claims.csv", tmp_path / "ncu.csv")) == [
        Moved("dot v16", pytest.approx(1.01), 0.0),
        Moved("copy v16", pytest.approx(1.01), pytest.approx(0.99)),
    ]


def test_each_variant_is_launched_and_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each variant of each kernel, with as many launches as the device saw."""
    cupy = StandIn(Gpu(sms=2))
    install(monkeypatch, cupy, Sensors())
    kinds: Any = {"dot", "copy"}
    monkeypatch.setattr("bandmark.suites.selection.pick_kernels", lambda names: _named(kinds))
    monkeypatch.setattr("bandmark_kernels.QUANTIZED", {"int8": QUANTIZED["int8"]})
    profiled.write_claims("cuda:0", tmp_path / "claims.csv", 2**16)
    lines = [line.split(",") for line in (tmp_path / "claims.csv").read_text().splitlines()[1:]]
    assert {label.split()[0] for label, *_ in lines} == {"copy", "dot", "gemv"}
    assert sum(int(count) for _, count, *_ in lines) == sum(entry.startswith("bandmark_") for entry in cupy.log)
    assert ["copy v16", "1", "65536", "65536"] in lines


def _named(names: set[str]) -> list[Kernel]:
    from bandmark_kernels import KERNELS

    return [kernel for kernel in KERNELS.values() if kernel.name in names]


def test_results_are_verified_without_a_pool(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sanitizer sees exact arrays; a wrong kernel is the exit code."""
    monkeypatch.setattr(profiled, "_SANITIZED", ("copy",))
    install(monkeypatch, StandIn(Gpu(sms=1)), Sensors())
    assert profiled.verify_results("cuda:0") == 0
    install(monkeypatch, StandIn(Gpu(sms=1, wrong={"bandmark_copy"})), Sensors())
    assert profiled.verify_results("cuda:0") == 1
    assert "FAIL  copy" in capsys.readouterr().out
