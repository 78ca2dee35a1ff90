"""The accelerators that torch sees, and what it tells about them."""

from __future__ import annotations

from typing import Any

import torch

from bandmark.device.device import Device
from bandmark.device.sensors import Sensors


def list_accelerators() -> tuple[list[tuple[str, Device]], str | None]:
    """Return address and facts of each accelerator, and a sentence if there is none."""
    if not torch.accelerator.is_available():
        return [], "torch sees no accelerator"
    kind = torch.accelerator.current_accelerator()
    assert kind is not None
    module = torch.get_device_module(kind)
    return [
        (f"{kind.type}:{index}", _device(module, kind.type, index)) for index in range(torch.accelerator.device_count())
    ], None


def _device(module: Any, kind: str, index: int) -> Device:
    """Return the facts of one device; device modules differ in what their properties hold."""
    if not hasattr(module, "get_device_properties"):
        return Device(kind="gpu", name=f"Apple GPU ({kind})" if kind == "mps" else kind, index=index, integrated=True)
    properties = module.get_device_properties(index)

    def known(name: str) -> Any:
        # 0 stands for unknown in several drivers.
        return getattr(properties, name, None) or None

    nvidia = is_nvidia(kind)
    clock_khz = known("memory_clock_rate")
    major, minor = known("major"), getattr(properties, "minor", None)
    return Device(
        kind="gpu",
        name=str(properties.name),
        index=index,
        memory_bytes=known("total_memory"),
        llc_bytes=known("L2_cache_size"),
        bus_width_bits=known("memory_bus_width"),
        memory_clock_mhz=clock_khz / 1e3 if clock_khz else None,
        max_memory_clock_mhz=(Sensors(nvml_address(properties)).facts() if nvidia else {}).get("max_memory_clock_mhz"),
        integrated=bool(properties.is_integrated) if hasattr(properties, "is_integrated") else None,
        compute_capability=(major, minor or 0) if nvidia and major else None,
        sm_count=known("multi_processor_count"),
        mig=" MIG " in str(properties.name),
    )


def is_nvidia(kind: str) -> bool:
    """Return whether a kind of device is CUDA: torch's builds for AMD call theirs by that name, too."""
    return kind == "cuda" and torch.version.hip is None


def nvml_address(properties: Any) -> str | None:
    """Return a CUDA device's PCI bus id, by which NVML finds it, or its UUID before torch 2.9, which has no bus id.

    A slice (MIG) has the address of its GPU, whose sensors are meant.
    """
    if hasattr(properties, "pci_bus_id"):
        return f"{properties.pci_domain_id:04x}:{properties.pci_bus_id:02x}:{properties.pci_device_id:02x}.0"
    uuid = getattr(properties, "uuid", None)
    return f"GPU-{uuid}" if uuid else None
