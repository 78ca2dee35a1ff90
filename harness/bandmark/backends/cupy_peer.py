"""Memory on a GPU other than the one in use."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import cupy

from bandmark.backends.base import place
from bandmark.backends.cupy_workload import cuda_errors

_ACCESS_ALREADY_ENABLED = 704  # cudaErrorPeerAccessAlreadyEnabled


def enable_access(peer: int) -> None:
    """Let the device in use reach the memory of a peer, for as long as the process lasts."""
    try:
        cupy.cuda.runtime.deviceEnablePeerAccess(peer)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        if error.status != _ACCESS_ALREADY_ENABLED:
            raise


def empty_on(index: int, count: int, dtype: Any, backend: Any) -> Any:
    """Return an array on a device; raises MemoryError if there is no room for it."""
    with cupy.cuda.Device(index):
        return place(lambda: cupy.empty(count, dtype), backend.lacks_memory, backend.gpu.release)


def release_on(index: int) -> None:
    """Return the pooled memory of a device to it."""
    with suppress(*cuda_errors()), cupy.cuda.Device(index):
        cupy.get_default_memory_pool().free_all_blocks()
