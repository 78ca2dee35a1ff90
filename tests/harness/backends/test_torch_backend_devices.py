"""What torch tells about accelerators of several makers; what it does not tell is unknown."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bandmark.backends import torch_backend
from bandmark.backends.torch_backend import _is_nvidia, _nvml_address, list_accelerators
from bandmark.device.device import Device
from cupy_sensors import Sensors

SPARK = {
    "name": "NVIDIA GB10",
    "total_memory": 128 * 10**9,
    "L2_cache_size": 24 << 20,
    "memory_bus_width": 256,
    "memory_clock_rate": 8_533_000,
    "is_integrated": 1,
    "major": 12,
    "minor": 1,
    "multi_processor_count": 48,
}


def pretend(
    monkeypatch: pytest.MonkeyPatch, kind: str, properties: list[dict[str, Any]] | None, count: int = 1
) -> None:
    """Make torch see accelerators of a kind with these properties; None is a module without properties."""
    module = SimpleNamespace()
    if properties is not None:
        module.get_device_properties = lambda index: SimpleNamespace(**properties[index])
        count = len(properties)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device(kind))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)
    monkeypatch.setattr(torch, "get_device_module", lambda device: module)


def test_no_accelerator_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch sees none, that is the answer, and no error."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert list_accelerators() == ([], "torch sees no accelerator")


def test_a_torch_without_accelerators_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version before torch.accelerator can't be asked; the error says which version can."""
    monkeypatch.setattr(torch_backend, "torch", SimpleNamespace(__version__="2.5.1"))
    with pytest.raises(RuntimeError, match=r"torch 2\.5\.1 has no torch\.accelerator: update it to 2\.6"):
        list_accelerators()


def test_cuda_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each device has its address, index and facts; the clock is in MHz."""
    pretend(monkeypatch, "cuda", [SPARK, SPARK | {"name": "NVIDIA A100 80GB PCIe MIG 3g.40gb", "is_integrated": 0}])
    devices, problem = list_accelerators()
    assert problem is None
    assert [address for address, _ in devices] == ["cuda:0", "cuda:1"]
    assert devices[0][1] == Device(
        kind="gpu",
        name="NVIDIA GB10",
        index=0,
        memory_bytes=128 * 10**9,
        llc_bytes=24 << 20,
        bus_width_bits=256,
        memory_clock_mhz=8533.0,
        integrated=True,
        compute_capability=(12, 1),
        sm_count=48,
    )
    assert (devices[1][1].mig, devices[1][1].integrated) == (True, False)


PLACE = {"pci_domain_id": 15, "pci_bus_id": 0xC1, "pci_device_id": 0}


@pytest.mark.parametrize(
    ("told", "address"),
    [
        (PLACE | {"uuid": "8a3c"}, "000f:c1:00.0"),
        ({"uuid": "8a3c"}, "GPU-8a3c"),
        ({}, None),
    ],
)
def test_by_what_nvml_finds_a_device(told: dict[str, Any], address: str | None) -> None:
    """Its place on the bus, as CUDA writes it, which a slice shares with its GPU; older torch has UUIDs alone."""
    assert _nvml_address(SimpleNamespace(**told)) == address


def test_builds_for_amd_have_no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch for AMD calls its devices CUDA's, too: they have no compute capability, and NVML is not asked of them."""
    assert _is_nvidia("cuda") and not _is_nvidia("xpu")
    monkeypatch.setattr(torch.version, "hip", "7.1")
    monkeypatch.setitem(sys.modules, "pynvml", Sensors(nvmlDeviceGetMaxClockInfo=14001))
    pretend(monkeypatch, "cuda", [SPARK | PLACE])
    ((_, device),), _ = list_accelerators()
    assert not _is_nvidia("cuda")
    assert (device.compute_capability, device.max_memory_clock_mhz) == (None, None)


@pytest.mark.parametrize(("uuid", "clock"), [("8a3c", 14001), (None, None)])
def test_the_memory_clock_that_nvml_lists(monkeypatch: pytest.MonkeyPatch, uuid: str | None, clock: int | None) -> None:
    """NVML's maximum tells products of one name apart; without a UUID it is unknown."""
    monkeypatch.setitem(
        sys.modules,
        "pynvml",
        Sensors(
            nvmlDeviceGetHandleByUUID=lambda uuid: uuid.decode(),
            nvmlDeviceGetMaxClockInfo=lambda handle, kind: {("GPU-8a3c", 1): 2600, ("GPU-8a3c", 2): 14001}[
                handle, kind
            ],
        ),
    )
    pretend(monkeypatch, "cuda", [SPARK | ({"uuid": uuid} if uuid else {})])
    ((_, device),), _ = list_accelerators()
    assert device.max_memory_clock_mhz == clock


def test_zero_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers write 0 for what they do not know; a capability of 9.0 is one all the same."""
    zeros = dict.fromkeys(("L2_cache_size", "memory_bus_width", "memory_clock_rate", "multi_processor_count"), 0)
    pretend(monkeypatch, "cuda", [SPARK | zeros | {"major": 9, "minor": 0}])
    ((_, device),), _ = list_accelerators()
    unknown = (device.llc_bytes, device.bus_width_bits, device.memory_clock_mhz, device.sm_count)
    assert unknown == (None,) * 4
    assert device.compute_capability == (9, 0)


def test_other_makers_tell_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intel's properties have no cache, clock or capability: those are unknown, and so is whether it is integrated."""
    pretend(monkeypatch, "xpu", [{"name": "Intel Arc B580", "total_memory": 12 << 30}])
    ((address, device),), _ = list_accelerators()
    assert address == "xpu:0"
    assert device == Device(kind="gpu", name="Intel Arc B580", index=0, memory_bytes=12 << 30)


def test_apple_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """MPS has no properties at all; its memory is the system's."""
    pretend(monkeypatch, "mps", None)
    ((address, device),), _ = list_accelerators()
    assert (address, device.name, device.integrated) == ("mps:0", "Apple GPU (mps)", True)
