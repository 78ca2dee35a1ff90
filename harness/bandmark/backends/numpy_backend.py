"""The NumPy backend: every processor that the process may use, each thread on its own part of the arrays."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from bandmark.backends.host import HostMemory
from bandmark.backends.nodes import NodeCopy
from bandmark.backends.routines import NumpyPasses
from bandmark.backends.team_backend import TeamBackend, TeamWorkload
from bandmark.device.device import Device


class _Scaling(TeamWorkload):
    """A kernel on some of the threads, where no library can have all kernels in a single pass."""

    has_all = False


class NumpyBackend(TeamBackend):
    """NumPy on the CPU."""

    name = "numpy"
    version = np.__version__
    routines: Mapping[str, Any] = {"passes": NumpyPasses, "scaling": _Scaling, "transfer": NodeCopy}

    def __init__(self, device: Device, memory: HostMemory) -> None:
        from threadpoolctl import ThreadpoolController

        super().__init__(device, memory)
        # Each thread of the team calls BLAS on its own part; a BLAS that spawned more would oversubscribe.
        self.blas = ThreadpoolController().select(user_api="blas")

    def single_threaded(self) -> AbstractContextManager[object]:
        """Limit BLAS to the thread that calls it."""
        limit: AbstractContextManager[object] = self.blas.limit(limits=1)
        return limit

    def facts(self) -> Mapping[str, object]:
        """Return the BLAS that NumPy's products use."""
        named = ("internal_api", "version", "architecture")
        return {"blas": [{name: lib.get(name) for name in named} for lib in self.blas.info()]}


def open_on_cpu(device: Device, memory: HostMemory) -> NumpyBackend:
    """Return the backend on the host's arrays."""
    return NumpyBackend(device, memory)
