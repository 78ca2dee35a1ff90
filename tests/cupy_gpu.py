"""A pretend GPU for the stand-in for CuPy: what it is, how fast it is, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cupy_errors import OutOfMemoryError
from cupy_launch import Launched, Law

MIB = 2**20
GIB = 2**30
PAGE = 512
"""CuPy's pool rounds sizes up to this many bytes."""


@dataclass
class Gpu:
    """One pretend device: what it is, how fast, and what is wrong with it."""

    law: Law = lambda launch: 0.002
    name: str = "NVIDIA RTX PRO 5000 Blackwell"
    capability: tuple[int, int] = (12, 0)
    sms: int = 4
    resident: int = 3
    """Blocks of 256 threads that a multiprocessor holds at once."""
    l2_bytes: int = MIB
    memory_bytes: int = 4 * GIB
    bus_bits: int = 384
    memory_khz: int = 14001000
    clock_khz: int = 2400000
    integrated: int = 0
    attributes: dict[int, int] = field(default_factory=lambda: {89: 1})
    """What cudaDeviceGetAttribute answers: 89 is concurrent managed access."""
    link_gbs: float = 50.0
    """One way over the link to the host."""
    link_noise: Callable[[], float] = lambda: 1.0
    """Factor on the time of the next copy over the link."""
    unreachable: tuple[int, ...] = ()
    """The devices whose memory it can't use."""
    lost_copies: bool = False
    """Whether copies over the link move nothing."""
    wrong: set[str] = field(default_factory=set)
    """Entry points that do nothing, or miss an access; "bandmark_triad" also stands for its _ragged and _finish, and
    "tiles" for a load that counts tiles that it has not read."""
    wrong_if: Callable[[Launched], bool] = lambda launch: False
    """Launches that do nothing."""
    counters: Callable[[float], tuple[int, int]] | None = None
    """Time in seconds -> what the clock probe reads: cycles and nanoseconds; None for a clock of clock_khz."""
    delay_factor: float = 1.0
    """How long the delay lasts over what was asked for."""
    tick_s: float = 0.0
    """Step of the event clock."""
    compile_log: str | None = None
    """What NVRTC says where it refuses every source."""
    refused_option: str | None = None
    """An option with which NVRTC refuses every source."""
    local_bytes: int = 0
    """Spilled registers per thread of each kernel."""
    lost: bool = False
    """A launch has failed, and CUDA answers nothing but that from now on."""
    hidden_bytes: int = 0
    """Memory that CUDA says is free and that is not to be had."""
    free_at: float = 0.0
    live: int = 0
    pooled: int = 0

    def properties(self) -> dict[str, Any]:
        """What cudaGetDeviceProperties tells, as far as anything asks for it."""
        return {
            "name": self.name.encode(),
            "totalGlobalMem": self.memory_bytes,
            "l2CacheSize": self.l2_bytes,
            "memoryBusWidth": self.bus_bits,
            "memoryClockRate": self.memory_khz,
            "clockRate": self.clock_khz,
            "integrated": self.integrated,
            "major": self.capability[0],
            "minor": self.capability[1],
            "multiProcessorCount": self.sms,
        }

    def allocate(self, size: int) -> None:
        """Take memory as CuPy's pool does: what is pooled first, then the device's; raises OutOfMemoryError."""
        size = -(-size // PAGE) * PAGE
        room = self.memory_bytes - self.hidden_bytes
        if self.live + self.pooled + size > room:
            self.pooled = 0
        if self.live + size > room:
            raise OutOfMemoryError(size, self.live)
        self.pooled = max(0, self.pooled - size)
        self.live += size

    def give_back(self, size: int) -> None:
        """Keep what an array leaves in the pool."""
        size = -(-size // PAGE) * PAGE
        self.live -= size
        self.pooled += size

    def read_counters(self, now: float) -> tuple[int, int]:
        """Return cycles and nanoseconds."""
        if self.counters:
            return self.counters(now)
        return int(now * self.clock_khz * 1e3), int(now * 1e9)
