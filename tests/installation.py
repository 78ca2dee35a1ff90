"""A pretend installation: which libraries there are, and the devices that each sees."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bandmark.backends import discovery, select
from bandmark.device.device import Device
from fakes import FakeBackend


class Installation:
    """What is installed on a pretend machine, library by library: devices, a problem, or an import that fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.libraries: dict[str, Any] = {}
        self.failing: dict[str, BaseException] = {}  # what a library raises when it is asked for its accelerators
        self.opened: list[FakeBackend] = []
        self.asked: list[str] = []
        real = importlib.import_module
        for module in (discovery, select):
            monkeypatch.setattr(module, "is_installed", lambda name: name in ("numpy", *self.libraries))
        monkeypatch.setattr(discovery.importlib, "import_module", lambda name: self.load(name, real))

    def add(self, name: str, devices: list[tuple[str, Device]], problem: str | None = None) -> None:
        """Install a library that sees these devices."""
        self.libraries[name] = (devices, problem)

    def load(self, name: str, real: Callable[[str], Any]) -> Any:
        """Stand in for import_module."""
        library = name.removeprefix("bandmark.backends.").removesuffix("_backend")
        if library not in self.libraries:
            return real(name)
        self.asked.append(name)
        found = self.libraries[library]
        if isinstance(found, BaseException):
            raise found
        return SimpleNamespace(
            list_accelerators=lambda: self.listed(library),
            open_accelerator=lambda address, device: self.open(library, address, device),
            open_on_cpu=lambda device, memory: self.open(library, "cpu", device),
        )

    def listed(self, name: str) -> Any:
        """Stand in for list_accelerators."""
        if name in self.failing:
            raise self.failing[name]
        return self.libraries[name]

    def open(self, name: str, address: str, device: Device) -> FakeBackend:
        """Stand in for open_accelerator and open_on_cpu."""
        self.opened.append(FakeBackend(name=name, device=device, memory_name=f"{name} {address}"))
        return self.opened[-1]
