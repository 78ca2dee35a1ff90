"""The Numba backend: loops in Python as machine code, each thread on its own part of the arrays.

Threads are the team's, as NumPy's are: they are pinned, touch memory by the same split, and need no OpenMP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import llvmlite
import numba
from llvmlite import binding

from bandmark.backends.host import HostMemory
from bandmark.backends.patterns import Accesses, forget_arrays
from bandmark.backends.routines import Chase, LoadedChase, Passes, forget_ring
from bandmark.backends.team_backend import TeamBackend, TeamWorkload
from bandmark.device.device import Device
from bandmark_kernels.core import intrinsics  # noqa: F401 - a Numba that lacks parts is found here, not case by case


class NumbaBackend(TeamBackend):
    """Numba on the CPU."""

    name = "numba"
    version = numba.__version__
    routines: Mapping[str, Any] = {
        "chase": Chase,
        "passes": Passes,
        "loaded-chase": LoadedChase,
        "scaling": TeamWorkload,
        "patterns": Accesses,
    }

    def close(self) -> None:
        """Release the arena, the ring of a chase, and the arrays of patterns."""
        super().close()
        forget_ring()
        forget_arrays()

    def facts(self) -> Mapping[str, object]:
        """Return the compiler, and the processor that it compiles for."""
        llvm = ".".join(map(str, binding.llvm_version_info))
        return {"llvmlite": llvmlite.__version__, "llvm": llvm, "target": binding.get_host_cpu_name()}


def open_on_cpu(device: Device, memory: HostMemory) -> NumbaBackend:
    """Return the backend on the host's arrays."""
    return NumbaBackend(device, memory)
