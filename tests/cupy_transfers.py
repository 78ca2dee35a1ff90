"""Memory of the host and copies over the link, for the stand-in for CuPy: as in cupy_backends/cuda/api/runtime.pyx."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from cupy_errors import CUDARuntimeError


def bytes_at(address: int, size: int) -> Any:
    """Return memory as an array of bytes."""
    return np.frombuffer((ctypes.c_char * size).from_address(address), "u1")


def transfers(device: Any) -> dict[str, Callable[..., Any]]:
    """Return the calls by name."""
    held = device.held

    def allocate(size: int) -> int:
        block = np.full(size, 0xA5, "u1")
        held[block.ctypes.data] = block
        device.log.append("allocate")
        return int(block.ctypes.data)

    def allocate_managed(size: int) -> int:
        address = allocate(size)
        device.homes[address] = -1
        return address

    def free(address: int) -> None:
        del held[address]
        device.homes.pop(address, None)

    def stream_of(pointer: int) -> Any:
        return device.streams[pointer - 1] if pointer else None

    def seconds(size: int) -> float:
        return float(size / device.gpu.link_gbs / 1e9 * device.gpu.link_noise())

    def copy(target: int, source: int, size: int, kind: int, stream: int) -> None:
        assert kind == 4
        device.queue("memcpy", seconds(size), stream_of(stream))
        if not device.gpu.lost_copies:
            ctypes.memmove(target, source, size)

    def copy_peer(target: int, to: int, source: int, of: int, size: int, stream: int) -> None:
        assert {to, of} <= set(range(len(device.gpus))) and device.index in (to, of)
        device.queue("memcpy peer", seconds(size), stream_of(stream))
        if not device.gpu.lost_copies:
            ctypes.memmove(target, source, size)

    def can_access(index: int, peer: int) -> int:
        if index == peer or not 0 <= peer < len(device.gpus):
            raise CUDARuntimeError(101)
        return int(peer not in device.gpus[index].unreachable)

    def enable_access(peer: int) -> None:
        assert can_access(device.index, peer), "CUDA refuses this"
        if (device.index, peer) in device.enabled:
            raise CUDARuntimeError(704)
        device.enabled.add((device.index, peer))

    def prefetch(address: int, size: int, to: int, stream: int) -> None:
        moves = device.homes[address] != to
        device.queue("prefetch", moves * seconds(size), stream_of(stream))
        device.homes[address] = to

    def register(address: int, size: int, flags: int) -> None:
        assert address not in held
        held[address] = None

    def unregister(address: int) -> None:
        del held[address]

    return {
        "hostAlloc": lambda size, flags: allocate(size),
        "mallocManaged": allocate_managed,
        "freeHost": free,
        "free": free,
        "hostRegister": register,
        "hostUnregister": unregister,
        "memcpyAsync": copy,
        "memPrefetchAsync": prefetch,
        "memcpyPeerAsync": copy_peer,
        "deviceCanAccessPeer": can_access,
        "deviceEnablePeerAccess": enable_access,
    }
