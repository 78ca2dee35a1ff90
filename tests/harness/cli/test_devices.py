"""bandmark devices: each device with its memory, its peaks and their sources, and what could not be read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bandmark.backends.discovery import Accelerator, Discovery
from bandmark.cli import devices
from bandmark.cli.app import main
from bandmark.device.device import Device
from bandmark.device.peaks import Peak
from fakes import FAKE_GPU, make_machine

PRO = Device(
    kind="gpu",
    name="NVIDIA RTX PRO 5000 Blackwell",
    index=0,
    memory_bytes=int(47.5 * 2**30),
    llc_bytes=96 << 20,
    bus_width_bits=384,
    memory_clock_mhz=14001.0,
    integrated=False,
    compute_capability=(12, 0),
    sm_count=110,
)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Discovery:
    """A machine with a workstation card, and a library that is missing."""
    made = Discovery([Accelerator("cuda:0", PRO, ("cupy",))], {"torch": "torch is not installed; get it"})
    monkeypatch.setattr(devices, "discover", lambda: made)
    monkeypatch.setattr(devices, "read_machine", make_machine)
    firmware = Peak(
        gbs=76.8,
        source="firmware: 2 channels x 4800 MT/s (SMBIOS type 17)",
        memory_type="DDR5",
        explanation="Two modules.",
    )
    monkeypatch.setattr(devices, "read_dimms", lambda: firmware)
    return made


def test_the_text(found: Discovery, capsys: pytest.CaptureFixture[str]) -> None:
    """CPU first, then each accelerator: memory, cache, published and derived peak with sources, problems last."""
    assert main(["devices"]) == 0
    out = capsys.readouterr().out
    for part in (
        "cpu: Fake CPU @ 3 GHz",
        "memory            64 GiB",
        "last-level cache  32 MiB",
        "peak              76.8 GB/s (firmware: 2 channels x 4800 MT/s (SMBIOS type 17))",
        "cuda:0: NVIDIA RTX PRO 5000 Blackwell",
        "peak              1344 GB/s (published: ",
        "derived peak      1344.1 GB/s (2 x memory clock x bus width / 8)",
        "torch: torch is not installed; get it",
    ):
        assert part in out
    assert "not readable" not in out


def test_what_could_not_be_read(found: Discovery, capsys: pytest.CaptureFixture[str]) -> None:
    """A fact that the driver does not tell is named; an unknown peak says what to do; shared memory is told."""
    bare = Device(kind="gpu", name="Unknown GPU", index=0, memory_bytes=2**34, integrated=True)
    found.accelerators = [Accelerator("cuda:0", bare, ("torch",))]
    assert main(["devices"]) == 0
    out = capsys.readouterr().out
    assert "not readable      last-level cache, bus width, memory clock, compute capability, multiprocessors" in out
    assert "peak              unknown" in out and "--peak GBS" in out
    assert "16 GiB, shared with the system" in out


def test_json(found: Discovery, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for programs."""
    found.accelerators.append(Accelerator("cuda:1", replace(FAKE_GPU, index=1), ("cupy",)))
    assert main(["devices", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [d["address"] for d in told["devices"]] == ["cpu", "cuda:0", "cuda:1"]
    assert told["devices"][1]["peak"]["gbs"] == 1344.0
    assert told["devices"][1]["not_read"] == []
    assert told["devices"][2]["peak"]["gbs"] is None and "bus width" in told["devices"][2]["not_read"]
    assert told["problems"] == {"torch": "torch is not installed; get it"}
