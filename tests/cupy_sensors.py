"""A stand-in for pynvml, NVIDIA's management library."""

from __future__ import annotations

import importlib.machinery
import types
from typing import Any


class NVMLError(Exception):
    """What pynvml raises for whatever it does not support."""


class Sensors(types.ModuleType):
    """A pretend pynvml: what is not told raises, as on a DGX Spark."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, **told: Any) -> None:
        super().__init__("pynvml")
        self.__spec__ = importlib.machinery.ModuleSpec("pynvml", None)
        self.told: dict[str, Any] = {"nvmlInit": lambda: None, "nvmlDeviceGetHandleByPciBusId": lambda bus: bus, **told}

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml"):
            raise AttributeError(name)

        def query(*arguments: Any) -> Any:
            answer = self.told.get(name)
            if answer is None:
                raise NVMLError("Not Supported")
            return answer(*arguments) if callable(answer) else answer

        return query
